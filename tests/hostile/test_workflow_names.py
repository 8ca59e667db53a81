"""Videos and speeches of any name, through Snakemake, which hands them to a shell."""

import shutil

import pytest
import yaml

from tests import clips
from tests.hostile.case import CANARY, Folders
from tests.hostile.videos import plain_clip
from tests.workflow.conftest import Project, checkout

NAMES = {
    "quoted": f'-it\'s "me" $(touch {CANARY}); `touch {CANARY}` & ü 你好.mp4',
    "lines": "two\nlines\\.mp4",
    "odd": "pipe:0 %03d * #.mp4",
}
SPEECH = f"--wav $(touch {CANARY}) 'x'.wav"


@pytest.mark.thorough
def test_any_name_goes_through_the_shell(folders: Folders) -> None:
    folder = checkout(folders.own / "checkout")
    for name in NAMES.values():
        shutil.copy(plain_clip(folders.made), folder / name)
    clips.write_wav(folder / SPEECH, clips.speech(0.5))
    config = folder / "names.yaml"
    subjects = {key: {"video": name, "speeches": {"said": SPEECH}} for key, name in NAMES.items()}
    settings = {"subjects": subjects, "crop": {"size": 64}, "check": {"stop": False}}
    config.write_text(yaml.safe_dump(settings, allow_unicode=True))
    targets = [f"results/{key}/portrait.mp4" for key in NAMES]
    targets += ["check.json", "speech.wav", "qc/crop.png", "driven/said/speech.wav"]
    targets[3:] = [f"results/quoted/{name}" for name in targets[3:]]
    done = Project(folder, [config]).snakemake(*targets)
    assert done.returncode == 0, done.stdout
    assert all((folder / target).stat().st_size for target in targets)
    assert not list(folders.own.rglob(CANARY)), "a shell ran a name"
