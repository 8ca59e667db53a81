"""The ablations of the paper's tables 4 and 5: portraits that differ in one switch each."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ssp_nerf.config import Checked, ModelConfig, Section, TrainingConfig
from ssp_nerf.errors import InputError


class Switch(NamedTuple):
    """What a variant has otherwise than the whole method."""

    section: type[Checked]
    field: str
    value: Any


@dataclass(frozen=True, eq=False)
class Variant:
    """A row of the paper's tables.

    Attributes:
        name: of its folder and in CSV.
        title: what people read.
        table: of the paper, 4 or 5; None for the whole method, which closes both.
        switch: None for the whole method.
        paper: what the paper measured.
    """

    name: str
    title: str
    table: int | None
    switch: Switch | None
    paper: Mapping[str, float]

    def configured(self, config: Section, steps: int) -> Section:
        """The subject's model or training section as this variant is trained.

        Every switch is on, whatever the subject's config says, but this variant's; the schedule of
        the learning rate is fitted to the steps.
        """
        section = type(config)
        switches = [v.switch for v in VARIANTS if v.switch and v.switch.section is section]
        values = {switch.field: getattr(section(), switch.field) for switch in switches}
        if self.switch in switches:
            values[self.switch.field] = self.switch.value
        if section is TrainingConfig:
            values |= {"steps": steps, "decay_steps": steps}
        return dataclasses.replace(config, **values)


VARIANTS = (
    Variant(
        "without_deformation",
        "without deformation",
        4,
        Switch(ModelConfig, "deformation", "none"),
        {"psnr": 27.472, "ssim": 0.791, "lmd": 4.635, "sync_confidence": 4.744},
    ),
    Variant(
        "deformation_by_audio",
        "deformation by audio",
        4,
        Switch(ModelConfig, "deformation", "audio"),
        {"psnr": 28.013, "ssim": 0.802, "lmd": 5.329, "sync_confidence": 3.871},
    ),
    Variant(
        "without_semantic_branch",
        "without semantic branch",
        5,
        Switch(TrainingConfig, "semantic_branch", False),
        {"psnr": 29.479, "ssim": 0.832, "lmd": 4.886, "sync_confidence": 4.562},
    ),
    Variant(
        "without_dynamic_sampling",
        "without dynamic sampling",
        5,
        Switch(TrainingConfig, "dynamic_sampling", False),
        {"psnr": 29.514, "ssim": 0.826, "lmd": 4.916, "sync_confidence": 4.490},
    ),
    Variant(
        "without_3d_information",
        "without 3D information",
        5,
        Switch(ModelConfig, "structured_codes", False),
        {"psnr": 31.059, "ssim": 0.845, "lmd": 4.683, "sync_confidence": 4.739},
    ),
    Variant(
        "full",
        "full",
        None,
        None,
        {"psnr": 32.785, "ssim": 0.876, "lmd": 4.495, "sync_confidence": 4.993},
    ),
)
FULL = VARIANTS[-1]


def variant_named(name: str) -> Variant:
    """The variant of that name.

    Raises:
        InputError: there is none.
    """
    for variant in VARIANTS:
        if variant.name == name:
            return variant
    known = ", ".join(variant.name for variant in VARIANTS)
    raise InputError(f"--variant {name}: no such variant. Expected one of {known}.")
