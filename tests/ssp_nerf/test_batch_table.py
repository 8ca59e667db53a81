"""The table of a whole config: a line for each video, in the order of the config."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from ssp_nerf import batch_table
from ssp_nerf.config_file import mistakes_of


def evaluated(folder: Path, setting: str, method: str, figures: dict) -> tuple[Path, Path]:
    """A video and its metrics, as far as the table reads them."""
    folder.mkdir(parents=True)
    video, metrics = folder / "a video.mp4", folder / "metrics.json"
    video.write_bytes(b"video")
    totals = {"setting": setting, "method": method, method: figures, "frames": 4}
    metrics.write_text(json.dumps({**totals, "resolution": {"width": 40, "height": 36}}))
    return video, metrics


@pytest.fixture
def command(tmp_path) -> list[str]:
    held = evaluated(tmp_path / "ada", "full", "ssp_nerf", {"psnr": 30.5, "cpbd": None})
    driven = evaluated(tmp_path / "bo", "cross", "news", {"mouth_sync": 0.5})
    return [
        *("--subjects", "ada", "bo", "--speeches", "heldout", "news"),
        *("--videos", str(held[0]), str(driven[0])),
        *("--metrics", str(held[1]), str(driven[1])),
        *("--csv", str(tmp_path / "summary.csv")),
    ]


def test_a_line_for_each_video(tmp_path, command):
    batch_table.main(command)
    with open(tmp_path / "summary.csv", newline="") as file:
        held, driven = csv.DictReader(file)
    assert list(held)[-3:] == ["psnr", "mouth_sync", "cpbd"]
    assert (held["subject"], held["speech"], held["setting"]) == ("ada", "heldout", "full")
    assert (held["width"], held["height"], held["psnr"]) == ("40", "36", "30.5")
    assert held["cpbd"] == held["mouth_sync"] == driven["psnr"] == ""  # not measured
    assert (driven["subject"], driven["speech"], driven["mouth_sync"]) == ("bo", "news", "0.5")


@pytest.mark.parametrize("lost", ["a video.mp4", "metrics.json"])
def test_a_lost_file_is_named_and_an_older_table_stays(tmp_path, command, lost, capsys):
    (tmp_path / "summary.csv").write_text("older")
    (tmp_path / "bo" / lost).unlink()
    with pytest.raises(SystemExit, match="2"):
        batch_table.main(command)
    assert f"bo/{lost}" in capsys.readouterr().err
    assert (tmp_path / "summary.csv").read_text() == "older"


def test_each_video_has_its_metrics(command, capsys):
    command.remove("bo")
    with pytest.raises(SystemExit, match="2"):
        batch_table.main(command)
    assert "got 1, 2, 2, 2" in capsys.readouterr().err


def test_no_speech_is_called_as_the_held_out_frames_are():
    root = Path(__file__).parents[2]
    config, schema = (
        yaml.safe_load((root / name).read_text())
        for name in ("config.yaml", "schemas/config.schema.yaml")
    )
    config["subjects"] = {"me": {"video": "me.mp4", "speeches": {"hello": "hello.wav"}}}
    assert mistakes_of(config, schema) == []
    config["subjects"]["me"]["speeches"]["heldout"] = "other.wav"
    (mistake,) = mistakes_of(config, schema)
    assert mistake.startswith("subjects.me.speeches.heldout: ")
