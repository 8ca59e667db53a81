"""The two implicit functions: torso deformation (eq. 7) and the semantic-aware field (eq. 6)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssp_nerf.encoding import PositionalEncoding
from ssp_nerf.field_output import FieldOutput
from ssp_nerf.mlp import ConditionedMLP, Linear, network_arithmetic
from ssp_nerf.parsing_map import CLASSES

POSE_WIDTH = 6  # rotation vector and translation
DENSITY_SHIFT = -1.0
"""softplus(h - 1): a field that starts thin but never without gradient, unlike NeRF's ReLU, whose
density can die at the start (mip-NeRF's remedy)."""


class DeformationField(nn.Module):
    """F_deform: (x, t, p_h(t), p_c) -> displacement of x, decimetres (eq. 7).

    The audio code is no input, except in the paper's ablation "deform by a" (table 4), where
    `audio_code` is its width. The displacement is zero for the canonical frame (t = 0, p_h = p_c)
    whatever the weights are, small for frames near it, and zero everywhere before training.
    """

    def __init__(
        self, width: int, depth: int, x_levels: int, time_levels: int, scene_radius: float,
        audio_code: int = 0,
    ):  # fmt: skip
        super().__init__()
        self.scene_radius = scene_radius
        self.encode_x = PositionalEncoding(x_levels)
        self.encode_time = PositionalEncoding(time_levels)
        condition = self.encode_time.width(1) + 2 * POSE_WIDTH + audio_code
        self.mlp = ConditionedMLP(self.encode_x.width(3), condition, width, depth)
        self.displacement = Linear(width, 3)
        nn.init.zeros_(self.displacement.weight)
        nn.init.zeros_(self.displacement.bias)

    def forward(
        self, x: Tensor, t: Tensor, p_h: Tensor, p_c: Tensor, a: Tensor | None = None
    ) -> Tensor:
        """x (B, R, S, 3), t (B,), p_h (B, 6), p_c (6,), a (B, 64) -> displacement (B, R, S, 3)."""
        frame_bias, gate = self.frame(t, p_h, p_c, a)
        h = self.mlp(network_arithmetic(self.encode_x(x / self.scene_radius)), frame_bias)
        return gate[:, None, None, None] * self.displacement(h)

    def frame(
        self, t: Tensor, p_h: Tensor, p_c: Tensor, a: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What a frame's samples share: bias (2, B, width) of the layers, gate (B,)."""
        condition = [self.encode_time(t[:, None]), p_h, p_c.expand_as(p_h)]
        if a is not None:
            condition.append(a)
        # A gate that opened right after t = 0 would let all other frames agree on some offset, and
        # leave the canonical frame blurred.
        way = torch.cat([t[:, None], p_h - p_c], dim=-1).norm(dim=-1)
        return self.mlp.frame_bias(torch.cat(condition, dim=-1)), torch.tanh(way)


class SemanticField(nn.Module):
    """F_semantic: (x, d, a, f) -> colour, density and parsing logits (eq. 6).

    Density and logits do not see the view direction d: what a point is does not depend on where it
    is looked at from (section 3.2). `code` is the width of the structured code f, 0 without it;
    `audio_code` is the width of a, 0 where the deformation is driven by it instead.
    """

    def __init__(
        self, width: int, depth: int, x_levels: int, direction_levels: int, scene_radius: float,
        audio_code: int, code: int,
    ):  # fmt: skip
        super().__init__()
        self.scene_radius = scene_radius
        self.encode_x = PositionalEncoding(x_levels)
        self.encode_direction = PositionalEncoding(direction_levels)
        self.mlp = ConditionedMLP(self.encode_x.width(3) + code, audio_code, width, depth)
        self.density_and_logits = Linear(width, 1 + len(CLASSES))
        # NeRF's feature layer, linear before a linear one, is one with it.
        self.appearance = Linear(width, width // 2)
        self.view = nn.Linear(self.encode_direction.width(3), width // 2, bias=False)
        self.colour = Linear(width // 2, 3)

    def forward(self, x: Tensor, d: Tensor, a: Tensor, f: Tensor | None) -> FieldOutput:
        """x (B, R, S, 3), unit d (B, R, 3), a (B, audio_code), f (B, R, S, code) or None."""
        encoded = network_arithmetic(self.encode_x(x / self.scene_radius))
        if f is not None:
            encoded = torch.cat([encoded, f.to(encoded.dtype)], dim=-1)
        h = self.mlp(encoded, self.mlp.frame_bias(a))
        density, logits = self.density_and_logits(h).float().split([1, len(CLASSES)], dim=-1)
        density = F.softplus(density + DENSITY_SHIFT)
        # W [h, d] + b with the product over d done once for a ray.
        view = self.view(self.encode_direction(d))[:, :, None]
        appearance = F.relu(self.appearance(h) + view, inplace=True)
        colour = torch.sigmoid(self.colour(appearance).float())
        return FieldOutput.of(density, logits, colour)
