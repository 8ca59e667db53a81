"""The figures that are compared over subjects: what each means, and what is aimed at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ssp_nerf.parsing_map import CLASSES

Figures = Mapping[str, Any]
"""What `preprocess.accuracy.compare` writes for a subject."""


def figure(figures: Figures, key: str) -> float | None:
    """The figure at `key`, names joined by dots; None where it is not defined."""
    value: Any = figures
    for name in key.split("."):
        value = value[name]
    return value


@dataclass(frozen=True)
class Measure:
    """One row of the table.

    Attributes:
        key: the way to it in accuracy.json.
        title, unit, meaning: for people.
        better: "low" (in size, whatever the sign), "high", or "" where neither is.
        aim: the most, or the least, that is good enough.
        digits: after the point, in the table.
    """

    key: str
    title: str
    unit: str
    meaning: str
    better: str = "low"
    aim: float | None = None
    digits: int = 2

    def meets(self, value: float) -> bool:
        """Whether the value is as good as the aim."""
        assert self.aim is not None
        return value >= self.aim if self.better == "high" else abs(value) <= self.aim


_ROTATIONS: dict[str, tuple[str, str, dict[str, float]]] = {
    "turn_taken_out": (
        "constant turn taken out",
        "less the constant turn that suits the clip best: any constant turn of the head frame is "
        "as good for training",
        {"mean": 0.5, "p95": 1.2},
    ),
    "by_shapes": (
        "by the shapes' own frames",
        "less the turn between the fit's 468 points and the true ones: a constant error counts",
        {},
    ),
    "raw": ("raw", "nothing taken out", {}),
}
_OFFSET = "of the true distance; less the constant offset in head axes that suits the clip best"
_SECOND = "mean second difference over frames"
_AT_LAG = "with the truth, at that lag; a low one says that the lag means little"
MEASURES = (
    Measure("frames", "frames", "", "of the clip", better="", digits=0),
    *(
        Measure(
            f"rotation.{key}.{part}_deg",
            f"rotation error, {title}, {part}",
            "deg",
            meaning,
            aim=aims.get(part),
        )
        for key, (title, meaning, aims) in _ROTATIONS.items()
        for part in ("mean", "p95")
    ),
    Measure("gauge.turn_taken_out_deg", "  constant turn", "deg", "what was taken out"),
    Measure(
        "gauge.turn_between_shapes_deg",
        "  turn between the shapes",
        "deg",
        "from the true 468 points to the fit's, moved rigidly onto them",
    ),
    Measure(
        "head_position.raw_percent",
        "head position error, raw",
        "%",
        "of the true distance, in camera axes; nothing taken out",
    ),
    Measure("head_position.offset_taken_out_percent", "  constant offset taken out", "%", _OFFSET),
    Measure(
        "head_position.offset_and_scale_taken_out_percent",
        "  constant offset and scale taken out",
        "%",
        f"{_OFFSET}, lengths divided by the error of size",
    ),
    Measure("gauge.offset_taken_out_mm", "  constant offset", "mm", "what was taken out"),
    Measure(
        "camera_centre.raw_percent",
        "camera centre error, raw",
        "%",
        "of the true distance, in head axes, so rotation errors count; nothing taken out",
    ),
    Measure(
        "camera_centre.offset_taken_out_percent",
        "  constant turn and offset taken out",
        "%",
        f"{_OFFSET}, after the constant turn",
    ),
    Measure("focal_error_percent", "focal length error", "%", "positive: too long", aim=2.0),
    Measure("distance_error_percent", "distance error", "%", "positive: too far"),
    Measure("size_error_percent", "size error of the face", "%", "positive: too large"),
    Measure("jitter.rotation_deg", "rotation jitter", "deg", _SECOND, better="", digits=3),
    Measure("jitter.true_rotation_deg", "  of the truth", "deg", _SECOND, better="", digits=3),
    Measure("jitter.rotation_ratio", "  over that of the truth", "", "1 is as in life", aim=1.5),
    Measure("jitter.error_rotation_deg", "  of the error", "deg", _SECOND, digits=3),
    Measure("jitter.head_percent", "position jitter", "%", f"of distance; {_SECOND}", "", digits=3),
    Measure(
        "jitter.true_head_percent", "  of the truth", "%", f"of distance; {_SECOND}", "", digits=3
    ),
    Measure(
        "jitter.error_head_percent", "  of the error", "%", f"of distance; {_SECOND}", digits=3
    ),
    Measure(
        "landmarks.mean_px",
        "landmark error, 478 points",
        "px",
        "mean over points and frames; true points are fixed places on the skin, chosen where the "
        "detector puts them on other heads on average",
    ),
    Measure("landmarks.p95_px", "  95th percentile", "px", "over points and frames"),
    Measure(
        "landmarks.scatter_px",
        "  scatter about each point's own mean error",
        "px",
        "mean over points of the rms distance from the point's mean error, which tracking depends "
        "on",
    ),
    Measure(
        "landmarks.mean_percent_of_eye_distance",
        "  of the eyes' distance",
        "%",
        "mean over the distance between the outer corners of the eyes",
    ),
    *(
        Measure(f"landmarks.groups_mean_px.{key}", f"  {title}", "px", "mean of these points")
        for key, title in {
            "eyes": "eyes",
            "irises": "irises",
            "brows": "brows",
            "nose": "nose",
            "lips": "lips",
            "face_oval": "face oval",
        }.items()
    ),
    Measure("landmarks.mean_68_px", "landmark error, 68 points", "px", "iBUG points, mean"),
    Measure(
        "iou.mean",
        "IoU, mean",
        "",
        "mean of the classes that either the truth or the stage shows",
        "high",
        0.85,
        3,
    ),
    Measure("iou.shown", "  classes in the mean", "", f"of {len(CLASSES)}", better="", digits=0),
    *(
        Measure(f"iou.classes.{name}", f"  {name}", "", "over all pixels of the clip", "high", 0.65)
        for name in CLASSES
    ),
    Measure(
        "background.psnr_seen_db",
        "background PSNR where seen",
        "dB",
        "pixels free in a frame of the true parsing; at most 99",
        "high",
        35.0,
        1,
    ),
    Measure(
        "background.psnr_never_seen_db",
        "  where never seen",
        "dB",
        "pixels covered in every frame of the true parsing",
        "high",
        digits=1,
    ),
    Measure("background.seen_percent", "  seen", "%", "of the picture", better="", digits=1),
    Measure(
        "background.psnr_claimed_seen_db",
        "  where the stage has seen it",
        "dB",
        "pixels that background_seen.png marks",
        "high",
        digits=1,
    ),
    Measure(
        "background.claimed_seen_percent",
        "  seen by the stage",
        "%",
        "of the picture",
        better="",
        digits=1,
    ),
    Measure(
        "sound.alignment_ms",
        "sound behind the picture",
        "ms",
        "lag of the features less lag of the picture",
        aim=20.0,
        digits=1,
    ),
    Measure("sound.speech_lag_ms", "  lag of the wav", "ms", "behind the truth", digits=1),
    Measure("sound.feature_lag_ms", "  lag of the features", "ms", "behind the truth", digits=1),
    Measure("sound.feature_correlation", "    correlation there", "", _AT_LAG, "high", digits=3),
    Measure("sound.picture_lag_ms", "  lag of the mouth", "ms", "behind the truth", digits=1),
    Measure("sound.picture_correlation", "    correlation there", "", _AT_LAG, "high", digits=3),
)
