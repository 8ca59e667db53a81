"""A synthetic clip, its speech, and a small model trained on it."""

from pathlib import Path

import pytest

from tests import clips
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


@pytest.fixture
def speech(tmp_path):
    return clips.write_wav(tmp_path / "talk.wav", clips.speech(1.0))


@pytest.fixture
def driven(tmp_path):
    return clip.write_render(tmp_path / "driven.h5", [0, 1, 2], clip.pictures()[:3], take="driven")
