"""ArcFace's network, the residual network of insightface's `arcface_torch`, in its files' layout.

Deng, Guo, Xue, Zafeiriou, ArcFace, CVPR 2019: 3x3 convolutions with PReLU, four stages of 64, 128,
256 and 512 channels; how many blocks each has is read from the file (18, 34, 50 or 100 layers).
"""

import re
from pathlib import Path

import torch
from torch import nn

from ssp_nerf.errors import InputError
from ssp_nerf.weights import WEIGHT_FILES, require_weights

(WEIGHTS_FILE,) = WEIGHT_FILES["evaluation"]["csim_arcface"]
"""Any `backbone.pth` of `arcface_torch`, renamed; its SHA-256 is written with the figures."""
SIDE = 112  # pixels
STAGES = (64, 128, 256, 512)
VECTOR = 512


class Block(nn.Module):
    """Norm, convolution, norm, PReLU, convolution with stride, norm; added to its input."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.prelu = nn.PReLU(out)
        self.conv2 = nn.Conv2d(out, out, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride > 1:
            shortcut = nn.Conv2d(channels, out, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        beside = x if self.downsample is None else self.downsample(x)
        return self.bn3(self.conv2(inside)) + beside


class ArcFace(nn.Module):
    """(B, 3, 112, 112) RGB in [-1, 1] -> (B, 512) identity vectors, not of unit length."""

    def __init__(self, blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STAGES[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STAGES[0])
        self.prelu = nn.PReLU(STAGES[0])
        channels = STAGES[0]
        for i, (out, count) in enumerate(zip(STAGES, blocks, strict=True), 1):
            later = [Block(out, out, 1) for _ in range(count - 1)]
            self.add_module(f"layer{i}", nn.Sequential(Block(channels, out, 2), *later))
            channels = out
        self.bn2 = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels * (SIDE // 16) ** 2, VECTOR)
        self.features = nn.BatchNorm1d(VECTOR)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.prelu(self.bn1(self.conv1(x)))
        for i in range(len(STAGES)):
            x = self.get_submodule(f"layer{i + 1}")(x)
        return self.features(self.fc(self.bn2(x).flatten(1)))


def load_arcface(weights: Path, device: torch.device) -> ArcFace:
    """The network with the file `arcface.pth` of the user's folder.

    Raises:
        InputError: the file is missing or of another layout.
    """
    path = require_weights(
        weights, WEIGHTS_FILE, "evaluation.metrics", "a list without csim_arcface"
    )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = [re.match(r"layer(\d)\.(\d+)\.", key) for key in state]
        deepest = {match[1]: int(match[2]) for match in found if match}  # keys are in order
        blocks = tuple(deepest[str(stage)] + 1 for stage in range(1, len(STAGES) + 1))
        network = ArcFace(blocks)
        network.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: expected a backbone of insightface's arcface_torch as a state dict, but "
            f"{error!r}. Bring another, or set evaluation.metrics to a list without csim_arcface."
        ) from error
    return network.requires_grad_(False).eval().to(device)
