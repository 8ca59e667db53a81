"""Parsing by BiSeNet (Yu et al., ECCV 2018), facexlib's network trained on CelebAMask-HQ.

The user brings the weights (facexlib 0.2.0's parsing_bisenet.pth, which is face-parsing.PyTorch's
79999_iter.pth); the network's 19 classes are merged into our 11.
"""

import importlib
import importlib.util
import pickle
import struct
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from preprocess.face_topology import MESH_TO_68
from preprocess.some_frames import evenly
from ssp_nerf import parsing_map as classes
from ssp_nerf.errors import InputError
from ssp_nerf.weights import WEIGHT_FILES, require_weights

if TYPE_CHECKING:
    import torch
    from torch import nn

(WEIGHTS,) = WEIGHT_FILES["parsing"]["bisenet"]
WEIGHTS_SHA256 = "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567"
"""Of the 53,289,463 bytes that facexlib's release 0.2.0 and its many copies hold."""

TRAINING_SIZE = 512  # pixels, side of the pictures it was trained on
TRAINING_EYES_TO_MOUTH = 131.0
"""Pixels between the middle of the eyes and of the mouth in these (CelebA-HQ's alignment: facexlib
puts the eyes at row 240 and the mouth at 371)."""
TRAINING_SHRINK = 0.75
"""In training they were shrunk to this at most (face-parsing.PyTorch): it knows none smaller."""
LARGEST_SIZE = 1024
STRIDE = 32  # of the network's coarsest level; sides are multiples of it
INPUT_MEAN, INPUT_DEVIATION = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # ImageNet, RGB in [0, 1]
SIZED_ON = 32  # frames, evenly over the clip, on which faces are measured
GPU_BATCH = 16
"""Frames that a GPU parses at once, in 1.3 GB of its memory (5 GB at 1024 pixels, measured); a CPU
gains nothing by more than one."""

NO_WEIGHTS = (
    *(pickle.UnpicklingError, EOFError, struct.error, AssertionError),
    *(RuntimeError, TypeError, ValueError, LookupError, AttributeError),
)
"""What PyTorch raises on files that are cut off, another network's, or no weights at all."""

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
"""The network's classes in its order (face-parsing.PyTorch numbers the masks of CelebAMask-HQ so),
and ours for each: ornaments count as what they are worn on (glasses on the eyes, since they move
and shine with them)."""
TO_OURS = np.array(list(CELEBAMASK_CLASSES.values()), np.uint8)


def parse_clip(
    frames: Sequence[np.ndarray], points: Sequence[np.ndarray], weights: Path, device: str
) -> Iterator[np.ndarray]:
    """The parsing map (H, W) uint8 of each frame.

    Args:
        frames: N RGB images (H, W, 3) uint8, read one at a time.
        points: N times (P, 3) landmarks, pixels, FaceMesh's or the 68; they only tell how large the
            face is.
        weights: folder with `WEIGHTS`.
        device: "auto", "cpu" or "cuda".

    Raises:
        InputError: facexlib or the weights are missing, the file holds something else, or there is
            no such device.
    """
    # Not itself a generator, so that what is missing is said before any output is begun.
    path = require_weights(weights, WEIGHTS, "parsing.parser", "mesh", sha256=WEIGHTS_SHA256)
    network = load_network(path, device)
    return parse_frames(frames, network_size(points, frames[0].shape[0]), network)


def parse_frames(
    frames: Sequence[np.ndarray], size: int, network: "nn.Module"
) -> Iterator[np.ndarray]:
    """Yield the parsing map (H, W) uint8 of each frame, shown to the network at size x size; a GPU
    does several at a time."""
    import torch

    place = next(network.parameters()).device
    step = GPU_BATCH if place.type == "cuda" else 1
    for start in range(0, len(frames), step):
        some = [frames[index] for index in range(start, min(start + step, len(frames)))]
        images = [cv2.resize(frame, (size, size), interpolation=cv2.INTER_LINEAR) for frame in some]
        batch = torch.from_numpy(np.stack(images)).to(place)
        with torch.inference_mode():
            yield from TO_OURS[most_likely(network, batch, some[0].shape[:2]).cpu().numpy()]


def most_likely(
    network: "nn.Module", images: "torch.Tensor", shape: tuple[int, ...]
) -> "torch.Tensor":
    """(B, *shape) the network's class of each pixel, from (B, S, S, 3) uint8 RGB."""
    import torch
    from torch.nn import functional as F

    mean, deviation = torch.tensor([INPUT_MEAN, INPUT_DEVIATION], device=images.device)
    normalised = (images / 255 - mean) / deviation
    logits = network(normalised.permute(0, 3, 1, 2))[0]  # the others are training's auxiliary heads
    return F.interpolate(logits, shape, mode="bilinear", align_corners=False).argmax(1)


def network_size(points: Sequence[np.ndarray], height: int) -> int:
    """Side, in pixels, to which frames are enlarged for the network.

    512, as in training, unless faces would be smaller there than any it was trained on: then as
    much as brings them to the size of the training pictures.

    Args:
        points: N times (P, 3) landmarks, pixels.
        height: of the frames.
    """
    chosen = evenly(len(points), SIZED_ON)
    faces = np.stack([points[index][:, :2] for index in chosen])
    if faces.shape[1] > len(MESH_TO_68):
        faces = faces[:, MESH_TO_68]
    eyes, mouth = faces[:, 36:48].mean(1), faces[:, [48, 54]].mean(1)  # iBUG's numbers
    distance = np.median(np.linalg.norm(eyes - mouth, axis=-1)) * TRAINING_SIZE / height
    scale = distance / TRAINING_EYES_TO_MOUTH
    if scale >= TRAINING_SHRINK:
        return TRAINING_SIZE
    return min(LARGEST_SIZE, round(TRAINING_SIZE / scale / STRIDE) * STRIDE)


def load_network(path: Path, device: str) -> "nn.Module":
    """BiSeNet with the weights of a file, on a device, for inference.

    Raises:
        InputError: PyTorch, facexlib or the device is missing, or the file holds something else.
    """
    try:
        import torch

        from ssp_nerf.device import pick_device
    except ImportError as error:
        raise InputError(
            "parsing.parser: bisenet needs PyTorch, which this environment lacks. Install it, or "
            "set parsing.parser to mesh."
        ) from error

    network = bisenet_module().BiSeNet(num_class=len(CELEBAMASK_CLASSES))
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except NO_WEIGHTS as error:
        reason = next(iter(str(error).splitlines()), "the file ends too early")
        raise InputError(
            f"{path}: expected the weights of facexlib's BiSeNet, but they cannot be loaded "
            f"({reason}). Replace the file, or set parsing.parser to mesh."
        ) from error
    return network.eval().to(pick_device(device))


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
