"""68 face points by face-alignment's networks: s3fd finds the face, 2DFAN4 its points.

S3FD: Zhang et al., ICCV 2017. FAN: Bulat and Tzimiropoulos, ICCV 2017. The user brings the weights;
the library would fetch them, this module never does. The networks are the library's; the picture
is cut out and the heat maps are read here, because the library rounds points to whole pixels.

s3fd is slow on a CPU (1.3 s for 450x450, 0.3 s for 256x256; FAN takes 0.4 s), so it sees a small
picture, and looks only where there is no face to follow and once a second. In between the box moves
with the points as it was found beside them: a box of another detector would be of another size,
which FAN was not trained for.
"""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from preprocess.face_points import Face, turn_and_change
from ssp_nerf.errors import InputError, first_line
from ssp_nerf.landmarks import IBUG_POINTS
from ssp_nerf.weights import WEIGHT_FILES, require_weights, sha256_in_name

S3FD, FAN = WEIGHT_FILES["landmarks"]["face_alignment"]
KEY, ALTERNATIVE = "landmarks.detector", "mediapipe"

DETECTION_SIDE = 256  # pixels of the longer side, in which a portrait's face has 100
DETECTION_INTERVAL = 25  # frames
MIN_CONFIDENCE = 0.3
"""Mean height of the 68 peaks. FAN is trained to give 1 at a point; its author calls it a coarse
estimate, by which 0.6 is likely worse than 0.92 (github.com/1adrianb/face-alignment, issue 325)."""

STACKS = 4  # of hourglasses, the 4 in the name
CROP_SIZE, HEAT_SIZE = 256, 64  # pixels
BOX_TO_CROP = 200 / 195  # side of the crop over width plus height of the box (utils.py, core.py)
LEAST_HEAT = 1e-6  # a heat map may be 0 or less beside its peak
BOX_LIFT = 0.12  # the crop's centre lies above the box's by this share of its height (utils.py)


class FaceAlignmentDetector:
    """s3fd and 2DFAN4.

    Args:
        weights: folder with `S3FD` and `FAN`.
        device: auto, cpu or cuda.

    Raises:
        InputError: a package or a file is missing, or a file is another one.
    """

    count = IBUG_POINTS

    def __init__(self, weights: Path, device: str = "auto") -> None:
        paths = [
            require_weights(weights, name, KEY, ALTERNATIVE, sha256_in_name(name))
            for name in (S3FD, FAN)
        ]
        try:
            import torch
            from face_alignment.detection import sfd
            from face_alignment.models import fan

            from ssp_nerf.device import pick_device
        except ImportError as error:
            raise InputError(
                f"{KEY} is face_alignment, which needs the package {error.name}. Run `make setup`, "
                f"or set {KEY} to {ALTERNATIVE}."
            ) from error
        self.device = pick_device(device)
        s3fd_weights, fan_weights = paths
        with _loading(s3fd_weights):
            self.s3fd = sfd.FaceDetector(str(self.device), path_to_detector=s3fd_weights)
        with _loading(fan_weights):
            self.fan = fan.FAN(STACKS)
            self.fan.load_state_dict(torch.load(fan_weights, self.device, weights_only=True))
        self.fan.to(self.device).eval()
        self.restart()

    def restart(self) -> None:
        """Forget where the face was."""
        self.found: tuple[np.ndarray, Face] | None = None  # the last box, and the face in it
        self.followed: Face | None = None
        self.age = 0  # frames since the box was found

    def track(self, image: np.ndarray) -> Face | None:
        """The face in the next frame, 68 points."""
        face = None
        self.age += 1
        if self.found and self.followed and self.age < DETECTION_INTERVAL:
            face = self.points(image, moved_box(*self.found, self.followed))
        if face is None:
            box = self.find_box(image)
            if box is not None and (face := self.points(image, box)) is not None:
                self.found, self.age = (box, face), 0
        self.followed = face
        return face

    def look(self, image: np.ndarray) -> Face | None:
        """The face in a picture, whatever was seen before."""
        box = self.find_box(image)
        return None if box is None else self.points(image, box)

    def find_box(self, image: np.ndarray) -> np.ndarray | None:
        """Left, top, right, bottom, pixels, of the face that s3fd is surest of, or None."""
        scale = min(1.0, DETECTION_SIDE / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        boxes = self.s3fd.detect_from_image(small)
        if not len(boxes):
            return None
        return max(boxes, key=lambda box: box[4])[:4] / scale

    def points(self, image: np.ndarray, box: np.ndarray) -> Face | None:
        """The points of the face in a box, or None if FAN sees none there."""
        import torch

        left, top, right, bottom = box
        side = (right - left + bottom - top) * BOX_TO_CROP
        centre = np.array([left + right, top + bottom]) / 2 - [0, BOX_LIFT * (bottom - top)]
        corner, scale = centre - side / 2, CROP_SIZE / side
        to_crop = np.array([[scale, 0, 0], [0, scale, 0]])
        to_crop[:, 2] = (0.5 - corner) * scale - 0.5  # OpenCV's 0 is the first pixel's centre
        crop = cv2.warpAffine(image, to_crop, (CROP_SIZE, CROP_SIZE))
        batch = torch.from_numpy(crop.transpose(2, 0, 1)[None]).to(self.device).float() / 255
        with torch.inference_mode():
            heat = self.fan(batch)[-1][0].cpu().numpy()  # the last hourglass has the last word
        places, heights = peaks(heat)
        confidence = float(np.clip(heights, 0, 1).mean())
        if confidence < MIN_CONFIDENCE:
            return None
        xy = corner + places * (side / HEAT_SIZE)
        return Face(np.column_stack([xy, np.zeros(len(xy))]).astype(np.float32), confidence)


def moved_box(box: np.ndarray, beside: Face, face: Face) -> np.ndarray:
    """A box found with the face `beside` it, moved and scaled as that face has since."""
    factor, _ = turn_and_change(beside, face)
    corners = box[[0, 2]] + 1j * box[[1, 3]]
    middle = face.centre + factor * (corners.mean() - beside.centre)
    half = abs(factor) * (corners[1] - corners[0]) / 2
    first, last = middle - half, middle + half
    return np.array([first.real, first.imag, last.real, last.imag])


def peaks(heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each heat map is highest, between its cells.

    FAN is trained on Gaussians, whose logarithm is a parabola: three cells along x and three along
    y give its top exactly (Zhang et al., Distribution-Aware Coordinate Representation, CVPR 2020).

    Args:
        heat: (P, S, S) float32.

    Returns:
        (P, 2) x, y in cells from the map's corner, the first cell's centre at 0.5; (P,) heights.
    """
    rows, size = np.arange(len(heat)), heat.shape[-1]
    y, x = np.divmod(heat.reshape(len(heat), -1).argmax(1), size)
    heights = heat[rows, y, x]
    y, x = y.clip(1, size - 2), x.clip(1, size - 2)  # so that there is a cell on either side
    logarithm = np.log(np.maximum(heat, LEAST_HEAT, dtype=np.float64))
    centre = logarithm[rows, y, x]
    places = []
    for place, before, after in (
        (x, logarithm[rows, y, x - 1], logarithm[rows, y, x + 1]),
        (y, logarithm[rows, y - 1, x], logarithm[rows, y + 1, x]),
    ):
        bend = np.minimum(before + after - 2 * centre, -LEAST_HEAT)
        places.append(place + 0.5 + ((before - after) / (2 * bend)).clip(-1, 1))
    return np.stack(places, axis=1), heights


@contextmanager
def _loading(path: Path) -> Iterator[None]:
    """Say what is wrong with a weight file in one line."""
    try:
        yield
    except (pickle.UnpicklingError, RuntimeError, TypeError, EOFError) as error:
        reason = first_line(error)
        raise InputError(
            f"{path}: expected weights of face-alignment's networks, but they cannot be loaded "
            f"({reason}). Replace the file, or set {KEY} to {ALTERNATIVE}."
        ) from error
