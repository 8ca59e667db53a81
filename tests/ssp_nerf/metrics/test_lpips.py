"""LPIPS: our network and the authors' package, the same weights, the same figure."""

import importlib
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from ssp_nerf.errors import InputError
from ssp_nerf.files import sha256
from ssp_nerf.metrics import lpips as ours


def alexnet_layers() -> nn.Sequential:
    """The layers that torchvision names `features`, written out (Krizhevsky 2014)."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )


@pytest.fixture
def trunk(tmp_path, monkeypatch) -> nn.Sequential:
    """Random weights in a file of the real layout."""
    torch.manual_seed(0)
    layers = alexnet_layers()
    state = {f"features.{key}": value for key, value in layers.state_dict().items()}
    state["classifier.6.bias"] = torch.zeros(1000)  # of the rest, which is not needed
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    name = f"alexnet-owt-{sha256(path)[:8]}.pth"
    path.rename(tmp_path / name)
    monkeypatch.setattr(ours, "TRUNK_FILE", name)
    return layers


@pytest.fixture
def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (80, 96, 3), np.uint8)
    return np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255).astype(np.uint8), truth


def test_lpips_is_the_packages(tmp_path, trunk, pictures, monkeypatch):
    torchvision = types.ModuleType("torchvision")  # the package asks it only for the trunk
    torchvision.models = types.SimpleNamespace(
        alexnet=lambda pretrained: types.SimpleNamespace(features=trunk)
    )
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    package = importlib.import_module("lpips")
    theirs = package.LPIPS(net="alex", verbose=False)
    batch = [
        torch.from_numpy(picture.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
        for picture in pictures
    ]
    with torch.no_grad():
        expected = float(theirs(*batch))
    network = ours.load(tmp_path, torch.device("cpu"))
    assert ours.lpips(network, *pictures) == pytest.approx(expected, rel=1e-5)
    assert expected > 1e-4


def test_lpips_of_the_same_picture_is_zero_and_symmetric(tmp_path, trunk, pictures):
    network = ours.load(tmp_path, torch.device("cpu"))
    picture, truth = pictures
    assert ours.lpips(network, picture, picture) == 0
    there, back = ours.lpips(network, picture, truth), ours.lpips(network, truth, picture)
    assert there == pytest.approx(back) and there > 0
    assert np.isnan(ours.lpips(network, picture[:20, :20], truth[:20, :20]))


def test_a_missing_trunk_is_named_with_its_key(tmp_path):
    with pytest.raises(InputError, match=r"alexnet-owt-7be5be79\.pth.*evaluation\.weights"):
        ours.load(tmp_path, torch.device("cpu"))


def test_a_file_of_another_network_is_refused(tmp_path, monkeypatch):
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "w.pth")
    name = f"alexnet-owt-{sha256(tmp_path / 'w.pth')[:8]}.pth"
    (tmp_path / "w.pth").rename(tmp_path / name)
    monkeypatch.setattr(ours, "TRUNK_FILE", name)
    with pytest.raises(InputError, match="expected torchvision's AlexNet"):
        ours.load(tmp_path, torch.device("cpu"))
