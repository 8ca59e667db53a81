"""What is in a media file, and its picture and sound on one clock.

The clock: t = 0 is the first frame of the video (the first sample of a file that has only sound),
plus `start` seconds if the user cuts the clip. Streams of a file need not begin together; whatever
sound lies before t = 0 is dropped, and where the sound begins later there is silence.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import av
import ffmpeg
from av.stream import Disposition

from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file, whole_output
from ssp_nerf.schema import FPS
from ssp_nerf.video import local, run_ffmpeg

SMALLEST_SIDE = 16  # pixels; below it there is nothing to look at
PROTOCOLS = {"protocol_whitelist": "file"}
"""For ffmpeg: a playlist that names an address in the network is not followed."""


@dataclass(frozen=True)
class Picture:
    """A video stream: `width` x `height` as a player shows it, upright and in square pixels.

    `duration` is the stream's own word, in seconds, or None where the container keeps none.
    """

    index: int
    width: int
    height: int
    fps: float
    duration: float | None


@dataclass(frozen=True)
class Media:
    """A media file: its picture and the index of its sound, where it has them.

    `zero` is t = 0 in seconds on ffmpeg's clock, which starts with the file's earliest stream.
    `duration` is the container's word, in seconds, or None where it does not say.
    """

    path: Path
    picture: Picture | None
    sound_index: int | None
    zero: float
    duration: float | None


@dataclass(frozen=True)
class Cut:
    """The part of a file to use: from `start` seconds, for `duration` seconds or to the end.

    Raises:
        InputError: a negative start, a duration that is not positive, or one without end.
    """

    start: float = 0.0
    duration: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < math.inf:
            raise InputError(
                f"subjects.<name>.start (--start) is {self.start}, expected 0 or more seconds."
            )
        if self.duration is not None and not 0 < self.duration < math.inf:
            raise InputError(
                f"subjects.<name>.duration (--duration) is {self.duration}, expected more than 0 "
                "seconds; leave it out to use the file to its end."
            )


WHOLE = Cut()
"""A file from its beginning to its end."""


def probe(path: Path) -> Media:
    """Open a media file and decode its first frame, whose rotation and time no header tells.

    Raises:
        InputError: missing, empty, not a media file, or its picture cannot be decoded.
    """
    path = require_file(path, "a video or audio file", "Check the path (subjects.<name>.video).")
    try:
        with av.open(local(path), options=PROTOCOLS) as container:
            # The cover of a song is a video stream too, by ffmpeg's reckoning.
            videos = (s for s in container.streams.video if not _is_cover(s))
            video = next(videos, None)
            sound_index = next((s.index for s in container.streams.audio), None)
            duration = None if container.duration is None else container.duration / av.time_base
            begin = (container.start_time or 0) / av.time_base
            picture, zero = None, 0.0
            if video is not None:
                frame = next(container.decode(video), None)
                if frame is None:
                    raise InputError(f"{path}: its video stream has no frame that can be decoded.")
                picture = _picture(video, frame)
                zero = max(0.0, (frame.time or 0.0) - begin)
    except av.FFmpegError as error:
        raise InputError(
            f"{path}: expected a video or audio file, but it cannot be read as one "
            f"({error.strerror}). Play it to check it, or convert it: `ffmpeg -i FILE new.mp4`."
        ) from error
    if picture is None and sound_index is None:
        raise InputError(f"{path}: expected a video or audio file, but it has neither stream.")
    return Media(path, picture, sound_index, zero, duration)


def picture_at_25_fps(media: Media, cut: Cut) -> ffmpeg.nodes.FilterableStream:
    """The upright picture in square pixels, resampled to 25 fps by dropping or repeating frames.

    A frame of the source moves by at most 20 ms (ffmpeg's fps filter takes the nearest).

    Raises:
        InputError: no video stream.
    """
    picture = require_picture(media)
    stream = _input(media, picture.index)
    stream = stream.filter("trim", **_bounds(media, cut))
    stream = stream.filter("setpts", f"PTS-{_begin(media, cut)}/TB")
    stream = stream.filter("fps", fps=FPS, start_time=0)
    if cut.duration is not None:
        # A cut between two frames of the source would else give one more than asked for.
        stream = stream.filter("trim", end_frame=round(cut.duration * FPS))
    # ffmpeg has turned the picture upright by now; this only squares its pixels.
    return stream.filter("scale", picture.width, picture.height).filter("setsar", 1)


def sound_in_step(media: Media, cut: Cut, rate: int | None = None) -> ffmpeg.nodes.FilterableStream:
    """The sound on the picture's clock, gaps filled with silence, at `rate` Hz or the file's own.

    Raises:
        InputError: no audio track.
    """
    if media.sound_index is None:
        raise InputError(
            f"{media.path}: has no audio track, and speech is what drives the portrait. Use a file "
            "with sound (subjects.<name>.video), or add it: `ffmpeg -i FILE -i SOUND new.mp4`."
        )
    stream = _input(media, media.sound_index)
    stream = stream.filter("atrim", **_bounds(media, cut))
    stream = stream.filter("asetpts", f"PTS-{_begin(media, cut)}/TB")
    # The two options make samples follow their time stamps: silence in gaps and before the first.
    options = {"async": 1, "first_pts": 0}
    return stream.filter("aresample", *([] if rate is None else [rate]), **options)


def write_wav(
    media: Media, path: Path, cut: Cut, rate: int | None = None, channels: int | None = None
) -> None:
    """Write the sound on the picture's clock as 16-bit wav, at the file's own rate and channels
    unless given.

    Raises:
        InputError: no audio track, or no sound within the cut.
    """
    options = {"acodec": "pcm_s16le", "fflags": "+bitexact", "flags:a": "+bitexact"}
    if channels is not None:
        options["ac"] = str(channels)
    with whole_output(path) as partial:
        run_ffmpeg(
            sound_in_step(media, cut, rate).output(local(partial), **options), str(media.path)
        )
        with av.open(str(partial)) as written:
            if not written.streams.audio or not written.duration:
                raise InputError(
                    f"{media.path}: its audio track has no sound between {describe(cut)}. Check "
                    "the file, start and duration of subjects.<name>."
                )


def require_picture(media: Media) -> Picture:
    """The picture of a file.

    Raises:
        InputError: no video stream, or one of a few pixels.
    """
    if media.picture is None:
        raise InputError(
            f"{media.path}: has no video stream, only sound. subjects.<name>.video must name a "
            "video of a talking person."
        )
    width, height = media.picture.width, media.picture.height
    if min(width, height) < SMALLEST_SIDE:
        raise InputError(
            f"{media.path}: its picture is {width}x{height} pixels, expected {SMALLEST_SIDE}x"
            f"{SMALLEST_SIDE} at the very least. subjects.<name>.video must name a video of a "
            "talking person."
        )
    return media.picture


def describe(cut: Cut) -> str:
    """`2 s and its end`, for messages."""
    end = "its end" if cut.duration is None else f"{cut.start + cut.duration:g} s"
    return f"{cut.start:g} s and {end}"


def add_cut_arguments(parser: argparse.ArgumentParser) -> None:
    """`--start` and `--duration`, for the stages that read the source."""
    parser.add_argument(
        "--start", type=float, default=0.0, help="seconds of the file to leave out at its beginning"
    )
    parser.add_argument(
        "--duration", type=float, help="seconds to use; left out, the file to its end"
    )


def _is_cover(stream: av.VideoStream) -> bool:
    return Disposition.attached_pic in stream.disposition


def _picture(stream: av.VideoStream, frame: av.VideoFrame) -> Picture:
    shape = stream.sample_aspect_ratio or 1
    width, height = round(frame.width * shape), frame.height
    if frame.rotation % 180 == 90:
        width, height = height, width
    fps = stream.guessed_rate or stream.average_rate or 0
    duration = None
    if stream.duration is not None and stream.time_base is not None:
        duration = float(stream.duration * stream.time_base)
    return Picture(stream.index, width, height, float(fps), duration)


def _input(media: Media, index: int) -> ffmpeg.nodes.FilterableStream:
    return ffmpeg.input(local(media.path), **PROTOCOLS)[str(index)]


def _begin(media: Media, cut: Cut) -> float:
    return media.zero + cut.start


def _bounds(media: Media, cut: Cut) -> dict[str, float]:
    begin = _begin(media, cut)
    end = {} if cut.duration is None else {"end": begin + cut.duration}
    return {"start": begin, **end}
