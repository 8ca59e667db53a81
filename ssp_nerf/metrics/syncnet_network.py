"""SyncNet's network, in the layout of the weight file `syncnet_v2.model`.

Chung, Zisserman, Out of time: automated lip sync in the wild, ACCV workshops 2016: two towers, one
of 0.2 s of MFCC, one of five frames of a face; both end in 1024 numbers.
"""

from pathlib import Path

import torch
from torch import nn

from ssp_nerf.errors import InputError
from ssp_nerf.weights import WEIGHT_FILES, require_weights

(WEIGHTS_FILE,) = WEIGHT_FILES["evaluation"]["syncnet"]
SHA256 = "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442"
"""Of the file that the network's authors publish."""
EMBEDDING = 1024
FRAMES = 5  # of a face
SIDE = 224  # pixels of a face crop
CEPSTRA, AUDIO_STEPS = 13, 20  # of MFCC, 10 ms each

# Channels, kernel, stride, padding of a convolution; kernel, stride, padding of the pooling after.
AUDIO = (
    (64, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1), 0)),
    (192, (3, 3), (1, 1), (1, 1), ((3, 3), (1, 2), 0)),
    (384, (3, 3), (1, 1), (1, 1), None),
    (256, (3, 3), (1, 1), (1, 1), None),
    (256, (3, 3), (1, 1), (1, 1), ((3, 3), (2, 2), 0)),
    (512, (5, 4), (1, 1), (0, 0), None),
)
FACE = (
    (96, (5, 7, 7), (1, 2, 2), 0, ((1, 3, 3), (1, 2, 2), 0)),
    (256, (1, 5, 5), (1, 2, 2), (0, 1, 1), ((1, 3, 3), (1, 2, 2), (0, 1, 1))),
    (256, (1, 3, 3), (1, 1, 1), (0, 1, 1), None),
    (256, (1, 3, 3), (1, 1, 1), (0, 1, 1), None),
    (256, (1, 3, 3), (1, 1, 1), (0, 1, 1), ((1, 3, 3), (1, 2, 2), 0)),
    (512, (1, 6, 6), (1, 1, 1), 0, None),
)


class SyncNet(nn.Module):
    """The two towers; the names of the parts are those of the weight file."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = _tower(1, AUDIO, nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d)
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = _tower(3, FACE, nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d)

    def audio(self, mfcc: torch.Tensor) -> torch.Tensor:
        """(B, 1, 13, 20) cepstra by time -> (B, 1024)."""
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1))

    def face(self, crops: torch.Tensor) -> torch.Tensor:
        """(B, 3, 5, 224, 224) BGR, 0 to 255 -> (B, 1024)."""
        return self.netfclip(self.netcnnlip(crops).flatten(1))


def _tower(channels: int, layers: tuple, convolution, norm, pooling) -> nn.Sequential:  # noqa: ANN001
    parts: list[nn.Module] = []
    for out, kernel, stride, padding, pool in layers:
        parts += [convolution(channels, out, kernel, stride, padding), norm(out), nn.ReLU()]
        if pool is not None:
            parts.append(pooling(*pool))
        channels = out
    return nn.Sequential(*parts)


def _head() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING)
    )


def load(weights: Path, device: torch.device) -> SyncNet:
    """SyncNet with the weights in the user's folder.

    Raises:
        InputError: the file is missing, another one, or not of this layout.
    """
    path = require_weights(
        weights, WEIGHTS_FILE, "evaluation.metrics", "a list without syncnet", sha256=SHA256
    )
    network = SyncNet()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        # Files of PyTorch before 0.4 do not count batches.
        wanted = {key for key in network.state_dict() if not key.endswith("num_batches_tracked")}
        found = network.load_state_dict(state, strict=False)
        missing = wanted & set(found.missing_keys)
        if missing or found.unexpected_keys:
            raise KeyError(*sorted(missing), *found.unexpected_keys)
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: expected SyncNet's state dict, but {error!r}. Get the file again."
        ) from error
    return network.requires_grad_(False).eval().to(device)
