"""Parsing mIoU: how well the classes of a picture's pixels agree with the truth's.

Reference: Jaccard index of each class, intersection over union (Everingham et al., The PASCAL
visual object classes challenge, IJCV 2010); classes of the paper's section 4.2.
Protocol: of a clip, pixels of all frames together for each class, then the mean over classes that
either map holds; of a frame, the same for its pixels.
Pitfalls: both maps are a parser's, so this is agreement, not truth; a model's own map and a
parser's map of its picture are two things: the protocol says which. Small classes (teeth, eyes)
weigh as much as the torso.
"""

import numpy as np

from ssp_nerf.parsing_map import CLASSES


def confusion(parsing: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(11, 11) pixels of class i in the truth and class j in `parsing`, both (H, W) uint8."""
    count = len(CLASSES)
    pairs = truth.astype(np.int64).ravel() * count + parsing.ravel()
    return np.bincount(pairs, minlength=count**2).reshape(count, count)


def class_iou(pixels: np.ndarray) -> np.ndarray:
    """(..., 11, 11) of `confusion` -> (..., 11) IoU; nan for a class that neither map holds."""
    both = np.diagonal(pixels, axis1=-2, axis2=-1)
    either = pixels.sum(axis=-1) + pixels.sum(axis=-2) - both
    return np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)


def mean_iou(pixels: np.ndarray) -> np.ndarray:
    """(..., 11, 11) of `confusion` -> (...) mean IoU over the classes that are there."""
    return np.nanmean(class_iou(pixels), axis=-1)
