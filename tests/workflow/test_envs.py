"""The conda environments agree with requirements.txt, and have what the rules' commands import."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
ENVS = sorted(ROOT.glob("envs/*.yaml"))
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)$")
CHOSEN = {  # environments that the config chooses between (rules/common.smk)
    "SPEECH_ENV": ("preprocess", "speech"),
    "LANDMARKS_ENV": ("preprocess", "evaluation"),
    "PARSING_ENV": ("preprocess", "evaluation"),
}
ELSEWHERE = {  # imports of which no environment need name the package
    "cv2": "mediapipe brings its own build",
    "imageio_ffmpeg": "for where no ffmpeg is on PATH, and these have one",
    "triton": "comes with PyTorch for GPUs; without, plain PyTorch computes",
}
COMPLETE = [  # what an environment is there for: with all that is imported only once it is used
    ("evaluation", "ssp_nerf.evaluate"),
    ("evaluation", "preprocess.landmarks"),
    ("evaluation", "preprocess.parsing"),
    ("speech", "preprocess.audio_features"),
    ("preprocess", "ssp_nerf.download"),
    ("ssp_nerf", "ssp_nerf.train"),
    ("ssp_nerf", "ssp_nerf.render"),
    ("ssp_nerf", "ssp_nerf.gather"),
    ("demo_subject", "preprocess.demo_subject.__main__"),
]


def pins(lines):
    return {m[1].lower(): m[2] for line in lines if (m := PIN.match(line.strip()))}


LOCKED = pins((ROOT / "requirements.txt").read_text().splitlines())


def installed(env: Path) -> tuple[list[str], list[str]]:
    """What pip installs with its needs, and what without."""
    needs = yaml.safe_load(env.read_text())["dependencies"]
    (pip,) = [need["pip"] for need in needs if isinstance(need, dict)]
    script = env.with_suffix(".post-deploy.sh")
    words = script.read_text().split() if script.exists() else []
    return pip, [word for word in words if PIN.match(word)]


@cache
def packages(env: Path) -> set[str]:
    """All that an environment then has."""
    waiting, alone = ([pin.partition("==")[0] for pin in part] for part in installed(env))
    found: set[str] = set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found and name in {*map(canonicalize_name, LOCKED), "torch"}:
            needs = map(Requirement, metadata.requires(name) or [])
            waiting += [n.name for n in needs if not n.marker or n.marker.evaluate({"extra": ""})]
        found.add(name)
    return found | {canonicalize_name(name) for name in alone}


def commands() -> list[tuple[str, str]]:
    """Environments and the modules that rules start in them."""
    found = set()
    for file in ROOT.glob("rules/*.smk"):
        _, *rules = re.split(r"^(?=(?:use )?rule )", file.read_text(), flags=re.MULTILINE)
        for rule in rules:
            env = re.search(r'    conda:\s+(?:"\.\./envs/(\w+)\.yaml"|(\w+))', rule)
            for module in re.findall(r"-m ((?:preprocess|ssp_nerf)[\w.]*)", rule):
                assert env, rule
                if (ROOT / module.replace(".", "/") / "__main__.py").exists():
                    module += ".__main__"
                found |= {(name, module) for name in ([env[1]] if env[1] else CHOSEN[env[2]])}
    return sorted(found)


def statements(node: ast.AST, at_start: bool) -> Iterator[ast.AST]:
    """Import statements: those that run when the module is imported, or all."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        elif not (at_start and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))):
            yield from statements(child, at_start)


def source(module: str) -> Path | None:
    path = ROOT / module.replace(".", "/")
    return next(
        (p for p in (path / "__init__.py", path.with_suffix(".py")) if p.is_file()), None
    )  # fmt: skip


@cache
def imported_names(path: Path, at_start: bool) -> list[str]:
    """Dotted names that a file imports; of `from a import b` both a and a.b."""
    names = []
    for node in statements(ast.parse(path.read_text()), at_start):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        else:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def imports(module: str, at_start: bool) -> dict[str, str]:
    """Others' packages that a command imports, and where."""
    found: dict[str, str] = {}
    waiting, seen = [module], set()
    while waiting:
        name = waiting.pop()
        path = source(name)
        if name in seen or path is None:
            continue
        seen.add(name)
        for other in imported_names(path, at_start):
            top = other.partition(".")[0]
            if top in ("ssp_nerf", "preprocess"):
                waiting.append(other)
            elif top not in sys.stdlib_module_names and top not in ELSEWHERE:
                found[top] = name
    return found


def missing(env: str, module: str, at_start: bool) -> dict[str, str]:
    has = packages(ROOT / "envs" / f"{env}.yaml")
    owners = metadata.packages_distributions()
    return {
        top: where
        for top, where in imports(module, at_start).items()
        if not has & {canonicalize_name(owner) for owner in owners.get(top, [top, f"{top}-bin"])}
    }


@pytest.mark.parametrize("env", ENVS, ids=lambda path: path.stem)
def test_a_conda_environment_pins_what_is_locked(env):
    pinned = pins([pin for part in installed(env) for pin in part])
    assert pinned
    assert {name: version for name, version in pinned.items() if name != "torch"} == {
        name: LOCKED[name] for name in pinned if name != "torch"
    }


def test_every_rule_names_an_environment_that_exists():
    named = {
        name for rules in ROOT.glob("rules/*.smk")
        for name in re.findall(r'"\.\./envs/(\w+)\.yaml"', rules.read_text())
    }  # fmt: skip
    assert named == {path.stem for path in ENVS}


@pytest.mark.parametrize(("env", "module"), commands())
def test_an_environment_has_what_its_commands_start_with(env, module):
    assert not missing(env, module, at_start=True)


@pytest.mark.parametrize(("env", "module"), COMPLETE)
def test_an_environment_has_all_that_it_is_there_for(env, module):
    assert not missing(env, module, at_start=False)


@pytest.mark.thorough
@pytest.mark.parametrize("env", ENVS, ids=lambda path: path.stem)
def test_pip_s_part_of_an_environment_can_be_had_and_its_commands_start(env, tmp_path):
    """Solved and installed as conda does once it has made Python; conda's own part is not tried."""
    alone = env.with_suffix(".post-deploy.sh")
    venv = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    there = {**os.environ, "PATH": f"{venv}/bin{os.pathsep}{os.environ['PATH']}"}
    there["PYTHONPATH"] = str(ROOT)
    python = venv / "bin/python"
    subprocess.run([python, "-m", "pip", "install", "-q", *installed(env)[0]], check=True)
    if alone.exists():
        subprocess.run(["bash", alone], check=True, env=there)
    for name, module in commands():
        if name == env.stem:
            command = [python, "-m", module.removesuffix(".__main__"), "--help"]
            done = subprocess.run(command, env=there, capture_output=True, text=True)
            assert done.returncode == 0, (module, done.stderr)
