"""How long the videos and speeches of a config are, without decoding them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssp_nerf.frame_rate import FPS

WORDS_PER_MINUTE = 150.0  # espeak-ng's voices of synthetic people, unless their config says another
PAUSES = 1.1  # seconds of a synthetic speaker's clip over those of its words; 1.03 to 1.13 of three
LOCAL = {"protocol_whitelist": "file"}  # a playlist that names an address is not followed
DEMO_SIZE = 450  # pixels: side of a synthetic person's video, unless its config says another


@dataclass(frozen=True)
class Clip:
    """Length and size of a file.

    Attributes:
        seconds: what of it is used.
        megapixels: of a picture; 0 of sound.
    """

    seconds: float
    megapixels: float

    @property
    def frames(self) -> int:
        """At 25 frames a second."""
        return round(self.seconds * FPS)


@dataclass(frozen=True)
class Subject:
    """The clip that a portrait learns from, and the speeches that drive it."""

    clip: Clip
    speeches: Mapping[str, Clip] = field(default_factory=dict)


def subjects_of(config: Mapping[str, Any]) -> tuple[dict[str, Subject], list[str]]:
    """Subjects of the config, and the files among theirs whose length cannot be told.

    A subject with such a video is left out, and so is such a speech.
    """
    subjects, unread = {}, []
    for name, about in config["subjects"].items():
        video = clip_of(about["video"], config)
        speeches = {s: clip_of(path, config) for s, path in about.get("speeches", {}).items()}
        unread += [about["speeches"][speech] for speech, clip in speeches.items() if clip is None]
        if video is None:
            unread.append(about["video"])
            continue
        used = video.seconds - about.get("start", 0)
        used = max(0.0, min(used, about.get("duration", used)))
        subjects[name] = Subject(
            Clip(used, video.megapixels),
            {speech: clip for speech, clip in speeches.items() if clip is not None},
        )
    return subjects, list(dict.fromkeys(unread))


def clip_of(path: str, config: Mapping[str, Any]) -> Clip | None:
    """A file's length, or what a synthetic person's will be; None if it cannot be told."""
    try:
        import av
    except ImportError:  # with --sdm conda, Snakemake's own environment need not have it
        return None
    try:
        if not Path(path).is_file():
            return _synthetic(Path(path), config)
        with av.open(f"file:{path}", options=LOCAL, metadata_errors="replace") as container:
            if container.duration is None:
                return None
            picture = next(iter(container.streams.video), None)
            pixels = 0 if picture is None else picture.width * picture.height
            return Clip(container.duration / av.time_base, pixels / 1e6)
    except (av.FFmpegError, OSError):
        return None


def _synthetic(path: Path, config: Mapping[str, Any]) -> Clip | None:
    """A clip that `make_demo_subject` will draw: as long as it takes to say its text."""
    for name, about in config.get("demo_subjects", {}).items():
        folder = Path("results/demo_subjects") / name
        if folder in path.parents:
            words = len(about["text"].split()) / about.get("words_per_minute", WORDS_PER_MINUTE)
            size = about.get("size", DEMO_SIZE)
            pixels = size * size if path.suffix == ".mp4" else 0
            return Clip(PAUSES * 60 * words, pixels / 1e6)
    return None
