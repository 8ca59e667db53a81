"""The scripts that a GPU owner runs, on the CPU at tiny sizes."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ssp_nerf.schema import RENDER
from tests.ssp_nerf import synthetic_clip as clip
from tests.ssp_nerf.small_training import ROOT, SMALL, train


def run(module: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with open(path) as file:
        return list(csv.DictReader(file))


def test_quality_after_some_seconds_and_after_more(tmp_path):
    dataset = clip.write_dataset(tmp_path / "dataset.h5")
    output = tmp_path / "quality"
    for steps, said in (("12", ""), ("20", "continues at")):
        flags = ["--seconds", "600", "--steps", steps, "--output", str(output), *SMALL]
        done = run("train_gpu", str(dataset), *flags)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout and f"{steps} steps, 3 held-out frames" in done.stdout
    assert [row["step"] for row in rows(output / "scores.csv")] == ["12", "20"]
    assert [int(row["frame"]) for row in rows(output / "frames.csv")] == list(clip.HELD_OUT)
    parts = [RENDER.read(output / f"{i}-of-4.h5")[0]["index"].tolist() for i in (1, 2, 3, 4)]
    assert sum(parts, []) == list(clip.HELD_OUT)
    assert (output / "model/weights.safetensors").exists()
    assert (output / "curve.png").read_bytes().startswith(b"\x89PNG")
    both = tmp_path / "both.png"
    done = run("quality_curves", str(output), str(output), "--output", str(both))
    assert done.returncode == 0, done.stderr
    assert both.read_bytes().startswith(b"\x89PNG")


def test_the_clock_ends_training_too(tmp_path):
    dataset = clip.write_dataset(tmp_path / "dataset.h5")
    flags = ["--seconds", "0.5", "--look-at", "0.2", "--output", str(tmp_path / "q"), *SMALL]
    done = run("train_gpu", str(dataset), *flags)
    assert done.returncode == 0, done.stderr
    seconds = [float(row["seconds"]) for row in rows(tmp_path / "q/scores.csv")]
    assert len(seconds) == 2 and 0.2 <= seconds[0] < 0.5 <= seconds[1]


def test_speed_prints_a_row_for_each_combination(tmp_path):
    dataset = clip.write_dataset(tmp_path / "dataset.h5")
    done = run(
        "speed", "--dataset", str(dataset), "--device", "cpu", "--demo", "--steps", "1",
        "--rays", "24", "48", "--frames-per-step", "2", "--precision", "fp32", "--way", "plain",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^plain +fp32 +(\d+) ", done.stdout, re.MULTILINE) == ["24", "48"]
    assert re.search(
        r"^plain +fp32 +[\d.]+ +inf$", done.stdout, re.MULTILINE
    )  # drawn, and equal to itself


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: run the script itself")
def test_without_a_gpu_its_check_says_so():
    done = run("check_gpu")
    assert done.returncode == 1
    assert done.stderr.strip() == "error: PyTorch sees no GPU here, and this checks one."


def test_rendering_is_measured_both_ways(tmp_path):
    dataset = clip.write_dataset(tmp_path / "dataset.h5")
    features = clip.write_features(tmp_path / "features.h5")
    bundle = train(tmp_path, dataset, "--steps", "5")
    flags = ["--bundle", str(bundle), "--audio-features", str(features), "--device", "cpu"]
    done = run("rendering", *flags, "--frames", "3")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^(?:exact|fast) +[\d.]+ +[\d.]+ +0.00$", done.stdout, re.M)) == 2
    assert re.search(r"PSNR of fast to exact: mean [\d.]+, least [\d.]+ dB", done.stdout)
    computed = re.search(r"rays ([\d.]+)%, .* ([\d.]+)%, .* ([\d.]+)%$", done.stdout, re.M)
    assert computed and all(0 < float(share) <= 100 for share in computed.groups())
