"""How far the head turns: enough to know its sides, not so far that the face is lost."""

from collections.abc import Sequence

import numpy as np

from preprocess import face_topology as mesh
from preprocess.check import limits
from preprocess.check.findings import Finding, Level, level_at_least, level_at_most, spans
from preprocess.check.looks import Look
from preprocess.head_frame import MIRROR_PAIRS


def head_angles(points: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll of faces, degrees, from points as if seen from far away.

    The axes are those of `preprocess.head_frame`, but y runs from the base of the nose, not from
    the chin, which moves with every word. Zero pitch is where the line from there to the forehead
    is upright.

    Args:
        points: (..., 478, 3) FaceMesh points, pixels; z on the same scale, smaller is nearer.

    Returns:
        (..., 3): yaw to the person's left, pitch up, roll to the person's right shoulder.
    """
    cloud = points * np.array([1.0, -1.0, -1.0])
    x = (cloud[..., MIRROR_PAIRS[:, 1], :] - cloud[..., MIRROR_PAIRS[:, 0], :]).mean(-2)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    y = cloud[..., mesh.FOREHEAD, :] - cloud[..., mesh.NOSE_BASE, :]
    y -= (y * x).sum(-1, keepdims=True) * x
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    z = np.cross(x, y)
    # The columns of the rotation Ry(yaw) Rx(-pitch) Rz(roll) are x, y, z.
    yaw = np.arctan2(z[..., 0], z[..., 2])
    pitch = np.arcsin(np.clip(z[..., 1], -1, 1))
    roll = np.arctan2(x[..., 1], y[..., 1])
    return np.degrees(np.stack([yaw, pitch, roll], -1))


def look_angles(looks: Sequence[Look]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) times and (N, 3) angles of the looks with points; pitch and roll about their medians,
    because where zero lies depends on the face and the camera's height."""
    seen = [look for look in looks if look.points is not None]
    if not seen:
        return np.zeros(0), np.zeros((0, 3))
    angles = head_angles(np.array([look.points for look in seen]))
    angles[:, 1:] -= np.median(angles[:, 1:], axis=0)
    return np.array([look.time for look in seen]), angles


def check_pose(times: np.ndarray, angles: np.ndarray) -> list[Finding]:
    """Findings on how far the head turns.

    Args:
        times: (N,) seconds.
        angles: (N, 3) yaw, pitch, roll, degrees.
    """
    if not len(times):
        return []
    low, high = np.percentile(angles, [5, 95], axis=0)
    yaw_range, pitch_range = (high - low)[:2]
    level = max(
        level_at_least(yaw_range, *limits.YAW_RANGE),
        level_at_least(pitch_range, *limits.PITCH_RANGE),
    )
    findings = [
        Finding(
            "turns", min(level, Level.USABLE),
            f"yaw over {yaw_range:.0f} degrees, pitch over {pitch_range:.0f}",
            f"{limits.YAW_RANGE[0]:g} and {limits.PITCH_RANGE[0]:g} or more",
            "" if level is Level.GOOD
            else "It will look right from where it was filmed, and flat from the side: let the "
            "person look about while talking.",
        )
    ]  # fmt: skip
    far = np.abs(angles[:, 0]) > limits.YAW_FAR
    level = level_at_most(float(far.mean()), *limits.FAR_TURNS)
    if level is not Level.GOOD:
        findings.append(
            Finding(
                "far turns", level, f"beyond {limits.YAW_FAR:g} degrees for {far.mean():.0%} of "
                "the time", "half of the face is hidden there: less",
                "Cut these times away, or let the person face the camera.", spans(times, far),
            )
        )  # fmt: skip
    return findings
