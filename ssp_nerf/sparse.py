"""Sparse convolution as a gather and a matrix product, on any device.

The sites never move (the face's vertices are fixed in the head frame), so which site neighbours
which is computed once, here, with numpy. A layer then reads its 27 neighbours by index and
multiplies: no extension to build. Weight layout as in spconv, to which the tests hold it.
"""

import numpy as np
import torch
from torch import Tensor, nn

KERNEL = 3
OFFSETS = np.stack(np.meshgrid(*[np.arange(KERNEL)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
"""(27, 3) kernel positions in the order of the weight's axes."""


def site_lookup(sites: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Grid of site numbers: the row of `sites` at a voxel, or len(sites) where there is none.

    Args:
        sites: (N, 3) distinct voxel coordinates.
        shape: voxels of the grid along each axis.
    """
    lookup = np.full(shape, len(sites), np.int64)
    lookup[tuple(sites.T)] = np.arange(len(sites))
    return lookup


def submanifold_neighbours(sites: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Neighbour table (27, N) of a convolution whose outputs are its inputs' sites (SubMConv3d)."""
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
) -> np.ndarray:
    """Neighbour table (27, M) of a convolution of stride 2 and padding 1 (SparseConv3d)."""
    return _neighbours(2 * outputs + OFFSETS[:, None] - KERNEL // 2, sites, shape)


def _neighbours(wanted: np.ndarray, sites: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Site numbers at voxels `wanted` (27, M, 3); len(sites) where empty or outside."""
    lookup = site_lookup(sites, shape)
    inside = ((wanted >= 0) & (wanted < shape)).all(-1)
    clamped = np.clip(wanted, 0, np.array(shape) - 1)
    return np.where(inside, lookup[tuple(np.moveaxis(clamped, -1, 0))], len(sites))


class SparseConvolution(nn.Module):
    """A 3x3x3 sparse convolution without bias over a fixed neighbour table.

    Args:
        inputs, outputs: channels.
        neighbours: (27, M) from `submanifold_neighbours` or `strided_neighbours`.
    """

    neighbours: Tensor  # (M, 27)

    def __init__(self, inputs: int, outputs: int, neighbours: np.ndarray):
        super().__init__()
        self.register_buffer("neighbours", torch.as_tensor(neighbours.T.copy()), persistent=False)
        self.weight = nn.Parameter(torch.empty(outputs, KERNEL, KERNEL, KERNEL, inputs))
        nn.init.kaiming_uniform_(self.weight.flatten(1).data, a=5**0.5)

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs) at the input sites -> (M, outputs) at the output sites."""
        padded = torch.cat([features, features.new_zeros(1, features.shape[1])])  # row N: no site
        # index_select: the gradient of indexing sorts its indices on a GPU, and takes far longer.
        gathered = padded.index_select(0, self.neighbours.flatten())
        gathered = gathered.view(len(self.neighbours), -1)  # (M, 27 * inputs)
        return gathered @ self.weight.flatten(1).T
