"""From windows of speech features to the audio code a of a frame (paper, sections 3.1 and 4.1)."""

import torch
from torch import Tensor, nn

WINDOW_STEPS = 16
"""Feature steps in a window: 320 ms at 50 Hz (as AD-NeRF takes from DeepSpeech)."""

ATTENDED_WINDOWS = 8
"""Neighbouring windows that the self-attention smooths over (as AD-NeRF)."""

LEAK = 0.02  # slope of the leaky ReLUs, as in AD-NeRF's audio network


class AudioEncoder(nn.Module):
    """A 1-D convolutional network over a window, then self-attention over neighbouring windows.

    The features are standardised by the training clip's mean and deviation first, so that any
    extractor (log-mel, DeepSpeech logits) meets the network on the same scale.

    Args:
        channels: width C of the features.
        code: width of the audio code (paper: 64).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, code: int = 64):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        widths = (channels, code // 2, code // 2, code, code)
        layers: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):  # 16 -> 8 -> 4 -> 2 -> 1 steps
            layers += [nn.Conv1d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(LEAK)]
        self.convolutions = nn.Sequential(*layers)
        self.project = nn.Sequential(
            nn.Linear(code, code), nn.LeakyReLU(LEAK), nn.Linear(code, code)
        )
        for layer in [*self.convolutions, *self.project]:
            if isinstance(layer, nn.Conv1d | nn.Linear):
                # PyTorch's own start lets 0.002 of the speech's variation through.
                nn.init.kaiming_normal_(layer.weight, LEAK, nonlinearity="leaky_relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        attention: list[nn.Module] = []
        for before, after in zip((code, 16, 8, 4, 2), (16, 8, 4, 2, 1), strict=True):
            attention += [nn.Conv1d(before, after, 3, padding=1), nn.LeakyReLU(LEAK)]
        self.attention = nn.Sequential(
            *attention,
            nn.Flatten(),
            nn.Linear(ATTENDED_WINDOWS, ATTENDED_WINDOWS),
            nn.Softmax(dim=-1),
        )

    def standardise_by(self, windows: Tensor) -> None:
        """Set mean and deviation from training windows (N, 16, C)."""
        self.mean.copy_(windows.mean(dim=(0, 1)))
        self.deviation.copy_(windows.std(dim=(0, 1)).clamp_min(1e-3))

    def encode(self, windows: Tensor) -> Tensor:
        """Windows (N, 16, C) -> codes (N, 64), each on its own."""
        x = (windows - self.mean) / self.deviation
        return self.project(self.convolutions(x.transpose(1, 2)).squeeze(-1))

    def forward(self, windows: Tensor) -> Tensor:
        """Neighbouring windows (B, 8, 16, C) -> smoothed audio codes a (B, 64), always in fp32."""
        with torch.autocast(windows.device.type, enabled=False):  # too few numbers to convert
            codes = self.encode(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
            attention = self.attention(codes.transpose(1, 2))  # (B, 8), sums to 1
            return torch.einsum("bn,bnc->bc", attention, codes)


def neighbouring_windows(windows: Tensor, frames: Tensor) -> Tensor:
    """The 8 windows around each frame, repeated at the ends of the speech.

    Args:
        windows: (N, 16, C) of the whole speech.
        frames: (B,) frame numbers.

    Returns:
        (B, 8, 16, C): frames i-4 .. i+3.
    """
    offsets = torch.arange(ATTENDED_WINDOWS, device=frames.device) - ATTENDED_WINDOWS // 2
    return windows[(frames[:, None] + offsets).clamp(0, len(windows) - 1)]
