"""Numbers over the picture as colours: errors, displacements."""

import numpy as np

COLOURS = "inferno"


def heat_map(values: np.ndarray, limit: float) -> np.ndarray:
    """A colour for each pixel, from dark at 0 to bright at `limit` and above.

    Args:
        values: (H, W), 0 or more.
        limit: in the unit of the values, more than 0.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    return heat_colours()[(np.minimum(values / limit, 1) * 255).astype(np.uint8)]


def heat_colours() -> np.ndarray:
    """(256, 3) uint8 RGB: what 0 to the limit is shown in."""
    from matplotlib import colormaps

    return colormaps[COLOURS](np.arange(256), bytes=True)[:, :3]
