"""A synthetic clip, its speech, and a small model trained on it."""

from pathlib import Path

import pytest

from tests.ssp_nerf import synthetic_clip as clip
from tests.ssp_nerf.small_training import train


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    return clip.write_dataset(tmp_path_factory.mktemp("data") / "dataset.h5")


@pytest.fixture(scope="session")
def trained(tmp_path_factory, dataset) -> Path:
    """A folder with a model of 20 steps, trained without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    train(folder, dataset, "--steps", "20")
    return folder


@pytest.fixture(scope="session")
def features(tmp_path_factory) -> Path:
    return clip.write_features(tmp_path_factory.mktemp("speech") / "features.h5")
