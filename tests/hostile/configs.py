"""Hostile configs, through Snakemake's dry run, and where it calls us, which is fast."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from ssp_nerf.config_file import mistakes_of
from tests.hostile.case import CANARY

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
DEFAULTS = yaml.safe_load((ROOT / "config.yaml").read_text())

REMEDY_BOMB = "Do YAML aliases (*name) repeat each other?"
BOMB = "\n".join(
    ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    + ["subjects: *a8"]
)


@dataclass(frozen=True)
class ConfigCase:
    """A file for `--configfile`, and words of the one line that it is refused with.

    Attributes:
        ours: whether our check refuses it; else Snakemake does, before it calls us.
    """

    what: str
    content: str | bytes
    refusal: str
    ours: bool = True


def subject(**about: object) -> str:
    return yaml.safe_dump({"subjects": {"ann": about}})


CASES = [
    ConfigCase("a number for text", subject(video=5), "subjects.ann.video: 5 is not of type"),
    ConfigCase("no video", subject(start=1), "'video' is a required property"),
    ConfigCase("video is empty", subject(video=""), "subjects.ann.video"),
    ConfigCase("nothing of a subject", "subjects: {ann: }", "subjects.ann: None is not of type"),
    ConfigCase("subjects are a list", "subjects: [ann]", "subjects: ['ann'] is not of type"),
    ConfigCase("an unknown section", "traning: {steps: 5}", "'traning' was unexpected"),
    ConfigCase("an unknown key", "training: {step: 5}", "did you mean 'steps'?"),
    ConfigCase("an unknown key of a stage", "crop: {sise: 64}", "'sise' was unexpected"),
    ConfigCase("a section is a number", "model: 5", "model: 5 is not of type 'object'"),
    ConfigCase("a section is a text", "training: fast", "training: 'fast' is not of type"),
    ConfigCase("a section is a list", "rendering: [1]", "rendering: [1] is not of type"),
    ConfigCase("text for a number", "training: {rays: many}", "training.rays: expected int"),
    ConfigCase("5e-4, which YAML takes for text", "training: {learning_rate: 5e-4}",
               "as in 5.0e-4"),
    ConfigCase("true for a number", "training: {steps: true}", "training.steps: expected int"),
    ConfigCase("a speech with our name for the clip's own end",
               subject(video="a.mp4", speeches={"heldout": "a.wav"}), "subjects.ann.speeches"),
    ConfigCase("a download without a digest", "downloads: {net.pth: {url: 'https://a.b/net.pth'}}",
               "downloads.net.pth"),
    ConfigCase("a download from a file", "downloads: {net.pth: {url: 'file:///etc/passwd', sha256: "
               f"'{64 * '0'}'}}}}", "downloads.net.pth.url"),
    ConfigCase("a download into another folder", "downloads: {../net.pth: {url: 'https://a.b/c', "
               f"sha256: '{64 * '0'}'}}}}", "'../net.pth' does not match"),
    ConfigCase("NaN", "training: {learning_rate: .nan}", "learning_rate: nan is no finite"),
    ConfigCase("infinity", subject(video="a.mp4", start=float("inf")), "start: inf is no finite"),
    ConfigCase("out of range", "crop: {size: 63}", "crop.size: 63 is less than"),
    ConfigCase("negative", "model: {depth: -1}", "model.depth: expected at least 2, got -1"),
    ConfigCase("a huge number", "crop: {size: 1" + "0" * 400 + "}", "crop.size"),
    ConfigCase("a share of 1/0", "pack: {held_out_fraction: 1/0}", "pack.held_out_fraction"),
    ConfigCase("a word that is none of the choices", "device: tpu", "device: 'tpu' is not one of"),
    ConfigCase("subject's name leads outside", "subjects: {../../ann: {video: a.mp4}}",
               "'../../ann' does not match"),
    ConfigCase("subject's name with shell's characters",
               f"subjects: {{'$(touch {CANARY})': {{video: a.mp4}}}}", "does not match"),
    ConfigCase("subject's name with a line break", 'subjects: {"ann\\n": {video: a.mp4}}',
               "does not match"),
    ConfigCase("subject's name is a number", "subjects: {1: {video: a.mp4}}",
               "the key 1 is no text"),
    ConfigCase("subject's name is a date", "subjects: {2026-01-31: {video: a.mp4}}", "is no text"),
    ConfigCase("speech's name leads outside",
               "subjects: {ann: {video: a.mp4, speeches: {../x: b.wav}}}", "'../x' does not match"),
    ConfigCase("braces in a video's name", subject(video="{sample}.mp4"), "in braces"),
    ConfigCase("a zero byte in a name", 'subjects: {ann: {video: "a\\0.mp4"}}', "a zero byte"),
    ConfigCase("rays that GPUs cannot share", "gpus: 7", "expected a multiple of 7"),
    ConfigCase("a certificate without a key", "provenance: {certificate: a.pem}", "provenance.key"),
    ConfigCase("aliases for 387 million values (YAML bomb)", BOMB, REMEDY_BOMB),
    ConfigCase("text of 1 MB", "device: " + "x" * 1_000_000, "is not one of"),
    ConfigCase("nested 60 deep", "subjects: " + "[" * 60 + "]" * 60, REMEDY_BOMB),
    ConfigCase("code in a tag", f"subjects: !!python/object/apply:os.system ['touch {CANARY}']",
               "not valid JSON or YAML", ours=False),
    ConfigCase("not YAML", "a: [1", "not valid JSON or YAML", ours=False),
    ConfigCase("a list at the top", "[1, 2]", "keys at top level", ours=False),
    ConfigCase("empty", "", "keys at top level", ours=False),
]  # fmt: skip


def merged(content: str) -> Mapping[str, object]:
    """What Snakemake makes of config.yaml and a file that adds to it; sections are merged."""
    config = dict(DEFAULTS)
    for key, value in yaml.safe_load(content).items():
        both = isinstance(value, dict) and isinstance(config.get(key), dict)
        config[key] = {**config[key], **value} if both else value
    return config


def mistakes(case: ConfigCase) -> list[str]:
    """What our check says, called as the workflow calls it."""
    assert isinstance(case.content, str)
    return mistakes_of(merged(case.content), SCHEMA)


def dry_run(case: ConfigCase, folder: Path) -> tuple[int, str]:
    """Exit status and output of `snakemake --dry-run --configfile FILE all`."""
    path = folder / "mine.yaml"
    content = case.content
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile",
         "--directory", folder, "--dry-run", "--cores", "1", "--configfile", path,
         ROOT / "config.yaml", path, "--", "all"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout
