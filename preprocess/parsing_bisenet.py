"""Parsing by BiSeNet (Yu et al., ECCV 2018), facexlib's network trained on CelebAMask-HQ.

The user brings the weights (facexlib 0.2.0's parsing_bisenet.pth); the network's 19 classes are
merged into our 11.
"""

import importlib
import importlib.util
import pickle
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from preprocess.weights import require_weights
from ssp_nerf import parsing_map as classes
from ssp_nerf.errors import InputError

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = "parsing_bisenet.pth"
INPUT_SIZE = 512  # pixels, the size it was trained at
INPUT_MEAN, INPUT_DEVIATION = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # ImageNet, RGB in [0, 1]

CELEBAMASK_CLASSES = {
    "background": classes.BACKGROUND,
    "skin": classes.CHEEK,
    "left brow": classes.EYEBROW,
    "right brow": classes.EYEBROW,
    "left eye": classes.EYE,
    "right eye": classes.EYE,
    "glasses": classes.EYE,
    "left ear": classes.EAR,
    "right ear": classes.EAR,
    "earring": classes.EAR,
    "nose": classes.NOSE,
    "inner mouth": classes.TEETH,
    "upper lip": classes.LIP,
    "lower lip": classes.LIP,
    "neck": classes.NECK,
    "necklace": classes.NECK,
    "cloth": classes.TORSO,
    "hair": classes.HAIR,
    "hat": classes.HAIR,
}
"""The network's classes in its order, and ours for each: ornaments count as what they are worn on
(glasses on the eyes, since they move and shine with them)."""
TO_OURS = np.array(list(CELEBAMASK_CLASSES.values()), np.uint8)


def parse_clip(frames: Sequence[np.ndarray], weights: Path) -> Iterator[np.ndarray]:
    """The parsing map (H, W) uint8 of each frame.

    Args:
        frames: N RGB images (H, W, 3) uint8.
        weights: folder with `WEIGHTS`.

    Raises:
        InputError: facexlib or the weights are missing, or the file holds something else.
    """
    # Not itself a generator, so that what is missing is said before any output is begun.
    network = load_network(weights)
    return (parse_frame(frame, network) for frame in frames)


def parse_frame(frame: np.ndarray, network: "nn.Module") -> np.ndarray:
    """The parsing map (H, W) uint8 of one RGB image (H, W, 3) uint8."""
    import torch
    from torch.nn import functional as F

    image = cv2.resize(np.asarray(frame), (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_LINEAR)
    normalised = (image / 255.0 - INPUT_MEAN) / INPUT_DEVIATION
    batch = torch.from_numpy(normalised.transpose(2, 0, 1)).float()[None]
    with torch.inference_mode():
        logits = network(batch)[0]  # the other outputs are training's auxiliary heads
        logits = F.interpolate(logits, frame.shape[:2], mode="bilinear", align_corners=False)
    return TO_OURS[logits[0].argmax(0).numpy()]


def load_network(weights: Path) -> "nn.Module":
    """The network with its weights, on the CPU, for inference."""
    path = require_weights(weights, WEIGHTS, "parsing.parser", "mesh")
    try:
        import torch
    except ImportError as error:
        raise InputError(
            "parsing.parser: bisenet needs PyTorch, which this environment lacks. Install it, or "
            "set parsing.parser to mesh."
        ) from error

    network = bisenet_module().BiSeNet(num_class=len(CELEBAMASK_CLASSES))
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, TypeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: expected the weights of facexlib's BiSeNet, but they cannot be loaded "
            f"({reason}). Replace the file, or set parsing.parser to mesh."
        ) from error
    return network.eval()


def bisenet_module() -> types.ModuleType:
    """facexlib's module `parsing.bisenet`, without the rest of facexlib.

    The packages around it import torchvision at the top, which has no build for the torch used
    here; the module itself needs only torch. So its folder is made a package under another name.
    """
    spec = importlib.util.find_spec("facexlib")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "parsing.parser is bisenet, which needs the package facexlib. Run `make setup` (or "
            "`pip install --no-deps facexlib==0.3.0`), or set parsing.parser to mesh."
        )
    alias = "preprocess._facexlib_parsing"
    if alias not in sys.modules:
        package = types.ModuleType(alias)
        package.__path__ = [str(Path(spec.submodule_search_locations[0]) / "parsing")]
        sys.modules[alias] = package
    return importlib.import_module(f"{alias}.bisenet")
