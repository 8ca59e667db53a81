"""Build a face model once, for every clip that is fitted with it.

Drawing heads of MakeHuman's sliders, or finding FaceMesh's points on another model, takes some
seconds and has nothing to do with who is filmed. The model `facemesh` has: it is learned from the
clip's own points, and there is nothing to build.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from preprocess.face_models import FaceModel
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.schema import FACE_MODEL

MODELS = ("makehuman", "ict", "bfm2009")


def build(name: str, weights: Path) -> FaceModel:
    """The face model of that name.

    Args:
        name: one of `MODELS`.
        weights: folder of face models that do not ship in a package.

    Raises:
        InputError: it cannot be had.
    """
    if name == "makehuman":
        from preprocess.face_models import makehuman

        return makehuman.load()
    if name == "ict":
        from preprocess.face_models import ict

        return ict.load(weights)
    if name == "bfm2009":
        from preprocess.face_models import bfm2009

        return bfm2009.load(weights)
    raise InputError(f"face_model.model is {name!r}, expected one of {', '.join(MODELS)}.")


def write_face_model(model: FaceModel, path: Path) -> None:
    """Store a face model, to the last digit."""
    sizes = {
        "V": len(model.vertices),
        "F": len(model.faces),
        "I": len(model.identity),
        "E": len(model.expression),
        "P": len(model.corners),
    }
    about = {"model": model.name, "deviation": model.deviation}
    with FACE_MODEL.create(path, sizes, about, {"model": model.name}) as file:
        for name in FACE_MODEL.fields:
            file[name][...] = getattr(model, name)


def read_face_model(path: Path, name: str) -> FaceModel:
    """The face model that `write_face_model` stored.

    Raises:
        InputError: no such file, or another model than `name`.
    """
    arrays, about = FACE_MODEL.read(path)
    if about["model"] != name:
        raise InputError(
            f"{path} holds the face model {about['model']}, expected {name} (face_model.model). "
            f"Build it: `python -m preprocess.face_models.build --model {name}`."
        )
    return FaceModel(name=name, deviation=float(about["deviation"]), **arrays)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.face_models.build", __doc__)
    parser.add_argument("--model", choices=MODELS, default="makehuman", help="which one")
    parser.add_argument(
        "--weights",
        type=Path,
        default=Path("weights"),
        help="folder of face models that the user brings (config key face_model.weights)",
    )
    parser.add_argument("--built", type=Path, required=True, help="HDF5 file, written")

    def command(options: argparse.Namespace) -> None:
        write_face_model(build(options.model, options.weights), options.built)

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
