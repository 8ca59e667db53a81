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
    TRUTH,
    goodness,
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
        "totals": _totals(methods, _object(totals.get("intervals"))),
        "protocol": _object(totals.get("protocol")),
        "not_measured": {
            known(name)[0]: why for name, why in _object(totals.get("not_measured")).items()
        },
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


def _totals(methods: dict[str, dict[str, Any]], intervals: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each metric that any method has a number of, with every method's.

    `best` names the methods that are best, `rival` the best beside ours.
    """
    rows = []
    names = {name for values in methods.values() for name in values}
    for name in sorted(names, key=rank):
        figures = {m: values[name] for m, values in methods.items() if is_number(values.get(name))}
        title, better = known(name)
        scores = {
            method: score
            for method, value in figures.items()
            if method != TRUTH
            and (score := goodness(value, better, figures.get(TRUTH))) is not None
        }
        others = [method for method in scores if method != OURS]
        row = {
            "name": name,
            "title": title,
            "better": better,
            "methods": figures,
            "intervals": {
                method: ends[name]
                for method, ends in intervals.items()
                if is_interval(_object(ends).get(name))
            },
            "best": [m for m in scores if others and scores[m] == max(scores.values())],
            "rival": max(others, key=scores.__getitem__, default=None),
        }
        rows += [row] if figures else []
    return rows


def _object(value: object) -> dict[str, Any]:
    """A JSON object; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_interval(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))


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
