"""config.yaml and the code agree."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from ssp_nerf.config import SECTIONS, ModelConfig, section_from_mapping

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.section)
def test_config_yaml_states_every_knob_at_the_papers_value(section):
    stated = yaml.safe_load((ROOT / "config.yaml").read_text())[section.section]
    defaults = dataclasses.asdict(section())
    assert {k: tuple(v) if isinstance(v, list) else v for k, v in stated.items()} == defaults


def test_every_knob_has_a_comment_with_its_source():
    for line in (ROOT / "config.yaml").read_text().splitlines():
        if line.startswith("  ") and not line.strip().startswith("#"):
            assert "#" in line, line


def test_the_demo_preset_uses_the_same_modules():
    demo = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    model = section_from_mapping(ModelConfig, demo["model"])
    assert model.deformation == "pose" and model.structured_codes
    for section in SECTIONS:
        section_from_mapping(section, demo.get(section.section, {}))
