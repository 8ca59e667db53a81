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


_GAUGED = "without the constant motion of the head frame that suits the clip best"
_SECOND = "mean second difference over frames"
MEASURES = (
    Measure("frames", "frames", "", "of the clip", better="", digits=0),
    Measure("rotation.mean_deg", "rotation error, mean", "deg", _GAUGED, aim=1.0),
    Measure("rotation.p95_deg", "  95th percentile", "deg", _GAUGED, aim=2.5),
    Measure("rotation.raw_mean_deg", "  mean, raw", "deg", "nothing taken out"),
    Measure("gauge.rotation_deg", "  turn of the head frame", "deg", "what was taken out"),
    Measure("head_position.mean_percent", "head position error", "%", f"of distance; {_GAUGED}"),
    Measure(
        "head_position.without_scale_mean_percent",
        "  without error of size",
        "%",
        f"of distance; lengths divided by the error of size; {_GAUGED}",
    ),
    Measure("head_position.raw_mean_percent", "  raw", "%", "of distance; nothing taken out"),
    Measure("gauge.offset_mm", "  offset of the head frame", "mm", "what was taken out"),
    Measure(
        "camera_centre.mean_percent",
        "camera centre error",
        "%",
        f"of distance, in head axes, so rotation errors count; {_GAUGED}",
    ),
    Measure("focal_error_percent", "focal length error", "%", "positive: too long", aim=5.0),
    Measure("distance_error_percent", "distance error", "%", "positive: too far"),
    Measure("size_error_percent", "size error of the face", "%", "positive: too large"),
    Measure("jitter.rotation_deg", "rotation jitter", "deg", _SECOND, better="", digits=3),
    Measure("jitter.true_rotation_deg", "  of the truth", "deg", _SECOND, better="", digits=3),
    Measure("jitter.error_rotation_deg", "  of the error", "deg", _SECOND, digits=3),
    Measure("jitter.head_percent", "position jitter", "%", f"of distance; {_SECOND}", "", digits=3),
    Measure(
        "jitter.true_head_percent", "  of the truth", "%", f"of distance; {_SECOND}", "", digits=3
    ),
    Measure(
        "jitter.error_head_percent", "  of the error", "%", f"of distance; {_SECOND}", digits=3
    ),
    Measure("landmarks.mean_px", "landmark error, 478 points", "px", "mean over points and frames"),
    Measure("landmarks.p95_px", "  95th percentile", "px", "over points and frames"),
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
    Measure("iou.mean", "IoU, mean", "", "of the classes that occur", "high", 0.75, 3),
    *(
        Measure(f"iou.classes.{name}", f"  {name}", "", "over all pixels of the clip", "high", 0.5)
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
    Measure("sound.picture_lag_ms", "  lag of the mouth", "ms", "behind the truth", digits=1),
)
