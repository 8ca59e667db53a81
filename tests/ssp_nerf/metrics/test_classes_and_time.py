"""Parsing IoU, torso seam, temporal stability and face crop: closed forms and invariances."""

import numpy as np
import pytest

from ssp_nerf.metrics import face_crop, parsing_iou, temporal_stability, torso_seam
from ssp_nerf.parsing_map import BACKGROUND, CHEEK, CLASSES, NECK


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_iou_is_that_of_sets(rng):
    ours, truth = rng.integers(0, 4, (2, 30, 40), np.uint8)
    found = parsing_iou.class_iou(parsing_iou.confusion(ours, truth))
    for k in range(len(CLASSES)):
        either = (ours == k) | (truth == k)
        both = (ours == k) & (truth == k)
        assert np.isnan(found[k]) if not either.any() else found[k] == both.sum() / either.sum()
    mean = parsing_iou.mean_iou(parsing_iou.confusion(ours, truth))
    assert mean == pytest.approx(np.mean(found[:4]))
    assert parsing_iou.mean_iou(parsing_iou.confusion(truth, truth)) == 1


def head_on_neck() -> np.ndarray:
    """(100, 100): a head above row 50, a neck below it."""
    parsing = np.full((100, 100), BACKGROUND, np.uint8)
    parsing[20:50, 30:70] = CHEEK
    parsing[50:, 40:60] = NECK
    return parsing


def test_the_seam_is_where_head_and_neck_meet():
    band = torso_seam.seam_band(head_on_neck())
    rows, columns = np.nonzero(band)
    assert (rows.min(), rows.max()) == (48, 51)  # 2 pixels from either side
    assert (columns.min(), columns.max()) == (38, 61)
    assert not torso_seam.seam_band(np.full((50, 50), NECK, np.uint8)).any()


def test_a_hole_in_the_neck_is_a_gap():
    truth = head_on_neck()
    band = torso_seam.seam_band(truth)
    torn = truth.copy()
    torn[50:52, 45:50] = BACKGROUND
    person = (band & (truth != BACKGROUND)).sum()
    assert torso_seam.seam_gap(truth, truth, band) == 0
    assert torso_seam.seam_gap(torn, truth, band) == pytest.approx(100 * 10 / person)


def test_the_edge_of_a_ramp_is_its_slope_and_a_tear_is_an_edge():
    truth = head_on_neck()
    band = torso_seam.seam_band(truth)
    ramp = np.repeat(np.repeat(2 * np.arange(100, dtype=np.uint8), 100).reshape(100, 100, 1), 3, 2)
    assert torso_seam.seam_edge(ramp, band) == pytest.approx(2)
    torn = ramp.copy()
    torn[50:51] = 0
    assert torso_seam.seam_edge(torn, band) > 10


def test_jitter_does_not_see_steady_motion(rng):
    face = rng.uniform(0, 100, (68, 2))
    steady = face + np.arange(20)[:, None, None] * (1.5, -0.5)
    eyes = np.full(20, 50.0)
    assert temporal_stability.jitter(steady, eyes)[1:-1] == pytest.approx(0)
    # A swing of one pixel to and fro: the second difference is four pixels, of 50.
    swing = face + ((-1.0) ** np.arange(20))[:, None, None] * (1, 0)
    found = temporal_stability.jitter(swing, eyes)
    assert found[1:-1] == pytest.approx(100 * 4 / 50)
    assert np.isnan(found[[0, -1]]).all()


def test_jitter_beside_a_lost_face_is_undefined(rng):
    points = np.tile(rng.uniform(0, 100, (68, 2)), (7, 1, 1))
    points[3] = np.nan
    lost = np.isnan(temporal_stability.jitter(points, np.full(7, 30.0)))
    assert lost.tolist() == [True, False, True, True, True, False, True]


def texture(rng) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    coarse = gaussian_filter(rng.normal(size=(120, 160)), 3)
    return ((coarse - coarse.min()) / np.ptp(coarse) * 180 + 20).astype(np.uint8)


def test_warping_error_of_a_moving_picture_is_small_and_of_a_flicker_is_known(rng):
    wide = np.repeat(texture(rng)[..., None], 3, axis=2)
    before, after = wide[10:110, 10:150], wide[8:108, 7:147]  # moved by (3, 2) pixels
    flow, visible = temporal_stability.optical_flow(before, after)
    inner = np.s_[20:-20, 20:-20]
    assert np.median(flow[inner], axis=(0, 1)) == pytest.approx((-3, -2), abs=0.1)
    assert visible[inner].mean() > 0.95
    still = temporal_stability.warping_error(before, before, np.zeros_like(flow), visible | True)
    moved = temporal_stability.warping_error(before, after, flow, visible)
    unwarped = temporal_stability.warping_error(before, after, np.zeros_like(flow), visible)
    assert still == 0 and moved < 2 < 5 * moved < unwarped
    flicker = temporal_stability.warping_error(before, before + 9, np.zeros_like(flow), visible)
    assert flicker == pytest.approx(9)
    assert np.isnan(temporal_stability.warping_error(before, after, flow, visible & False))


def test_the_crop_holds_every_face_and_stays_in_the_picture(rng):
    points = rng.uniform((60, 40), (120, 110), (5, 68, 2))
    points[2] = np.nan
    left, top, side = face_crop.crop_square(points, 200, 150)
    known = points[[0, 1, 3, 4]]
    assert (known >= (left, top)).all() and (known <= (left + side, top + side)).all()
    corner = face_crop.crop_square(points - (60, 40), 200, 150)
    assert corner[0] >= 0 and corner[1] >= 0
    assert face_crop.crop_square(np.full((2, 68, 2), np.nan), 200, 150) is None
    assert face_crop.crop_square(points * 10, 200, 150)[2] == 150


def test_a_crop_of_its_own_size_is_the_picture_itself(rng):
    picture = rng.integers(0, 256, (60, 80, 3), np.uint8)
    np.testing.assert_array_equal(
        face_crop.crop(picture, (10.0, 5.0, 32.0), 32), picture[5:37, 10:42]
    )
