"""CPBD, cumulative probability of blur detection: sharpness without a reference, 0 to 1.

Reference: Narvekar, Karam, A no-reference image blur metric based on the cumulative probability of
blur detection, IEEE TIP 2011; widths of edges: Marziliano et al., ICIP 2002.
Protocol: grey picture; edges by Sobel's horizontal derivative, a block of 64x64 pixels counts if
more than 0.2 % of it are Canny edges; the figure is the share of edges whose blur is noticed with a
probability below 63 %. Details as in the package cpbd 1.0.7, which gives the same figures.
Pitfalls: of the whole frame, so the background counts; grows with noise and with an encoder's block
edges; depends on the resolution; pictures below 64x64 pixels have none (nan). See the truth's own.
"""

import numpy as np

BLOCK = 64  # pixels
EDGE_SHARE = 0.002  # of a block's pixels, from which on it counts
JUST_NOTICEABLE_WIDTH = np.concatenate([np.full(51, 5.0), np.full(205, 3.0)])  # by contrast
BETA = 3.6
DETECTED = 0.63  # 1 - 1/e: the probability at the just noticeable width
REACH = 100  # pixels on either side that an edge may be wide
LUMA = (299, 587, 114)  # thousandths of R, G, B (ITU-R BT.601)


def grey(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W) uint8."""
    return ((picture.astype(np.int64) @ np.array(LUMA) + 500) // 1000).astype(np.uint8)


def cpbd(picture: np.ndarray) -> float:
    """Sharpness of (H, W, 3) uint8 RGB or (H, W) uint8; nan without an edge or a block."""
    from skimage.feature import canny

    image = (grey(picture) if picture.ndim == 3 else picture).astype(np.float64)
    canny_edges = canny(image)
    widths = edge_widths(image)
    noticed: list[np.ndarray] = []
    for top in range(0, image.shape[0] - BLOCK + 1, BLOCK):
        for left in range(0, image.shape[1] - BLOCK + 1, BLOCK):
            block = np.s_[top : top + BLOCK, left : left + BLOCK]
            if np.count_nonzero(canny_edges[block]) > EDGE_SHARE * BLOCK**2:
                width = widths[block][widths[block] > 0]
                noticeable = JUST_NOTICEABLE_WIDTH[int(np.ptp(image[block]))]
                noticed.append(1 - np.exp(-((width / noticeable) ** BETA)))
    probability = np.concatenate(noticed) if noticed else np.zeros(0)
    if not len(probability):
        return float("nan")
    # Whole per cent, as the histogram of the paper counts them.
    return float(np.mean(np.round(probability * 100) <= DETECTED * 100))


def edge_widths(image: np.ndarray) -> np.ndarray:
    """Widths of the upright edges of (H, W), pixels; 0 where there is none."""
    gradient_y, gradient_x = np.gradient(image)
    angle = np.degrees(np.where(gradient_x == 0, 0.0, np.arctan2(gradient_y, gradient_x)))
    eighth = 45 * np.round(angle / 45)
    rising, falling = eighth == 0, np.abs(eighth) == 180
    edges = _upright_edges(image)
    edges[[0, -1], :] = edges[:, [0, -1]] = False

    step = np.diff(image, axis=1, prepend=image[:, :1])  # step[x] leads from x - 1 to x
    widths = np.zeros(image.shape)
    for along, sign in ((rising, 1), (falling, -1)):
        climbs = sign * step > 0
        before = _run_lengths(climbs)
        after = _run_lengths(climbs[:, ::-1])[:, ::-1]
        after = np.pad(after, ((0, 0), (0, 2)))
        rows, columns = np.nonzero(edges & along)
        widths[rows, columns] = before[rows, columns - 1] + after[rows, columns + 2] + 2
    return widths


def _run_lengths(climbs: np.ndarray) -> np.ndarray:
    """How many pixels in a row, up to this one from the left, are True; at most `REACH`."""
    lengths = np.zeros(climbs.shape, np.int64)
    run = np.zeros(len(climbs), np.int64)
    for column in range(climbs.shape[1]):
        run = np.where(climbs[:, column], run + 1, 0)
        lengths[:, column] = run
    return np.minimum(lengths, REACH)


def _upright_edges(image: np.ndarray) -> np.ndarray:
    """Sobel's horizontal derivative where it is strong and larger than at its neighbours."""
    from scipy.ndimage import correlate1d

    derivative = correlate1d(image, [-0.5, 0.0, 0.5], axis=1)
    derivative = correlate1d(derivative, [0.25, 0.5, 0.25], axis=0)
    strength = derivative**2
    # The square root makes the threshold's unit wrong; published figures have been made with it.
    strength[strength <= 2 * np.sqrt(strength.mean())] = 0
    padded = np.pad(strength, 1)
    across = (strength > padded[1:-1, :-2]) & (strength > padded[1:-1, 2:])
    down = (strength > padded[:-2, 1:-1]) & (strength > padded[2:, 1:-1])
    return across | down
