"""Weights for face-alignment's own networks, set by hand so that what they find is known.

The "face" is a grey disc with a red, a green and a blue spot on a dark ground. s3fd's weights make
it find the disc; those of 2DFAN4 make nine points in turn lie on each spot. The files are what the
real ones are: state dicts of the library's classes, of the same size.
"""

from pathlib import Path

import numpy as np
import torch
from face_alignment.detection.sfd.net_s3fd import s3fd
from face_alignment.models import FAN
from torch import nn

from ssp_nerf.files import sha256

GROUND, DISC = 20, 130  # grey levels
SPOTS = ((-0.4, -0.3), (0.4, -0.2), (0.05, 0.45))  # red, green, blue; radii of the disc
SPOT_SIGMA = 0.1  # radii
SPOT_OF_POINT = np.arange(68) // 9 % 3

BOX = 2.2  # side of the box that s3fd gives, over the radius it is made for
DETECTED_RADIUS = 45.0  # pixels of the picture that s3fd sees
STRIDE = 16  # of the level that finds it; its prior is four times as wide
SCALE_VARIANCE = 0.2  # bbox.decode
MEAN_COLOUR = (104, 117, 123)  # that detect.py takes away


def picture(size: int, centre: complex, radius: float, turn: float = 0.0) -> np.ndarray:
    """(size, size, 3) uint8 with a face; `turn` in radians, clockwise."""
    y, x = np.mgrid[:size, :size] + 0.5
    inside = np.clip(radius - np.abs(x + 1j * y - centre) + 0.5, 0, 1)[..., None]
    image = np.full((size, size, 3), GROUND, float) * (1 - inside) + DISC * inside
    for colour, spot in enumerate(spots(centre, radius, turn)):
        distance = np.abs(x + 1j * y - spot) / (SPOT_SIGMA * radius)
        share = np.exp(-(distance**2) / 2)[..., None]
        image = image * (1 - share) + 255 * np.eye(3)[colour] * share
    return image.round().astype(np.uint8)


def spots(centre: complex, radius: float, turn: float = 0.0) -> np.ndarray:
    """(3,) complex places of the spots, pixels."""
    return centre + radius * np.exp(1j * turn) * np.array([complex(*spot) for spot in SPOTS])


def face_points(centre: complex, radius: float, turn: float = 0.0) -> np.ndarray:
    """(68, 2) where the networks are to find the points."""
    places = spots(centre, radius, turn)[SPOT_OF_POINT]
    return np.stack([places.real, places.imag], axis=1)


def write(folder: Path, name: str, network: nn.Module) -> str:
    """Save weights under a name that holds the beginning of their SHA-256; returns the name."""
    path = folder / "weights"
    torch.save(network.state_dict(), path)
    named = name.format(sha256(path)[:10])
    path.rename(folder / named)
    return named


@torch.no_grad()
def disc_finder() -> s3fd:
    """Level conv5_3 fires where the surroundings, 7 by 7 cells, are brightest."""
    network = s3fd()
    for parameter in network.parameters():
        parameter.zero_()
    signal, constant = 0, 1
    for name, layer in network.named_children():
        if "mbox_conf" in name:
            layer.bias[:] = torch.tensor([10.0] * (len(layer.bias) - 1) + [-10.0])  # no face
        elif isinstance(layer, nn.Conv2d) and "mbox" not in name:
            layer.bias[constant] = 1
            middle = layer.weight.shape[-1] // 2
            if name == "conv1_1":  # mean level less that of the ground, over 100
                layer.weight[signal, :, middle, middle] = 1 / 300
                layer.bias[signal] = (sum(MEAN_COLOUR) / 3 - 1.5 * GROUND) / 100
            elif name.startswith("conv5"):
                layer.weight[signal, signal] = 1 / 9
            else:
                layer.weight[signal, signal, middle, middle] = 1
    network.conv5_3_norm.weight[:] = 1  # signal over the length of (signal, constant)
    network.conv5_3_norm_mbox_conf.weight[1, signal, 1, 1] = 40
    network.conv5_3_norm_mbox_conf.bias[:] = torch.tensor([0.0, -16.0])
    wanted = BOX * DETECTED_RADIUS / (4 * STRIDE)
    network.conv5_3_norm_mbox_loc.bias[2:] = float(np.log(wanted)) / SCALE_VARIANCE
    return network


@torch.no_grad()
def spot_finder() -> FAN:
    """Heat maps that are the amount of a colour."""
    network = FAN(4)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.zero_()
            if layer.bias is not None:
                layer.bias.zero_()
            if "downsample" in name or name.startswith("conv_last"):
                side = min(layer.weight.shape[:2])
                layer.weight[:side, :side, 0, 0] = torch.eye(side)
    # Red less green, green less red, blue less red: of grey nothing is left. Two pixels each way,
    # so that a cell of the heat map sees the four pixels it covers.
    difference = torch.tensor([[1.0, -1, 0], [-1, 1, 0], [-1, 0, 1]])
    network.conv1.weight[:3, :, 3:5, 3:5] = difference[:, :, None, None] / 4
    for stack in range(4):
        # A block adds its convolutions to its input; here they take it away, and the hourglass is
        # left with its outermost branch.
        block = getattr(network, f"m{stack}")._modules["b3_4"]
        block.conv1.weight[:3, :3, 1, 1] = -torch.eye(3)
        heat = getattr(network, f"l{stack}")
        heat.weight[range(68), SPOT_OF_POINT, 0, 0] = 1
    return network
