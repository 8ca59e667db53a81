"""Every picture is a command that explains itself and refuses what it cannot draw in one line."""

from importlib import import_module

import pytest

from tests.preprocess.stages import refused

INPUTS = {
    "crop": ("video", "frames"),
    "landmarks": ("frames", "landmarks"),
    "parsing": ("frames", "parsing"),
    "background": ("frames", "parsing", "background", "seen"),
    "face_model": ("frames", "landmarks", "track"),
    "audio_features": ("features", "speech"),
    "motion": ("landmarks", "track", "speech"),
}
OUTPUTS = {
    "crop": "picture", "background": "picture", "audio_features": "plot", "motion": "plot"
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_help_says_how_it_is_called(name, capsys) -> None:
    module = import_module(f"preprocess.qc.{name}")
    with pytest.raises(SystemExit) as stop:
        module.main(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"python -m preprocess.qc.{name}" in shown and "None" not in shown
    assert all(f"--{flag}" in shown for flag in INPUTS[name])


@pytest.mark.parametrize("name", INPUTS)
def test_a_missing_file_is_named_and_nothing_is_written(name, tmp_path, capfd) -> None:
    module = import_module(f"preprocess.qc.{name}")
    out = tmp_path / "qc"
    arguments = [word for flag in INPUTS[name] for word in (f"--{flag}", tmp_path / f"no-{flag}")]
    output = OUTPUTS.get(name, "video")
    line = refused(module.main, [*arguments, f"--{output}", out / "picture.png"], capfd)
    assert "does not exist" in line and str(tmp_path / "no-") in line
    assert not out.exists()
