"""What a report is made from, small, in the real file formats, and a reader of the page."""

import base64
import csv
import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ssp_nerf.parsing_map import CLASSES
from ssp_nerf.report import __main__ as report
from tests.clips import speech, write_wav
from tests.ssp_nerf import synthetic_clip as clip

FRAMES = list(range(clip.FRAMES))
ERROR = 40  # levels by which the rendering is brighter than the truth
DISPLACEMENT = 60  # steps of 0.2 mm: 12 mm
PSNR = [30 + 0.5 * (frame * 5 % clip.FRAMES) for frame in FRAMES]  # worst at 0, then at 5
MEAN_FRAME_PSNR = [20 + 0.1 * frame for frame in FRAMES]
LMD = [1 + 0.25 * (frame * 7 % clip.FRAMES) for frame in FRAMES]  # worst at 5
STEPS = [2, 4, 6]


def write_render(path: Path) -> Path:
    """All frames of the clip, each a bit brighter than the truth, in a render file."""
    clip.write_render(path, FRAMES, clip.pictures() + ERROR)
    with h5py.File(path, "a") as file:
        file["parsing"][...] = clip.parsing()
        file["displacement"][...] = DISPLACEMENT
    return path


def write_table(path: Path, columns: dict[str, list[Any]], delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def arguments(folder: Path, subject: str = "astronaut") -> list[str]:
    """Write every input into a folder; the flags that name them."""
    write_table(
        folder / "metrics.csv",
        {"frame": FRAMES, "psnr": PSNR, "lmd": LMD, "mean_frame_psnr": MEAN_FRAME_PSNR,
         "unheard_of": [frame**2 for frame in FRAMES], "detector": ["x"] * clip.FRAMES},
    )  # fmt: skip
    totals = {
        "ours": {"psnr": 32.5, "lmd": 2.4},
        "baselines": {"mean_frame": {"psnr": 20.5}},
        "intervals": {"ours": {"psnr": [31.5, 33.25], "lmd": None}},
        "not_measured": {"some_figure": "no weights"},
    }
    (folder / "metrics.json").write_text(json.dumps({**totals, "protocol": {"psnr": "in dB"}}))
    shares = {f"share_{name}": [1 / len(CLASSES)] * len(STEPS) for name in CLASSES}
    losses = {f"loss_{name}": [3.0, 2.0, 1.0] for name in CLASSES}
    means = {"loss": [3, 2, 1], "photometric": [2, 1, 0.5], "semantic": [1, 1, 0.5]}
    write_table(
        folder / "history.csv", {"step": STEPS, **means, "psnr": [5, 9, 12], **shares, **losses}
    )
    (folder / "model").mkdir(exist_ok=True)
    about = {"model": {"width": 128}, "training": {"steps": 6}, "software": {"torch": "2"}}
    (folder / "model/bundle.json").write_text(json.dumps(about))
    for part, seconds in (("1-of-2", 3.0), ("2-of-2", 4.5)):
        write_table(
            folder / f"benchmarks/render_frames/heldout/{part}.tsv",
            {"s": [seconds], "max_rss": [100 * seconds], "cpu_time": ["-"]},
            delimiter="\t",
        )
    dataset = clip.write_dataset(folder / "dataset.h5")
    sound = write_wav(folder / "speech.wav", speech(clip.FRAMES / 25))
    return [
        "--subject", subject, "--dataset", str(dataset),
        "--render", str(write_render(folder / "render.h5")), "--speech", str(sound),
        "--metrics-csv", str(folder / "metrics.csv"),
        "--metrics-json", str(folder / "metrics.json"),
        "--history", str(folder / "history.csv"), "--bundle", str(folder / "model"),
        "--benchmarks", str(folder / "benchmarks"), "--settings", str(dataset),
        "--output", str(folder / "report"),
    ]  # fmt: skip


def write_report(folder: Path, subject: str = "astronaut") -> Path:
    """The page of a subject, through the real command."""
    report.main(arguments(folder, subject))
    return folder / "report/index.html"


@dataclass
class Page(HTMLParser):
    """What an HTML parser finds in a page."""

    text: str
    tags: list[str] = field(default_factory=list)
    attributes: list[dict[str, str | None]] = field(default_factory=list)
    inside: dict[str, str] = field(default_factory=dict)  # by id, else by tag

    def __post_init__(self) -> None:
        super().__init__()
        self._name = ""
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.append(dict(attrs))
        self._name = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        self._name = ""

    def handle_data(self, data: str) -> None:
        self.inside[self._name] = self.inside.get(self._name, "") + data

    @property
    def content(self) -> dict[str, Any]:
        return json.loads(self.inside["content-data"])

    @property
    def film(self) -> bytes:
        return base64.b64decode(self.inside["film-data"], validate=True)


def nearest_frame(picture: np.ndarray) -> int:
    """Which frame of the clip a picture (H, W, 3) of the truth is."""
    difference = clip.pictures().astype(float) - picture
    return int(np.abs(difference).mean(axis=(1, 2, 3)).argmin())
