"""`python -m ssp_nerf.evaluate --truth a.mp4 --render b.mp4`: any two videos, by real stages."""

import csv
import json

import ffmpeg
import numpy as np
import pytest
import torch

from ssp_nerf.evaluate import main
from ssp_nerf.files import sha256
from ssp_nerf.metrics import syncnet_network
from ssp_nerf.metrics.syncnet_network import SyncNet
from ssp_nerf.video import run_ffmpeg
from tests import clips

FRAMES = 50
DETECTOR = 1.0  # pixels of 256 that landmarks differ by at another size


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    return clips.talking_clip(tmp_path_factory.mktemp("truth") / "truth.mp4", frames=FRAMES)


def recoded(truth, path, late=0.0, **options):
    """The same video at another size and frame rate, its sound late by some seconds."""
    picture = ffmpeg.input(str(truth)).video.filter("scale", 192, 192).filter("fps", 50)
    sound = ffmpeg.input(str(truth)).audio.filter("adelay", f"{1000 * late:.0f}", all=1)
    sound = sound.filter("atrim", end=FRAMES / 25)
    run_ffmpeg(ffmpeg.output(picture, sound, str(path), crf=20, **options), str(path))
    return path


def run(folder, *arguments):
    outputs = {name: folder / f"m.{name}" for name in ("json", "csv", "png")}
    main(
        [str(argument) for argument in arguments]
        + [f"--metrics-json={outputs['json']}", f"--metrics-csv={outputs['csv']}"]
        + [f"--plot={outputs['png']}", "--device=cpu", "--resamples=50"]
    )
    with open(outputs["csv"], newline="") as file:
        return json.loads(outputs["json"].read_text()), list(csv.DictReader(file))


def test_another_size_and_rate_is_brought_to_the_truths_and_late_sound_is_found(truth, tmp_path):
    render = recoded(truth, tmp_path / "render.mp4", late=0.2)
    totals, rows = run(tmp_path, "--truth", truth, "--render", render, "--method", "recoded")
    figures, own = totals["recoded"], totals["truth"]
    assert totals["frames"] == len(rows) == FRAMES and totals["notes"] == []
    assert totals["resolution"] == {"width": 256, "height": 256}
    assert figures["psnr"] > 28 and figures["ssim"] > 0.9 and figures["lmd"] < DETECTOR
    assert figures["parsing_iou"] > 0.8 and figures["csim_dlib"] > 0.97
    assert figures["mouth_sync_lag"] - own["mouth_sync_lag"] == pytest.approx(5, abs=0.5)
    assert figures["mouth_sync"] < own["mouth_sync"] - 0.3
    low, high = totals["intervals"]["recoded"]["psnr"]
    assert low < figures["psnr"] < high
    assert {"lpips", "syncnet", "csim_arcface"} == set(totals["not_measured"])
    assert "evaluation.weights" in totals["not_measured"]["syncnet"]
    assert {"psnr", "psnr_crop", "cpbd", "cpbd_truth", "jitter_truth"} <= set(rows[0])
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")


def test_another_speech_without_a_video_of_it(truth, tmp_path):
    speech = clips.write_wav(tmp_path / "speech.wav", clips.speech(FRAMES / 25))
    arguments = ("--cross", "--truth", speech, "--render", truth, "--parser", "none")
    totals, rows = run(tmp_path, *arguments, "--metrics", "mouth_sync,stability")
    assert totals["setting"] == "cross" and len(rows) == FRAMES
    assert totals["render"]["mouth_sync"] > 0.5
    assert any("no video of who speaks" in note for note in totals["notes"])


def test_the_same_mouth_of_a_larger_face_has_no_distance(truth, tmp_path):
    render = recoded(truth, tmp_path / "small.mp4")
    arguments = ("--cross", "--truth", truth, "--render", render, "--parser", "none")
    totals, _ = run(tmp_path, *arguments, "--metrics", "lmd,mouth_sync")
    assert totals["render"]["lmd"] < DETECTOR and "psnr" not in totals["render"]
    assert totals["resolution"] == {"width": 192, "height": 192}


def test_networks_whose_weights_are_there_are_measured(tmp_path, monkeypatch):
    truth = clips.talking_clip(tmp_path / "brief.mp4", frames=16)
    torch.manual_seed(0)
    weights = tmp_path / "weights"
    weights.mkdir()
    torch.save(SyncNet().state_dict(), weights / "syncnet_v2.model")
    digest = sha256(weights / "syncnet_v2.model")
    monkeypatch.setattr(syncnet_network, "SHA256", digest)
    arguments = ("--truth", truth, "--render", truth, "--parser", "none", "--weights", weights)
    totals, _ = run(tmp_path, *arguments, "--metrics", "syncnet", "--block", "4")
    figures = totals["render"]
    assert figures["sync_confidence"] > 0 and figures["sync_distance"] > 0
    assert figures == {**figures, **{k: totals["truth"][k] for k in figures if "sync" in k}}
    low, high = totals["intervals"]["render"]["sync_distance"]
    assert low <= figures["sync_distance"] <= high
    assert totals["weights"] == {"syncnet_v2.model": digest} and totals["not_measured"] == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--truth", "TRUTH", "--render", "nowhere.mp4"), "nowhere.mp4: expected a video"),
        (("--truth", "TRUTH", "--render", "NOISE"), "expected a video or audio file"),
        (("--render", "TRUTH"), "needs --truth, --dataset or --cross"),
        (("--truth", "TRUTH", "--render", "TRUTH", "TRUTH"), "got 2 videos, expected one"),
        (("--truth", "TRUTH", "--render", "TRUTH", "--metrics", "psmr"), "unknown 'psmr'"),
        (("--truth", "TRUTH", "--render", "TRUTH", "--metrics", "syncnet"), "syncnet_v2.model"),
        (("--truth", "TRUTH", "--render", "TRUTH", "--method", "truth"), "the name of something"),
        (("--truth", "TRUTH", "--render", "part.h5"), "needs --dataset"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(truth, tmp_path, capsys, arguments, said):
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    words = {"TRUTH": str(truth), "NOISE": str(noise)}
    with pytest.raises(SystemExit) as stop:
        main([*(words.get(a, a) for a in arguments), f"--metrics-json={tmp_path / 'm.json'}"])
    assert stop.value.code == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error")]
    assert said in line
    assert not (tmp_path / "m.json").exists()


@pytest.mark.parametrize(
    ("frames", "size", "said"),
    [(50, (320, 180), "another part of the scene"), (20, (256, 256), "not of the same time")],
)
def test_another_part_of_the_scene_or_of_time_is_refused(
    truth, tmp_path, capsys, frames, size, said
):
    render = clips.talking_clip(tmp_path / "render.mp4", frames=frames, size=size)
    with pytest.raises(SystemExit):
        main(["--truth", str(truth), "--render", str(render), "--metrics", "psnr"])
    assert said in capsys.readouterr().err
