"""A copy of the project in an empty folder, run as a user would."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PARTS = (
    "Snakefile", "rules", "envs", "schemas", "profiles", "config", "config.yaml", "ssp_nerf",
    "preprocess", "report",
)  # fmt: skip


@dataclass
class Project:
    """A checkout and the config files that its runs use."""

    folder: Path
    configs: list[Path]

    def snakemake(
        self, *arguments: str, overlay: Path | None = None
    ) -> subprocess.CompletedProcess:
        """Call snakemake in the folder; output and errors are one text."""
        with self.start(*arguments, overlay=overlay) as process:
            said, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, said)

    def start(self, *arguments: str, overlay: Path | None = None, **more: Any) -> subprocess.Popen:
        """The same, not waited for; more: for Popen."""
        return self.popen(
            self.command(*arguments, overlay=overlay), **{"stdout": subprocess.PIPE, **more}
        )

    def popen(self, words: list[str], **more: Any) -> subprocess.Popen:
        """A program in the folder, which finds this Python's programs; errors go to its output."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.Popen(
            words,
            cwd=self.folder,
            env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "2"},
            stderr=subprocess.STDOUT,
            text=True,
            **more,
        )

    def command(self, *arguments: str, overlay: Path | None = None) -> list[str]:
        """The words of a call of snakemake."""
        configs = [str(path) for path in [*self.configs, *([overlay] if overlay else [])]]
        options = ["--configfile", *configs, "--cores", "2"]
        return [sys.executable, "-m", "snakemake", *options, *arguments]

    def planned(self, overlay: Path | None = None, target: str = "all") -> dict[str, int]:
        """Rules that a run would execute now, and how often, from a dry run of the target."""
        done = self.snakemake("--dry-run", target, overlay=overlay)
        assert done.returncode == 0, done.stdout
        if "Nothing to be done" in done.stdout:
            return {}
        jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE))
        assert jobs.pop("total")
        jobs.pop("all", None)
        return {rule: int(count) for rule, count in jobs.items()}


def checkout(folder: Path) -> Path:
    """Copy what the workflow needs into an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / part, ignore=ignore)
        else:
            shutil.copy(source, folder / part)
    return folder


@pytest.fixture(scope="session")
def tiny_config() -> Path:
    return Path(__file__).with_name("tiny.yaml")
