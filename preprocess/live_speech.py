"""Speech as it comes, and what of it each frame hears.

A frame's audio code smooths over the windows of frames i - 4 to i + 3, and the last of these ends
160 ms and half a feature step's overhang after frame i + 3: no frame can be drawn before.
"""

import os
import time
from collections import deque
from collections.abc import Iterator
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple

import numpy as np

from preprocess.audio_features import SAMPLES_PER_FRAME, STEPS_PER_FRAME, WINDOW_STEPS
from preprocess.logmel import HOP, OVERHANG, LogMel
from ssp_nerf.audio import ATTENDED_WINDOWS
from ssp_nerf.errors import InputError
from ssp_nerf.speech import SAMPLE_RATE

BEFORE = ATTENDED_WINDOWS // 2  # windows that a frame hears before its own
AFTER = ATTENDED_WINDOWS - 1 - BEFORE
LOOK_AHEAD = (STEPS_PER_FRAME * AFTER + WINDOW_STEPS // 2) * HOP + OVERHANG
"""Samples from a frame's time to the last that it hears: 4520, 282.5 ms."""
PIECE = SAMPLE_RATE // 100  # samples, 10 ms: what a sound card hands over, about
BYTES_AT_ONCE = 1 << 16
RAW = (
    "raw 16-bit samples, 16 kHz, mono. Give a file's name, or pipe "
    "`ffmpeg -i FILE -f s16le -ar 16000 -ac 1 -`."
)


class Piece(NamedTuple):
    """Speech that came at one time; the last piece of a stream, empty, says when it ended."""

    samples: np.ndarray  # (T,) float32, full scale 1
    arrived: float  # seconds of time.monotonic()


class LiveWindows:
    """Windows of log-mel features, the same as those of the whole speech, as soon as they can be.

    Args:
        channels: mel bands.
    """

    def __init__(self, channels: int):
        self._logmel = LogMel(channels)
        self._steps = np.zeros((WINDOW_STEPS // 2, channels), np.float32)  # before any speech
        self._around: deque[np.ndarray] = deque(maxlen=ATTENDED_WINDOWS)
        self._samples = self._windows = 0  # so far

    def add(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """The samples (T,) that follow: (8, 16, C) around each frame that now has them all."""
        self._samples += len(samples)
        yield from self._add_steps(self._logmel.add(samples))

    def end(self) -> Iterator[np.ndarray]:
        """(8, 16, C) around each frame that is left: silence follows, and the last window lasts."""
        yield from self._add_steps(self._logmel.end())
        frames = self._samples // SAMPLES_PER_FRAME
        silence = np.zeros((STEPS_PER_FRAME, self._steps.shape[1]), np.float32)
        while self._windows < frames:
            yield from self._add_steps(silence)
        if frames:
            for _ in range(AFTER):
                yield from self._append(self._around[-1])

    def _add_steps(self, steps: np.ndarray) -> Iterator[np.ndarray]:
        self._steps = np.concatenate([self._steps, steps])
        while len(self._steps) >= WINDOW_STEPS:
            window, self._steps = self._steps[:WINDOW_STEPS], self._steps[STEPS_PER_FRAME:]
            yield from self._append(window)

    def _append(self, window: np.ndarray) -> Iterator[np.ndarray]:
        if not self._around:
            self._around.extend([window] * BEFORE)
        self._around.append(window)
        self._windows += 1
        if len(self._around) == ATTENDED_WINDOWS:
            yield np.stack(self._around)


def played(samples: np.ndarray, real_time: bool) -> Iterator[Piece]:
    """Samples (T,) in pieces of 10 ms, each when it would have been spoken, or at once.

    However late a piece is taken, it arrived on time.
    """
    begin = arrived = time.monotonic()
    for start in range(0, len(samples), PIECE):
        piece = samples[start : start + PIECE]
        arrived = time.monotonic()
        if real_time:
            spoken = begin + (start + len(piece)) / SAMPLE_RATE
            time.sleep(max(0.0, spoken - arrived))
            arrived = spoken
        yield Piece(piece, arrived)
    yield Piece(samples[:0], arrived)


def piped(descriptor: int) -> Iterator[Piece]:
    """Raw 16 kHz mono 16-bit little-endian speech from a pipe, as it comes.

    A thread takes it off the pipe, so that none waits there, or is lost, while a frame is drawn.

    Raises:
        InputError: an odd number of bytes, or a wav file.
    """
    queue: SimpleQueue[tuple[bytes, float] | OSError] = SimpleQueue()

    def read() -> None:
        block = None
        try:
            while block != b"":
                block = os.read(descriptor, BYTES_AT_ONCE)
                queue.put((block, time.monotonic()))
        except OSError as error:
            queue.put(error)

    Thread(target=read, name="speech reader", daemon=True).start()
    content, count = b"", 0  # not taken yet, and taken, bytes
    while True:
        item = queue.get()
        if isinstance(item, OSError):
            raise item
        block, arrived = item
        content += block
        if count == 0 and content.startswith(b"RIFF"):
            raise InputError(f"--speech -: got a wav file, expected {RAW}")
        if not block and content:
            raise InputError(f"--speech -: got an odd number of bytes, {count + 1}, expected {RAW}")
        even = len(content) // 2 * 2
        yield Piece(np.frombuffer(content[:even], "<i2").astype(np.float32) / 32768, arrived)
        content, count = content[even:], count + even
        if not block:
            return
