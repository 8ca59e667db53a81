"""config.yaml and the code agree."""

import dataclasses
from pathlib import Path
from unittest.mock import patch

import jsonschema
import pytest
import yaml

from preprocess import audio_features, background, crop, face_model, landmarks, pack, parsing
from preprocess.check import admit
from preprocess.demo_subject import __main__ as demo_subject
from preprocess.qc import landmarks as qc_landmarks
from ssp_nerf.config import SECTIONS, ModelConfig, section_from_mapping

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.section)
def test_config_yaml_states_every_knob_at_the_papers_value(section):
    stated = yaml.safe_load((ROOT / "config.yaml").read_text())[section.section]
    stated.pop("videos", None)  # files of the user's, the workflow's affair
    defaults = dataclasses.asdict(section())
    assert {k: tuple(v) if isinstance(v, list) else v for k, v in stated.items()} == defaults


COMMANDS = {
    "check": admit,
    "crop": crop,
    "landmarks": landmarks,
    "parsing": parsing,
    "background": background,
    "face_model": face_model,
    "audio": audio_features,
    "pack": pack,
    "qc": qc_landmarks,
}


@pytest.mark.parametrize("section", COMMANDS)
def test_config_yaml_states_the_defaults_of_each_stage(section, capsys):
    with pytest.raises(SystemExit):
        COMMANDS[section].main(["--help"])
    shown = " ".join(capsys.readouterr().out.split()).replace(", --no-", " --no-")
    stated = yaml.safe_load((ROOT / "config.yaml").read_text())[section]
    if section == "pack":
        assert stated.pop("size") == 450  # the command keeps the stored size, which crop.size is
    assert stated
    for key, value in stated.items():
        # The last mention is the option's own entry; its default ends the entry.
        entry = shown.rpartition(f" --{key.replace('_', '-')} ")[2]
        assert entry.partition("(default: ")[2].startswith(f"{value})"), key


def test_the_defaults_of_a_synthetic_person_are_valid_and_can_all_be_set():
    with patch.object(demo_subject, "make_demo_subject") as made:
        demo_subject.main(["--folder", "somewhere"])
    defaults = made.call_args.kwargs
    del defaults["folder"], defaults["workers"]
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["demo_subjects"] = {"default": defaults}
    schema = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
    jsonschema.Draft202012Validator(schema).validate(config)
    settable = schema["properties"]["demo_subjects"]["additionalProperties"]["properties"]
    assert set(settable) == set(defaults)


def test_every_knob_has_a_comment_with_its_source():
    for line in (ROOT / "config.yaml").read_text().splitlines():
        if line.startswith("  ") and not line.strip().startswith("#"):
            assert "#" in line, line


def test_the_papers_choice_is_made_for_every_stage_that_has_one(tmp_path):
    paper = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text())
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert {(section, key) for section, keys in paper.items() for key in keys} == {
        ("landmarks", "detector"),
        ("parsing", "parser"),
        ("face_model", "model"),
        ("audio", "extractor"),
    }
    for section, keys in paper.items():
        assert all(config[section][key] != value for key, value in keys.items())
        config[section] |= keys
    schema = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
    jsonschema.Draft202012Validator(schema).validate(config)


def test_the_demo_preset_uses_the_same_modules():
    demo = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    model = section_from_mapping(ModelConfig, demo["model"])
    assert model.deformation == "pose" and model.structured_codes
    for section in SECTIONS:
        section_from_mapping(section, demo.get(section.section, {}))
