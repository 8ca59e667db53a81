"""A video of a talking person -> a square portrait at 25 fps: portrait.mp4 and frames.h5.

The head is found in every fifth frame; one square around it serves the whole clip, so that the
background stands still.

`python -m preprocess.crop --video talk.mp4 --portrait portrait.mp4 --frames frames.h5`
"""

import argparse
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np

from preprocess.heads import FaceDetector, square_around
from preprocess.media import (
    WHOLE,
    Cut,
    Media,
    add_cut_arguments,
    describe,
    picture_at_25_fps,
    probe,
    require_picture,
    write_wav,
)
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import scratch_folder
from ssp_nerf.frame_store import write_frame
from ssp_nerf.progress import progress
from ssp_nerf.schema import FPS, FRAMES
from ssp_nerf.video import read_frames, write_video

SIZE = 450
"""Pixels; paper, section 4.1."""
FACE_FRACTION = 0.4
"""Brows to chin over the crop's side: leaves room for hair above and shoulders below."""

FRAMES_BETWEEN_SAMPLES = 5  # 0.2 s: heads do not get far in it
SEARCH_SHORT_SIDE = 540  # pixels: small enough to be fast, enough for a face of 1/20 of the frame
MIN_FRAMES = 2
PORTRAIT_PRESET = "veryfast"  # of x264: to be looked at, not measured on; 3 times faster, 48 dB
MISSING_SHARE, MISSING_FRAMES = 0.05, 5
"""A clip that lacks more, of its length and of frames, than the file says is not whole."""
MAX_ENLARGEMENT = 2.0  # beyond it the portrait is visibly soft


def crop_video(
    video: Path,
    portrait: Path,
    frames: Path,
    size: int = SIZE,
    face_fraction: float = FACE_FRACTION,
    cut: Cut = WHOLE,
) -> None:
    """Write the portrait as a video with sound, and its frames losslessly.

    Args:
        video: any frame rate, size, orientation and rotation metadata.
        portrait: size x size H.264 at 25 fps, with the sound of the video if it has any.
        frames: a file of the FRAMES layout; frame i shows the time i / 25 s.
        size: pixels.
        face_fraction: height of the face, brows to chin, over the side of the crop.
        cut: the part of the video to use.

    Raises:
        InputError: unreadable file, no video stream, fewer than 2 frames, no face, bad settings.
    """
    require_settings(size, face_fraction)
    media = probe(video)
    picture = require_picture(media)
    boxes, count = find_faces(media, cut)
    square, notes = square_around(boxes, picture.width, picture.height, face_fraction)
    if size > MAX_ENLARGEMENT * square.side:
        notes.append(
            f"the crop is only {square.side} pixels wide and is enlarged to {size}; a closer shot "
            "or a smaller crop.size would look sharper"
        )
    for note in notes:
        print(f"warning: {video}: {note}.", file=sys.stderr)
    print(
        f"{video}: {picture.width}x{picture.height} at {picture.fps:g} fps, {count} frames at "
        f"{FPS:g} fps ({count / FPS:.2f} s), face in {len(boxes)} of "
        f"{-(-count // FRAMES_BETWEEN_SAMPLES)} sampled frames, crop {square.side}x{square.side} "
        f"at ({square.x}, {square.y}) -> {size}x{size}",
        file=sys.stderr,
    )

    cropped = (
        picture_at_25_fps(media, cut)
        .filter("crop", square.side, square.side, square.x, square.y)
        .filter("scale", size, size, flags="lanczos+accurate_rnd+full_chroma_int")
    )
    settings = {"size": size, "face_fraction": face_fraction, **asdict(cut)}
    box = np.array([square.x, square.y, square.side, square.side], np.int32)
    with (
        scratch_folder(portrait) as folder,
        FRAMES.create(
            frames, {"N": count, "H": size, "W": size}, {"source_box": box}, settings
        ) as file,
    ):
        sound = None
        if media.sound_index is not None:
            sound = folder / "sound.wav"
            write_wav(media, sound, cut)
        images = read_frames(cropped, size, size, str(video))
        written = write_video(
            portrait, _stored(images, file, count), audio=sound, preset=PORTRAIT_PRESET
        )
        assert written == count, (written, count)


def require_settings(size: int, face_fraction: float) -> None:
    """Raises InputError for a portrait of a size, or a face in it, that makes no sense."""
    if size < 64 or size % 2:
        raise InputError(
            f"crop.size (--size) is {size}, expected an even number from 64 pixels up."
        )
    if not 0.1 <= face_fraction <= 0.9:
        raise InputError(
            f"crop.face_fraction (--face-fraction) is {face_fraction}, expected 0.1 to 0.9."
        )


def find_faces(media: Media, cut: Cut) -> tuple[list[np.ndarray], int]:
    """The largest face of every fifth frame, where there is one, and the number of all frames.

    Returns:
        Boxes (left, top, right, bottom) in pixels of the upright source, and the count at 25 fps.

    Raises:
        InputError: fewer than 2 frames, or than the file promises; no face in any looked at.
    """
    picture = require_picture(media)
    scale = min(1.0, SEARCH_SHORT_SIDE / min(picture.width, picture.height))
    width, height = round(picture.width * scale), round(picture.height * scale)
    small = picture_at_25_fps(media, cut).filter("scale", width, height, flags="area")
    detector = FaceDetector()
    boxes, count = [], 0
    estimate = _estimated_frames(media, cut)
    images = read_frames(small, width, height, str(media.path))
    for image in progress(images, "find the head", estimate):
        if count % FRAMES_BETWEEN_SAMPLES == 0:
            box = detector.largest(image)
            if box is not None:
                boxes.append(box / scale)
        count += 1
    if count < MIN_FRAMES:
        raise InputError(
            f"{media.path}: {'one frame' if count else 'no frame'} at {FPS:g} fps between "
            f"{describe(cut)}, expected a video of {MIN_FRAMES} frames or more. Check "
            "video, start and duration of subjects.<name>."
        )
    require_whole(media, cut, count)
    if not boxes:
        raise InputError(
            f"{media.path}: no face found in any of {-(-count // FRAMES_BETWEEN_SAMPLES)} sampled "
            f"frames of {picture.width}x{picture.height} between {describe(cut)}. Expected one "
            "person facing the camera, the face at least 1/20 of the frame; check that the "
            "video is upright, or choose a part with start and duration of subjects.<name>."
        )
    return boxes, count


def require_whole(media: Media, cut: Cut, count: int) -> None:
    """Check that `count` frames at 25 fps are what the file promises.

    Raises:
        InputError: far fewer, because the file was cut off or is damaged.
    """
    promised = require_picture(media).duration
    if promised is None:
        return
    end = math.inf if cut.duration is None else cut.start + cut.duration
    expected = (min(promised, end) - cut.start) * FPS
    missing = expected - count
    if missing > max(MISSING_FRAMES, MISSING_SHARE * expected):
        raise InputError(
            f"{media.path}: {missing / FPS:.2f} s of the picture are missing: it should last "
            f"{expected / FPS:.2f} s, and {count / FPS:.2f} s can be decoded. The file is cut off "
            "or damaged: copy it again, or use a whole part of it with start and duration of "
            "subjects.<name>."
        )


def _estimated_frames(media: Media, cut: Cut) -> int:
    """What the container says, for the progress display."""
    whole = max(0.0, (media.duration or 0.0) - cut.start)
    seconds = whole if cut.duration is None else min(whole, cut.duration)
    return round(seconds * FPS)


def _stored(images: Iterable[np.ndarray], file: h5py.File, count: int) -> Iterator[np.ndarray]:
    """Pass the images on, each one stored on its way."""
    frames = file["frames"]
    for index, image in enumerate(progress(images, "crop_video", count)):
        write_frame(frames, index, image)
        yield image


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.crop", __doc__)
    parser.add_argument("--video", type=Path, required=True, help="the video of one talking person")
    parser.add_argument("--portrait", type=Path, required=True, help="mp4 to write, with sound")
    parser.add_argument("--frames", type=Path, required=True, help="HDF5 file of frames to write")
    parser.add_argument("--size", type=int, default=SIZE, help="side of the portrait, pixels")
    parser.add_argument(
        "--face-fraction",
        type=float,
        default=FACE_FRACTION,
        help="height of the face, brows to chin, over the side of the crop",
    )
    add_cut_arguments(parser)

    def command(options: argparse.Namespace) -> None:
        crop_video(
            options.video,
            options.portrait,
            options.frames,
            options.size,
            options.face_fraction,
            Cut(options.start, options.duration),
        )

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
