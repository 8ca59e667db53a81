"""Tables of methods: layout of the paper's, best figures, LaTeX that balances, mistakes."""

import csv
import json

import pytest

from ssp_nerf.method_table import main
from ssp_nerf.table_writer import Row, Table, latex, markdown

SIZE = {"width": 450, "height": 450}


def metrics(method, setting="full", truth=True, **figures):
    about = {
        "method": method, "setting": setting, "frames": 100, "resolution": SIZE, "crop_size": 256,
        method: figures, "intervals": {method: {"psnr": [1.0, 2.0]}},
        "not_measured": {"lpips": "no file"}, "notes": [],
    }  # fmt: skip
    if truth:
        about["truth"] = {"sync_confidence": 6.5, "jitter": 1.0}
    return about


@pytest.fixture
def files(tmp_path):
    made = {
        "ours": metrics("ours", psnr=30.123, ssim=0.9, lmd=2.0, sync_confidence=5.0, jitter=0.8),
        "other": metrics("AD_NeRF", psnr=29.0, ssim=0.9, lmd=3.0, sync_confidence=7.0, jitter=2.0),
        "driven": metrics("weather", "cross", truth=False, lmd=4.0, mouth_sync=0.3),
    }
    made["ours"]["baselines"] = {"nearest_pose": {"psnr": 20.0, "ssim": 0.5, "lmd": 4.0}}
    for name, content in made.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def run(files, *names):
    paths = [str(files / f"{name}.json") for name in names]
    outputs = [f"--{kind}={files / f't.{kind}'}" for kind in ("csv", "markdown", "latex")]
    main(["--metrics", *paths, *outputs])
    return (files / "t.markdown").read_text()


def cells(text, caption):
    lines = text.split(f"## {caption}")[1].split("##")[0].splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[2:]}


def test_the_full_frame_has_the_papers_columns_and_the_truth_first(files):
    found = cells(run(files, "ours", "other", "driven"), "Full frame, 450x450")
    assert list(found) == [
        "Ground truth", "Nearest training frame", "SSP-NeRF (this one)", "AD_NeRF"
    ]  # fmt: skip
    ours, other, truth = found["SSP-NeRF (this one)"], found["AD_NeRF"], found["Ground truth"]
    assert list(ours)[:4] == ["PSNR (dB) ↑", "SSIM ↑", "LMD (px) ↓", "Sync ↑"]
    assert (ours["PSNR (dB) ↑"], other["PSNR (dB) ↑"]) == ("**30.12**", "29.00")
    assert ours["SSIM ↑"] == other["SSIM ↑"] == "**0.900**"  # what looks the same
    assert (ours["LMD (px) ↓"], other["LMD (px) ↓"]) == ("**2.00**", "3.00")
    # The truth competes for nothing.
    assert (truth["Sync ↑"], truth["SSIM ↑"], truth["LMD (px) ↓"]) == ("6.500", "1.000", "0.00")
    assert other["Sync ↑"] == "**7.000**"


def test_nearest_to_the_truth_is_best_where_neither_way_is(files):
    found = cells(run(files, "ours", "other"), "Other figures")
    jitter = [row["jitter (% of the eyes' distance)"] for row in found.values()]
    assert jitter == ["1.00", "**0.80**", "2.00"]


def test_speech_of_others_has_a_table_of_its_own_and_gaps_are_explained(files):
    text = run(files, "ours", "driven")
    found = cells(text, "Driven by the speech of others")
    assert found["weather"]["LMD (px) ↓"] == "4.00"  # alone, it is not called the best
    assert "not measured: lpips: no file" in text
    assert "weather" not in text.split("## Driven")[0]


def test_csv_holds_every_figure_and_its_interval(files):
    run(files, "ours", "other")
    with open(files / "t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["truth", "ours", "AD_NeRF"]
    assert (rows[1]["psnr"], rows[1]["psnr_low"], rows[1]["psnr_high"]) == ("30.123", "1.0", "2.0")
    assert rows[0]["psnr"] == "" and rows[0]["sync_confidence"] == "6.5"


def test_latex_balances_and_escapes(files):
    run(files, "ours", "other")
    text = (files / "t.latex").read_text()
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") > 1
    assert r"AD\_NeRF" in text and r"\textbf{30.12}" in text and r"$\uparrow$" in text
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert "".join(body).count("{") == "".join(body).count("}")


def test_a_row_has_as_many_cells_as_the_head():
    rows = [Row("a", {"psnr": 1.0}, more=("x",)), Row("b", {}, more=("y",))]
    table = Table("A & B", ("psnr", "ssim"), rows, more=("more",))
    assert all(line.count("|") == 5 for line in markdown(table))
    lines = [line for line in latex(table) if line.endswith(r"\\")]
    assert [line.count(" & ") for line in lines] == [3, 3, 3]
    assert r"\caption{A \& B}" in "".join(latex(table))


def test_mistakes_are_one_line(files, capsys):
    (files / "not.json").write_text("[]")
    for names, said in (
        (("ours", "ours"), "two files of the method 'ours'"),
        (("not",), "expected what `ssp_nerf.evaluate` writes"),
        (("nowhere",), "does not exist"),
    ):
        with pytest.raises(SystemExit) as stop:
            run(files, *names)
        assert stop.value.code == 2
        assert said in capsys.readouterr().err
        assert not (files / "t.csv").exists()
