"""PSNR, SSIM and LMD against closed forms, skimage and invariances."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ssp_nerf.errors import InputError
from ssp_nerf.landmarks import mouth_opening, mouth_points
from ssp_nerf.metrics.image_scores import image_scores
from ssp_nerf.metrics.lmd import landmark_distance
from ssp_nerf.metrics.psnr import psnr
from ssp_nerf.metrics.ssim import ssim


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def truth(rng) -> np.ndarray:
    return rng.integers(0, 200, (30, 40, 3), np.uint8)


@pytest.fixture
def noisy(rng, truth) -> np.ndarray:
    return truth + rng.integers(0, 50, truth.shape, np.uint8)


@pytest.fixture
def mask() -> np.ndarray:
    inside = np.zeros((30, 40), bool)
    inside[8:20, 10:30] = True
    return inside


def test_psnr_of_a_known_offset(truth):
    # A constant error of 10 levels, upwards or downwards (uint8 must not wrap around).
    expected = 20 * np.log10(255 / 10)
    assert psnr(truth + 10, truth) == pytest.approx(expected)
    assert psnr(truth, truth + 10) == pytest.approx(expected)


def test_psnr_is_skimages(truth, noisy):
    assert psnr(noisy, truth) == pytest.approx(peak_signal_noise_ratio(truth, noisy))


def test_psnr_of_identical_pictures_is_infinite(truth):
    assert psnr(truth, truth) == np.inf


def test_masked_figures_ignore_what_lies_outside(truth, noisy, mask):
    elsewhere = noisy.copy()
    far = np.ones_like(mask)
    far[2:26, 4:36] = False  # further from the mask than half an SSIM window
    elsewhere[far] = 255 - elsewhere[far]
    assert psnr(elsewhere, truth) != psnr(noisy, truth)
    assert psnr(elsewhere, truth, mask) == psnr(noisy, truth, mask)
    assert ssim(elsewhere, truth, mask) == pytest.approx(ssim(noisy, truth, mask), abs=1e-12)


def test_masked_psnr_counts_only_the_mask(truth, mask):
    picture = truth.copy()
    picture[mask] += 20
    assert psnr(picture, truth, mask) == pytest.approx(20 * np.log10(255 / 20))
    assert psnr(picture, truth, ~mask) == np.inf


def test_figures_of_an_empty_mask_are_undefined(truth, noisy):
    scores = image_scores(noisy, truth, np.zeros((30, 40), bool))
    assert np.isnan(scores.psnr_head) and np.isnan(scores.ssim_head)
    assert np.isfinite(scores.psnr) and np.isfinite(scores.ssim)


def test_ssim_of_identical_pictures_is_one(truth, mask):
    assert ssim(truth, truth) == pytest.approx(1)
    assert ssim(truth, truth, mask) == pytest.approx(1)


def test_ssim_of_flat_pictures_is_the_luminance_term():
    # No variance: SSIM = (2ab + C1) / (a^2 + b^2 + C1), C1 = (0.01 * 255)^2.
    a, b, c1 = 100.0, 140.0, (0.01 * 255) ** 2
    flat = np.ones((20, 20, 3))
    pictures = (flat * a).astype(np.uint8), (flat * b).astype(np.uint8)
    assert ssim(*pictures) == pytest.approx((2 * a * b + c1) / (a**2 + b**2 + c1))


def test_ssim_is_skimages_with_wangs_settings(truth, noisy):
    expected = structural_similarity(
        noisy,
        truth,
        win_size=11,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
    )
    assert ssim(noisy, truth) == pytest.approx(expected)


def test_scores_together_are_the_scores_alone(truth, noisy, mask):
    assert image_scores(noisy, truth, mask) == pytest.approx(
        (psnr(noisy, truth), ssim(noisy, truth), psnr(noisy, truth, mask), ssim(noisy, truth, mask))
    )


def test_frames_smaller_than_the_ssim_window_are_refused():
    small = np.zeros((10, 40, 3), np.uint8)
    with pytest.raises(InputError, match="40x10"):
        ssim(small, small)


def test_lmd_does_not_see_a_translation(rng):
    mouths = rng.uniform(0, 100, (5, 20, 2))
    shifts = rng.uniform(-30, 30, (5, 1, 2))
    np.testing.assert_allclose(landmark_distance(mouths + shifts, mouths), 0, atol=1e-12)


def test_lmd_of_a_mouth_that_opens_wider():
    # 20 points on a circle of radius 10 around (50, 60): scaled by 1.3, each moves by 3 pixels.
    angle = np.arange(20) / 20 * 2 * np.pi
    circle = 10 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    assert landmark_distance(1.3 * circle + 7, circle + (50, 60)) == pytest.approx(3)


def test_lmd_of_a_face_that_was_not_found_is_undefined(rng):
    mouths = rng.uniform(0, 100, (2, 20, 2))
    missing = mouths.copy()
    missing[1] = np.nan
    assert np.isnan(landmark_distance(missing, mouths)).tolist() == [False, True]


def test_mouth_points_of_68_are_48_to_67():
    faces = np.arange(68.0)[:, None].repeat(2, axis=1)
    assert mouth_points(faces)[:, 0].tolist() == list(range(48, 68))


def test_faces_of_an_unknown_topology_are_refused():
    with pytest.raises(InputError, match="98 points"):
        mouth_points(np.zeros((3, 98, 2)))


def test_mouth_opening_is_the_gap_between_the_inner_lips():
    face = np.zeros((68, 2))
    face[62], face[66] = (10, 20), (13, 24)
    assert mouth_opening(mouth_points(face)) == pytest.approx(5)


def test_mesh_mouth_has_ibugs_order_on_a_real_face():
    face_mesh = pytest.importorskip("mediapipe").solutions.face_mesh
    from skimage.data import astronaut

    picture = np.ascontiguousarray(astronaut()[:256, 96:352])
    with face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as detector:
        found = detector.process(picture).multi_face_landmarks[0].landmark
    mesh = np.array([(point.x, point.y) for point in found]) * 256
    x, y = (dict(enumerate(values, 48)) for values in mouth_points(mesh).T)

    def rises(values, order):
        assert np.all(np.diff([values[point] for point in order]) > 0), order

    rises(x, [48, 49, 50, 51, 52, 53, 54])  # the upper edge, subject's right corner to left
    rises(x, [48, 59, 58, 57, 56, 55, 54])  # the lower edge
    rises(x, [48, 60, 61, 62, 63, 64, 54])  # the upper lip's inner edge, within the outer corners
    rises(x, [60, 67, 66, 65, 64])  # the lower lip's inner edge
    for column in ([50, 61, 67, 58], [51, 62, 66, 57], [52, 63, 65, 56]):
        rises(y, column)  # from above the upper lip to below the lower
        assert np.ptp([x[point] for point in column]) < 4  # and one above the other
