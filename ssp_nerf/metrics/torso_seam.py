"""The seam between head and torso: whether they come apart (the paper's figure 2, blue arrows).

Reference: this project's own; head-torso separation is what users of AD-NeRF complain of first.
Protocol: the band of pixels that the truth's parsing map has near to both sides, head (face, ears,
hair) and neck or torso, within 2 % of the picture's height. In it
- `psnr_seam`: PSNR, dB;
- `seam_gap`: per cent of what is the person's in the truth's map that the picture's own map gives
  to the background: holes in the neck. The truth's own is 0;
- `seam_edge`: mean gradient, grey levels a pixel, of the picture. A torn or doubled edge is above
  the truth's own, a blurred one below: the nearer to it the better.
Pitfalls: long hair over the shoulders makes a long seam with gradients of its own; a parser that
sees no gap hides it.
"""

import numpy as np

from ssp_nerf.metrics.cpbd import grey
from ssp_nerf.parsing_map import BACKGROUND, NECK, TORSO, head_mask

REACH = 0.02  # of the picture's height


def seam_band(parsing: np.ndarray) -> np.ndarray:
    """(H, W) uint8 parsing map -> (H, W) bool: near to the head and near to neck or torso."""
    from scipy.ndimage import distance_transform_edt

    reach = REACH * parsing.shape[0]
    sides = head_mask(parsing), np.isin(parsing, (NECK, TORSO))
    if not all(side.any() for side in sides):
        return np.zeros(parsing.shape, bool)
    near = [distance_transform_edt(~side) <= reach for side in sides]
    return near[0] & near[1]


def seam_gap(parsing: np.ndarray, truth: np.ndarray, band: np.ndarray) -> float:
    """Per cent of the truth's person in the band that `parsing` gives to the background."""
    person = band & (truth != BACKGROUND)
    return float(100 * (parsing[person] == BACKGROUND).mean()) if person.any() else float("nan")


def seam_edge(picture: np.ndarray, band: np.ndarray) -> float:
    """Mean length of the gradient in the band, grey levels a pixel, central differences."""
    slopes = np.gradient(grey(picture).astype(np.float64))
    return float(np.hypot(*slopes)[band].mean()) if band.any() else float("nan")
