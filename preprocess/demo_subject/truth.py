"""The truth of a synthetic clip, written in the formats of the stages that are to find it."""

import csv
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from preprocess.demo_subject.person import HAIR
from preprocess.demo_subject.scene import Scene, move
from preprocess.demo_subject.voice import FULL_SCALE, Speech
from preprocess.face_topology import MESH_TO_68, triangles
from preprocess.makehuman_points import face_points
from ssp_nerf.files import whole_output
from ssp_nerf.schema import LANDMARKS, TRACK, Field, Layout

MESH = Layout(
    "mesh",
    {
        "vertices": Field("float32", ("N", "V", 3), "the head, canonical head frame, decimetres"),
        "triangles": Field("int32", ("F", 3), "triangles of the vertices"),
        "face_points": Field("float32", ("N", 478, 3), "FaceMesh points in it, decimetres"),
    },
    {},
    made_by="make_demo_subject",
)
HEAD_SHARE = 0.5
"""Triangles that follow the head at least this far belong to the head."""


def write_track(path: Path, scene: Scene, config: Mapping[str, Any]) -> None:
    """True poses and focal length; `expression` holds the face units, named in the config."""
    c2w = scene.c2w()
    mean = scene.mean_face()
    near, far = scene.depth_range()
    units = sorted(scene.units)
    with TRACK.create(
        path,
        {
            "N": len(scene),
            "V": len(mean),
            "F": len(triangles()),
            "I": 0,
            "E": len(units),
        },
        {
            "model": "truth",
            "focal": scene.focal,
            "width": scene.size,
            "height": scene.size,
            "near": near,
            "far": far,
        },
        {**config, "expression": units},
    ) as file:
        file["c2w"][...] = c2w
        file["vertices"][...] = mean
        file["faces"][...] = triangles()
        file["face_points"][...] = mean
        file["expression"][...] = np.stack([scene.units[unit] for unit in units], axis=1)


def write_landmarks(full: Path, ibug: Path, scene: Scene, config: Mapping[str, Any]) -> None:
    """True projections of the 478 points of FaceMesh, and the 68 of them that iBUG has."""
    points = scene.points()
    for path, chosen in ((full, points), (ibug, points[:, MESH_TO_68])):
        with LANDMARKS.create(
            path,
            {"N": len(chosen), "P": chosen.shape[1]},
            {"width": scene.size, "height": scene.size, "detector": "truth"},
            config,
        ) as file:
            file["points"][...] = chosen
            file["confidence"][...] = 1


def write_mesh(path: Path, scene: Scene, config: Mapping[str, Any]) -> None:
    """The moving mesh of the head without its hair, and the points on it."""
    person = scene.person
    follows = (person.head_share[person.triangles] > HEAD_SHARE).all(1)
    used, index = np.unique(
        person.triangles[follows & (person.material != HAIR)], return_inverse=True
    )
    with MESH.create(
        path,
        {"N": len(scene), "V": len(used), "F": index.size // 3},
        {},
        config,
    ) as file:
        file["triangles"][...] = index.reshape(-1, 3)
        for frame in range(len(scene)):
            rest = scene.face(frame)
            file["vertices"][frame] = move(scene.frame, rest[used])
            file["face_points"][frame] = move(scene.frame, face_points(rest))


def write_speech(path: Path, speech: Speech) -> None:
    """The sound as a 16-bit mono wav."""
    with whole_output(path) as partial, wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(speech.rate)
        file.writeframes((speech.samples * FULL_SCALE).round().astype("<i2").tobytes())


def write_phonemes(path: Path, speech: Speech) -> None:
    """What is said when: phoneme, start, end (seconds)."""
    with whole_output(path) as partial, open(partial, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["phoneme", "start", "end"])
        for sound in speech.phonemes:
            writer.writerow([sound.symbol, f"{sound.start:.4f}", f"{sound.end:.4f}"])
