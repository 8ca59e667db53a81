"""The whole config, as YAML gave it, checked: one line for each mistake, before anything runs."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from ssp_nerf.config import SECTIONS, Checked, TrainingConfig, section_from_mapping
from ssp_nerf.errors import InputError

MOST_VALUES = 20_000
"""More than any config has; a few lines of YAML whose aliases name each other make billions."""
DEEPEST = 20
WILDCARD = re.compile(r"\{\s*\w+\s*[,}]")  # what Snakemake takes for one
HELD_OUT = "heldout"
OF_THE_WORKFLOW = "videos"  # of the evaluation: files, which rules take as inputs
LONGEST_MESSAGE = 300  # characters of one mistake: some quote the value, and a value may be long


def mistakes_of(config: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """What is wrong with a config, `section.key: what`, in one line each; empty if it can be used.

    Args:
        config: the merged config.
        schema: JSON schema of it (schemas/config.schema.yaml).
    """
    try:
        mistakes = list(_odd_values(config))
    except _TooLargeError:
        return [
            f"more than {MOST_VALUES} values, or more than {DEEPEST} within each other: expected a "
            "config of subjects and knobs. Do YAML aliases (*name) repeat each other?"
        ]
    mistakes += [
        f"{'.'.join(map(str, error.absolute_path)) or 'the top level'}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(config)
    ]
    for section in SECTIONS:
        if isinstance(config.get(section.section) or {}, Mapping):  # else the schema has said it
            try:
                section_from_mapping(section, section_values(config, section))
            except InputError as error:
                mistakes.append(str(error))
    if not mistakes:
        mistakes += _unusable_together(config)
    return [_one_line(mistake) for mistake in mistakes]


def section_values(config: Mapping[str, Any], section: type[Checked]) -> dict[str, Any]:
    """A section of the config without what is only the workflow's."""
    values = config.get(section.section) or {}
    return {key: value for key, value in values.items() if key != OF_THE_WORKFLOW}


def _unusable_together(config: Mapping[str, Any]) -> Iterator[str]:
    for name, about in config["subjects"].items():
        if HELD_OUT in about.get("speeches", {}):
            yield (
                f"subjects.{name}.speeches.{HELD_OUT}: that is what the clip's own end is called "
                "in results/summary.csv: choose another name"
            )
        paths = {"video": about["video"], **about.get("speeches", {})}
        for key, path in paths.items():
            where = f"subjects.{name}.{key if key == 'video' else f'speeches.{key}'}"
            if WILDCARD.search(path):  # Snakemake knows no escape
                yield f"{where}: {path}: Snakemake would fill in what is in braces: rename the file"
    for subject in config["evaluation"]["videos"]:
        if subject not in config["subjects"]:
            known = ", ".join(config["subjects"])
            yield f"evaluation.videos.{subject}: no such subject; there is {known}"
    training = section_from_mapping(TrainingConfig, config["training"])
    multiple = config["gpus"] * training.frames_per_step
    if config["device"] != "cpu" and training.rays % multiple:
        yield (
            f"training.rays: expected a multiple of {multiple} (gpus x training.frames_per_step), "
            f"got {training.rays}"
        )


class _TooLargeError(Exception):
    pass


def _odd_values(config: Mapping[str, Any]) -> Iterator[str]:
    """Keys that are no text, and values that no command line or JSON can hold.

    Raises:
        _TooLargeError: more values than a config has; found without going through all of them.
    """
    left = [("", config, 0)]
    seen = 0
    while left:
        where, value, depth = left.pop()
        seen += 1
        if seen > MOST_VALUES or depth > DEEPEST:
            raise _TooLargeError
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if not isinstance(key, str):
                    yield f"{where or 'the top level'}: the key {key!r} is no text: quote it"
                left.append((f"{where}.{key}" if where else str(key), inner, depth + 1))
        elif isinstance(value, (list, tuple)):
            left += [(f"{where}.{i}", inner, depth + 1) for i, inner in enumerate(value)]
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{where}: {value} is no finite number"
        elif isinstance(value, str) and "\0" in value:
            yield f"{where}: {value!r} holds a zero byte, which no file name or text may"


def _one_line(mistake: str) -> str:
    line = " ".join(mistake.split())
    if len(line) <= LONGEST_MESSAGE:
        return line
    half = LONGEST_MESSAGE // 2
    return f"{line[:half]} ... {line[-half:]}"
