"""Where a portrait is, known before any sample of a frame is asked for.

The density of each level is looked at once, in the canonical frame: a grid of cells says where any
of it may be. A frame's view frustum is then cut into cells of its own, whose corners the
deformation takes to the canonical frame; a cell is empty where the grid is, around all of them.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ssp_nerf.frame_renderer import ExactRenderer
from ssp_nerf.kernels.overall import AtFrames
from ssp_nerf.model import Level

LEAST_DENSITY = 0.1
"""1 / decimetre: what is thinner is empty. A decimetre of it would stop a tenth of the light; but
next to what is denser it counts as occupied, and elsewhere trained densities are far below it."""
CANONICAL_CELL = 0.06  # edge, decimetres
FRAME_CELL = 0.08  # edge at the far plane, decimetres
DEFORMED = 2
"""Cells from one point to the next whose displacement is asked for; between them it is smooth."""
REACH = 1
"""Canonical cells that occupied ones grow by. With the four corners of a frame's cell around it, no
part of what is occupied lies between points that are looked at."""
SEEN_REACH = 2  # cells from a corner of a frame's cell to what lies between it and the next
POINTS = ((1, 1, 1), (1, 3, 3), (3, 1, 3), (3, 3, 1))
"""Quarters of a canonical cell's edges where it is looked at, each time with another audio code."""
POSES = 16  # evenly spread, whose frusta say how far the canonical frame reaches
POINTS_AT_ONCE = 1 << 16


class OccupancyGrid(NamedTuple):
    """Which cells of the canonical frame may hold density; all outside may."""

    occupied: Tensor  # (X, Y, Z) bool, with a border of true ones
    lower: Tensor  # (3,) corner of the cells within the border, decimetres

    def at(self, x: Tensor) -> Tensor:
        """Canonical points (..., 3) -> (...) bool."""
        cell = ((x - self.lower) / CANONICAL_CELL).floor().long() + 1
        sizes = self.occupied.shape
        i, j, k = (c.clamp(0, n - 1) for c, n in zip(cell.unbind(-1), sizes, strict=True))
        return self.occupied[i, j, k]


class FrameOccupancy(NamedTuple):
    """Which cells of a frame's frustum may hold density of a level."""

    occupied: Tensor  # (blocks, D) bool: blocks of pixels, D slices between near and far
    block: Tensor  # (H * W + 1,) int32 of each pixel; the last any, for unused places of a list
    near: float
    far: float

    def at(self, pixels: Tensor, depths: Tensor) -> Tensor:
        """Flat pixel numbers (R,), depths (R, S) -> (R, S) bool."""
        slices = self.occupied.shape[1]
        scale = slices / (self.far - self.near)
        slice_ = ((depths - self.near) * scale).int().clamp_(0, slices - 1)
        cell = self.block[pixels][:, None] * slices + slice_
        return self.occupied.flatten().index_select(0, cell.flatten()).view(depths.shape)

    def pixels(self) -> Tensor:
        """(H * W,) bool: pixels whose ray meets an occupied cell."""
        return self.occupied.any(1)[self.block[:-1]]


class PortraitOccupancy:
    """Empty space of a portrait: the canonical grids, made here, and each frame's.

    Args:
        exact: draws the frames; holds everything that they share.
        poses: frame numbers of the clip that will be drawn.
    """

    @torch.inference_mode()
    def __init__(self, exact: ExactRenderer, poses: Tensor):
        self._exact = exact
        clip, scene = exact.clip, exact.model.scene
        self._block = max(1, int(FRAME_CELL * clip.focal / scene.far))  # pixels
        rows = -(-clip.height // self._block)
        columns = -(-clip.width // self._block)
        slices = math.ceil((scene.far - scene.near) / FRAME_CELL)
        self._cells = rows, columns, slices
        self._corners, self._deformed = self._frustum(1), self._frustum(DEFORMED)
        pixel = torch.arange(clip.height * clip.width, device=exact.device)
        row, column = pixel // clip.width, pixel % clip.width
        block = (row // self._block * columns + column // self._block).int()
        self._block_of = F.pad(block, (0, 1))
        spread = torch.linspace(0, len(poses) - 1, min(POSES, len(poses))).long()
        self.coarse = self._grid(exact.model.coarse, poses[spread].tolist())
        self.fine = self._grid(exact.model.fine, poses[spread].tolist())

    def frame(self, level: Level, ask: AtFrames, c2w: Tensor) -> FrameOccupancy:
        """The cells of a frame of pose c2w (3, 4), for the coarse or the fine level."""
        model = self._exact.model
        grid = self.coarse if level is model.coarse else self.fine
        corners = grid.at(self._canonical(ask, c2w)).float()
        occupied = F.max_pool3d(corners[None], 2, stride=1)[0] > 0  # any of a cell's corners
        scene = model.scene
        return FrameOccupancy(occupied.flatten(0, 1), self._block_of, scene.near, scene.far)

    def _canonical(self, ask: AtFrames, c2w: Tensor) -> Tensor:
        """Where the deformation takes the corners of a frame's cells: (I, J, K, 3)."""
        x, few = (
            (c2w[:, :3] * camera[..., None, :]).sum(-1) + c2w[:, 3]
            for camera in (self._corners, self._deformed)
        )
        dx = ask.displacement(few.view(1, -1, 1, 3)).view(few.shape)
        size = [DEFORMED * (n - 1) + 1 for n in few.shape[:3]]
        dx = F.interpolate(
            dx.permute(3, 0, 1, 2)[None], size, mode="trilinear", align_corners=True
        )[0].permute(1, 2, 3, 0)
        i, j, k = x.shape[:3]
        return x + dx[:i, :j, :k]

    def _frustum(self, every: int) -> Tensor:
        """Corners of every so many cells (I, J, K, 3), camera axes, decimetres; the last ones may
        lie beyond the picture and the far plane."""
        clip, scene = self._exact.clip, self._exact.model.scene
        row, column, slice_ = (
            torch.arange(-(-n // every) + 1, device=self._exact.device) * every for n in self._cells
        )
        y = -(row * self._block - clip.height / 2) / clip.focal
        x = (column * self._block - clip.width / 2) / clip.focal
        v = scene.near + slice_ * (scene.far - scene.near) / self._cells[2]
        y, x, v = torch.meshgrid(y, x, v, indexing="ij")
        return torch.stack([x * v, y * v, -v], dim=-1)

    def _grid(self, level: Level, poses: list[int]) -> OccupancyGrid:
        """The canonical grid of a level, as far as the frusta of poses reach."""
        exact = self._exact
        asked = (exact.model.at_frames(level, exact.condition(pose, 0)) for pose in poses)
        seen = torch.cat(
            [
                self._canonical(ask, exact.clip.c2w[pose]).view(-1, 3)
                for ask, pose in zip(asked, poses, strict=True)
            ]
        )
        lower, upper = seen.aminmax(dim=0)
        size = ((upper - lower) / CANONICAL_CELL).int() + 1
        within = torch.zeros(size.tolist(), device=seen.device)
        within[((seen - lower) / CANONICAL_CELL).long().unbind(-1)] = 1
        within = grown(within, SEEN_REACH)  # from a frustum's corners to all that lies between them
        cells = within.nonzero()
        occupied = torch.ones_like(within)
        occupied[cells.unbind(-1)] = torch.cat(
            [self._dense(level, lower, part) for part in cells.split(POINTS_AT_ONCE)]
        ).float()
        # What no pose looked at counts as occupied, but does not grow.
        occupied = torch.where(within > 0, grown(occupied * within, REACH), 1)
        return OccupancyGrid(F.pad(occupied, (1,) * 6, value=1.0) > 0, lower)

    def _dense(self, level: Level, lower: Tensor, cells: Tensor) -> Tensor:
        """Cells (N, 3) -> (N,) bool: density at any of a cell's points, saying anything."""
        exact, model = self._exact, self._exact.model
        codes = exact.audio_codes
        dense = torch.zeros(len(cells), dtype=torch.bool, device=cells.device)
        volume = exact.condition(0, 0).volume
        for number, quarters in enumerate(POINTS):
            a = codes[number * (len(codes) - 1) // (len(POINTS) - 1)][None]
            a = a[:, :0] if level.by_audio else a
            x = lower + (cells + torch.tensor(quarters, device=cells.device) / 4) * CANONICAL_CELL
            x = x[None, :, None]
            f = None
            if model.structured_codes is not None and volume is not None:
                f = model.structured_codes.query(volume, x)
            view = torch.zeros_like(x[:, :, 0])  # density does not see it
            dense |= level.field(x, view, a, f).density[0, :, 0] > LEAST_DENSITY
        return dense


def grown(cells: Tensor, reach: int) -> Tensor:
    """Cells (X, Y, Z), 0 or 1: also 1 where one within `reach` is, along each axis."""
    return F.max_pool3d(cells[None], 2 * reach + 1, stride=1, padding=reach)[0]
