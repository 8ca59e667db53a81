"""Copies of clips that tell nothing of the method: no metadata, one container, one kind of name."""

import re
import subprocess
from pathlib import Path

from ssp_nerf.errors import InputError
from ssp_nerf.files import whole_output
from ssp_nerf.progress import progress
from ssp_nerf.study.clips import Clip, Study
from ssp_nerf.video import ffmpeg_binary, last_line

PLAYED_EVERYWHERE = ("h264", "yuv420p", "aac")
ENCODING = [
    *("-c:v", "libx264", "-crf", "12", "-preset", "medium", "-pix_fmt", "yuv420p"),
    *("-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2"),  # yuv420p needs even sizes
    *("-fps_mode", "passthrough"),  # no frame twice, none left out
]
"""For what browsers do not play: finer than eyes see (x264 calls 18 visually lossless)."""
ENCODING_SOUND = ["-c:a", "aac", "-b:a", "192k"]
NO_ENCODER_NAMES = ["-bsf:v", "filter_units=remove_types=6"]
"""H.264's SEI, where x264 writes its version and options."""


def blind_copies(study: Study, folder: Path) -> dict[str, Path]:
    """A copy of each clip in `folder`, by alias.

    Pictures and sound stay as they are encoded, bit by bit, where browsers play them.

    Raises:
        InputError: a clip that cannot be read, or has no picture or no sound.
    """
    copies = {}
    for alias, clip in progress(study.clips.items(), "hide methods", len(study.clips), "clip"):
        copies[alias] = folder / f"{alias}.mp4"
        blind_copy(clip, copies[alias])
    return copies


def blind_copy(clip: Clip, path: Path) -> None:
    """Write a clip without what tells the method.

    Raises:
        InputError: see `blind_copies`.
    """
    video, pixels, sound = streams(clip)
    as_it_is = (video, pixels) == PLAYED_EVERYWHERE[:2]
    with whole_output(path) as partial:
        arguments = [
            *("-loglevel", "error", "-nostdin", "-y", "-i", f"file:{clip.path}"),
            *("-map", "0:v:0", "-map", "0:a:0", "-map_metadata", "-1", "-map_chapters", "-1"),
            *(["-c:v", "copy", *NO_ENCODER_NAMES] if as_it_is else ENCODING),
            *(["-c:a", "copy"] if sound == PLAYED_EVERYWHERE[2] else ENCODING_SOUND),
            *("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"),
            *("-movflags", "+faststart", str(partial)),
        ]
        done = subprocess.run([ffmpeg_binary(), *arguments], capture_output=True)
        if done.returncode != 0:
            raise InputError(f"{clip.path}: ffmpeg failed: {last_line(done.stderr)}")


def streams(clip: Clip) -> tuple[str, str, str]:
    """Codec and pixel format of a clip's picture, codec of its sound.

    Raises:
        InputError: it has no picture or no sound.
    """
    # No ffprobe in imageio-ffmpeg. Asked for no output, ffmpeg tells the streams and fails.
    arguments = [ffmpeg_binary(), "-hide_banner", "-nostdin", "-i", f"file:{clip.path}"]
    said = subprocess.run(arguments, capture_output=True).stderr.decode(errors="replace")
    picture = re.search(r"^ *Stream #.*Video: (\w+).*?, (\w+)[(,]", said, re.MULTILINE)
    sound = re.search(r"^ *Stream #.*Audio: (\w+)", said, re.MULTILINE)
    for found, what in ((picture, "picture"), (sound, "sound, which lips are compared with")):
        if not found:
            raise InputError(f"{clip.path}: a clip of {clip.method!r} without {what}.")
    assert picture and sound
    return picture[1], picture[2], sound[1]
