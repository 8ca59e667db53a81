"""Footage of any video: the stages of the road find its frames, faces, classes and sound.

They run as the commands that the rules call, `python -m preprocess...`, in a folder of their own.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file
from ssp_nerf.footage import Footage, Rows
from ssp_nerf.frame_store import PackedFrames
from ssp_nerf.landmarks import read_faces
from ssp_nerf.schema import FPS, FRAMES, PARSING
from ssp_nerf.speech import SAMPLES_PER_FRAME, read_speech_integers
from ssp_nerf.video import last_line

ASPECT_TOLERANCE = 0.02  # of width over height: encoders pad by a pixel


@dataclass(frozen=True)
class Stages:
    """How videos are looked at; the same for all that are compared.

    Attributes:
        detector: of landmarks (config key landmarks.detector).
        parser: of classes (config key parsing.parser), or "none".
        weights: folder of their pretrained networks.
        device: auto, cpu, cuda.
    """

    detector: str = "mediapipe"
    parser: str = "mesh"
    weights: Path = Path("weights")
    device: str = "auto"

    def frames(self, video: Path, folder: Path) -> None:
        """Write frames.h5 of a video into a folder.

        Raises:
            InputError: the video cannot be read.
        """
        require_file(video, "a video", "Check the path.")
        folder.mkdir(parents=True, exist_ok=True)
        _stage("preprocess.frames", "--video", video, "--frames", folder / "frames.h5")

    def look(self, video: Path, folder: Path) -> list[str]:
        """Add landmarks.h5, parsing.h5 and speech.wav to the frames of a video.

        Returns:
            Notes of what could not be had, and what the stage said.

        Raises:
            InputError: the stage that finds faces failed.
        """
        network = ("--weights", str(self.weights), "--device", self.device)
        frames, landmarks = folder / "frames.h5", folder / "landmarks.h5"
        faces = ("--allow-missing", "--detector", self.detector, *network)
        _stage("preprocess.landmarks", "--frames", frames, "--landmarks", landmarks, *faces)
        missing = []
        try:
            _stage("preprocess.speech", "--media", video, "--wav", folder / "speech.wav")
        except InputError as error:
            missing.append(f"{video}: no speech: {error}")
        if self.parser != "none":
            inputs = ("--frames", str(frames), "--landmarks", str(landmarks))
            output = ("--parsing", str(folder / "parsing.h5"), "--parser", self.parser)
            try:
                _stage("preprocess.parsing", *inputs, *output, *network)
            except InputError as error:
                missing.append(f"{video}: no parsing: {error}")
        return missing


def _stage(module: str, *arguments: str | Path) -> None:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True)
    if done.returncode != 0:
        raise InputError(f"{module}: {last_line(done.stderr).removeprefix('error: ')}")


@contextmanager
def open_footage(
    folder: Path, rows: Sequence[int] | None = None, size: tuple[int, int] | None = None
) -> Iterator[Footage]:
    """What `Stages` put into a folder, as it is or in part.

    Args:
        rows: consecutive frames that are wanted, all of them without it.
        size: width and height, to which frames, points and classes are brought.

    Raises:
        InputError: files that do not fit together, or frames of another shape than `size`.
    """
    with ExitStack() as files:
        frames = files.enter_context(FRAMES.open(folder / "frames.h5"))["frames"]
        count, height, width = frames.shape[:3]
        size = size or (width, height)
        require_shape((width, height), size)
        rows = range(count) if rows is None else rows
        points, detector = read_faces(folder / "landmarks.h5", count, width, height)
        points *= np.array(size) / (width, height)
        parsing = None
        if (folder / "parsing.h5").exists():
            maps = files.enter_context(PARSING.open(folder / "parsing.h5"))
            parsing, parser = Rows(PackedFrames(maps["parsing"]), rows, size), maps.attrs["parser"]
        speech = None
        if (folder / "speech.wav").exists():
            speech = read_speech_integers(folder / "speech.wav")[rows[0] * SAMPLES_PER_FRAME :]
        yield Footage(
            frames=Rows(PackedFrames(frames), rows, size),
            points=points[list(rows)],
            detector=detector,
            parsing=parsing,
            parser="none" if parsing is None else str(parser),
            speech=speech,
        )


def frame_shape(folder: Path) -> tuple[int, tuple[int, int]]:
    """How many frames a folder of `Stages` holds, and their width and height."""
    with FRAMES.open(folder / "frames.h5") as file:
        count, height, width = file["frames"].shape[:3]
        return count, (width, height)


def require_shape(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    """Check that pictures of one size can be resized to another.

    Raises:
        InputError: width over height differs.
    """
    if abs(size[0] / size[1] / (wanted[0] / wanted[1]) - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"a video of {size[0]}x{size[1]} pixels cannot be compared with one of "
            f"{wanted[0]}x{wanted[1]}: it shows another part of the scene. Crop it to the same "
            "region first."
        )


def common_length(video: int, truth: int, notes: list[str]) -> int:
    """Frames that both have; a note says what was left out.

    Raises:
        InputError: one has less than half of the other's.
    """
    common = min(video, truth)
    if common < max(video, truth) / 2:
        raise InputError(
            f"the rendering has {video} frames ({video / FPS:.2f} s at 25 fps), the truth {truth} "
            f"({truth / FPS:.2f} s): they are not of the same time. Cut both to the same part."
        )
    if video != truth:
        notes.append(
            f"the rendering has {video} frames, the truth {truth}: the first {common} are compared"
        )
    return common
