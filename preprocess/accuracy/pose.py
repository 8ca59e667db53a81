"""How near the fitted camera is to the true one: rotation, translation, focal length, jitter.

Poses are c2w (N, 3, 4), OpenGL axes, decimetres, as in `ssp_nerf.cameras`. Which way a head looks
"straight ahead" is a convention that the fit applies to a face that it knows only roughly. A
constant turn G in c2w_fit = G c2w_true has two parts: that between the head frames, which turns the
fit's points too and changes no picture, and an error, which leaves them where they are. So there
are three rotation errors:

- `turn_taken_out`: without the G that suits the poses best. To a radiance field, which sees no
  points, one constant turn is as good as another.
- `by_shapes`: without the turn between the two shapes alone, so a constant error counts.
- `raw`: with all of it.

Positions are raw first. An offset that suits the clip best, taken out, takes most of a constant
error of distance with it, as the head turns little; that error is a figure of its own.
"""

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ssp_nerf.head_angles import head_angles

PERCENT = 100.0
MM_PER_DM = 100.0
DECIMALS = 4  # of every figure written


def turned_to(c2w: np.ndarray, focal: float, right: float, down: float) -> np.ndarray:
    """The cameras that look at the centre of a crop which lies off the axis of the true ones.

    The fit assumes that its axis goes through the centre of what it sees. A crop that is off the
    axis is nearly the picture of a camera at the same place, turned towards it: at r pixels from
    its centre, a crop d pixels off is wrong by d r^2 / focal^2 pixels (20 off, focal length 1300:
    0.2 pixels at r = 130).

    Args:
        c2w: (N, 3, 4).
        focal: pixels.
        right, down: the crop's centre from the principal point, pixels.

    Returns:
        (N, 3, 4).
    """
    across = np.hypot(right, down)
    # About the axis at right angles to the offset: x right, y up.
    axis = np.array([-down, -right, 0.0]) / max(across, 1e-12)
    turn = Rotation.from_rotvec(np.arctan2(across, focal) * axis).as_matrix()
    turned = c2w.astype(np.float64)
    turned[:, :, :3] = turned[:, :, :3] @ turn
    return turned


def pose_accuracy(
    fit: np.ndarray,
    truth: np.ndarray,
    focal: float,
    true_focal: float,
    points: np.ndarray,
    true_points: np.ndarray,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Errors of a clip's cameras.

    Rotation: angle of G^T R_fit R_true^T, degrees, where G is the mean of the R_fit R_true^T, the
    turn from the true shape to the fit's, or none. Two translations, each in percent of the true
    distance: that of the head's origin in camera axes, which a wrong rotation leaves alone, and
    that of the camera's centre in head axes, which moves by 1.7 percent for each degree. Offset
    taken out: less the mean in head axes, for the camera's centre after the mean turn. Scale taken
    out: after the fit's lengths are divided by its error of size.

    Args:
        fit, truth: (N, 3, 4) c2w, decimetres.
        focal, true_focal: pixels of the same size of picture.
        points, true_points: (468, 3) FaceMesh's points on the mean expressions, decimetres.

    Returns:
        Figures for JSON, and curves over the N frames.
    """
    fitted, true = (np.asarray(c2w, np.float64) for c2w in (fit, truth))
    rotations, true_rotations = (Rotation.from_matrix(c2w[:, :, :3]) for c2w in (fitted, true))
    centres, true_centres = fitted[:, :, 3], true[:, :, 3]
    distance = np.linalg.norm(true_centres, axis=1)
    size = spread(points) / spread(true_points)

    offsets = rotations * true_rotations.inv()
    turn, shape_turn = offsets.mean(), turn_between(points, true_points)
    residual = turn.inv() * offsets
    errors = {
        name: np.degrees(turns.magnitude())
        for name, turns in {
            "turn_taken_out": residual,
            "by_shapes": shape_turn.inv() * offsets,
            "raw": offsets,
        }.items()
    }

    # The true origin of the head, brought into fitted head axes from where the camera saw it.
    seen = centres - rotations.apply(true_rotations.inv().apply(true_centres))
    origin = seen.mean(0)
    shift = rotations.inv().apply(seen - origin)
    scaled = centres / size - rotations.apply(true_rotations.inv().apply(true_centres))
    centre_shift = centres - turn.apply(true_centres)
    scaled_centre = centres / size - turn.apply(true_centres)

    def percent(vectors: np.ndarray) -> np.ndarray:
        return PERCENT * np.linalg.norm(vectors, axis=1) / distance

    def without_constant(vectors: np.ndarray) -> np.ndarray:
        return percent(vectors - vectors.mean(0))

    jitter, true_jitter = rotation_jitter(rotations), rotation_jitter(true_rotations)
    unit = PERCENT / distance.mean()  # jitter is a length over one distance, not a change of it
    figures = {
        "rotation": {
            name: {"mean_deg": number(error.mean()), "p95_deg": number(np.percentile(error, 95))}
            for name, error in errors.items()
        },
        "gauge": {
            "turn_taken_out_deg": number(np.degrees(turn.magnitude())),
            "turn_between_shapes_deg": number(np.degrees(shape_turn.magnitude())),
            "offset_taken_out_mm": number(np.linalg.norm(origin) * MM_PER_DM),
        },
        "head_position": {
            "raw_percent": number(percent(seen).mean()),
            "offset_taken_out_percent": number(percent(shift).mean()),
            "offset_and_scale_taken_out_percent": number(without_constant(scaled).mean()),
        },
        "camera_centre": {
            "raw_percent": number(percent(centres - true_centres).mean()),
            "offset_taken_out_percent": number(without_constant(centre_shift).mean()),
            "offset_and_scale_taken_out_percent": number(without_constant(scaled_centre).mean()),
        },
        "focal_error_percent": number(PERCENT * (focal / true_focal - 1)),
        "distance_error_percent": number(
            PERCENT * (np.linalg.norm(centres, axis=1).mean() / distance.mean() - 1)
        ),
        "size_error_percent": number(PERCENT * (size - 1)),
        "jitter": {
            "rotation_deg": number(jitter),
            "true_rotation_deg": number(true_jitter),
            "rotation_ratio": number(jitter / true_jitter if true_jitter else float("nan")),
            "error_rotation_deg": number(vector_jitter(np.degrees(residual.as_rotvec()))),
            "head_percent": number(unit * vector_jitter(rotations.inv().apply(centres))),
            "true_head_percent": number(
                unit * vector_jitter(true_rotations.inv().apply(true_centres))
            ),
            "error_head_percent": number(unit * vector_jitter(shift)),
        },
    }
    curves = {
        "rotation_error_deg": errors["turn_taken_out"],
        "head_position_error_percent": percent(seen),
        **{f"{name}_deg": values for name, values in head_angles(turn.inv() * rotations).items()},
        **{f"true_{name}_deg": values for name, values in head_angles(true_rotations).items()},
    }
    return figures, curves


def centred(points: np.ndarray) -> np.ndarray:
    """The 468 points of a face from their mean."""
    face = np.asarray(points, np.float64)
    return face - face.mean(0)


def spread(points: np.ndarray) -> float:
    """Size of a face: root mean square distance of its 468 points from their mean."""
    return float(np.sqrt((centred(points) ** 2).sum(1).mean()))


def turn_between(points: np.ndarray, true_points: np.ndarray) -> Rotation:
    """The turn that brings a true face nearest to a fitted one, least squares over the points."""
    return Rotation.align_vectors(centred(points), centred(true_points))[0]


def rotation_jitter(rotations: Rotation) -> float:
    """Mean change of the step from one frame to the next, degrees per frame squared; nan for
    fewer than three frames."""
    steps = rotations[1:] * rotations[:-1].inv()
    return mean(np.degrees((steps[1:] * steps[:-1].inv()).magnitude()))


def vector_jitter(vectors: np.ndarray) -> float:
    """Mean length of the second differences of (N, 3); nan for fewer than three frames."""
    return mean(np.linalg.norm(np.diff(vectors, n=2, axis=0), axis=1))


def mean(values: np.ndarray) -> float:
    """Mean, nan of nothing."""
    return float(values.mean()) if values.size else float("nan")


def number(value: float | np.floating[Any]) -> float | None:
    """As JSON can hold it: rounded, None for what is not defined."""
    return round(float(value), DECIMALS) if np.isfinite(value) else None
