"""The conda environments and requirements.txt agree."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)$")


def pins(lines):
    return {m[1].lower(): m[2] for line in lines if (m := PIN.match(line.strip()))}


LOCKED = pins((ROOT / "requirements.txt").read_text().splitlines())


@pytest.mark.parametrize("env", sorted(ROOT.glob("envs/*.yaml")), ids=lambda path: path.stem)
def test_a_conda_environment_pins_what_is_locked(env):
    needs = yaml.safe_load(env.read_text())["dependencies"]
    (pip,) = [d["pip"] for d in needs if isinstance(d, dict)]
    script = env.with_suffix(".post-deploy.sh")
    words = script.read_text().split() if script.exists() else []
    pinned = pins([*pip, *words])
    assert pinned
    assert {name: version for name, version in pinned.items() if name != "torch"} == {
        name: LOCKED[name] for name in pinned if name != "torch"
    }


def test_every_rule_names_an_environment_that_exists():
    named = {
        name for rules in ROOT.glob("rules/*.smk")
        for name in re.findall(r'"\.\./envs/(\w+)\.yaml"', rules.read_text())
    }  # fmt: skip
    assert named == {path.stem for path in ROOT.glob("envs/*.yaml")}
