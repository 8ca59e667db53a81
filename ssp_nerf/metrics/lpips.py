"""LPIPS, learned perceptual image patch similarity; 0: the same, lower is better.

Reference: Zhang, Isola, Efros, Shechtman, Wang, The unreasonable effectiveness of deep features as
a perceptual metric, CVPR 2018; version 0.1 of the authors' package `lpips`.
Protocol: AlexNet's features after each of five ReLUs, unit length over channels; squared
differences weighted by the package's linear layers, mean over pixels, sum over layers. Full frame
and face crop.
Pitfalls: AlexNet and VGG give other figures, so the name says which (`lpips_alex`); depends on the
resolution. ImageNet's weights of the trunk are not in the package: the user brings them.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ssp_nerf.errors import InputError
from ssp_nerf.weights import WEIGHT_FILES, require_weights, sha256_in_name

(TRUNK_FILE,) = WEIGHT_FILES["evaluation"]["lpips"]
"""AlexNet as torchvision's hub has it; its name holds how its SHA-256 begins."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""ImageNet's mean and deviation, of pictures in [-1, 1], as the package has them."""
CONVOLUTIONS = (  # in, out, size, stride, padding, pooling by 3, stride 2, before it
    (3, 64, 11, 4, 2, False),
    (64, 192, 5, 1, 2, True),
    (192, 384, 3, 1, 1, True),
    (384, 256, 3, 1, 1, False),
    (256, 256, 3, 1, 1, False),
)
TRUNK_PLACES = (0, 3, 6, 8, 10)  # of the convolutions among torchvision's layers
LEAST_SIDE = 35  # pixels that leave something after the second pooling
LENGTH_EPS = 1e-10


class Lpips(nn.Module):
    """The network: layer i of AlexNet and its weights are `trunk[i]` and `linear[i]`."""

    shift: torch.Tensor
    scale: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.ModuleList()
        for channels, out, size, stride, padding, pooled in CONVOLUTIONS:
            convolution = nn.Conv2d(channels, out, size, stride, padding)
            pool = [nn.MaxPool2d(3, 2)] if pooled else []
            self.trunk.append(nn.Sequential(*pool, convolution, nn.ReLU()))
        self.linear = nn.ParameterList(
            nn.Parameter(torch.zeros(out)) for _, out, *_ in CONVOLUTIONS
        )
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])

    def forward(self, pictures: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) pictures in [-1, 1] -> (B,) distances."""
        x = (torch.cat([pictures, truth]) - self.shift) / self.scale
        distance = torch.zeros(len(pictures), device=x.device)
        for layer, weights in zip(self.trunk, self.linear, strict=True):
            x = layer(x)
            unit = x / ((x**2).sum(1, keepdim=True).sqrt() + LENGTH_EPS)
            ours, theirs = unit.chunk(2)
            difference = (ours - theirs) ** 2
            distance = distance + torch.einsum("bchw,c->bhw", difference, weights).mean((1, 2))
        return distance


def load(weights: Path, device: torch.device) -> Lpips:
    """The network with the trunk of the user's folder and the package's linear layers.

    Raises:
        InputError: the trunk's file or the package is missing, or not what it should be.
    """
    path = require_weights(
        weights,
        TRUNK_FILE,
        "evaluation.metrics",
        "a list without lpips",
        sha256=sha256_in_name(TRUNK_FILE),
    )
    # Found, not imported: the package imports torchvision, of which nothing else is needed here.
    package = find_spec("lpips")
    if package is None or package.origin is None:
        raise InputError("the package lpips is missing: `pip install --no-deps lpips==0.1.4`.")
    linear = Path(package.origin).parent / "weights" / "v0.1" / "alex.pth"
    network = Lpips()
    try:
        trunk = torch.load(path, map_location="cpu", weights_only=True)
        heads = torch.load(linear, map_location="cpu", weights_only=True)
        for i, place in enumerate(TRUNK_PLACES):
            convolution = next(m for m in network.trunk[i].modules() if isinstance(m, nn.Conv2d))
            convolution.load_state_dict(
                {part: trunk[f"features.{place}.{part}"] for part in ("weight", "bias")}
            )
            network.linear[i].data = heads[f"lin{i}.model.1.weight"].reshape(-1)
    except (KeyError, RuntimeError, TypeError) as error:
        raise InputError(
            f"{path}: expected torchvision's AlexNet as a state dict, but {error!r}. Get the file "
            "again."
        ) from error
    return network.requires_grad_(False).eval().to(device)


def lpips(network: Lpips, picture: np.ndarray, truth: np.ndarray) -> float:
    """LPIPS of two (H, W, 3) uint8 RGB pictures; nan below 35 pixels a side."""
    if min(picture.shape[:2]) < LEAST_SIDE:
        return float("nan")
    device = network.shift.device
    batch = [
        torch.from_numpy(image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None].to(device)
        for image in (picture, truth)
    ]
    with torch.inference_mode():
        return float(network(*batch))
