"""mediapipe without what it does not need."""

import subprocess
import sys

CHECK = """
import importlib.util
import sys
import numpy as np
from preprocess.solutions import solution

segmentation = solution("selfie_segmentation").SelfieSegmentation()
mask = segmentation.process(np.zeros((64, 64, 3), np.uint8)).segmentation_mask
assert mask.shape == (64, 64)
heavy = {"tensorflow", "jax", "torch", "keras"} & set(sys.modules)
assert not heavy, heavy
assert importlib.util.find_spec("tensorflow"), "hidden for good"
"""


def test_a_solution_works_without_tensorflow_which_stays_within_reach() -> None:
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
