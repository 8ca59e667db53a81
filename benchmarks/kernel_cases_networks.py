"""The two implicit functions, for `benchmarks.kernels`."""

import torch
from torch import Tensor

from benchmarks.kernels import Case
from ssp_nerf.config import ModelConfig
from ssp_nerf.encoding import PositionalEncoding
from ssp_nerf.fields import DeformationField, SemanticField
from ssp_nerf.kernels import networks
from ssp_nerf.mlp import LinearWeights, MLPWeights

RADIUS = 4.0
FRAMES = 2


def cases_networks(
    device: torch.device, rays: int, samples: int = 192, config: ModelConfig | None = None
) -> list[Case]:
    """Both functions at `rays` rays, on two frames."""
    config = config or ModelConfig()
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    torch.manual_seed(0)
    sizes = (config.width, config.depth, config.x_levels)
    deform = DeformationField(*sizes, config.time_levels, RADIUS)
    code = sum(config.code_channels)
    field = SemanticField(*sizes, config.direction_levels, RADIUS, config.audio_code, code)
    encode = PositionalEncoding(config.x_levels).to(device)
    x = random(FRAMES, rays // FRAMES, samples, 3)
    frame_bias = random(2, FRAMES, config.width) / 2

    def mlp(module: DeformationField | SemanticField) -> dict[str, Tensor]:
        weights = {name: w.detach().to(device) for name, w in module.mlp.weights._asdict().items()}
        return weights | {"bias": random(*weights["bias"].shape) / 4}

    def displacement(x, frame_bias, gate, inputs, hidden, bias, head, head_bias):
        return [
            networks.displacement(
                x, frame_bias, gate, MLPWeights(inputs, hidden, bias),
                LinearWeights(head, head_bias), encode.to(x.dtype), RADIUS,
            )
        ]  # fmt: skip

    def semantic(
        x, f, view, frame_bias, inputs, hidden, bias, head, head_bias, appearance, appearance_bias,
        view_weight, colour, colour_bias,
    ):  # fmt: skip
        values = networks.semantic_field(
            x, f, view, frame_bias, MLPWeights(inputs, hidden, bias),
            LinearWeights(head, head_bias), LinearWeights(appearance, appearance_bias),
            view_weight, LinearWeights(colour, colour_bias), encode.to(x.dtype), RADIUS,
        )  # fmt: skip
        return [values[..., :15]]

    weights = {
        "head": random(3, config.width) / 11,
        "head_bias": random(3),
    }
    deforming = {"x": x, "frame_bias": frame_bias, "gate": random(FRAMES).tanh(), **mlp(deform)}
    deforming |= weights
    heads = {
        "head": field.density_and_logits.weight,
        "head_bias": field.density_and_logits.bias,
        "appearance": field.appearance.weight,
        "appearance_bias": field.appearance.bias,
        "view_weight": field.view.weight,
        "colour": field.colour.weight,
        "colour_bias": field.colour.bias,
    }
    view = random(FRAMES, rays // FRAMES, field.view.in_features)
    seeing = {
        "x": x,
        "f": random(FRAMES, rays // FRAMES, samples, code),
        "view": view,
        "frame_bias": frame_bias,
        **mlp(field),
        **{name: w.detach().to(device) for name, w in heads.items()},
    }
    return [
        Case(
            "displacement",
            displacement,
            deforming,
            tuple(name for name in deforming if name not in ("x", "gate")),
            autocast=True,
        ),
        Case(
            "semantic field",
            semantic,
            seeing,
            tuple(name for name in seeing if name != "view"),
            autocast=True,
        ),
    ]
