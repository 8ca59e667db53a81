"""Video: the fitted face over the frame, its axes, how far the landmarks are from it, its shape.

`python -m preprocess.qc.face_model --frames frames.h5 --landmarks landmarks.h5 --track track.h5
--speech speech.wav --video qc/face_model.mp4`
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from preprocess import face_topology as mesh
from preprocess.face_model import observed_points
from preprocess.qc.clip import require_frames, steady
from preprocess.qc.contours import edges
from preprocess.qc.drawing import MARK, View, arrow, dots, lines
from preprocess.qc.excerpts import SECONDS
from preprocess.qc.film import FOOTER, Curve, add_film_arguments, write_film
from preprocess.qc.mesh import FittedFace, Seen, facing, seen_turned, shade
from ssp_nerf import cli
from ssp_nerf.head_angles import camera_angles
from ssp_nerf.schema import FRAMES, LANDMARKS, TRACK
from ssp_nerf.sheet import HEADER, PAPER, Colour, Panel, Sheet

PANEL_HEIGHT = 600  # pixels
SIDE = (320, (PANEL_HEIGHT - HEADER) // 2)  # width and height of the small panels, pixels
MARGIN, MARGIN_OF_SHAPE = 1.15, 0.95  # of a face and of a model in their panels
EXAGGERATION = 5.0
"""Landmarks are mostly within a pixel of the model; so much longer, the differences are seen."""
TURN = 55.0  # degrees: nose and chin in profile, both lips still seen
AXIS_LENGTH = 1.0  # decimetres: from the middle of the head to just out of the face

SKIN: Colour = (226, 190, 170)
WIRE: Colour = (120, 220, 255)
MODEL: Colour = (120, 255, 190)
RESIDUAL: Colour = (255, 205, 70)
X_AXIS: Colour = (255, 92, 92)
Y_AXIS: Colour = (110, 230, 120)
Z_AXIS: Colour = (96, 150, 255)
AXES = (("x", X_AXIS), ("y", Y_AXIS), ("z", Z_AXIS))
LEGEND = (
    ("x: the picture's right", X_AXIS), ("y: up", Y_AXIS), ("z: out of the face", Z_AXIS),
    ("model", MODEL), ("landmark minus model", RESIDUAL), ("interpolated", MARK),
)  # fmt: skip
OPACITY = 0.8  # of the shaded half
NET_EDGE = 0.03  # decimetres: the net takes in the points of the middle line


def axis_ends(length: float = AXIS_LENGTH) -> np.ndarray:
    """(4, 3) the origin of the head frame, and the ends of its axes, decimetres."""
    return np.concatenate([np.zeros((1, 3)), length * np.eye(3)])


def draw_axes(canvas: np.ndarray, face: FittedFace, frame: int, view: View) -> None:
    """Draw the head frame's axes, the one that comes nearest to the camera last."""
    ends = axis_ends()
    origin, *tips = view.points(face.pixels(ends, frame))
    towards = (ends[1:] - ends[0]) @ face.c2w[frame, :, 2]  # camera's z points at the camera
    for index in np.argsort(towards):
        label, colour = AXES[index]
        arrow(canvas, origin, tips[index], colour, label)


def draw_face(canvas: np.ndarray, face: FittedFace, frame: int, view: View) -> None:
    """On the picture's left the net of FaceMesh's points on the model, on its right the surface."""
    vertices = face.vertices_at(frame)
    pixels = view.points(face.pixels(vertices, frame))
    seen = Seen.of(face.camera(vertices, frame), pixels, face.triangles)
    solid = canvas.copy()
    shade(solid, seen.only(face.vertices[:, 0] >= 0), SKIN)
    drawn = (solid != canvas).any(2)
    mixed = OPACITY * solid[drawn].astype(np.float32) + (1 - OPACITY) * canvas[drawn]
    canvas[drawn] = mixed.round().astype(np.uint8)

    knots = view.points(face.pixels(face.points_at(frame), frame))
    net = mesh.triangles()
    net = net[facing(net, knots) & (face.points[net, 0] <= NET_EDGE).all(1)]
    lines(canvas, knots[edges(net)], WIRE, opacity=0.7)


def draw_residuals(canvas: np.ndarray, model: np.ndarray, found: np.ndarray, marked: bool) -> None:
    """The model's points (P, 2), and lines towards the landmarks, `EXAGGERATION` times as long.

    Args:
        model, found: panel pixels.
        marked: the landmarks were interpolated.
    """
    ends = model + EXAGGERATION * (found - model)
    lines(canvas, np.stack([model, ends], 1), MARK if marked else RESIDUAL)
    dots(canvas, model, 1.2, MODEL)


def face_model_video(
    frames: Path,
    landmarks: Path,
    track: Path,
    video: Path,
    speech: Path | None = None,
    seconds: float = SECONDS,
) -> int:
    """Write the video; returns the number of its frames.

    Args:
        frames, landmarks, track: files of one clip.
        video: mp4 to be written.
        speech: speech.wav, or None for a silent video.
        seconds: length at most.

    Raises:
        InputError: files of different clips, or other landmarks.
    """
    with FRAMES.open(frames) as images, LANDMARKS.open(landmarks) as found:
        pictures, points = images["frames"], found["points"]
        count, height, width = pictures.shape[:3]
        require_frames(landmarks, LANDMARKS, len(points), frames, count)
        face = FittedFace.read(track)
        require_frames(track, TRACK, len(face.c2w), frames, count)
        observed, columns = observed_points(points.shape[1], landmarks, found.attrs)
        interpolated = found["interpolated"][()]
        whole = View.whole(width, height, PANEL_HEIGHT)
        places = [face.pixels(face.points, frame) for frame in range(count)]
        centres = steady(np.array([(p.min(0) + p.max(0)) / 2 for p in places]))
        tall = MARGIN * float(np.median([np.ptp(p[:, 1]) for p in places]))
        model_middle = (face.vertices.max(0) + face.vertices.min(0)) / 2
        reach = float(np.linalg.norm(face.vertices - model_middle, axis=1).max())
        shape_scale = min(SIDE) / (2 * MARGIN_OF_SHAPE * reach)

        def panels(frame: int) -> list[np.ndarray]:
            picture = pictures[frame]
            fitted = whole.picture(picture)
            draw_face(fitted, face, frame, whole)
            draw_axes(fitted, face, frame, whole)

            near = View.around(centres[frame], tall * SIDE[0] / SIDE[1], *SIDE)
            apart = near.picture(picture)
            model = near.points(face.pixels(face.points_at(frame)[observed], frame))
            landmark = near.points(points[frame][columns, :2])
            draw_residuals(apart, model, landmark, bool(interpolated[frame]))

            shape = np.full((SIDE[1], SIDE[0], 3), PAPER, np.uint8)
            model_only = face.vertices_at(frame) - model_middle
            shade(shape, seen_turned(model_only, face.triangles, TURN, *SIDE, shape_scale), SKIN)
            return [fitted, apart, shape]

        title = f"face model {face.model}, focal length {face.focal:.0f} pixels"
        sheet = Sheet(
            [
                [Panel(title, whole.width, whole.height)],
                [Panel(f"landmark errors, {EXAGGERATION:g}-fold", *SIDE), Panel("shape", *SIDE)],
            ],
            FOOTER,
        )
        sheet.draw_legend(LEGEND)
        curve = Curve("reprojection error of the rigid points, pixels", face.error, interpolated)
        angles = camera_angles(face.c2w)

        def pose(frame: int) -> str:
            return ", ".join(f"{name} {values[frame]:.1f}" for name, values in angles.items())

        return write_film(video, sheet, curve, panels, speech, seconds, pose)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.qc.face_model", __doc__)
    parser.add_argument("--frames", type=Path, required=True, help="frames.h5")
    parser.add_argument("--landmarks", type=Path, required=True, help="landmarks.h5")
    parser.add_argument("--track", type=Path, required=True, help="track.h5")
    add_film_arguments(parser)

    def command(options: argparse.Namespace) -> None:
        count = face_model_video(
            options.frames, options.landmarks, options.track, options.video, options.speech,
            options.seconds,
        )  # fmt: skip
        print(f"{options.video}: {count} frames")

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
