"""The report's page: what is in it, without a browser."""

import base64
import hashlib
import io
import json
import re
from pathlib import Path

import av
import h5py
import numpy as np
import pytest

from ssp_nerf.errors import InputError
from ssp_nerf.parsing_map import CLASSES, PALETTE
from ssp_nerf.provenance.__main__ import read_provenance
from ssp_nerf.report import __main__ as report
from ssp_nerf.report.document import as_script
from ssp_nerf.report.figures import Metric, known, read_metrics, worst
from ssp_nerf.report.film import panel_size
from ssp_nerf.report.motion import head_motion, stretches
from tests.ssp_nerf import report_inputs as inputs
from tests.ssp_nerf import synthetic_clip as clip

EVIL = """</script><script>alert(1)</script><img src=x onerror=alert(2)>"'&{{ film }}<!--\u2028"""


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> inputs.Page:
    path = inputs.write_report(tmp_path_factory.mktemp("report"))
    return inputs.Page(path.read_text(encoding="utf-8"))


def test_the_page_holds_what_the_files_hold(page):
    content = page.content
    assert content["frames"] == inputs.FRAMES
    metrics = {metric["name"]: metric for metric in content["metrics"]}
    assert metrics["psnr"]["methods"] == {
        "ours": inputs.PSNR,
        "mean_frame": pytest.approx(inputs.MEAN_FRAME_PSNR),
    }
    assert metrics["lmd"]["methods"] == {"ours": inputs.LMD}
    assert metrics["unheard_of"]["methods"]["ours"] == [frame**2 for frame in inputs.FRAMES]
    assert "detector" not in metrics  # no number
    assert content["worst"]["psnr"][:2] == [0, 5] and content["worst"]["lmd"][0] == 5
    assert content["worst"]["unheard_of"] == []  # nobody knows which way is better
    totals = {row["name"]: row["methods"] for row in content["totals"]}
    assert totals["psnr"] == {"ours": 32.5, "mean_frame": 20.5}
    (row,) = (row for row in content["totals"] if row["name"] == "psnr")
    assert row["best"] == ["ours"] and row["rival"] == "mean_frame"
    assert row["intervals"] == {"ours": [31.5, 33.25]}
    assert content["history"]["step"] == inputs.STEPS
    assert list(content["history"]["share"]) == list(CLASSES)
    assert content["stages"] == [
        {"name": "render_frames/heldout", "jobs": 2, "seconds": 7.5, "cpu_seconds": None,
         "peak_mib": 450.0}
    ]  # fmt: skip
    assert content["bundle"]["model"] == {"width": 128}
    assert content["settings"][0]["name"] == "dataset" and content["settings"][0]["software"]
    assert content["clip"]["held_out"] == [[9, 11]] and content["clip"]["training"] == 9
    assert content["not_measured"] == {"some figure": "no weights"}
    assert content["missing"] == []


def test_every_panel_of_the_film_is_the_frame_it_should_be(page):
    film = page.content["film"]
    with av.open(io.BytesIO(page.film)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    with av.open(io.BytesIO(page.film)) as file:
        assert file.streams.audio
    assert len(pictures) == clip.FRAMES
    classes = PALETTE[clip.parsing()]
    for frame, picture in enumerate(pictures):
        panels = {
            name: picture[
                row * film["cell"][1] : row * film["cell"][1] + clip.HEIGHT,
                column * film["cell"][0] : column * film["cell"][0] + clip.WIDTH,
            ].astype(int)
            for row, names in enumerate(film["panels"])
            for column, name in enumerate(names)
        }
        assert inputs.nearest_frame(panels["truth"]) == frame
        assert inputs.nearest_frame(panels["render"] - inputs.ERROR) == frame
        for name in ("parsing", "truth_parsing"):
            assert np.abs(panels[name] - classes[frame]).mean() < 6, name
        # One and the same everywhere: bright where it is as large as it gets.
        assert panels["error"].std(axis=(0, 1)).max() < 4
        assert panels["displacement"].mean() > 150
    assert film["displacement_limit"] == 0.12  # decimetres: 60 steps of 0.2 mm


def test_only_the_pages_own_script_may_run_and_nothing_is_loaded(page):
    policy = next(a["content"] for a in page.attributes if "http-equiv" in a)
    for tag in ("script", "style"):
        digest = hashlib.sha256(page.inside[tag].encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert policy.startswith("default-src 'none'")
    assert set(re.findall(r"https?://[^\s\"'`]+", page.text)) == {"http://www.w3.org/2000/svg"}
    assert not any({"src", "href"} & set(attributes) for attributes in page.attributes)


def test_names_and_settings_are_never_markup(tmp_path, page):
    arguments = inputs.arguments(tmp_path, EVIL)
    with h5py.File(tmp_path / "dataset.h5", "a") as file:
        file.attrs["config"] = json.dumps({EVIL: EVIL})
    (tmp_path / "model/bundle.json").write_text(json.dumps({EVIL: [EVIL]}))
    inputs.write_table(tmp_path / "metrics.csv", {"frame": [0, 1], EVIL: [1, 2]})
    report.main(arguments)
    evil = inputs.Page((tmp_path / "report/index.html").read_text(encoding="utf-8"))
    assert evil.tags == page.tags
    assert evil.content["subject"] == EVIL
    assert evil.content["settings"][0]["config"] == {EVIL: EVIL}
    assert evil.content["bundle"] == {EVIL: [EVIL]}
    assert evil.content["metrics"][0]["name"] == EVIL
    assert evil.inside["title"].startswith(EVIL)
    (tmp_path / "film.mp4").write_bytes(evil.film)
    assert read_provenance(tmp_path / "film.mp4").subject == EVIL


def test_json_in_a_script_reads_as_it_was():
    value = {EVIL: [1, None, "é\u2028\u2029"]}
    assert json.loads(as_script(value)) == value
    assert not set("<>&\u2028\u2029") & set(as_script(value))


def test_numbers_that_are_none_and_arrays_are_shown_as_they_can_be():
    value = {"a": [float("nan"), float("inf"), np.float32(0.5)], "b": np.arange(2), 3: b"text"}
    assert json.loads(as_script(value)) == {"a": [None, None, 0.5], "b": [0, 1], "3": "text"}


def test_what_is_not_there_is_said(tmp_path):
    arguments = inputs.arguments(tmp_path)
    for gone in ("metrics.csv", "metrics.json", "history.csv", "speech.wav", "model/bundle.json"):
        (tmp_path / gone).unlink()
    (tmp_path / "model").rmdir()
    report.main([a for a in arguments if a not in ("--benchmarks", str(tmp_path / "benchmarks"))])
    page = inputs.Page((tmp_path / "report/index.html").read_text(encoding="utf-8"))
    missing = page.content["missing"]
    assert len(missing) == 6, missing
    for word in (
        "metrics.csv",
        "metrics.json",
        "history.csv",
        "Sound",
        "model",
        "no file was named",
    ):
        assert any(word in line for line in missing), word
    with av.open(io.BytesIO(page.film)) as file:
        assert not file.streams.audio


def test_totals_of_another_shape_are_no_reason_to_fail(tmp_path):
    arguments = inputs.arguments(tmp_path)
    totals = {"ours": 3, "intervals": {"ours": 4}, "not_measured": "x", "baselines": {"a": {}}}
    (tmp_path / "metrics.json").write_text(json.dumps(totals))
    report.main(arguments)
    page = inputs.Page((tmp_path / "report/index.html").read_text(encoding="utf-8"))
    assert page.content["totals"] == [] and page.content["not_measured"] == {}


def test_a_history_of_before_says_that_it_has_no_shares(tmp_path):
    arguments = inputs.arguments(tmp_path)
    inputs.write_table(tmp_path / "history.csv", {"step": [1, 2], "loss": [2, "nan"]})
    report.main(arguments)
    page = inputs.Page((tmp_path / "report/index.html").read_text(encoding="utf-8"))
    assert page.content["history"]["loss"] == [2, None]
    assert any("Rays of each class" in line for line in page.content["missing"])


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("metrics.csv", "psnr\n1\n", "expected a column `frame`"),
        ("metrics.csv", "frame,psnr\n99,1\n", "is of a rendered frame"),
        ("metrics.json", "{", "expected JSON"),
        ("history.csv", "loss\n1\n", "expected a column `step`"),
        ("model/bundle.json", "[]", "expected an object"),
        ("dataset.h5", "no HDF5", "expected a dataset file"),
    ],
)
def test_a_damaged_file_is_one_line_and_leaves_the_old_page(tmp_path, capsys, name, text, problem):
    arguments = inputs.arguments(tmp_path)
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").write_text("the old page")
    (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit) as stop:
        report.main(arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and name in error and problem in error
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["index.html"]
    assert (tmp_path / "report/index.html").read_text() == "the old page"
    assert not list(tmp_path.glob(".*partial*"))


def test_a_row_for_each_frame_and_one_for_each_method_say_the_same(tmp_path):
    wide = inputs.write_table(
        tmp_path / "wide.csv",
        {"frame": [7, 8, 9], "psnr": [1, 2, 3], "psnr_head": [5, "inf", 6],
         "mean_frame_psnr": [3, 4, 5], "psnr_truth": [8, 9, 7]},
    )  # fmt: skip
    long = inputs.write_table(
        tmp_path / "long.csv",
        {"frame": [7, 8, 9] * 3, "method": ["ours"] * 3 + ["mean_frame"] * 3 + ["truth"] * 3,
         "psnr": [1, 2, 3, 3, 4, 5, 8, 9, 7], "psnr_head": [5, "nan", 6, *[""] * 6]},
    )  # fmt: skip
    of_wide, of_long = (read_metrics(path, [9, 8, 7]) for path in (wide, long))
    assert of_wide == of_long
    whole, head = of_wide
    assert whole.methods == {"ours": [3, 2, 1], "mean_frame": [5, 4, 3], "truth": [7, 9, 8]}
    assert (whole.title, whole.better) == ("PSNR (dB)", "higher")
    assert (head.title, head.methods) == ("PSNR head (dB)", {"ours": [6, None, 5]})


def test_the_worst_frames_are_the_worst_and_apart():
    values = [9.0, 1.0, 1.5, 8.0, None, 2.0]
    metric = _metric("psnr", values)
    assert worst(metric, 3, apart=1) == [1, 2, 5]
    assert worst(metric, 3, apart=2) == [1, 5, 3]
    assert worst(_metric("lmd", values), 2, apart=1) == [0, 3]
    assert worst(_metric("unheard_of", values), 2, apart=1) == []
    # What should be as the truth's is worst where it is farthest from it, either way.
    opening = _metric("mouth_opening", [1.0, 5.0, 3.0], truth=[1.5, 3.0, 6.0])
    assert worst(opening, 3, apart=1) == [2, 1, 0]
    assert worst(_metric("mouth_opening", [1.0]), 3, apart=1) == []
    nobody = Metric("mouth_opening", *known("mouth_opening"), {"truth": [1.0, 2.0]})
    assert worst(nobody, 3, apart=1) == []


def _metric(name, values, **others):
    return Metric(name, *known(name), {"ours": values, **others})


def test_a_head_that_turns_and_comes_nearer_is_told_so():
    angles = np.radians([0, 10, -20])
    c2w = np.zeros((3, 3, 4))
    for frame, (angle, distance) in enumerate(zip(angles, (10, 9, 11), strict=True)):
        cos, sin = np.cos(angle), np.sin(angle)
        # The camera goes round the head, always looking at it.
        c2w[frame, :, :3] = [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]
        c2w[frame, :, 3] = distance * c2w[frame, :, 2]
    motion = head_motion(c2w)
    # A camera that went to the head's left side (+x) sees it turned to the picture's left.
    assert motion["yaw"] == pytest.approx([0, -10, 20], abs=0.01)
    assert motion["nearer"] == pytest.approx([0, 100, -100], abs=0.01)
    for still in ("pitch", "roll", "right", "up"):
        assert motion[still] == pytest.approx([0, 0, 0], abs=0.01)


def test_stretches_are_first_and_last_frames():
    marked = np.array([1, 0, 1, 1, 0, 1], bool)
    assert stretches(marked) == [(0, 0), (2, 3), (5, 5)]
    assert stretches(~marked[:1]) == []


def test_pictures_are_made_smaller_and_never_larger():
    assert panel_size(450, 450, 360) == (360, 360)
    assert panel_size(400, 200, 100) == (100, 50)
    assert panel_size(150, 120, 360) == (150, 120)


def test_a_panel_size_too_small_to_see_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        report.main([*inputs.arguments(tmp_path), "--panel-size", "4"])
    assert "report.panel_size" in capsys.readouterr().err


def test_a_rendering_without_frames_is_refused(tmp_path):
    empty = clip.write_render(tmp_path / "empty.h5", [], clip.pictures()[:0])
    dataset = clip.write_dataset(tmp_path / "dataset.h5")
    with pytest.raises(InputError, match="no frames"):
        report.write_report(
            "nobody", dataset, [empty], None, report.Sources(), Path(tmp_path, "report")
        )
