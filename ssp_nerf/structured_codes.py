"""Structured 3D information: latent codes on the face, spread through space (paper, section 3.2).

Codes anchored to the vertices of the mean-expression face are diffused by sparse convolutions to
1/2, 1/4, 1/8 and 1/16 of the voxel grid; the code f of a point is the four volumes' values there,
interpolated trilinearly and joined. After Neural Body (Peng et al. 2021), whose 32+64+128+128
channels become 8+16+32+32 = 88, the width the paper gives.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssp_nerf.sparse import (
    SparseConvolution,
    strided_neighbours,
    strided_sites,
    submanifold_neighbours,
)

CONVOLUTIONS = (2, 3, 3, 3)
"""Submanifold convolutions at each of the four levels, as in Neural Body."""

COPIES = 32
"""Of the volume, for its gradient: halves the time of the lookup on an H100."""

MARGIN_VOXELS = 16
"""Empty voxels around the face: one voxel of the coarsest level, so that codes spread outward."""


class StructuredCodes(nn.Module):
    """The latent code volume of the face and its lookup.

    Args:
        vertices: (V, 3) mean-expression face, head frame, decimetres.
        voxel: edge of a voxel of the finest grid, decimetres.
        code: width of a vertex's latent code.
        channels: width of each of the four levels (paper: 88 together).
    """

    codes: nn.Parameter
    vertex_site: Tensor
    site_count: Tensor
    grid_origin: Tensor
    grid_shape: Tensor

    def __init__(
        self, vertices: np.ndarray, voxel: float, code: int, channels: tuple[int, int, int, int]
    ):
        super().__init__()
        self.voxel = voxel
        self.width = sum(channels)
        origin = vertices.min(0) - MARGIN_VOXELS * voxel
        cells = np.floor((vertices - origin) / voxel).astype(np.int64)
        x, y, z = cells.max(0) + MARGIN_VOXELS + 1
        shape = (int(x), int(y), int(z))
        sites, vertex_site, count = np.unique(
            cells, axis=0, return_inverse=True, return_counts=True
        )

        self.codes = nn.Parameter(torch.randn(len(vertices), code))
        self.register_buffer("grid_origin", torch.as_tensor(origin, dtype=torch.float32), False)
        self.register_buffer("grid_shape", torch.tensor(shape), False)
        self.register_buffer("vertex_site", torch.as_tensor(vertex_site.reshape(-1)), False)
        self.register_buffer("site_count", torch.as_tensor(count[:, None]), False)

        self.entry = _block(code, code, submanifold_neighbours(sites, shape), repeat=2)
        self.levels = nn.ModuleList()
        self.shapes: list[tuple[int, int, int]] = []
        before = code
        for width, repeat in zip(channels, CONVOLUTIONS, strict=True):
            outputs, smaller = strided_sites(sites, shape)
            down = _block(before, width, strided_neighbours(outputs, sites, shape))
            sites, shape, before = outputs, smaller, width
            spread = _block(width, width, submanifold_neighbours(sites, shape), repeat)
            self.levels.append(nn.Sequential(down, spread))
            voxels = torch.as_tensor(np.ravel_multi_index(tuple(sites.T), shape))
            self.register_buffer(f"voxels_{len(self.levels)}", voxels, persistent=False)
            self.shapes.append(shape)

    def forward(self) -> list[Tensor]:
        """The code volume: for each level its dense grid (C, X, Y, Z), zero where no site is."""
        summed = self.codes.new_zeros(len(self.site_count), self.codes.shape[1])
        features = summed.index_add(0, self.vertex_site, self.codes) / self.site_count
        features = self.entry(features)
        volume = []
        for number, level in enumerate(self.levels, start=1):
            features = level(features)
            shape = self.shapes[number - 1]
            empty = features.new_zeros(math.prod(shape), features.shape[1])
            grid = empty.index_copy(0, getattr(self, f"voxels_{number}"), features)
            volume.append(grid.view(*shape, -1).permute(3, 0, 1, 2))
        return volume

    def query(self, volume: list[Tensor], x: Tensor) -> Tensor:
        """Trilinear interpolation of the code volume.

        Args:
            volume: what `forward` returned.
            x: points (..., 3) in the head frame, decimetres.

        Returns:
            f (..., 88); zero away from the face.
        """
        points = (x.reshape(-1, 3) - self.grid_origin) / self.voxel
        if x.is_cuda:  # to learn which points are near would stop the program
            return self._interpolate(volume, points).unflatten(0, x.shape[:-1])
        # Most samples of a ray are farther than a coarsest voxel from the grid: f = 0, unasked.
        near_grid = (points > -MARGIN_VOXELS) & (points < self.grid_shape + MARGIN_VOXELS)
        near = near_grid.all(-1).nonzero().squeeze(-1)
        f = points.new_zeros(len(points), self.width)
        f = f.index_copy(0, near, self._interpolate(volume, points[near]))
        return f.unflatten(0, x.shape[:-1])

    def _interpolate(self, volume: list[Tensor], points: Tensor) -> Tensor:
        """Codes (P, 88) at points (P, 3), in voxels of the finest grid from its origin."""
        # A voxel's gradient comes from many points, and adding them up in one place is slow on a
        # GPU: each of several copies takes those of its part of the points.
        copies = math.gcd(len(points), COPIES) if points.is_cuda else 1
        f = []
        for number, grid in enumerate(volume, start=1):
            # An output site of stride 2 and padding 1 sits on the input site 2 i: site i of level l
            # lies at the centre of voxel i * 2^l of the finest grid.
            site = (points - 0.5) / 2**number
            # From site numbers to grid_sample's -1 ... 1, in its order z, y, x.
            last = [size - 1 for size in grid.shape[1:]]
            position = torch.stack([2 * site[:, i] / last[i] - 1 for i in (2, 1, 0)], dim=-1)
            found = F.grid_sample(
                grid.to(points.dtype).expand(copies, *grid.shape),
                position.view(copies, 1, 1, -1, 3),
                align_corners=True,
            )
            f.append(found.view(copies, len(grid), -1))
        return torch.cat(f, dim=1).transpose(1, 2).flatten(0, 1)


class _SiteNorm(nn.Module):
    """Batch normalisation over the sites, always by their own statistics.

    The sites and codes are the same at every step, so the statistics of now are the exact ones;
    running averages, as in BatchNorm1d, would only make training and rendering differ.
    """

    def __init__(self, channels: int, epsilon: float = 1e-3):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.epsilon = epsilon

    def forward(self, features: Tensor) -> Tensor:
        return F.batch_norm(
            features, None, None, self.weight, self.bias, training=True, eps=self.epsilon
        )


def _block(inputs: int, outputs: int, neighbours: np.ndarray, repeat: int = 1) -> nn.Sequential:
    """`repeat` times convolution, normalisation, ReLU."""
    layers: list[nn.Module] = []
    for width in [inputs] + [outputs] * (repeat - 1):
        layers += [SparseConvolution(width, outputs, neighbours), _SiteNorm(outputs), nn.ReLU()]
    return nn.Sequential(*layers)
