"""A video's frames in turn, at its own frame rate, upright: decoded once, converted where asked."""

from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np

from preprocess.media import PROTOCOLS, Cut, Media, describe, require_picture
from ssp_nerf.errors import InputError
from ssp_nerf.schema import FPS
from ssp_nerf.video import local

MIN_FRAMES = 2
SHORT_SIDE = 1080
"""Pixels, at most, of the pictures that are looked at: any face that matters is larger than in the
portrait by then, and a 4K frame would take four times as long."""
LUMA_FIRST = frozenset(
    ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray")
)
"""Pixel formats whose first plane is an 8-bit picture of the brightness: no conversion needed."""


@dataclass(frozen=True)
class Frame:
    """One decoded frame.

    Attributes:
        time: seconds from the beginning of the cut.
        decoded: as it is stored; a player may turn and stretch it.
        width, height: as a player shows it, but at most `SHORT_SIDE` on the shorter side, pixels.
    """

    time: float
    decoded: av.VideoFrame
    width: int
    height: int

    def luma(self) -> np.ndarray:
        """(H, W) uint8 brightness, as stored."""
        frame = self.decoded
        if frame.format.name not in LUMA_FIRST:
            return frame.to_ndarray(format="gray")
        plane = frame.planes[0]
        return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
            :, : frame.width
        ]

    def picture(self, scale: float = 1.0) -> np.ndarray:
        """(scale * height, scale * width, 3) uint8 RGB, upright, in square pixels."""
        turns = round(self.decoded.rotation / 90)
        width, height = round(self.width * scale), round(self.height * scale)
        if turns % 2:
            width, height = height, width
        # On the way to a much smaller picture nearest neighbours are as good as need be, and fast.
        method = "BICUBIC" if scale == 1 else "FAST_BILINEAR"
        image = self.decoded.reformat(width, height, "rgb24", interpolation=method).to_ndarray()
        return np.ascontiguousarray(np.rot90(image, turns))


class Film:
    """The frames of a file within a cut.

    Attributes:
        width, height: of the pictures that frames give, pixels.
        scale: these pixels over the file's.
        times: seconds of the frames read so far.
        interlaced, damaged: how many frames were interlaced, how many packets could not be decoded.
    """

    def __init__(self, media: Media, cut: Cut):
        shown = require_picture(media)
        self.media, self.cut = media, cut
        self.scale = min(1.0, SHORT_SIDE / min(shown.width, shown.height))
        self.width, self.height = (round(n * self.scale) for n in (shown.width, shown.height))
        self.times: list[float] = []
        self.interlaced = self.damaged = 0

    @property
    def estimated_seconds(self) -> float | None:
        """What the container says of the cut's length, or None if it does not."""
        if self.media.duration is None:
            return self.cut.duration
        left = max(0.0, self.media.duration - self.media.zero - self.cut.start)
        return left if self.cut.duration is None else min(left, self.cut.duration)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            InputError: fewer than 2 frames within the cut.
        """
        shown = require_picture(self.media)
        step = 1 / (shown.fps or FPS)
        with av.open(local(self.media.path), options=PROTOCOLS) as container:
            stream = container.streams[shown.index]
            assert isinstance(stream, av.VideoStream)
            stream.thread_type = "AUTO"
            # The container's clock at the cut's beginning (preprocess.media: `zero`).
            begin = (container.start_time or 0) / av.time_base + self.media.zero + self.cut.start
            if self.cut.start > 0:
                container.seek(int(begin * av.time_base))
            for decoded in self._decode(container, stream):
                last = self.times[-1] if self.times else -step
                time = last + step if decoded.time is None else decoded.time - begin
                if time < -step / 2:
                    continue
                if self.cut.duration is not None and time >= self.cut.duration:
                    break
                self.times.append(time)
                self.interlaced += decoded.interlaced_frame
                yield Frame(time, decoded, self.width, self.height)
        if len(self.times) < MIN_FRAMES:
            raise InputError(
                f"{self.media.path}: {'one frame' if self.times else 'no frame'} between "
                f"{describe(self.cut)}, expected a video of {MIN_FRAMES} frames or more. Check "
                "video, start and duration of subjects.<name>."
            )

    def _decode(
        self, container: av.container.InputContainer, stream: av.VideoStream
    ) -> Iterator[av.VideoFrame]:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.InvalidDataError:
                self.damaged += 1  # as a player, go on with what follows
