"""The HDF5 files of the road, each described once; writers and readers both import this.

Sizes are letters: N frames, H and W pixels, P points, V vertices, F triangles, C feature channels.
A file carries its kind, its schema version, the configuration that made it and the versions of the
packages involved. It carries no time stamp: the same input gives the same bytes.
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import ssp_nerf
from ssp_nerf.errors import InputError, first_line
from ssp_nerf.files import require_file, whole_output
from ssp_nerf.frame_rate import FPS as FPS
from ssp_nerf.frame_store import LEVEL

SCHEMA_VERSION = 2
DISPLACEMENT_STEP = 0.002
"""Decimetres (0.2 mm) that a step of a stored displacement stands for."""

POSITIVE = frozenset(("width", "height", "focal", "near", "far", "rate", "deviation"))
"""Attributes that are numbers above 0."""

CHECKED_ROWS = 4096  # of an array, looked at together

PACKAGES = (
    *("numpy", "h5py", "isal", "torch", "mediapipe", "opencv-python-headless", "scipy"),
    *("tensorflow-cpu", "transformers"),
)


@dataclass(frozen=True)
class Field:
    """One array of a file: its type, its shape (letters are free sizes) and what it holds."""

    dtype: str
    shape: tuple[str | int, ...]
    meaning: str


@dataclass(frozen=True)
class Layout:
    """One kind of file: its arrays and its required attributes (name -> meaning and unit)."""

    kind: str
    fields: Mapping[str, Field]
    attributes: Mapping[str, str]
    made_by: str

    @contextmanager
    def create(
        self,
        path: Path,
        sizes: Mapping[str, int],
        attributes: Mapping[str, Any],
        config: Mapping[str, Any],
    ) -> Iterator[h5py.File]:
        """A new file with every array allocated, to be filled; it appears at `path` when whole.

        Args:
            path: where the file goes.
            sizes: a number for each letter in the shapes.
            attributes: a value for each required attribute.
            config: the settings that made the file, kept in it as JSON.
        """
        assert set(attributes) == set(self.attributes), (self.kind, attributes)
        with (
            whole_output(path) as partial,
            _disk_errors(path),
            h5py.File(partial, "w") as file,
        ):
            for name, field in self.fields.items():
                shape = tuple(sizes[s] if isinstance(s, str) else s for s in field.shape)
                chunked = field.dtype == "uint8" and 0 not in shape
                array = file.create_dataset(
                    name,
                    shape,
                    field.dtype,
                    chunks=(1, *shape[1:]) if chunked and field.shape[0] == "N" else None,
                    compression="gzip" if chunked else None,
                    compression_opts=LEVEL if chunked else None,
                )
                array.attrs["meaning"] = field.meaning
            file.attrs["kind"] = self.kind
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["config"] = json.dumps(dict(config), sort_keys=True, default=str)
            file.attrs["software"] = json.dumps(software_versions(), sort_keys=True)
            for name, value in attributes.items():
                file.attrs[name] = value
            yield file

    @contextmanager
    def open(self, path: Path) -> Iterator[h5py.File]:
        """Open a file of this kind for reading.

        Raises:
            InputError: not there, not HDF5, another kind, another schema version, arrays that are
                missing, of another shape or in another file, or values that no stage writes.
        """
        path = require_file(path, f"a {self.kind} file", f"`{self.made_by}` makes it.")
        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise InputError(
                f"{path}: expected a {self.kind} file (HDF5), but it cannot be opened ({error}). "
                f"{self._remedy}"
            ) from error
        with file:
            try:
                self._check(file, path)
                self._check_values(file, path)
            except (OSError, RuntimeError, KeyError, TypeError, UnicodeError) as error:
                raise InputError(
                    f"{path}: expected a {self.kind} file, but it is damaged "
                    f"({first_line(error)}). {self._remedy}"
                ) from error
            yield file

    def read(self, path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """All arrays and attributes of a file that fits into memory."""
        with self.open(path) as file:
            return {name: file[name][()] for name in self.fields}, dict(file.attrs)

    @property
    def _remedy(self) -> str:
        return f"Delete it; `{self.made_by}` makes it anew."

    def _check(self, file: h5py.File, path: Path) -> None:
        remedy = self._remedy
        kind = file.attrs.get("kind")
        if kind != self.kind:
            raise InputError(f"{path}: expected a {self.kind} file, got kind {kind!r}. {remedy}")
        version = file.attrs.get("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{path}: schema version {version}, this program reads {SCHEMA_VERSION}. {remedy}"
            )
        sizes: dict[str, int] = {}
        for name, field in self.fields.items():
            if name not in file:
                raise InputError(f"{path}: array {name!r} ({field.meaning}) is missing. {remedy}")
            if not _lies_here(file, name):
                raise InputError(f"{path}: {name!r} is no array of this file. {remedy}")
            shape = file[name].shape
            want = tuple(sizes.get(s, s) if isinstance(s, str) else s for s in field.shape)
            fits = len(shape) == len(want) and all(
                isinstance(w, str) or w == s for s, w in zip(shape, want, strict=True)
            )
            if not fits or file[name].dtype != np.dtype(field.dtype):
                raise InputError(
                    f"{path}: array {name!r} is {file[name].dtype}{shape}, expected "
                    f"{field.dtype}{want}. {remedy}"
                )
            if field.dtype == "uint8" and field.shape[0] == "N" and not _by_frame(file[name]):
                raise InputError(
                    f"{path}: array {name!r} is not packed frame by frame with gzip. {remedy}"
                )
            sizes.update(
                {s: n for s, n in zip(field.shape, shape, strict=True) if isinstance(s, str)}
            )
        missing = [name for name in self.attributes if name not in file.attrs]
        if missing:
            raise InputError(f"{path}: attributes {missing} are missing. {remedy}")

    def _check_values(self, file: h5py.File, path: Path) -> None:
        """What stages take for granted: finite numbers, sizes above 0, triangles of vertices."""
        numbers: dict[str, float] = {}
        for name in POSITIVE & set(self.attributes):
            value: Any = file.attrs[name]
            if isinstance(value, (str, bytes)) or np.ndim(value) or not 0 < value < np.inf:
                raise InputError(
                    f"{path}: {name} is {value!r}, expected a number above 0. {self._remedy}"
                )
            numbers[name] = float(value)
        if "near" in numbers and not numbers["near"] < numbers["far"]:
            raise InputError(
                f"{path}: near is {numbers['near']:g} and far {numbers['far']:g} decimetres, "
                f"expected near before far. {self._remedy}"
            )
        for name, field in self.fields.items():
            if not field.dtype.startswith("float"):
                continue
            for begin in range(0, len(file[name]), CHECKED_ROWS):
                finite = np.isfinite(file[name][begin : begin + CHECKED_ROWS])
                if not finite.all():
                    row = begin + int(np.flatnonzero(~finite.reshape(len(finite), -1).all(1))[0])
                    raise InputError(
                        f"{path}: row {row} of array {name!r} ({field.meaning}) holds what is no "
                        f"finite number. {self._remedy}"
                    )
        faces = file["faces"][()] if "faces" in self.fields else np.zeros((0, 3), int)
        if len(faces) and (faces.min() < 0 or faces.max() >= len(file["vertices"])):
            raise InputError(
                f"{path}: triangles name vertices {faces.min()} to {faces.max()}, and there are "
                f"{len(file['vertices'])}. {self._remedy}"
            )


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """HDF5's word for a failed write, a RuntimeError at times, as the OSError behind it.

    HDF5 tries again for each array that is let go, and h5py prints a traceback each time, where
    nobody can catch it. So these are left out, to the program's end if a write has failed.
    """
    hooks = sys.excepthook, sys.unraisablehook

    def excepthook(kind: Any, value: Any, trace: Any) -> None:
        if not _FAILED_WRITE.search(str(value)):
            hooks[0](kind, value, trace)

    def unraisablehook(about: Any) -> None:
        if not _FAILED_WRITE.search(str(about.exc_value)):
            hooks[1](about)

    sys.excepthook, sys.unraisablehook = excepthook, unraisablehook
    try:
        yield
    except (OSError, RuntimeError) as error:
        if found := _FAILED_WRITE.search(str(error)):
            number = int(found[1])
            raise OSError(number, os.strerror(number), str(path)) from error
        sys.excepthook, sys.unraisablehook = hooks
        raise
    except BaseException:
        sys.excepthook, sys.unraisablehook = hooks
        raise
    sys.excepthook, sys.unraisablehook = hooks


_FAILED_WRITE = re.compile(r"errno = (\d+)")


def _lies_here(file: h5py.File, name: str) -> bool:
    """Whether it is an array whose numbers are in this file, and not in one that it names."""
    array = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    return isinstance(array, h5py.Dataset) and not array.is_virtual and not array.external


def _by_frame(array: h5py.Dataset) -> bool:
    """Whether `ssp_nerf.frame_store` can read it."""
    if 0 in array.shape:
        return True
    filters = array.id.get_create_plist().get_nfilters()
    return array.chunks == (1, *array.shape[1:]) and array.compression == "gzip" and filters == 1


def software_versions() -> dict[str, str]:
    """Versions of this program and of the packages whose results end up in files."""
    versions = {"ssp-nerf": ssp_nerf.__version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # a machine that only trains has no mediapipe, and that is fine
    return versions


_IMAGES = Field("uint8", ("N", "H", "W", 3), "RGB frames at 25 fps")
_PARSING = Field("uint8", ("N", "H", "W"), "class ids of ssp_nerf.parsing_map")
_VERTICES = Field("float32", ("V", 3), "mean-expression face vertices, head frame, decimetres")
_FACES = Field("int32", ("F", 3), "triangles of the vertices")
_C2W = Field("float32", ("N", 3, 4), "camera to head frame, OpenGL axes, decimetres")
_WINDOWS = Field("float32", ("N", 16, "C"), "16 steps of speech features at 50 Hz around a frame")

FRAMES = Layout(
    "frames",
    {"frames": _IMAGES},
    {
        "source_box": "x, y, width, height of the crop in source pixels after rotation",
    },
    made_by="crop_video",
)
LANDMARKS = Layout(
    "landmarks",
    {
        "points": Field(
            "float32",
            ("N", "P", 3),
            "x, y in pixels from the top left corner, z on the same scale, smaller is nearer; z is "
            "0 from a detector without depth",
        ),
        "confidence": Field(
            "float32",
            ("N",),
            "the detector's own, 0 to 1: FaceMesh's face presence, FAN's mean height of peaks; not "
            "comparable between detectors, and no measure of error; 0 without a face",
        ),
        "interpolated": Field("bool", ("N",), "no face was detected here; points filled in"),
    },
    {"width": "pixels", "height": "pixels", "detector": "the backend that found them"},
    made_by="detect_landmarks",
)
PARSING = Layout(
    "parsing", {"parsing": _PARSING}, {"parser": "the backend"}, made_by="parse_frames"
)
TRACK = Layout(
    "track",
    {
        "c2w": _C2W,
        "vertices": _VERTICES,
        "faces": _FACES,
        "face_points": Field(
            "float32", (468, 3), "FaceMesh's points on the mean-expression face, head frame, dm"
        ),
        "identity": Field("float32", ("I",), "the face model's coefficients, standard deviations"),
        "expression": Field(
            "float32", ("N", "E"), "coefficients of `basis`, differences from the mean expression"
        ),
        "basis": Field(
            "float32", ("E", "V", 3), "what a unit of each expression adds to the vertices, dm"
        ),
        "reprojection_error": Field("float32", ("N",), "mean over the rigid points, pixels"),
    },
    {
        "model": "the face model",
        "focal": "pixels at the stored size; the principal point is the image centre",
        "width": "pixels",
        "height": "pixels",
        "near": "nearest depth along the view axis that the person can occupy, decimetres",
        "far": "farthest depth, decimetres",
    },
    made_by="fit_face_model",
)
FACE_MODEL = Layout(
    "face_model",
    {
        "vertices": Field("float64", ("V", 3), "mean head without expression, decimetres"),
        "faces": Field("int32", ("F", 3), "triangles, counter-clockwise from outside"),
        "identity": Field("float64", ("I", "V", 3), "one standard deviation of each, decimetres"),
        "expression": Field("float64", ("E", "V", 3), "the same of each expression"),
        "corners": Field("int32", ("P", 3), "vertices among which each of FaceMesh's points lies"),
        "weights": Field("float64", ("P", 3), "their shares"),
    },
    {
        "model": TRACK.attributes["model"],
        "deviation": "how far a person's points lie beside the model's, decimetres",
    },
    made_by="build_face_model",
)
AUDIO_FEATURES = Layout(
    "audio_features",
    {"windows": _WINDOWS},
    {"extractor": "the backend", "rate": "feature steps per second"},
    made_by="extract_audio_features",
)
DATASET = Layout(
    "dataset",
    {
        "frames": _IMAGES,
        "parsing": _PARSING,
        "background": Field("uint8", ("H", "W", 3), "RGB picture of the scene without the person"),
        "c2w": _C2W,
        "time": Field("float32", ("N",), "t in [0, 1] over the clip"),
        "audio": _WINDOWS,
        "held_out": Field("bool", ("N",), "True: never trained on"),
        "vertices": _VERTICES,
        "faces": _FACES,
    },
    {
        "focal": TRACK.attributes["focal"],
        "near": TRACK.attributes["near"],
        "far": TRACK.attributes["far"],
        "audio_extractor": "backend that made the speech features",
    },
    made_by="pack_dataset",
)
RENDER = Layout(
    "render",
    {
        "frames": _IMAGES,
        "parsing": _PARSING,
        "displacement": Field(
            "uint8",
            ("N", "H", "W"),
            f"length of the expected displacement, steps of {DISPLACEMENT_STEP} decimetres; 255: "
            "as many or more",
        ),
        "index": Field("int32", ("N",), "frame of the clip whose pose was rendered"),
        "speech": Field("int32", ("N",), "frame of the speech, 25 a second, that drove it"),
    },
    {
        "take": "heldout: the clip's own speech; driven: any",
        "model": "folder_sha256 of the bundle that drew it; empty: of none that is kept",
        "mode": "exact or fast",
        "psnr_to_exact": "dB, of some frames drawn fast to the same drawn exactly; none if exact",
    },
    made_by="render",
)
