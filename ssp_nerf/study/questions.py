"""What participants are asked (paper, section 4.4), and the scale they answer on."""

from typing import NamedTuple


class Question(NamedTuple):
    key: str  # column of the ratings' file
    title: str  # as table 3 has it
    text: str


QUESTIONS = (
    Question(
        "lip_sync_accuracy",
        "Lip-sync Accuracy",
        "How well do the lips match what is being said?",
    ),
    Question(
        "video_realness",
        "Video Realness",
        "How much does this look like a real person who was filmed?",
    ),
    Question(
        "image_quality",
        "Image Quality",
        "How good is the picture itself: sharp, whole, without flaws?",
    ),
)

SCALE = ("bad", "poor", "fair", "good", "excellent")
"""Of 1 to 5: the words of the Mean Opinion Score (ITU-T P.800 and P.910)."""
LOWEST, HIGHEST = 1, len(SCALE)
