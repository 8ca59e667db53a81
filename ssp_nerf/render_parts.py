"""A rendering that was scattered over frame ranges, read as one sequence."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py
import numpy as np

from ssp_nerf.errors import InputError
from ssp_nerf.schema import DISPLACEMENT_STEP, FPS, RENDER


class RenderParts:
    """Rows of several render files, one after the other, in the order they are given.

    Attributes:
        index: (M,) frame of the clip whose pose each row shows.
        speech: (M,) frame of the speech that drove it.
        height, width: of every row, pixels.
        take: heldout or driven.
        model: SHA-256 of the bundle that drew them; empty: of none that is kept.
        psnr_to_exact: dB, of the rows that were drawn fast and also exactly; none if all are exact.
    """

    def __init__(self, files: Sequence[h5py.File]):
        self._files = files
        self._rows = [(file, row) for file in files for row in range(len(file["index"]))]
        self.index = np.concatenate([file["index"][()] for file in files])
        self.speech = np.concatenate([file["speech"][()] for file in files])
        self.height, self.width = files[0]["frames"].shape[1:3]
        self.take, self.model = str(files[0].attrs["take"]), str(files[0].attrs["model"])
        self.psnr_to_exact = np.concatenate([file.attrs["psnr_to_exact"] for file in files])

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def speech_start(self) -> float:
        """Second of the speech that goes with the first row.

        Raises:
            InputError: no rows, or rows that are not consecutive frames of the speech.
        """
        if not len(self):
            raise InputError(
                "the rendering's parts hold no frames. Render a longer speech or clip."
            )
        breaks = np.flatnonzero(np.diff(self.speech) != 1)
        if len(breaks):
            before, after = self.speech[breaks[0] : breaks[0] + 2]
            raise InputError(
                f"the rendering's speech jumps from frame {before} to {after}, expected "
                "consecutive frames. Pass the parts in order, none left out."
            )
        return float(self.speech[0] / FPS)

    def frame(self, row: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        file, own_row = self._rows[row]
        return file["frames"][own_row]

    def parsing(self, row: int) -> np.ndarray:
        """(H, W) uint8 class ids."""
        file, own_row = self._rows[row]
        return file["parsing"][own_row]

    def displacement_steps(self, row: int) -> np.ndarray:
        """(H, W) uint8, length of the expected displacement as it is stored."""
        file, own_row = self._rows[row]
        return file["displacement"][own_row]

    def displacement(self, row: int) -> np.ndarray:
        """(H, W) float32, the same in decimetres; 0.51 stands for more, too."""
        return self.displacement_steps(row) * np.float32(DISPLACEMENT_STEP)


@contextmanager
def open_parts(paths: Sequence[Path]) -> Iterator[RenderParts]:
    """Open the parts of a rendering.

    Raises:
        InputError: a part cannot be read, or differs from the first in size, take or model.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(RENDER.open(path)) for path in paths]
        sizes = [file["frames"].shape[1:3] for file in files]
        for path, (height, width) in zip(paths, sizes, strict=True):
            if (height, width) != sizes[0]:
                raise InputError(
                    f"{path}: frames are {width}x{height}, those of {paths[0]} are "
                    f"{sizes[0][1]}x{sizes[0][0]}. Render all parts at one size."
                )
        for path, file in zip(paths, files, strict=True):
            for name in ("take", "model"):
                if (got := file.attrs[name]) != (first := files[0].attrs[name]):
                    raise InputError(
                        f"{path}: {name} is {got!r}, that of {paths[0]} {first!r}. Pass the parts "
                        "of one rendering."
                    )
        yield RenderParts(files)


def require_size(parts: RenderParts, frames: h5py.Dataset, dataset_path: Path) -> None:
    """Check that a rendering has the size of the dataset's frames and stays within the clip.

    Raises:
        InputError: it does not.
    """
    count, height, width = frames.shape[:3]
    if (parts.height, parts.width) != (height, width):
        raise InputError(
            f"the rendering is {parts.width}x{parts.height}, the frames of {dataset_path} are "
            f"{width}x{height}. Render at the dataset's size."
        )
    outside = parts.index[(parts.index < 0) | (parts.index >= count)]
    if len(outside):
        raise InputError(
            f"the rendering holds frame {outside[0]}, but {dataset_path} has frames 0 to "
            f"{count - 1}. Render with the model that this dataset trained."
        )
