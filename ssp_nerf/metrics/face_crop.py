"""The cropped setting of the paper's table 1: the same region of every method, at one size.

Reference: paper, section 4.3, "we crop the generated facial image with same region and resize into
same size". It gives neither region nor size. Protocol (ours): one square for the whole clip, round
the truth's faces (forehead to chin) in all its frames, 10 % larger; resized to
`evaluation.crop_size` by Lanczos.
Pitfalls: a head that moves much makes the square large, with background in it; enlarging blurs
truth and rendering alike and raises PSNR and SSIM: compare within one crop size and one clip only.
"""

import numpy as np

from ssp_nerf.landmarks import face_boxes

MARGIN = 0.1  # of the side


def crop_square(points: np.ndarray, width: int, height: int) -> tuple[float, float, float] | None:
    """Left, top and side of the square round all faces, inside the picture.

    Args:
        points: (F, P, 2) of the truth, pixels; nan where no face was found.
        width, height: of the picture.

    Returns:
        Pixels, or None without any face.
    """
    boxes = face_boxes(points)
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    if not len(boxes):
        return None
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    side = min((1 + MARGIN) * (high - low).max(), width, height)
    corner = ((low + high - side) / 2).clip(0, (width - side, height - side))
    return float(corner[0]), float(corner[1]), float(side)


def crop(picture: np.ndarray, square: tuple[float, float, float], size: int) -> np.ndarray:
    """(size, size, 3) uint8: the square of a picture (H, W, 3)."""
    from PIL import Image

    left, top, side = square
    box = (left, top, left + side, top + side)
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS, box))
