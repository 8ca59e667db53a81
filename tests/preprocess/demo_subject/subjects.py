"""The synthetic people, built once for all tests, and drawn small."""

from functools import cache
from unittest.mock import patch

import numpy as np

from preprocess.demo_subject.backdrop import backdrop
from preprocess.demo_subject.looks import LOOKS
from preprocess.demo_subject.person import Person, build_person
from preprocess.demo_subject.picture import Painter, View
from preprocess.demo_subject.scene import Scene, move, stage
from preprocess.demo_subject.voice import Speech, speak
from preprocess.makehuman_points import face_points

SEED, SIZE, TEXT = 1, 96, "Hello there."


@cache
def person(name: str) -> Person:
    return build_person(LOOKS[name])


@cache
def speech() -> Speech:
    return speak(TEXT)


@cache
def scene(name: str, size: int) -> Scene:
    return stage(person(name), speech(), SEED, size)


def painter_of(somebody: Person, view: View, room: np.ndarray) -> Painter:
    """A painter who looks a little less closely where light from all around comes from."""
    with patch("preprocess.demo_subject.picture.AMBIENT_RAYS", 6):
        return Painter(somebody, view, room)


@cache
def painter(name: str, size: int) -> Painter:
    return painter_of(person(name), View(size, scene(name, size).focal), backdrop(size, SEED))


@cache
def drawn(name: str, size: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture and parsing map of a frame."""
    clip = scene(name, size)
    middle = move(clip.head[index], clip.person.joint("head"))
    return painter(name, size).draw(clip.vertices(index), middle)


def points(name: str, **units: float) -> np.ndarray:
    """(478, 3) FaceMesh points of a face at rest, decimetres."""
    return face_points(person(name).expression(units))
