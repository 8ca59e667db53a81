"""Structured 3D information: latent codes on the face, spread through space (paper, section 3.2).

Codes anchored to the vertices of the mean-expression face are diffused by sparse convolutions to
1/2, 1/4, 1/8 and 1/16 of the voxel grid; the code f of a point is the four volumes' values there,
interpolated trilinearly and joined. After Neural Body (Peng et al. 2021), whose 32+64+128+128
channels become 8+16+32+32 = 88, the width the paper gives.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ssp_nerf.kernels.lookup import lookup
from ssp_nerf.kernels.sparse_layer import sparse_layer
from ssp_nerf.sparse import (
    Neighbours,
    SparseConvolution,
    strided_neighbours,
    strided_sites,
    submanifold_neighbours,
)

CONVOLUTIONS = (2, 3, 3, 3)
"""Submanifold convolutions at each of the four levels, as in Neural Body."""

EPSILON = 1e-3
"""Added to the variance that a layer is normalised by, as in Neural Body."""

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
        """The code volume: for each level its dense grid (X, Y, Z, C), zero where no site is."""
        summed = self.codes.new_zeros(len(self.site_count), self.codes.shape[1])
        features = summed.index_add(0, self.vertex_site, self.codes) / self.site_count
        features = self.entry(features)
        volume = []
        for number, level in enumerate(self.levels, start=1):
            features = level(features)
            shape = self.shapes[number - 1]
            # In place, for a copy of the grid would be made else; it is no variable yet.
            grid = self.codes.new_zeros(math.prod(shape), features.shape[1])
            grid.index_copy_(0, getattr(self, f"voxels_{number}"), features.to(grid.dtype))
            volume.append(grid.view(*shape, -1))
        return volume

    def query(self, volume: list[Tensor], x: Tensor) -> Tensor:
        """Trilinear interpolation of the code volume.

        Args:
            volume: what `forward` returned.
            x: points (..., 3) in the head frame, decimetres.

        Returns:
            f (..., 88); zero away from the face.
        """
        return lookup(volume, self.in_voxels(x)).unflatten(0, x.shape[:-1])

    def in_voxels(self, x: Tensor) -> Tensor:
        """Points x (..., 3), decimetres -> (N, 3) in voxels of the finest grid from its origin."""
        return (x.reshape(-1, 3) - self.grid_origin) / self.voxel


class _Block(nn.Sequential):
    """Convolution, normalisation, ReLU, and again: each three one `sparse_layer`.

    Batch normalisation is over the sites, always by their own statistics. The sites and codes are
    the same at every step, so the statistics of now are the exact ones; running averages would only
    make training and rendering differ.
    """

    def forward(self, features: Tensor) -> Tensor:
        layers: list[Any] = list(self)
        for convolution, norm in zip(layers[::3], layers[1::3], strict=True):
            features = sparse_layer(
                features,
                convolution.input_sites,
                convolution.output_sites,
                convolution.weight,
                norm.weight,
                norm.bias,
                norm.eps,
            )
        return features


def _block(inputs: int, outputs: int, neighbours: Neighbours, repeat: int = 1) -> _Block:
    layers: list[nn.Module] = []
    for width in [inputs] + [outputs] * (repeat - 1):
        norm = nn.BatchNorm1d(outputs, eps=EPSILON, track_running_stats=False)
        layers += [SparseConvolution(width, outputs, neighbours), norm, nn.ReLU()]
    return _Block(*layers)
