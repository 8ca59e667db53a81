"""What tells the ablations' variants apart."""

import dataclasses

import pytest

from ssp_nerf.config import ModelConfig, TrainingConfig
from ssp_nerf.variants import FULL, VARIANTS, variant_named

STEPS = 700
MODEL = ModelConfig(width=24, deformation="none", structured_codes=False)  # a subject's own choice
TRAINING = TrainingConfig(rays=64, seed=5, steps=9, dynamic_sampling=False, semantic_branch=False)


def settings(variant) -> dict:
    model = variant.configured(MODEL, STEPS)
    return dataclasses.asdict(model) | dataclasses.asdict(variant.configured(TRAINING, STEPS))


def test_full_is_the_whole_method_at_the_subjects_sizes():
    subject = dataclasses.asdict(MODEL) | dataclasses.asdict(TRAINING)
    assert settings(FULL) == subject | {
        "deformation": "pose",
        "structured_codes": True,
        "semantic_branch": True,
        "dynamic_sampling": True,
        "steps": STEPS,
        "decay_steps": STEPS,
    }


@pytest.mark.parametrize(
    ("name", "table", "switch"),
    [
        ("without_deformation", 4, {"deformation": "none"}),
        ("deformation_by_audio", 4, {"deformation": "audio"}),
        ("without_semantic_branch", 5, {"semantic_branch": False}),
        ("without_dynamic_sampling", 5, {"dynamic_sampling": False}),
        ("without_3d_information", 5, {"structured_codes": False}),
    ],
)
def test_a_variant_differs_from_full_in_its_switch_alone(name, table, switch):
    variant = variant_named(name)
    assert variant.table == table
    assert settings(variant) == settings(FULL) | switch


def test_the_variants_are_the_rows_of_the_papers_tables():
    assert len(VARIANTS) == 6 and VARIANTS[-1] is FULL
    for variant in VARIANTS[:-1]:  # in the paper each of them is worse in every figure
        assert variant.paper["psnr"] < FULL.paper["psnr"]
        assert variant.paper["ssim"] < FULL.paper["ssim"]
        assert variant.paper["lmd"] > FULL.paper["lmd"]
