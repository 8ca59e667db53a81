"""dataset.h5 for training: on the device where it fits, read ahead from disk where it does not."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from ssp_nerf.errors import InputError
from ssp_nerf.frame_store import read_frame
from ssp_nerf.model import Scene
from ssp_nerf.parsing_map import CLASSES
from ssp_nerf.progress import progress
from ssp_nerf.schema import DATASET


class PortraitDataset:
    """The packed clip on a device; its frames are streamed until `hold` takes them there, too.

    Attributes:
        c2w (N, 3, 4), time (N,), audio (N, 16, C), background (H * W, 3) in [0, 1], held_out (N,):
            tensors on the device.
        focal: pixels. height, width: pixels. near, far: decimetres.
    """

    def __init__(self, path: Path, device: torch.device):
        self.path, self.device = Path(path), device
        with DATASET.open(self.path) as file:
            self.height, self.width = file["background"].shape[:2]
            small = {
                name: torch.from_numpy(file[name][()])
                for name in ("c2w", "time", "audio", "held_out", "background")
            }
            self.vertices: np.ndarray = file["vertices"][()]
            self.focal = float(file.attrs["focal"])
            self.near, self.far = float(file.attrs["near"]), float(file.attrs["far"])
            self.audio_extractor = str(file.attrs["audio_extractor"])
        if small["held_out"].all():  # also where there is no frame
            raise InputError(
                f"{self.path}: 0 of {len(small['held_out'])} frames are left to train on. Lower "
                "pack.held_out_fraction, or use a longer clip."
            )
        self._file = h5py.File(self.path, "r")
        self._reader = ThreadPoolExecutor(1, "read frames")
        self._ahead: tuple[list[int], Future[tuple[Tensor, Tensor]]] | None = None
        self._held: tuple[Tensor, Tensor] | None = None
        self.c2w = small["c2w"].to(device)
        self.time = small["time"].to(device)
        self.audio = small["audio"].to(device)
        self.held_out = small["held_out"].to(device)
        self.background = as_colour(small["background"]).flatten(0, 1).to(device)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def training_frames(self) -> Tensor:
        """Frame numbers (T,) that training may look at."""
        return torch.nonzero(~self.held_out).squeeze(1)

    @property
    def frame_bytes(self) -> int:
        """Memory that all pictures and parsing maps take."""
        return self._file["frames"].size + self._file["parsing"].size

    def hold(self, quiet: bool = False) -> None:
        """Take all pictures and parsing maps to the device; `quiet`: without showing progress."""
        held = [
            torch.empty(self._file[name].shape, dtype=torch.uint8, device=self.device)
            for name in ("frames", "parsing")
        ]
        for i in progress(range(len(self)), "load the dataset", len(self), quiet=quiet):
            for target, frame in zip(held, self._frame(i), strict=True):
                target[i] = torch.from_numpy(frame.copy())
        self._held = (held[0], held[1])

    def images(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B,) -> colours (B, H * W, 3) uint8 and parsing maps (B, H * W) uint8."""
        if self._held is not None:
            frames = frames.to(self.device)
            images, parsing = self._held[0][frames], self._held[1][frames]
        else:
            numbers = frames.tolist()
            if self._ahead is None or self._ahead[0] != numbers:
                self.read_ahead(frames)
            assert self._ahead is not None
            images, parsing = (
                part.to(self.device, non_blocking=True) for part in self._ahead[1].result()
            )
            self._ahead = None
        return images.flatten(1, 2), parsing.flatten(1)

    def read_ahead(self, frames: Tensor) -> None:
        """Begin to read frames (B,) that `images` is asked for next, unless all are held."""
        if self._held is None:
            numbers = frames.tolist()
            self._ahead = (numbers, self._reader.submit(self._read, numbers))

    def _read(self, numbers: list[int]) -> tuple[Tensor, Tensor]:
        frames = zip(*(self._frame(i) for i in numbers), strict=True)
        images, parsing = (torch.from_numpy(np.stack(each)) for each in frames)
        if self.device.type == "cuda":  # from pinned memory the GPU copies while it computes
            return images.pin_memory(), parsing.pin_memory()
        return images, parsing

    def _frame(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Picture (H, W, 3) and parsing map (H, W) of a frame.

        Raises:
            InputError: the file is damaged there, or the map names a class that there is not.
        """
        picture, parsing = (read_frame(self._file[name], index) for name in ("frames", "parsing"))
        if parsing.max() >= len(CLASSES):
            raise InputError(
                f"{self.path}: the parsing map of frame {index} names class {parsing.max()}, "
                f"expected 0 to {len(CLASSES) - 1}. Delete parsing.h5 and {self.path.name} and run "
                "the workflow again."
            )
        return picture, parsing

    def scene(self) -> Scene:
        """What the networks must know of the clip."""
        return Scene(
            vertices=self.vertices,
            near=self.near,
            far=self.far,
            radius=scene_radius(self.c2w, self.focal, self.width, self.height, self.near, self.far),
            audio_channels=self.audio.shape[2],
        )


def known_time(time: Tensor, training_frames: Tensor) -> Tensor:
    """Times (N,) that rest where training ends: how the torso moves after it is not known."""
    return time.clamp(max=time[training_frames].max())


def as_colour(image: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]."""
    return image.to(torch.float32) / 255


def scene_radius(
    c2w: Tensor, focal: float, width: int, height: int, near: float, far: float
) -> float:
    """Distance from the head's centre to the farthest sample of any ray, decimetres.

    It is that of a corner of a view frustum; c2w (N, 3, 4).
    """
    x, y = width / 2 / focal, height / 2 / focal
    corners = torch.tensor(
        [[sx * x * v, sy * y * v, -v] for sx in (-1, 1) for sy in (-1, 1) for v in (near, far)],
        dtype=c2w.dtype,
        device=c2w.device,
    )
    return float((corners @ c2w[:, :, :3].transpose(1, 2) + c2w[:, None, :, 3]).norm(dim=-1).max())
