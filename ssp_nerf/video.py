"""ffmpeg: one place that finds it, reads frames through it, and writes video with sound."""

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import ffmpeg
import numpy as np

from ssp_nerf.errors import FULL, InputError
from ssp_nerf.files import whole_output
from ssp_nerf.schema import FPS

CRF = 16  # x264 constant quality; 18 is called visually lossless, metrics deserve a little more
PRESET = "medium"  # x264's default
AUDIO_RATE = 48000  # Hz; sound ends with the picture to within an AAC block of 1024 samples, 21 ms
AUDIO_BITRATE = "128k"


def ffmpeg_binary() -> str:
    """Path of ffmpeg: the system's, else the one inside the imageio-ffmpeg package.

    Raises:
        InputError: neither is there.
    """
    binary = shutil.which("ffmpeg")
    if binary:
        return binary
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise InputError(
            "ffmpeg was not found on PATH, nor the package imageio-ffmpeg. Run `make setup`, or "
            "install ffmpeg from your system's packages."
        ) from error


def local(path: Path) -> str:
    """A path for ffmpeg, which would take `a:` at the beginning of a name for a protocol."""
    return f"file:{path}"


def run_ffmpeg(stream: ffmpeg.nodes.OutputStream, what: str) -> None:
    """Run a graph built with ffmpeg-python to its end.

    Raises:
        InputError: ffmpeg failed; carries the last line it said.
    """
    arguments = ffmpeg.compile(
        stream.global_args("-loglevel", "error", "-nostdin"),
        cmd=ffmpeg_binary(),
        overwrite_output=True,
    )
    done = subprocess.run(arguments, capture_output=True)
    if done.returncode != 0:
        raise failure(f"{what}: ffmpeg failed", done.stderr)


def read_frames(
    stream: ffmpeg.nodes.FilterableStream, width: int, height: int, what: str
) -> Iterator[np.ndarray]:
    """Yield the RGB frames (height, width, 3) uint8 of a video stream, one at a time.

    Raises:
        InputError: ffmpeg failed before the stream's end.
    """
    arguments = ffmpeg.compile(
        stream.output("pipe:", format="rawvideo", pix_fmt="rgb24").global_args(
            "-loglevel", "error", "-nostdin"
        ),
        cmd=ffmpeg_binary(),
    )
    frame_bytes = width * height * 3
    # A damaged video draws thousands of complaints; a pipe nobody reads meanwhile would fill up.
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=complaints) as process,
    ):
        assert process.stdout is not None
        try:
            while len(block := process.stdout.read(frame_bytes)) == frame_bytes:
                yield np.frombuffer(block, np.uint8).reshape(height, width, 3)
        except GeneratorExit:
            process.terminate()
            raise
        if process.wait() != 0:
            raise InputError(f"{what}: ffmpeg failed while reading: {_last_line_of(complaints)}")


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    audio: Path | None = None,
    audio_start: float = 0.0,
    fps: float = FPS,
    crf: int = CRF,
    preset: str = PRESET,
    comment: str = "",
    keyframe_every: int | None = None,
) -> int:
    """Encode RGB frames (H, W, 3) uint8 as H.264, with sound if given; returns the frame count.

    The sound starts `audio_start` seconds into `audio` and ends with the picture; where the audio
    is shorter, silence follows. Odd sizes are padded by one pixel, because yuv420p needs even ones.
    `crf` and `preset` are x264's: how exact, and how patient. `comment` goes into the container's
    metadata. `keyframe_every`: frames between two from which a player can begin to decode, at most;
    None: as x264 does, ten seconds.

    Raises:
        InputError: no frames, or ffmpeg failed.
    """
    options: dict[str, Any] = {"crf": crf, "preset": preset}
    if keyframe_every is not None:
        options["g"] = keyframe_every
    with whole_output(path) as partial:
        if audio is None:
            return _encode(partial, frames, fps, options | _container(comment))
        # How long the sound must be is known after the last frame. To end endless silence with the
        # picture (-shortest) would be one step, which ffmpeg 5.1 never ends.
        silent = partial.parent / "silent" / path.name
        silent.parent.mkdir()
        count = _encode(silent, frames, fps, options | _container(""))
        add_sound(silent, audio, count / fps, partial, audio_start, comment)
        return count


def _encode(
    path: Path, frames: Iterable[np.ndarray], fps: float, options: Mapping[str, Any]
) -> int:
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise InputError(f"{path.name}: no frames to write.")
    height, width = first.shape[:2]
    picture = ffmpeg.input(
        "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", framerate=fps
    ).filter("pad", "ceil(iw/2)*2", "ceil(ih/2)*2")
    encoded = picture.output(
        local(path),
        vcodec="libx264",
        pix_fmt="yuv420p",
        threads=1,  # same input, same bytes
        **options,
    )
    count = 0
    with tempfile.TemporaryFile() as said:
        arguments = ffmpeg.compile(
            encoded.global_args("-loglevel", "error"), cmd=ffmpeg_binary(), overwrite_output=True
        )
        try:
            with subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=said) as process:
                assert process.stdin is not None
                for frame in itertools.chain((first,), frames):
                    process.stdin.write(frame.tobytes())
                    count += 1
        except BrokenPipeError:
            if process.returncode == 0:  # not ffmpeg's pipe, then, but one of the frames' source
                raise
        if process.returncode != 0:
            said.seek(0)
            raise failure(f"{path.name}: ffmpeg failed while writing", said.read())
    return count


def add_sound(
    silent: Path, audio: Path, seconds: float, path: Path, start: float = 0.0, comment: str = ""
) -> None:
    """Write a video's picture, as it is encoded, with so many seconds of sound, and a comment.

    The sound starts `start` seconds into `audio`; where it is shorter, silence follows.

    Raises:
        InputError: ffmpeg failed.
    """
    # Not `apad`: with no sample to pad (empty, or cut beyond its end) ffmpeg waits for ever.
    silence = ffmpeg.input(f"anullsrc=r={AUDIO_RATE}:d={start + seconds}", f="lavfi").audio
    sound = (
        ffmpeg.concat(ffmpeg.input(local(audio)).audio, silence, v=0, a=1)
        .filter("atrim", start=start, end=start + seconds)
        .filter("asetpts", "PTS-STARTPTS")
    )
    with whole_output(path) as partial:
        joined = ffmpeg.output(
            ffmpeg.input(local(silent)).video,
            sound,
            local(partial),
            vcodec="copy",
            acodec="aac",
            audio_bitrate=AUDIO_BITRATE,
            ar=AUDIO_RATE,
            **_container(comment),
        )
        run_ffmpeg(joined, str(path))


def _container(comment: str) -> dict[str, str]:
    """Same input, same bytes: no encoder version or date in the file."""
    told = {"metadata": f"comment={comment}"} if comment else {}
    return {"movflags": "+faststart", "fflags": "+bitexact", **told}


def failure(what: str, output: bytes) -> InputError | OSError:
    """The error that a program's last line tells, or that the disk is full: the last line is then
    seldom the one that says it."""
    for number in FULL:
        if os.strerror(number).encode() in output:
            return OSError(number, os.strerror(number))
    return InputError(f"{what}: {last_line(output)}")


def last_line(output: bytes) -> str:
    """The last line a program said, for a one-line error."""
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _last_line_of(said: IO[bytes]) -> str:
    said.seek(0)
    return last_line(said.read())
