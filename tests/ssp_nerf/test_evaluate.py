"""`python -m ssp_nerf.evaluate` on a synthetic clip whose figures are known."""

import csv
import json

import numpy as np
import pytest

from ssp_nerf.baselines import mean_frame, nearest_poses
from ssp_nerf.evaluate import main
from ssp_nerf.landmarks import MESH_MOUTH
from ssp_nerf.schema import DATASET
from ssp_nerf.video import write_video
from tests.ssp_nerf import synthetic_clip as clip

OFFSET = 10
OFFSET_PSNR = 20 * np.log10(255 / OFFSET)
MOUTH_SCALE = 1.5
ORDER = [11, 9, 10]  # of the rendered frames: not the clip's
TRAINING = [frame for frame in range(clip.FRAMES) if frame not in clip.HELD_OUT]


class Case:
    """The files of one evaluation in a folder; a test may replace some before `run`."""

    metrics = "psnr,ssim,lmd"  # of which the tests say something

    def __init__(self, folder):
        self.folder = folder
        self.outputs = folder / "out"
        self.dataset = clip.write_dataset(folder / "dataset.h5")
        self.landmarks = clip.write_landmarks(folder / "landmarks.h5", clip.face_points())
        self.write_render(clip.pictures() + np.uint8(OFFSET))
        self.write_render_landmarks()

    def write_render(self, rendered):
        """Two parts out of pictures of the whole clip."""
        self.parts = [
            clip.write_render(self.folder / f"part{i}.h5", index, rendered[index])
            for i, index in enumerate((ORDER[:1], ORDER[1:]))
        ]

    def write_render_landmarks(self, rows=slice(None), **options):
        """Mouths of the truth, shifted and scaled, at the frames' own size."""
        points = MOUTH_SCALE * clip.face_points()[ORDER] / clip.LANDMARK_SCALE + 3
        self.render_landmarks = clip.write_landmarks(
            self.folder / "render_landmarks.h5", points[rows], scale=1, **options
        )

    def run(self):
        """Totals, and a dictionary of cells for each held-out frame."""
        arguments = ["--dataset", self.dataset, "--render", *self.parts]
        arguments += ["--landmarks", self.landmarks, "--render-landmarks", self.render_landmarks]
        arguments += ["--metrics", self.metrics, "--metrics-json", self.outputs / "m.json"]
        arguments += ["--metrics-csv", self.outputs / "m.csv", "--plot", self.outputs / "m.png"]
        main([str(argument) for argument in arguments])
        with open(self.outputs / "m.csv", newline="") as file:
            return json.loads((self.outputs / "m.json").read_text()), list(csv.DictReader(file))

    def fails(self, capsys, words):
        """Exit 2 with one line that says `words`, and no output."""
        with pytest.raises(SystemExit) as stop:
            self.run()
        assert stop.value.code == 2
        errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
        assert len(errors) == 1 and words in errors[0], errors
        assert not list(self.outputs.rglob("*"))


@pytest.fixture
def case(tmp_path) -> Case:
    return Case(tmp_path)


def true_mouths() -> np.ndarray:
    """(FRAMES, 20, 2) pixels at the frames' size."""
    return clip.face_points()[:, list(MESH_MOUTH), :2] / clip.LANDMARK_SCALE


def test_a_rendering_off_by_a_constant(case, capsys):
    case.metrics = "auto"
    totals, rows = case.run()
    assert [row["frame"] for row in rows] == [str(frame) for frame in clip.HELD_OUT]
    for row in rows:
        assert float(row["psnr"]) == float(row["psnr_head"]) == pytest.approx(OFFSET_PSNR, abs=1e-4)
        assert row["face_detected"] == "1"
    assert totals["ours"]["psnr"] == pytest.approx(OFFSET_PSNR, abs=1e-4)
    assert totals["frames"] == 3
    assert totals["resolution"] == {"width": clip.WIDTH, "height": clip.HEIGHT}
    assert f"{OFFSET_PSNR:.2f}" in capsys.readouterr().out
    assert set(totals["not_measured"]) == {"lpips", "syncnet", "csim_arcface", "mouth_sync"}
    assert totals["ours"]["csim_dlib"] is not None and totals["truth"]["jitter"] is not None


def test_lmd_at_the_frames_own_size(case):
    # Scaled by s about its mean, a mouth is off by (s - 1) times its points' mean distance to it.
    mouths = true_mouths()[list(clip.HELD_OUT)]
    spread = np.linalg.norm(mouths - mouths.mean(axis=1, keepdims=True), axis=-1).mean(axis=1)
    totals, rows = case.run()
    expected = (MOUTH_SCALE - 1) * spread
    assert [float(row["lmd"]) for row in rows] == pytest.approx(expected, abs=1e-4)
    assert totals["ours"]["lmd"] == pytest.approx(expected.mean(), abs=1e-4)
    # Openings are scaled by the same factor in every frame.
    assert totals["ours"]["mouth_opening_correlation"] == pytest.approx(1)


def test_baselines_are_those_of_a_brute_force_computation(case):
    frames, poses, vertices = clip.pictures().astype(float), clip.poses(), clip.vertices()

    def pixels(frame):  # a pinhole camera, spelled out for one vertex at a time
        rotation, origin = poses[frame, :, :3], poses[frame, :, 3]
        seen = [rotation.T @ (vertex - origin) for vertex in vertices]
        return np.array([(clip.FOCAL * x / -z, clip.FOCAL * -y / -z) for x, y, z in seen])

    def distance(a, b):
        return np.mean([np.hypot(*offset) for offset in pixels(a) - pixels(b)])

    def decibels(picture, frame, inside):
        squares = [
            (picture[y, x, c] - frames[frame, y, x, c]) ** 2
            for y, x in np.argwhere(inside)
            for c in range(3)
        ]
        return 10 * np.log10(255**2 / np.mean(squares))

    head = np.zeros((clip.HEIGHT, clip.WIDTH), bool)
    head[10:25, 15:35] = True
    mean = np.round(sum(frames[t] for t in TRAINING) / len(TRAINING))
    totals, rows = case.run()
    for row, frame in zip(rows, clip.HELD_OUT, strict=True):
        nearest = min(TRAINING, key=lambda t: distance(t, frame))
        assert row["nearest_pose_frame"] == str(nearest)
        expected = distance(nearest, frame)
        assert float(row["nearest_pose_distance"]) == pytest.approx(expected, abs=1e-3)
        pictures = {
            "background": np.full_like(mean, 90),
            "mean_frame": mean,
            "nearest_pose": frames[nearest],
        }
        for name, picture in pictures.items():
            for metric, inside in (("psnr", np.ones_like(head)), ("psnr_head", head)):
                expected = decibels(picture, frame, inside)
                assert float(row[f"{name}_{metric}"]) == pytest.approx(expected, abs=1e-4), name
        mouths = true_mouths()
        usual = sum(mouths[t] for t in TRAINING) / len(TRAINING)
        for name, mouth in (("nearest_pose", mouths[nearest]), ("mean_frame", usual)):
            offset = (mouth - mouth.mean(axis=0)) - (mouths[frame] - mouths[frame].mean(axis=0))
            lmd = np.linalg.norm(offset, axis=1).mean()
            assert float(row[f"{name}_lmd"]) == pytest.approx(lmd, abs=1e-4)
        assert "background_lmd" not in row


def test_margins_are_positive_where_ours_is_better(case):
    totals, _ = case.run()
    assert set(totals["margins"]) == {"background", "mean_frame", "nearest_pose"}
    for name, margin in totals["margins"].items():
        gain = totals["ours"]["psnr_head"] - totals["baselines"][name]["psnr_head"]
        assert margin["psnr_head"] == pytest.approx(gain, abs=1e-3)
    gain = totals["baselines"]["nearest_pose"]["lmd"] - totals["ours"]["lmd"]
    assert totals["margins"]["nearest_pose"]["lmd"] == pytest.approx(gain, abs=1e-3)


def test_the_head_is_where_the_truths_parsing_says(case):
    rendered = clip.pictures()
    rendered[:, 10:25, 15:35] += OFFSET  # the head of `clip.parsing`
    case.write_render(rendered)
    totals, _ = case.run()
    assert totals["ours"]["psnr_head"] == pytest.approx(OFFSET_PSNR, abs=1e-4)
    share = 15 * 20 / (clip.HEIGHT * clip.WIDTH)
    expected = OFFSET_PSNR - 10 * np.log10(share)  # the same error, spread over the frame
    assert totals["ours"]["psnr"] == pytest.approx(expected, abs=1e-4)


def test_the_report_says_how_near_to_exact_frames_it_was_drawn(case, capsys):
    totals, _ = case.run()
    assert (totals["drawn"], totals["psnr_to_exact"]) == ("exactly", None)
    assert "drawn fast" not in capsys.readouterr().out
    pictures = clip.pictures()
    case.parts = [
        clip.write_render(case.folder / "first.h5", ORDER[:1], pictures[ORDER[:1]], (50.0,)),
        clip.write_render(case.folder / "second.h5", ORDER[1:], pictures[ORDER[1:]], (47.0, 44.0)),
    ]
    totals, _ = case.run()
    assert (totals["drawn"], totals["psnr_to_exact"]) == ("fast", pytest.approx(47))
    assert "drawn fast: 47.0 dB to frames drawn exactly" in capsys.readouterr().out


def test_a_perfect_rendering(case):
    case.write_render(clip.pictures())
    totals, rows = case.run()
    assert [row["psnr"] for row in rows] == ["inf"] * 3
    assert totals["ours"]["psnr"] is None  # JSON has no infinity
    assert totals["ours"]["ssim"] == totals["ours"]["ssim_head"] == 1


def test_frames_without_a_face_do_not_count_for_lmd(case):
    complete, _ = case.run()
    case.write_render_landmarks(without_face=(1,))  # the second rendered frame: ORDER[1]
    totals, rows = case.run()
    lost = clip.HELD_OUT.index(ORDER[1])
    assert [row["face_detected"] for row in rows] == ["0" if i == lost else "1" for i in range(3)]
    assert rows[lost]["lmd"] == ""
    others = [float(row["lmd"]) for i, row in enumerate(rows) if i != lost]
    assert totals["ours"]["lmd"] == pytest.approx(np.mean(others), abs=1e-4)
    assert (totals["frames_with_face"], totals["frames_counted_for_lmd"]) == (2, 2)
    assert totals["ours"]["psnr"] == complete["ours"]["psnr"]


def test_no_face_anywhere_is_reported_not_hidden(case):
    case.write_render_landmarks(without_face=(0, 1, 2))
    totals, _ = case.run()
    assert totals["frames_with_face"] == 0
    assert totals["ours"]["lmd"] is None
    assert totals["ours"]["mouth_opening_correlation"] is None


def test_frames_that_are_not_held_out_are_not_scored(case):
    alone, _ = case.run()
    training = np.zeros((1, clip.HEIGHT, clip.WIDTH, 3), np.uint8)
    case.parts.append(clip.write_render(case.folder / "part3.h5", [4], training))
    points = MOUTH_SCALE * clip.face_points()[[*ORDER, 4]] / clip.LANDMARK_SCALE + 3
    case.render_landmarks = clip.write_landmarks(case.folder / "four.h5", points, scale=1)
    totals, rows = case.run()
    assert len(rows) == 3
    assert totals["ours"] == alone["ours"]


def test_two_runs_give_the_same_bytes(case):
    contents = []
    for _ in range(2):
        case.run()
        contents.append([path.read_bytes() for path in sorted(case.outputs.iterdir())])
    assert len(contents[0]) == 3
    assert contents[0] == contents[1]


def test_a_missing_frame_is_an_error(case, capsys):
    case.parts = case.parts[:1]
    case.fails(capsys, "2 of 3 held-out frames missing (first: frame 9)")


def test_a_repeated_frame_is_an_error(case, capsys):
    case.parts.append(case.parts[0])
    case.fails(capsys, "1 of 3 held-out frames repeated (first: frame 11)")


def test_a_rendering_of_another_size_is_an_error(case, capsys):
    case.parts = [
        clip.write_render(case.folder / "small.h5", ORDER, clip.pictures()[ORDER, ::2, ::2])
    ]
    case.fails(capsys, "24x20")


def test_parts_of_different_sizes_are_an_error(case, capsys):
    half = clip.pictures()[ORDER[1:], ::2, ::2]
    case.parts[1] = clip.write_render(case.folder / "small.h5", ORDER[1:], half)
    case.fails(capsys, "Render all parts at one size")


def test_a_rendering_of_a_longer_clip_is_an_error(case, capsys):
    case.parts[0] = clip.write_render(case.folder / "part0.h5", [99], clip.pictures()[:1])
    case.fails(capsys, "frame 99")


def test_landmarks_of_other_frames_are_an_error(case, capsys):
    case.write_render_landmarks(rows=slice(2))
    case.fails(capsys, "2 rows, expected 3")


def test_landmarks_of_another_aspect_are_an_error(case, capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip, "HEIGHT", clip.HEIGHT // 2)
        case.landmarks = clip.write_landmarks(case.folder / "wide.h5", clip.face_points())
    case.fails(capsys, "do not scale to 48x40")


@pytest.mark.parametrize("frames", [range(clip.FRAMES), clip.HELD_OUT])
def test_another_methods_video_of_the_held_out_frames_or_the_whole_clip(case, frames):
    shown = (clip.pictures() + np.uint8(OFFSET))[list(frames)]
    write_video(case.folder / "other.mp4", shown, crf=0)
    json_path, csv_path = case.folder / "m.json", case.folder / "m.csv"
    arguments = ["--dataset", case.dataset, "--landmarks", case.landmarks, "--method", "other"]
    arguments += ["--render", case.folder / "other.mp4", "--parser", "none", "--device", "cpu"]
    arguments += ["--metrics-json", json_path, "--metrics-csv", csv_path]
    main([str(argument) for argument in arguments])
    totals = json.loads(json_path.read_text())
    with open(csv_path, newline="") as file:
        assert [row["frame"] for row in csv.DictReader(file)] == [str(f) for f in clip.HELD_OUT]
    assert totals["other"]["psnr"] == pytest.approx(OFFSET_PSNR, abs=1)  # chroma is halved
    assert any("whole clip" in note for note in totals["notes"]) == (len(frames) == clip.FRAMES)
    assert totals["frames_with_face"] == 0 and totals["other"]["lmd"] is None


def test_a_pose_is_nearest_to_itself():
    every = np.arange(clip.FRAMES)
    size = (clip.FOCAL, clip.WIDTH, clip.HEIGHT)
    nearest, distance = nearest_poses(clip.poses(), clip.vertices(), *size, every, every)
    assert nearest.tolist() == every.tolist()
    assert distance == pytest.approx(0)


def test_mean_frame_is_rounded_not_cut(tmp_path):
    with DATASET.open(clip.write_dataset(tmp_path / "dataset.h5")) as dataset:
        expected = np.round(clip.pictures()[[2, 3, 5]].mean(axis=0))
        np.testing.assert_array_equal(mean_frame(dataset["frames"], np.array([2, 3, 5])), expected)
