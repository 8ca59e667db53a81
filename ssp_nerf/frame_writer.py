"""Frames written by a thread of its own, while the next are computed."""

from collections.abc import Callable
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ssp_nerf.frame_renderer import FrameImage

FRAMES_AHEAD = 4
"""Drawn frames that wait for the writer at most: what a slow disk holds up is held up soon."""


class Written(NamedTuple):
    """A drawn frame as it is stored."""

    picture: np.ndarray  # (H, W, 3) uint8 RGB
    parsing: np.ndarray  # (H, W) uint8 class ids
    displacement: np.ndarray  # (H, W) uint8, `DISPLACEMENT_STEP`s


class _Drawn(NamedTuple):
    """A frame on its way: in pinned memory, where it came from a GPU."""

    row: int
    parts: list[Tensor]  # of `Written`
    copied: torch.cuda.Event | None  # when it has arrived


class FrameWriter:
    """Context whose `put` hands frames to `write`, which a thread calls in their order.

    Args:
        write: of row and frame. What it raises ends the writing and is raised by the next `put`, or
            at the end of the context.
    """

    def __init__(self, write: Callable[[int, Written], None]):
        self._write = write
        self._queue: Queue[_Drawn | None] = Queue(FRAMES_AHEAD)
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="frame writer", daemon=True)

    def put(self, row: int, frame: FrameImage) -> None:
        """Hand over a frame; waits while too many are on their way, not for the GPU."""
        self._raise_error()
        stored = frame.bytes(), frame.parsing, frame.displacement_steps()
        parts = [part.to("cpu", non_blocking=True) for part in stored]
        copied = None
        if frame.colour.is_cuda:
            copied = torch.cuda.Event()
            copied.record(torch.cuda.current_stream(frame.colour.device))
        self._queue.put(_Drawn(row, parts, copied))

    def __enter__(self) -> "FrameWriter":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if error is None:
            self._raise_error()

    def _run(self) -> None:
        while (drawn := self._queue.get()) is not None:
            if self._error is not None:
                continue  # `put` may be waiting for a place
            try:
                if drawn.copied is not None:
                    drawn.copied.synchronize()
                self._write(drawn.row, Written(*(part.numpy() for part in drawn.parts)))
            except BaseException as error:
                self._error = error

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
