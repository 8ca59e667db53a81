"""One frame of an array that is chunked by frame, packed and unpacked outside of HDF5.

What is stored is what HDF5's own gzip filter stores, so every reader of HDF5 reads it. Only the
work is done by ISA-L where the package isal is installed: measured on 450x450 pictures, 1.2 ms to
write a frame in place of 7, 1.3 ms to read it in place of 2.1, for 5 % more bytes.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import h5py
import numpy as np

from ssp_nerf.errors import InputError, first_line

LEVEL = 1  # level 9 of gzip is 10 times slower for 5 % fewer bytes


def write_frame(frames: h5py.Dataset, index: int, frame: np.ndarray) -> None:
    """`frames[index] = frame`, faster.

    Args:
        frames: (N, ...) of a file that `Layout.create` made.
        index: 0 to N - 1.
        frame: (...) of the type of `frames`.
    """
    assert frame.shape == frames.shape[1:] and frame.dtype == frames.dtype, (frame.shape, frames)
    packed = _codec().compress(np.ascontiguousarray(frame), LEVEL)
    frames.id.write_direct_chunk(_corner(frames, index), packed)


def read_frame(frames: h5py.Dataset, index: int) -> np.ndarray:
    """`frames[index]`, faster, of a file with the FRAMES, PARSING or DATASET layout; read-only.

    Raises:
        InputError: the file is damaged there.
    """
    corner = _corner(frames, index)
    codec = _codec()
    try:
        if not _is_written(frames, corner):
            return frames[index]
        skipped_filters, packed = frames.id.read_direct_chunk(corner)
        if not skipped_filters:  # HDF5 stores as it is what gzip cannot make smaller
            packed = codec.decompress(packed)
        return np.frombuffer(packed, frames.dtype).reshape(frames.shape[1:])
    except (codec.error, OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{frames.file.filename}: frame {index} of the array {frames.name[1:]!r} is damaged "
            f"({first_line(error)}). Delete the file and run the workflow again."
        ) from error


def copy_frame(source: h5py.Dataset, target: h5py.Dataset, index: int) -> None:
    """`target[index] = source[index]` for arrays of the same layout, as packed as it is.

    Raises:
        InputError: the source is damaged there.
    """
    assert source.shape[1:] == target.shape[1:] and source.dtype == target.dtype
    corner = _corner(source, index)
    if not _is_written(source, corner):
        return
    read_frame(source, index)  # or damage would be handed on
    skipped_filters, packed = source.id.read_direct_chunk(corner)
    target.id.write_direct_chunk(corner, packed, skipped_filters)


class PackedFrames(Sequence[np.ndarray]):
    """The frames of an array as a sequence, each unpacked when it is asked for; see `read_frame`.

    Attributes:
        shape: (N, H, W, ...).
    """

    def __init__(self, frames: h5py.Dataset):
        self._frames = frames
        self.shape: tuple[int, ...] = frames.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        return read_frame(self._frames, index)


def _corner(frames: h5py.Dataset, index: int) -> tuple[int, ...]:
    assert frames.chunks == (1, *frames.shape[1:]), (frames.name, frames.chunks)
    return (int(index), *(0 for _ in frames.shape[1:]))


def _is_written(frames: h5py.Dataset, corner: tuple[int, ...]) -> bool:
    """Whether there is anything of a frame in the file; where not, HDF5 reads zeros."""
    return frames.id.get_chunk_info_by_coord(corner).byte_offset is not None


def _codec() -> ModuleType:
    try:
        from isal import isal_zlib
    except ImportError:  # a machine that only trains and renders need not have it
        import zlib

        return zlib
    return isal_zlib
