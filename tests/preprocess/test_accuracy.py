"""Stages that are right have no error; stages that are wrong by a known amount have that error."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from preprocess.accuracy.compare import Outputs, accuracy, main
from preprocess.accuracy.crop import Crop
from preprocess.accuracy.pictures import GROUPS, PSNR_CEILING, landmark_accuracy, parsing_accuracy
from preprocess.accuracy.pose import pose_accuracy, turned_to
from preprocess.accuracy.report import main as report
from preprocess.audio_features import Extractor, extract_audio_features, open_extractor
from preprocess.deepspeech import DeepSpeech
from preprocess.face_topology import MESH_POINTS, MESH_TO_68, POINTS
from ssp_nerf.cameras import project
from ssp_nerf.errors import InputError
from ssp_nerf.parsing_map import CHEEK, CLASSES, HAIR, NECK, NOSE
from ssp_nerf.schema import TRACK
from ssp_nerf.speech import SAMPLE_RATE
from tests.clips import speech, write_wav
from tests.preprocess.speech_networks import deepspeech_weights, write_deepspeech, write_hubert
from tests.preprocess.stages import refused, write_frames, write_landmarks, write_parsing

FRAMES, SIZE = 60, 24
FOCAL, DISTANCE = 60.0, 8.0
TRUE_RATE = 22_050  # Hz, of the true speech
POSITION = ("gauge", "head_position", "camera_centre")
LIPS = (13, 14)  # inner edges of the upper and the lower lip


def poses() -> np.ndarray:
    """(N, 3, 4) c2w of a head that sways before a camera 8 dm away."""
    time = np.arange(FRAMES) / 25
    angles = np.stack([12 * np.sin(3 * time), 8 * np.cos(2 * time), 4 * np.sin(5 * time)], 1)
    turns = Rotation.from_euler("YXZ", angles, degrees=True).inv()
    place = np.stack([0.2 * np.sin(time), 0.1 * np.cos(3 * time), DISTANCE + 0.1 * time], 1)
    return np.concatenate([turns.as_matrix(), turns.apply(place)[..., None]], axis=2)


def face() -> np.ndarray:
    """(468, 3) points of a face, decimetres."""
    return np.random.default_rng(1).normal(0, 0.5, (MESH_POINTS, 3))


def landmarks() -> np.ndarray:
    """(N, 478, 3) pixels; the mouth opens twice a second, by no fixed rhythm."""
    time = np.arange(FRAMES) / 25
    points = np.random.default_rng(2).uniform(4, 20, (1, POINTS, 3)).repeat(FRAMES, 0)
    opening = 3 + 2 * np.sin(12 * time) * np.sin(1.7 * time + 1)
    points[:, LIPS[1]] = points[:, LIPS[0]] + np.array([0, 1, 0]) * opening[:, None, None][:, 0]
    return points


def parsing() -> np.ndarray:
    """(N, 24, 24): all classes but one, a band each; it never moves. The rest is background."""
    labels = np.zeros((FRAMES, SIZE, SIZE), np.uint8)
    for label in range(1, NECK + 1):
        labels[:, 2 * label : 2 * label + 2, 4:20] = label
    return labels


def write_track(path: Path, c2w: np.ndarray, focal: float, points: np.ndarray) -> Path:
    attributes = {
        "model": "test",
        "focal": focal,
        "width": SIZE,
        "height": SIZE,
        "near": 5.0,
        "far": 9.0,
    }
    sizes = {"N": len(c2w), "V": len(points), "F": 1, "I": 0, "E": 1}
    with TRACK.create(path, sizes, attributes, {}) as file:
        file["c2w"][...] = c2w
        file["face_points"][...] = points
    return path


def write_truth(folder: Path) -> Path:
    folder.mkdir()
    points = landmarks()
    write_landmarks(folder / "landmarks.h5", points, SIZE, SIZE)
    write_landmarks(folder / "landmarks68.h5", points[:, MESH_TO_68], SIZE, SIZE)
    write_parsing(folder / "parsing.h5", parsing())
    write_track(folder / "track.h5", poses(), FOCAL, face())
    picture = np.random.default_rng(3).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    cv2.imwrite(str(folder / "background.png"), picture)
    write_wav(folder / "speech.wav", speech(FRAMES / 25, TRUE_RATE), TRUE_RATE)
    return folder


@pytest.fixture(scope="module")
def perfect(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outputs, Path]:
    """Stages that found the truth, and the truth."""
    folder = tmp_path_factory.mktemp("stages")
    truth = write_truth(folder / "truth")
    write_frames(folder / "frames.h5", np.zeros((FRAMES, SIZE, SIZE, 3), np.uint8))
    cv2.imwrite(str(folder / "seen.png"), np.where(parsing()[0] == 0, 255, 0).astype(np.uint8))
    write_wav(folder / "speech.wav", speech(FRAMES / 25, SAMPLE_RATE), SAMPLE_RATE)
    extract_audio_features(folder / "speech.wav", folder / "features.h5", FRAMES)
    outputs = Outputs(
        frames=folder / "frames.h5",
        landmarks=truth / "landmarks.h5",
        parsing=truth / "parsing.h5",
        background=truth / "background.png",
        background_seen=folder / "seen.png",
        track=truth / "track.h5",
        speech=folder / "speech.wav",
        audio_features=folder / "features.h5",
    )
    return outputs, truth


def pose_figures(c2w: np.ndarray, focal: float = FOCAL, points: np.ndarray | None = None) -> dict:
    points = face() if points is None else points
    return pose_accuracy(c2w, poses(), focal, FOCAL, points, face())[0]


def turned(c2w: np.ndarray, turns: Rotation) -> np.ndarray:
    """The cameras turned about the origin of the head."""
    return turns.as_matrix() @ c2w


def test_the_truth_has_no_error(perfect: tuple[Outputs, Path]) -> None:
    figures = accuracy(*perfect)
    assert figures["frames"] == FRAMES
    for part in (*figures["rotation"].values(), *map(figures.get, POSITION)):
        assert part == pytest.approx(dict.fromkeys(part, 0), abs=1e-3)
    for part in ("focal", "distance", "size"):
        assert figures[f"{part}_error_percent"] == pytest.approx(0, abs=1e-4)
    assert figures["landmarks"]["p95_px"] == figures["landmarks"]["p95_68_px"] == 0
    assert set(figures["landmarks"]["groups_mean_px"].values()) == {0}
    classes = figures["iou"]["classes"]
    assert {classes[name] for name in CLASSES[: NECK + 1]} == {1}
    assert classes["torso"] is None and classes["hair"] is None and figures["iou"]["mean"] == 1
    assert figures["iou"]["shown"] == NECK + 1
    background = figures["background"]
    assert background["psnr_seen_db"] == background["psnr_never_seen_db"] == PSNR_CEILING
    assert background["seen_percent"] == background["claimed_seen_percent"] == 55.5556
    sound = figures["sound"]
    for lag in ("speech_lag_ms", "feature_lag_ms", "picture_lag_ms", "alignment_ms"):
        assert sound[lag] == pytest.approx(0, abs=1), lag
    for correlation in ("speech_correlation", "feature_correlation", "picture_correlation"):
        assert sound[correlation] > 0.98, correlation
    jitter = figures["jitter"]
    assert jitter["rotation_deg"] == jitter["true_rotation_deg"] > 0
    assert jitter["rotation_ratio"] == 1
    assert jitter["head_percent"] == jitter["true_head_percent"] > 0
    json.dumps(figures, allow_nan=False)


@pytest.mark.parametrize("shape_turns_too", [True, False])
def test_a_constant_turn_is_an_error_unless_the_shape_turns_with_it(shape_turns_too: bool) -> None:
    turn = Rotation.from_rotvec([0, 3, 0], degrees=True)
    c2w = turned(poses(), turn)
    c2w[:, 2, 3] += 0.2
    figures = pose_figures(c2w, points=turn.apply(face()) if shape_turns_too else face())
    between, error = (3, 0) if shape_turns_too else (0, 3)
    for key, degrees in {"turn_taken_out": 0, "by_shapes": error, "raw": 3}.items():
        assert set(figures["rotation"][key].values()) == {degrees}, key
    assert figures["gauge"] == {
        "turn_taken_out_deg": 3,
        "turn_between_shapes_deg": between,
        "offset_taken_out_mm": 20,
    }
    assert figures["head_position"]["raw_percent"] == pytest.approx(2.5, abs=0.05)
    assert figures["head_position"]["offset_taken_out_percent"] == 0
    assert figures["camera_centre"]["offset_taken_out_percent"] == 0


def test_a_head_that_shakes_by_2_degrees_is_2_degrees_off() -> None:
    shake = np.where(np.arange(FRAMES) % 2, 2.0, -2.0)
    figures = pose_figures(turned(poses(), Rotation.from_rotvec(shake[:, None] * [1, 0, 0], True)))
    assert figures["rotation"]["turn_taken_out"] == {"mean_deg": 2, "p95_deg": 2}
    assert figures["gauge"]["turn_taken_out_deg"] == 0
    assert figures["jitter"]["error_rotation_deg"] == 8  # -2, 2, -2: -2 - 2 * 2 - 2
    assert figures["jitter"]["rotation_deg"] == pytest.approx(8, abs=0.3)
    assert figures["head_position"]["raw_percent"] == 0  # turned about the head's own origin


def test_a_head_that_jumps_sideways_is_off_by_its_jump_over_the_distance() -> None:
    c2w, jump = poses(), np.where(np.arange(FRAMES) % 2, 0.08, -0.08)
    c2w[:, :, 3] += c2w[:, :, 0] * jump[:, None]  # along the camera's own x
    figures = pose_figures(c2w)
    distance = np.linalg.norm(poses()[:, :, 3], axis=1).mean()
    share = 100 * 0.08 / distance
    for part in ("head_position", "camera_centre"):
        assert figures[part]["raw_percent"] == pytest.approx(share, rel=1e-2)
        assert figures[part]["offset_taken_out_percent"] == pytest.approx(share, rel=2e-2)
    assert figures["jitter"]["error_head_percent"] == pytest.approx(4 * share, rel=2e-2)
    assert figures["rotation"]["raw"]["mean_deg"] == 0


def test_size_distance_and_focal_length_are_told_apart() -> None:
    c2w = poses()
    c2w[:, :, 3] *= 1.04
    figures = pose_figures(c2w, focal=1.05 * FOCAL, points=1.04 * face())
    assert figures["focal_error_percent"] == 5
    assert figures["size_error_percent"] == figures["distance_error_percent"] == 4
    assert figures["head_position"]["raw_percent"] == 4
    assert 0 < figures["head_position"]["offset_taken_out_percent"] < 4  # most of it is constant
    assert figures["head_position"]["offset_and_scale_taken_out_percent"] == 0
    assert figures["camera_centre"]["offset_and_scale_taken_out_percent"] == 0


def test_a_crop_off_the_axis_is_the_picture_of_a_turned_camera() -> None:
    """Points through the true camera, then cropped, against points through the turned one."""
    focal, width, right, down = 1300.0, 450, 24.0, -16.0
    points = np.clip(face(), -0.7, 0.7)
    true = project(points, poses(), focal, width, width)
    seen = project(points, turned_to(poses(), focal, right, down), focal, width, width)
    np.testing.assert_allclose(seen, true - (right, down), atol=0.8)  # of 29 pixels


def test_landmarks_off_by_3_and_4_pixels_are_off_by_5(
    perfect: tuple[Outputs, Path], tmp_path: Path
) -> None:
    outputs, truth = perfect
    points = landmarks() + np.array([3.0, 4.0, 100.0])  # depth does not count
    path = write_landmarks(tmp_path / "landmarks.h5", points, SIZE, SIZE)
    figures = accuracy(replace(outputs, landmarks=path), truth)["landmarks"]
    for key in ("mean_px", "p95_px", "mean_68_px", "p95_68_px"):
        assert figures[key] == pytest.approx(5, abs=1e-4)
    assert set(figures["groups_mean_px"]) == set(GROUPS)
    assert figures["scatter_px"] == pytest.approx(0, abs=1e-4)  # every point is off by a constant
    corners = landmarks()[0, [33, 263], :2]
    share = 500 / np.linalg.norm(corners[0] - corners[1])
    assert figures["mean_percent_of_eye_distance"] == pytest.approx(share, rel=1e-4)


def test_points_that_shake_by_3_pixels_scatter_by_3() -> None:
    truth = landmarks()[..., :2]
    shake = np.where(np.arange(FRAMES) % 2, 3.0, -3.0)[:, None, None] * [0, 1]
    figures, _ = landmark_accuracy(truth + 5 + shake, truth, truth[:, MESH_TO_68])
    assert figures["scatter_px"] == 3


def test_a_mouth_two_frames_late_is_80_ms_late(
    perfect: tuple[Outputs, Path], tmp_path: Path
) -> None:
    outputs, truth = perfect
    late = landmarks()[np.maximum(np.arange(FRAMES) - 2, 0)]
    path = write_landmarks(tmp_path / "landmarks.h5", late, SIZE, SIZE)
    sound = accuracy(replace(outputs, landmarks=path), truth)["sound"]
    assert sound["picture_lag_ms"] == pytest.approx(80, abs=0.5)
    assert sound["alignment_ms"] == pytest.approx(-80, abs=1)


@pytest.fixture(scope="module", params=["logmel", "deepspeech", "hubert"])
def extractor(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Extractor:
    """Each of them, the networks' weights random."""
    folder = tmp_path_factory.mktemp("networks")
    if request.param == "deepspeech":
        graph = write_deepspeech(folder / "net.pb", deepspeech_weights())
        return Extractor(request.param, DeepSpeech(graph))
    write_hubert(folder / "net")
    return open_extractor(request.param, weights=folder, hubert="net")


def test_speech_37_ms_late_is_37_ms_late(
    perfect: tuple[Outputs, Path], extractor: Extractor, tmp_path: Path
) -> None:
    outputs, truth = perfect
    samples = speech(FRAMES / 25, SAMPLE_RATE)
    late = np.concatenate([np.zeros(37 * SAMPLE_RATE // 1000, np.float32), samples])
    path = write_wav(tmp_path / "speech.wav", late, SAMPLE_RATE)
    extract_audio_features(path, tmp_path / "features.h5", FRAMES, extractor)
    changed = replace(outputs, speech=path, audio_features=tmp_path / "features.h5")
    sound = accuracy(changed, truth, extractor)["sound"]
    assert sound["speech_lag_ms"] == pytest.approx(37, abs=0.2)
    assert sound["feature_lag_ms"] == pytest.approx(37, abs=1)
    assert sound["alignment_ms"] == pytest.approx(37, abs=1)


def test_silence_has_no_lag(perfect: tuple[Outputs, Path], tmp_path: Path) -> None:
    outputs, truth = perfect
    path = write_wav(tmp_path / "speech.wav", np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    extract_audio_features(path, tmp_path / "features.h5", FRAMES)
    changed = replace(outputs, speech=path, audio_features=tmp_path / "features.h5")
    sound = accuracy(changed, truth)["sound"]
    assert sound["speech_lag_ms"] is sound["feature_lag_ms"] is sound["alignment_ms"] is None


def test_iou_of_classes_counted_by_hand() -> None:
    """Two frames of 1 x 4 pixels. Cheek: 2 right of 2 + 1 + 1; nose: never found; hair: never
    true."""
    truth = np.array([[[0, CHEEK, CHEEK, NOSE]], [[0, 0, CHEEK, NOSE]]], np.uint8)
    found = np.array([[[0, CHEEK, CHEEK, CHEEK]], [[0, 0, 0, HAIR]]], np.uint8)
    figures = parsing_accuracy(zip(found, truth, strict=True))
    expected = dict.fromkeys(CLASSES) | {"background": 0.75, "cheek": 0.5, "nose": 0, "hair": 0}
    assert figures == {"classes": expected, "mean": 0.3125, "shown": 4}


def test_background_off_by_1_where_seen_and_10_where_not(
    perfect: tuple[Outputs, Path], tmp_path: Path
) -> None:
    outputs, truth = perfect
    picture = cv2.imread(str(truth / "background.png")).astype(int)
    wrong = np.where(parsing()[0] == 0, 1, 10)[..., None]
    picture += np.where(picture < 128, wrong, -wrong)
    cv2.imwrite(str(tmp_path / "background.png"), picture.astype(np.uint8))
    changed = replace(outputs, background=tmp_path / "background.png")
    figures = accuracy(changed, truth)["background"]
    assert figures["psnr_seen_db"] == figures["psnr_claimed_seen_db"] == 48.1308  # 20 log10 255
    assert figures["psnr_never_seen_db"] == 28.1308


def test_truth_is_brought_into_the_pixels_of_the_crop() -> None:
    crop = Crop(x=4, y=2, side=8, size=16)
    np.testing.assert_array_equal(
        crop.points(np.array([[4.0, 2.0], [12.0, 10.0]])), [[0, 0], [16, 16]]
    )
    labels = np.zeros((12, 16), np.uint8)
    labels[2:6, 4:8] = HAIR
    assert (crop.labels(labels)[:8, :8] == HAIR).all() and (crop.labels(labels) == HAIR).sum() == 64
    half = Crop(x=4, y=2, side=8, size=4)
    labels[2, 4] = NOSE  # a quarter of a pixel
    assert half.labels(labels)[0, 0] == HAIR
    assert crop.off_axis(16, 12) == (0, 0) and Crop(4, 4, 8, 8).off_axis(16, 12) == (0, 2)


def shortened(path: Path, target: Path, array: str) -> Path:
    """A copy without its last frame."""
    shutil.copy(path, target)
    with h5py.File(target, "a") as file:
        values = file[array][:-1]
        del file[array]
        file.create_dataset(array, data=values, chunks=(1, *values.shape[1:]), compression="gzip")
        for beside in {"interpolated", "confidence"} & set(file):
            values = file[beside][:-1]
            del file[beside]
            file[beside] = values
    return target


@pytest.mark.parametrize(
    ("stage", "array"),
    [("landmarks", "points"), ("parsing", "parsing"), ("audio_features", "windows")],
)
def test_another_number_of_frames_is_refused(
    perfect: tuple[Outputs, Path], tmp_path: Path, stage: str, array: str
) -> None:
    outputs, truth = perfect
    path = shortened(getattr(outputs, stage), tmp_path / "short.h5", array)
    with pytest.raises(InputError, match=rf"short\.h5: size {FRAMES - 1}x.*, expected {FRAMES}x"):
        accuracy(replace(outputs, **{stage: path}), truth)


def test_a_track_or_truth_of_other_frames_is_refused(
    perfect: tuple[Outputs, Path], tmp_path: Path
) -> None:
    outputs, truth = perfect
    track = write_track(tmp_path / "track.h5", poses()[1:], FOCAL, face())
    with pytest.raises(InputError, match=r"track\.h5: size 59x3x4, expected 60x3x4"):
        accuracy(replace(outputs, track=track), truth)
    frames = write_frames(tmp_path / "frames.h5", np.zeros((FRAMES, 30, 30, 3), np.uint8))
    with pytest.raises(InputError, match="expected a square inside the 24x24"):
        accuracy(replace(outputs, frames=frames), truth)


def test_features_of_another_extractor_are_refused(
    perfect: tuple[Outputs, Path], tmp_path: Path
) -> None:
    outputs, truth = perfect
    with pytest.raises(
        InputError, match="32 channels of 'logmel', but the flags ask for 16 of 'lo"
    ):
        accuracy(outputs, truth, open_extractor(channels=16))


def command_line(outputs: Outputs, truth: Path, target: Path) -> list[Any]:
    stages = [(f"--{name.replace('_', '-')}", path) for name, path in vars(outputs).items()]
    return [*sum(stages, ()), "--truth", truth, "--accuracy", target]


def test_commands_write_figures_table_and_plot(
    perfect: tuple[Outputs, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outputs, truth = perfect
    track = write_track(tmp_path / "track.h5", poses(), 1.08 * FOCAL, face())
    run: Callable[[Outputs, str], None] = lambda stages, name: main(  # noqa: E731
        [str(word) for word in command_line(stages, truth, tmp_path / name)]
    )
    run(outputs, "a.json")
    run(replace(outputs, track=track), "b.json")
    capfd.readouterr()
    inputs = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    targets = {kind: tmp_path / f"all.{kind}" for kind in ("json", "csv", "png")}
    report(
        ["--accuracy", *inputs, "--names", "ann", "bob", "--json", str(targets["json"])]
        + ["--csv", str(targets["csv"]), "--plot", str(targets["png"])]
    )
    printed = capfd.readouterr().out.splitlines()
    (focal,) = (line for line in printed if line.startswith("focal length error"))
    assert focal.split()[3:] == ["%", "0.00", "8.00", "4.00", "8.00", "<=", "2", "NO"]

    together = json.loads(targets["json"].read_text())
    assert together["measures"]["focal_error_percent"]["met"] is False
    assert together["measures"]["rotation.turn_taken_out.mean_deg"]["met"] is True
    assert together["measures"]["iou.classes.hair"]["mean"] is None
    assert set(together["subjects"]) == {"ann", "bob"}
    with open(targets["csv"], newline="") as file:
        rows = {row["measure"]: row for row in csv.DictReader(file)}
    assert float(rows["focal_error_percent"]["bob"]) == 8 and rows["iou.mean"]["met"] == "yes"
    assert rows["iou.classes.hair"]["bob"] == ""
    assert cv2.imread(str(targets["png"])).std() > 10


def test_commands_refuse_in_one_line(
    perfect: tuple[Outputs, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outputs, truth = perfect
    target = tmp_path / "accuracy.json"
    line = refused(main, command_line(outputs, tmp_path, target), capfd)
    assert "landmarks.h5" in line and not target.exists()
    other = tmp_path / "other.json"
    other.write_text('{"frames": 3}')
    outs = [
        "--json",
        tmp_path / "j.json",
        "--csv",
        tmp_path / "c.csv",
        "--plot",
        tmp_path / "p.png",
    ]
    line = refused(report, ["--accuracy", other, "--names", "a", *outs], capfd)
    assert "expected figures of `preprocess.accuracy.compare`" in line
    line = refused(report, ["--accuracy", other, "--names", "a", "b", *outs], capfd)
    assert "2 names and --accuracy 1 files" in line
