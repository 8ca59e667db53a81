"""Sparse convolution as a gather and a matrix product, on any device.

The sites never move (the face's vertices are fixed in the head frame), so which site neighbours
which is computed once, here, with numpy. A layer then reads its 27 neighbours by index and
multiplies: no extension to build. Weight layout as in spconv, to which the tests hold it.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

KERNEL = 3
OFFSETS = np.stack(np.meshgrid(*[np.arange(KERNEL)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
"""(27, 3) kernel positions in the order of the weight's axes."""


class Neighbours(NamedTuple):
    """Which of the N input sites a kernel meets at which of the M output sites."""

    input_sites: np.ndarray  # (M, 27) input site at each position of an output's kernel; N for none
    output_sites: np.ndarray  # (N, 27) output site whose kernel has the input there; M for none


def site_lookup(sites: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Grid of site numbers: the row of `sites` at a voxel, or len(sites) where there is none.

    Args:
        sites: (N, 3) distinct voxel coordinates.
        shape: voxels of the grid along each axis.
    """
    lookup = np.full(shape, len(sites), np.int64)
    lookup[tuple(sites.T)] = np.arange(len(sites))
    return lookup


def submanifold_neighbours(sites: np.ndarray, shape: tuple[int, int, int]) -> Neighbours:
    """Table of a convolution whose outputs are its inputs' sites (SubMConv3d)."""
    return _neighbours(sites + OFFSETS[:, None] - KERNEL // 2, sites, shape)


def strided_sites(
    sites: np.ndarray, shape: tuple[int, int, int]
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Sites (M, 3) and shape of the grid after a convolution of stride 2 and padding 1.

    An output site exists where the kernel meets any input site.
    """
    x, y, z = ((n - 1) // 2 + 1 for n in shape)
    smaller = (x, y, z)
    reached = sites[None] + KERNEL // 2 - OFFSETS[:, None]  # = 2 * output, where even and inside
    reached = reached[(reached % 2 == 0).all(-1)] // 2
    inside = ((reached >= 0) & (reached < smaller)).all(-1)
    return np.unique(reached[inside], axis=0), smaller


def strided_neighbours(
    outputs: np.ndarray, sites: np.ndarray, shape: tuple[int, int, int]
) -> Neighbours:
    """Table of a convolution of stride 2 and padding 1 (SparseConv3d)."""
    return _neighbours(2 * outputs + OFFSETS[:, None] - KERNEL // 2, sites, shape)


def _neighbours(wanted: np.ndarray, sites: np.ndarray, shape: tuple[int, int, int]) -> Neighbours:
    """Sites at voxels `wanted` (27, M, 3), none where these are empty or outside."""
    lookup = site_lookup(sites, shape)
    inside = ((wanted >= 0) & (wanted < shape)).all(-1)
    clamped = np.clip(wanted, 0, np.array(shape) - 1)
    table = np.where(inside, lookup[tuple(np.moveaxis(clamped, -1, 0))], len(sites))
    position, output = np.nonzero(table < len(sites))
    transposed = np.full((len(sites), len(OFFSETS)), wanted.shape[1])
    transposed[table[position, output], position] = output  # one output at most: sites differ
    return Neighbours(np.ascontiguousarray(table.T), transposed)


def convolve(features: Tensor, input_sites: Tensor, weight: Tensor) -> Tensor:
    """Sparse convolution without bias.

    Args:
        features: (N, C) at the input sites.
        input_sites: (M, 27) as in `Neighbours`.
        weight: (D, 3, 3, 3, C).

    Returns:
        (M, D) at the output sites.
    """
    padded = torch.cat([features, features.new_zeros(1, features.shape[1])])  # row N: no site
    # index_select: the gradient of indexing sorts its indices on a GPU, and takes far longer.
    gathered = padded.index_select(0, input_sites.flatten())
    return gathered.view(len(input_sites), -1) @ weight.flatten(1).T


class SparseConvolution(nn.Module):
    """A 3x3x3 sparse convolution without bias over a fixed neighbour table.

    Args:
        inputs, outputs: channels.
        neighbours: from `submanifold_neighbours` or `strided_neighbours`.
    """

    input_sites: Tensor
    output_sites: Tensor

    def __init__(self, inputs: int, outputs: int, neighbours: Neighbours):
        super().__init__()
        for name, table in neighbours._asdict().items():
            self.register_buffer(name, torch.as_tensor(table, dtype=torch.int32), persistent=False)
        self.weight = nn.Parameter(torch.empty(outputs, KERNEL, KERNEL, KERNEL, inputs))
        nn.init.kaiming_uniform_(self.weight.flatten(1).data, a=5**0.5)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C) at the input sites -> (M, D) at the output sites."""
        return convolve(features, self.input_sites, self.weight)
