"""CPBD against the package cpbd 1.0.7, and what sharpness must do."""

import numpy as np
import pytest
import skimage.data
from scipy.ndimage import gaussian_filter

from ssp_nerf.metrics.cpbd import cpbd, edge_widths, grey

FACE = skimage.data.astronaut()[:256, 96:352]


@pytest.mark.parametrize(
    ("sigma", "of_the_package"),
    [(0, 0.4948979591836735), (0.5, 0.3544729105417892), (1, 0.12465828321487152)],
)
def test_cpbd_is_the_packages(sigma, of_the_package):
    image = gaussian_filter(grey(FACE).astype(float), sigma).round().astype(np.uint8)
    assert cpbd(image) == pytest.approx(of_the_package, abs=1e-12)


def test_an_edge_is_as_wide_as_its_slope_is_long():
    # A smooth step between two plateaus: it climbs from column 20 to 30, steepest at 25.
    step = 20 + 75 * (1 - np.cos(np.pi * np.clip(np.arange(60.0) - 20, 0, 10) / 10))
    for picture in (step, step[::-1]):
        widths = edge_widths(np.tile(picture, (40, 1)))
        assert np.unique(widths[widths > 0]).tolist() == [10]
    assert edge_widths(np.full((40, 60), 9.0)).max() == 0


def test_a_picture_without_edges_has_no_sharpness():
    assert np.isnan(cpbd(np.full((128, 128, 3), 90, np.uint8)))
    assert np.isnan(cpbd(FACE[:60, :60]))  # smaller than a block


def test_grey_is_pillows():
    from PIL import Image

    assert (
        np.abs(grey(FACE).astype(int) - np.asarray(Image.fromarray(FACE).convert("L"))).max() <= 1
    )
