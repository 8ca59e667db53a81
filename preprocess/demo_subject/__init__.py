"""A synthetic talking person with known truth."""

TRUTH_FILES = (
    "background.png",
    "landmarks.h5",
    "landmarks68.h5",
    "mesh.h5",
    "parsing.h5",
    "phonemes.csv",
    "speech.wav",
    "track.h5",
)
"""What is true of a clip, in the folder truth/ beside its video. Here, because the workflow asks
for them too, and must not load what draws."""
