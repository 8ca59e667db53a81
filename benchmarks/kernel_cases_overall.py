"""F_overall, for `benchmarks.kernels`."""

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from benchmarks.kernels import Case
from ssp_nerf.config import ModelConfig
from ssp_nerf.kernels.overall import Roulette
from ssp_nerf.model import Condition, Scene, SSPNeRF

RADIUS = 4.0  # decimetres
CHANNELS = 32


class _AtSamples(torch.nn.Module):
    """The fine level's values, and where its samples are."""

    def __init__(self, model: SSPNeRF):
        super().__init__()
        self.model, self.level = model, model.fine

    def forward(self, x: Tensor, d: Tensor, c: Condition, roulette: Roulette) -> list[Tensor]:
        point, dx = self.model.overall(self.level, x, d, c, roulette)
        return [point.values[..., :15], dx.detach()]


def scene() -> Scene:
    """A face of the usual size: a bent grid of 1,764 vertices, two decimetres high."""
    u, v = np.meshgrid(np.linspace(-1, 1, 42), np.linspace(-1, 1, 42))
    vertices = np.stack([0.8 * u, v, 0.6 * (1 - u**2) * (1 - v**2)], axis=-1).reshape(-1, 3)
    return Scene(vertices.astype(np.float32), 4.5, 9.3, RADIUS, CHANNELS)


def cases_overall(
    device: torch.device,
    rays: int,
    samples: int = 192,
    frames: int = 1,
    config: ModelConfig | None = None,
    tolerance: float = 0.0,
) -> list[Case]:
    """At `rays` rays of `frames` frames, with a gradient for every input that has one."""
    config = config or ModelConfig()
    torch.manual_seed(0)
    model = SSPNeRF(config, scene())
    if model.fine.deformation is not None:
        torch.nn.init.normal_(model.fine.deformation.displacement.weight, std=0.02)
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    codes = model.structured_codes() if model.structured_codes is not None else []
    volume = [random(*level.shape) for level in codes]
    weights = {
        name: w.detach() + 0.01 * random(*w.shape) for name, w in model.fine.named_parameters()
    }
    d = random(frames, rays // frames, 3)
    inputs = {
        "x": random(frames, rays // frames, samples, 3),
        "d": d / d.norm(dim=-1, keepdim=True),
        "t": torch.rand(frames, generator=generator),
        "p_h": random(frames, 6),
        "a": random(frames, config.audio_code),
        **{f"volume {i}": level for i, level in enumerate(volume)},
        **weights,
    }
    inputs = {name: value.to(device) for name, value in inputs.items()}
    seed = torch.zeros(1, dtype=torch.int64, device=device)
    whole = _AtSamples(model.to(device))

    def function(**given: Tensor) -> list[Tensor]:
        levels = [given[f"volume {i}"] for i in range(len(volume))]
        arguments = (
            given["x"], given["d"], Condition(given["t"], given["p_h"], given["a"], levels or None),
            Roulette(seed, tolerance),
        )  # fmt: skip
        return functional_call(
            whole.to(given["x"].dtype), {f"level.{n}": given[n] for n in weights}, arguments
        )

    given = ("x", "d", "t", "p_h")
    wanted = tuple(name for name in inputs if name not in given and inputs[name].numel())
    return [Case("F_overall", function, inputs, wanted, autocast=True)]
