"""Plots of motion, speech and its features: what goes into them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from preprocess import audio_features as stage
from preprocess.qc import audio_features, motion
from preprocess.qc.audio_features import overview, steps_of
from preprocess.qc.motion import correlation, head_positions, openings, runs
from preprocess.qc.waveform import FLOOR, busiest, envelope, loudness
from ssp_nerf.cameras import c2w_from_head_pose_opencv
from ssp_nerf.errors import InputError
from ssp_nerf.landmarks import INNER_BOTTOM, INNER_TOP, MESH_MOUTH
from ssp_nerf.schema import AUDIO_FEATURES, LANDMARKS
from tests import clips
from tests.preprocess.qc.known import write_clip
from tests.preprocess.stages import write_landmarks


def speech_features(folder: Path, count: int) -> Path:
    """speech.wav, and the features of so many frames of it."""
    speech, features = folder / "speech.wav", folder / "features.h5"
    clips.write_wav(speech, clips.speech(count / 25, 16000), 16000)
    stage.main(["--speech", str(speech), "--features", str(features), "--frame-count", str(count)])
    return features


def test_loudness_of_a_sine_is_its_power_round_the_frames_time() -> None:
    times = np.arange(32000) / 16000
    sine = np.sin(2 * np.pi * 400 * times).astype(np.float32)
    sine[16000:] *= 0.1
    found = loudness(sine, 60)
    np.testing.assert_allclose(found[1:25], -3.01, atol=0.01)  # mean square 1/2
    np.testing.assert_allclose(found[26:50], -23.01, atol=0.01)
    assert found[0] == pytest.approx(-6.02, abs=0.01)  # half of its 40 ms are before the clip
    assert found[25] == pytest.approx(10 * np.log10((0.5 + 0.005) / 2), abs=0.01)
    np.testing.assert_allclose(found[51:], FLOOR, atol=1e-4)


def test_an_envelope_holds_every_peak() -> None:
    samples = np.random.default_rng(0).normal(size=10_001).astype(np.float32)
    low, high = envelope(samples, 100)
    assert len(low) == len(high) == 100
    assert low.min() == samples.min() and high.max() == samples.max()
    np.testing.assert_array_equal(envelope(samples[:7], 100)[0], samples[:7])


def test_the_busiest_stretch_is_where_most_happens() -> None:
    activity = np.zeros(1000)
    activity[600:700] = 1
    stretch = busiest(activity, 4.0)
    assert stretch == range(600, 700)
    assert busiest(activity[:50], 4.0) == range(50)


def test_a_mouth_that_follows_the_loudness_correlates_with_it() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=400)
    assert correlation(values, 3 * values + 1) == pytest.approx(1)
    assert correlation(values, -values) == pytest.approx(-1)
    assert abs(correlation(values, rng.normal(size=400))) < 0.2
    assert np.isnan(correlation(values, np.ones(400)))


def test_the_opening_is_read_from_the_inner_lips(tmp_path) -> None:
    points = np.zeros((300, 478, 3), np.float32)
    points[:, MESH_MOUTH[INNER_TOP], 1] = 100
    points[:, MESH_MOUTH[INNER_BOTTOM], 1] = 100 + np.arange(300) / 20
    points[:, :, 2] = np.random.default_rng(0).normal(size=(300, 478))  # depth does not count
    path = write_landmarks(tmp_path / "landmarks.h5", points, 450, 450)
    with LANDMARKS.open(path) as file:
        np.testing.assert_allclose(openings(file["points"]), np.arange(300) / 20, atol=1e-4)


def test_positions_are_those_of_the_head_in_the_picture() -> None:
    """A head that moves right, up and nearer, whichever way it is turned."""
    shifts = np.array([[0.1, 0.0, 10.0], [0.3, -0.2, 9.8], [0.5, -0.4, 9.6]])  # y down, z away
    turns = Rotation.from_rotvec([[0, 0.3, 0], [0.1, 0, 0], [0, 0, -0.2]]).as_matrix()
    c2w = c2w_from_head_pose_opencv(turns, shifts)
    expected = np.array([[-20.0, -20, -20], [0, 0, 0], [20, 20, 20]])
    np.testing.assert_allclose(head_positions(c2w), expected, atol=1e-3)


def test_runs_are_found_at_both_ends() -> None:
    which = np.array([True, True, False, True, False, False, True])
    assert list(runs(which)) == [(0, 1), (3, 3), (6, 6)]
    assert list(runs(np.zeros(3, bool))) == []


def test_steps_put_together_again_are_what_the_windows_were_cut_from(tmp_path) -> None:
    with AUDIO_FEATURES.open(speech_features(tmp_path, 50)) as file:
        windows = file["windows"][()]
    steps = steps_of(windows)
    assert steps.shape == (100, 32)
    for frame in range(4, 46):
        np.testing.assert_array_equal(windows[frame], steps[2 * frame - 8 : 2 * frame + 8])


@pytest.mark.parametrize("columns", [7, 30, 1000])
def test_an_overview_averages_neighbours(tmp_path, columns, monkeypatch) -> None:
    monkeypatch.setattr("preprocess.qc.clip.BLOCK", 16)
    with AUDIO_FEATURES.open(speech_features(tmp_path, 50)) as file:
        steps = steps_of(file["windows"][()])
        found, shared = overview(file["windows"], columns)
    whole = len(steps) // shared * shared
    np.testing.assert_allclose(found, steps[:whole].reshape(-1, shared, 32).mean(1), atol=1e-6)
    assert shared == max(1, 100 // columns)


def test_both_plots_are_written_and_have_the_same_bytes_again(tmp_path) -> None:
    count = 60
    paths = write_clip(tmp_path, count, interpolated=(10, 11))
    features, speech = speech_features(tmp_path, count), tmp_path / "speech.wav"
    flags = {
        motion: ["--landmarks", paths["landmarks"], "--track", paths["track"]],
        audio_features: ["--features", features],
    }
    for module, more in flags.items():
        made = []
        for name in ("a.png", "b.png"):
            out = tmp_path / "qc" / name
            module.main([str(f) for f in [*more, "--speech", speech, "--plot", out]])
            made.append(out.read_bytes())
        assert made[0] == made[1]
        assert Image.open(out).size[0] > 1500
    with pytest.raises(InputError, match="leaves 0 to train on"):
        motion.motion_plot(
            paths["landmarks"], paths["track"], speech, tmp_path / "c.png", motion.share("0.999")
        )
