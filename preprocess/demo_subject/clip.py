"""One clip of a synthetic person: staged, drawn, and written with its truth."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import h5py
import numpy as np
from PIL import Image

from preprocess.demo_subject import TRUTH_FILES, truth
from preprocess.demo_subject.backdrop import backdrop
from preprocess.demo_subject.looks import LOOKS
from preprocess.demo_subject.person import build_person
from preprocess.demo_subject.picture import Painter, View
from preprocess.demo_subject.scene import Scene, move, stage
from preprocess.demo_subject.voice import speak
from ssp_nerf.errors import InputError
from ssp_nerf.files import sha256, whole_output
from ssp_nerf.progress import progress
from ssp_nerf.provenance.record import DRAWN, Provenance
from ssp_nerf.provenance.xmp import write_xmp
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

    The video goes first and comes last: where there is one, all of the truth beside it is its own.

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
    video = folder / "video.mp4"
    video.unlink(missing_ok=True)
    known = {name: folder / "truth" / name for name in TRUTH_FILES}
    truth.write_speech(known["speech.wav"], speech)
    truth.write_phonemes(known["phonemes.csv"], speech)
    truth.write_track(known["track.h5"], scene, config)
    truth.write_landmarks(known["landmarks.h5"], known["landmarks68.h5"], scene, config)
    truth.write_mesh(known["mesh.h5"], scene, config)
    with whole_output(known["background.png"]) as partial:
        Image.fromarray(room).save(partial)
    about = Provenance(
        DRAWN, subject=person, speech=voice, speech_sha256=sha256(known["speech.wav"])
    )
    dims, parser = {"N": len(scene), "H": size, "W": size}, {"parser": "truth"}
    with (
        whole_output(video) as partial,  # ends after the parsing maps
        PARSING.create(known["parsing.h5"], dims, parser, config) as file,
    ):
        frames = draw_all(scene, room, workers)
        frames = progress(frames, f"draw {person}", len(scene))
        drawn = _with_maps_stored(frames, file)
        write_video(partial, drawn, audio=known["speech.wav"], comment=about.comment)
        write_xmp(partial, about)


def draw_all(
    scene: Scene, room: np.ndarray, workers: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield picture and parsing map of each frame, in order."""
    painter = Painter(scene.person, View(scene.size, scene.focal), room)
    if workers == 1:
        yield from (_draw(painter, scene, index) for index in range(len(scene)))
        return
    # Not forked: OpenCV's and Embree's threads would stay behind, and a worker wait for them.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, context, initializer=_remember, initargs=(painter, scene)
    ) as pool:
        yield from pool.map(_draw_remembered, range(len(scene)))


def _draw(painter: Painter, scene: Scene, index: int) -> tuple[np.ndarray, np.ndarray]:
    middle = move(scene.head[index], scene.person.joint("head"))
    return painter.draw(scene.vertices(index), middle)


_remembered: list[tuple[Painter, Scene]] = []


def _remember(painter: Painter, scene: Scene) -> None:
    cv2.setNumThreads(1)  # a core for each worker
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
