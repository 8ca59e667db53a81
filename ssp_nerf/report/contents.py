"""Everything that the page shows, gathered from a subject's results."""

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from PIL import Image

from ssp_nerf.evaluation_report import BASELINES, OURS
from ssp_nerf.heat import heat_colours
from ssp_nerf.parsing_map import CLASS_LEGEND
from ssp_nerf.render_parts import RenderParts
from ssp_nerf.report.document import as_image
from ssp_nerf.report.figures import (
    known,
    rank,
    read_metrics,
    read_totals,
    totals_by_method,
    worst,
)
from ssp_nerf.report.film import PANELS, Film, fit, panel_size
from ssp_nerf.report.history import has_shares, read_history
from ssp_nerf.report.motion import head_motion, stretches
from ssp_nerf.report.stages import read_benchmarks, read_bundle, read_settings
from ssp_nerf.schema import FPS, software_versions

WORST = 8  # frames shown of each metric
APART = 10  # frames between two of them at least, fewer in a short film: neighbours look alike
THUMBNAIL = 160  # pixels, the longer side at most
THUMBNAIL_QUALITY = 82  # of JPEG
HEAT_STOPS = 16  # colours of a scale

Read = TypeVar("Read")


@dataclass(frozen=True)
class Sources:
    """The files that a page can show beside the film; None, or not there: it does without."""

    metrics_csv: Path | None = None
    metrics_json: Path | None = None
    history: Path | None = None
    bundle: Path | None = None
    benchmarks: Path | None = None
    settings: Sequence[Path] = field(default_factory=tuple)


def contents(
    subject: str, dataset: h5py.File, parts: RenderParts, film: Film, sound: bool, sources: Sources
) -> dict[str, Any]:
    """What `page.js` reads; `missing` says in words what was not there.

    Raises:
        InputError: a file that is there, but is not what it should be.
    """
    missing: list[str] = []

    def read(what: str, path: Path | None, how: Callable[[Path], Read]) -> Read | None:
        if path is not None and path.exists():
            return how(path)
        missing.append(f"{what}: {f'{path} is not there' if path else 'no file was named'}")
        return None

    frames = [int(frame) for frame in parts.index]
    held_out = dataset["held_out"][()]
    totals = read("Totals of the evaluation", sources.metrics_json, read_totals) or {}
    methods = totals_by_method(totals)
    others = list(dict.fromkeys([*BASELINES, *(name for name in methods if name != OURS)]))
    metrics = read(
        "Metrics of each frame",
        sources.metrics_csv,
        lambda path: read_metrics(path, frames, others),
    )
    metrics = metrics or []
    history = read("Training", sources.history, read_history)
    if history is not None and not has_shares(history):
        missing.append("Rays of each class: the training's history has no such columns")
    stages = read("Time and memory of the stages", sources.benchmarks, read_benchmarks)
    bundle = read("The model's description", sources.bundle, read_bundle)
    settings = [path for path in sources.settings if path.exists()]
    missing += [f"Settings: {p} is not there" for p in sources.settings if p not in settings]
    if not sound:
        missing.append("Sound: no speech was named, or it is not there")
    apart = max(1, min(APART, len(frames) // (2 * WORST)))
    chosen = {metric.name: worst(metric, WORST, apart) for metric in metrics}
    return {
        "subject": subject,
        "fps": FPS,
        "frames": frames,
        "clip": {
            "frames": len(held_out),
            "training": int((~held_out).sum()),
            "held_out": stretches(held_out),
            "width": int(parts.width),
            "height": int(parts.height),
        },
        "film": {**asdict(film), "panels": PANELS, "sound": sound},
        "legend": [[name, _hex(colour)] for name, colour in CLASS_LEGEND],
        "heat": [_hex(c) for c in heat_colours()[np.linspace(0, 255, HEAT_STOPS).astype(int)]],
        "metrics": [asdict(metric) for metric in metrics],
        "totals": _totals(methods),
        "protocol": totals.get("protocol", {}),
        "worst": chosen,
        "thumbnails": _thumbnails(dataset, parts, chosen),
        "history": history,
        "motion": head_motion(dataset["c2w"][()]),
        "stages": stages or [],
        "bundle": bundle or {},
        "settings": read_settings(settings),
        "software": software_versions(),
        "missing": missing,
    }


def _totals(methods: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each metric that any method has a number of, with every method's."""
    names = dict.fromkeys(name for figures in methods.values() for name in figures)
    names = dict.fromkeys(sorted(names, key=rank))
    rows = []
    for name in names:
        figures = {method: as_figure(values.get(name)) for method, values in methods.items()}
        if any(figure is not None for figure in figures.values()):
            title, unit, better = known(name)
            rows.append(
                {"name": name, "title": title, "unit": unit, "better": better, "methods": figures}
            )
    return rows


def as_figure(value: object) -> dict[str, Any] | None:
    """A number, or an object with one and an interval; None for anything else."""
    if isinstance(value, dict):
        number = next((value[k] for k in ("mean", "value", "estimate") if k in value), None)
        ends = [value.get(low) for low in ("low", "lower")] + [value.get("ci", [None])[0]]
        return _figure(number, value, ends) if _is_number(number) else None
    return {"value": value} if _is_number(value) else None


def _figure(number: Any, value: dict[str, Any], lows: list[Any]) -> dict[str, Any]:
    highs = [value.get(high) for high in ("high", "upper")] + [value.get("ci", [None])[-1]]
    low, high = (next((e for e in ends if _is_number(e)), None) for ends in (lows, highs))
    return {"value": number, "interval": [low, high] if None not in (low, high) else None}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _thumbnails(
    dataset: h5py.File, parts: RenderParts, chosen: dict[str, list[int]]
) -> dict[int, str]:
    """Truth and rendering side by side, small, of every frame that is worst in something."""
    size = panel_size(parts.width, parts.height, THUMBNAIL)
    pictures = {}
    for row in sorted({row for rows in chosen.values() for row in rows}):
        pair = dataset["frames"][int(parts.index[row])], parts.frame(row)
        both = np.concatenate([fit(picture, *size) for picture in pair], axis=1)
        written = io.BytesIO()
        Image.fromarray(both).save(written, "jpeg", quality=THUMBNAIL_QUALITY)
        pictures[row] = as_image(written.getvalue(), "jpeg")
    return pictures


def _hex(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in colour)
