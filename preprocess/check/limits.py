"""From where on a video is good, and from where on hopeless: every threshold, with its reason.

Pairs are (good, usable): beyond the first a finding is a warning, beyond the second the video will
not work. Most are ours, from what the stages and AD-NeRF's kind of training can bear; none of them
is sharp.
"""

LENGTH = (120.0, 10.0)
"""Seconds. AD-NeRF, the paper and their successors train on two to five minutes. Ten seconds hold
about 25 words (150 a minute): too few of the mouth shapes to speak anything else with."""
SHORT_LENGTH = 45.0  # seconds below which a clip shows mainly whether the rest works
LONG_LENGTH = 600.0  # seconds; more changes light, hair and seat, and adds little (ours)

FPS = 25.0
FPS_LEEWAY = 0.01  # frames a second: 25.00 is 25
SLOW_FPS = (23.5, 12.0)
"""Frames a second. 23.976 and 24 lose little. Syllables come at 4 to 5 a second (Greenberg, 1999):
below 12 frames a second the mouth's movement is not in the picture."""
UNEVEN_STEPS = 0.02  # share of frames whose step is uneven, from where the frame rate varies
REPEATED = (0.05, 0.5)
"""Share of frames that repeat the one before: 24 to 25 fps has 4 %, 25 to 30 fps 17 %, and a video
of 12 fps sold as 25 has half."""

ENLARGEMENT = (1.25, 4.0)  # of the face on its way into the portrait; at 4 it is a 45-pixel face
NO_FACE = (0.0, 0.10)
"""Share of time. A gap as short as half a second is filled (landmarks.max_gap), others stop the
pipeline; a tenth without a face is another kind of film."""
OTHER_FACE_HEIGHT = 0.5  # of the main face's; smaller ones the crop never takes for it
OTHER_FACE = (0.02, 0.30)  # share of time; faces are sometimes seen where none are

BLUR = (0.54, 0.85)
"""Crete's blur measure of the face at portrait size, 0 to 1. Two real faces, two synthetic ones and
a photograph have 0.42 to 0.48; blurred by a Gaussian of 1 pixel of a 450-pixel portrait 0.52 to
0.56, of 2 pixels 0.67 to 0.72, of 4 pixels 0.83 to 0.86 (ours)."""
SOFT_MOMENTS = 0.1  # share of time; fast turns blur a frame now and then
BITS_PER_PIXEL = 0.015
"""H.264 at 25 fps below which detail in faces is washed out; YouTube's 1080p has 0.04 to 0.08."""

YAW_RANGE, PITCH_RANGE = (12.0, 2.0), (6.0, 1.0)
"""Degrees between the 5th and the 95th percentile. A head that never turns leaves the depth of the
face open, and looks flat from any other side."""
YAW_FAR = 45.0  # degrees; FaceMesh loses the far half of the face from about there
FAR_TURNS = (0.02, 0.30)  # share of time beyond YAW_FAR

MOUTH_RANGE = (0.12, 0.04)
"""Opening over the mouth's width, from the 5th to the 95th percentile. Speech opens the lips by 5
to 15 mm on a mouth of 50; detection scatters by 0.01 to 0.02."""
MOUTH_CLOSED = 0.06  # the 5th percentile of a mouth that closes
LIPS_AND_SOUND = 0.2
"""Correlation of mouth opening and loudness from which they go together, if it is no chance: a news
speaker has 0.46, synthetic people 0.6 to 0.8 (ours)."""
SOUND_LAG = (0.10, 0.16)
"""Seconds. A lag of 0.1 s is noticed by viewers (ITU-R BT.1359: 45 ms early, 125 ms late); the
window of speech that the model sees reaches 0.16 s to either side (16 steps at 50 Hz)."""

SPEECH_LEVEL = (-35.0, -55.0)  # dBFS RMS of the loud half of the sound; broadcasts have -23
SPEECH_OVER_NOISE = (20.0, 6.0)
"""Decibels between speech and the quietest tenth. Clean recordings have 30 and more; below 6 dB
there are no pauses: music, noise or applause."""
CLIPPED = (0.001, 0.05)  # share of samples in runs at full scale
SILENCE = (0.40, 0.90)  # share of time; talking people pause for a fifth to a third of it

CUT_RATIO, CUT_LEVELS = 3.0, 3.0
"""A cut changes the picture this many times as much as any frame within half a second does, and by
this many of 255 levels. Fast turns of the head reach 1.3 times (ours, on real clips)."""
JUMPS_A_MINUTE = (0.0, 30.0)
SCENE_LEVELS = 20.0  # levels by which the background differs after a cut to another scene

BACKGROUND_SHIFT = 0.006
"""Share of the portrait's side by which the scene moves, 95th percentile: 2.7 pixels of 450 blur
the background's picture. How much that harms depends on what there is to see: BACKGROUND_CHANGE."""
BACKGROUND_LOST = 0.05  # share of looks in which the scene is not found again
BACKGROUND_CHANGE = (6.0, 30.0)  # levels of 255, mean over the background, 95th percentile

HANDS = (0.01, 0.15)  # share of time with a hand over the face
HAND_COVERS = 0.02  # share of the face from where on a hand is over it

DARK = (60.0, 25.0)  # mean level of the face, of 255
BRIGHT = (215.0, 245.0)
LIGHT_CHANGE = (35.0, 100.0)  # levels between the 5th and the 95th percentile
FLICKER = (1.0, 8.0)  # levels, of the whole picture against the 0.4 s around
