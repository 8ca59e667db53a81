"""Make a talking person whose every truth is known: a video, and what the stages should find in it.

`python -m preprocess.demo_subject --person anna --folder results/demo_subjects/anna`

writes video.mp4 (a square, 25 fps, with sound) and, in truth/, poses and focal length (track.h5),
landmarks (landmarks.h5, landmarks68.h5), the parsing map (parsing.h5), the scene without the person
(background.png), the head's mesh (mesh.h5), the speech (speech.wav) and its phonemes
(phonemes.csv). The same arguments give the same bytes.
"""

import argparse
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from preprocess.demo_subject import truth
from preprocess.demo_subject.backdrop import backdrop
from preprocess.demo_subject.looks import LOOKS
from preprocess.demo_subject.person import build_person
from preprocess.demo_subject.picture import Painter, View
from preprocess.demo_subject.scene import Scene, move, stage
from preprocess.demo_subject.voice import speak
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import whole_output
from ssp_nerf.progress import progress
from ssp_nerf.schema import PARSING
from ssp_nerf.video import write_video

SIZE = 450  # pixels; paper, section 4.1
TEXT = "Hello! I was never filmed, and nobody drew me. Every frame that you see was computed."


def make_demo_subject(
    folder: Path,
    person: str = "anna",
    text: str = TEXT,
    voice: str = "en-us",
    words_per_minute: int = 150,
    pitch: int = 50,
    seed: int = 0,
    size: int = SIZE,
    workers: int = 1,
) -> None:
    """Write a synthetic clip and its truth.

    Args:
        folder: where video.mp4 and truth/ go.
        person: a name in `LOOKS`.
        text: what it says.
        voice, words_per_minute, pitch: how, see `speak`.
        seed: of motion and background.
        size: pixels a side.
        workers: processes that draw; they change nothing but the time.

    Raises:
        InputError: unknown person or voice, or a number out of its range.
    """
    if person not in LOOKS:
        raise InputError(f"person is {person!r}, expected one of {', '.join(LOOKS)}.")
    if size < 64 or size % 2:
        raise InputError(f"size is {size}, expected an even number from 64 pixels up.")
    if workers < 1 or seed < 0:
        raise InputError(
            f"seed is {seed} and workers {workers}, expected seed 0 or more, workers 1 or more."
        )
    speech = speak(text, voice, words_per_minute, pitch)
    scene = stage(build_person(LOOKS[person]), speech, seed, size)
    room = backdrop(size, seed)
    config = {
        "person": person,
        "text": text,
        "voice": voice,
        "words_per_minute": words_per_minute,
        "pitch": pitch,
        "seed": seed,
    }
    known = folder / "truth"
    truth.write_speech(known / "speech.wav", speech)
    truth.write_phonemes(known / "phonemes.csv", speech)
    truth.write_track(known / "track.h5", scene, config)
    truth.write_landmarks(known / "landmarks.h5", known / "landmarks68.h5", scene, config)
    truth.write_mesh(known / "mesh.h5", scene, config)
    with whole_output(known / "background.png") as partial:
        Image.fromarray(room).save(partial)
    with PARSING.create(
        known / "parsing.h5", {"N": len(scene), "H": size, "W": size}, {"parser": "truth"}, config
    ) as file:
        frames = draw_all(scene, room, workers)
        frames = progress(frames, f"draw {person}", len(scene))
        write_video(
            folder / "video.mp4", _with_maps_stored(frames, file), audio=known / "speech.wav"
        )


def draw_all(
    scene: Scene, room: np.ndarray, workers: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield picture and parsing map of each frame, in order."""
    painter = Painter(scene.person, View(scene.size, scene.focal), room)
    if workers == 1:
        yield from (_draw(painter, scene, index) for index in range(len(scene)))
        return
    # Forked workers find painter and scene in their memory; they are too large to be sent.
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(
        workers, context, initializer=_remember, initargs=(painter, scene)
    ) as pool:
        yield from pool.map(_draw_remembered, range(len(scene)))


def _draw(painter: Painter, scene: Scene, index: int) -> tuple[np.ndarray, np.ndarray]:
    middle = move(scene.head[index], scene.person.joint("head"))
    return painter.draw(scene.vertices(index), middle)


_remembered: list[tuple[Painter, Scene]] = []


def _remember(painter: Painter, scene: Scene) -> None:
    _remembered[:] = [(painter, scene)]


def _draw_remembered(index: int) -> tuple[np.ndarray, np.ndarray]:
    return _draw(*_remembered[0], index)


def _with_maps_stored(
    frames: Iterator[tuple[np.ndarray, np.ndarray]], file: h5py.File
) -> Iterator[np.ndarray]:
    """Pass the pictures on, each one's parsing map stored on its way."""
    for index, (image, parsing) in enumerate(frames):
        file["parsing"][index] = parsing
        yield image


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.demo_subject", __doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where video and truth go")
    parser.add_argument("--person", default="anna", help=f"one of {', '.join(LOOKS)}")
    parser.add_argument("--text", default=TEXT, help="what it says")
    parser.add_argument("--voice", default="en-us", help="an espeak-ng voice, such as en-gb+f3")
    parser.add_argument("--words-per-minute", type=int, default=150, help="how fast")
    parser.add_argument("--pitch", type=int, default=50, help="how high, 0 to 99")
    parser.add_argument("--seed", type=int, default=0, help="of motion and background")
    parser.add_argument("--size", type=int, default=SIZE, help="side of the video, pixels")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")

    def command(options: argparse.Namespace) -> None:
        make_demo_subject(**vars(options))

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
