"""The clips of a study, which method made each, and how that is hidden from who rates them."""

import hashlib
import hmac
import json
import random
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssp_nerf.errors import InputError, first_line
from ssp_nerf.files import require_file, sha256, write_json
from ssp_nerf.study.questions import QUESTIONS

ID_LENGTH = 16  # hexadecimal digits of what stands for a clip or a participant
EXAMPLE = "Expected e.g. {methods: {ours: [a.mp4, b.mp4], ad-nerf: [c.mp4, d.mp4]}}."


@dataclass(frozen=True)
class Clip:
    """A video and the method that made it."""

    method: str
    path: Path
    sha256: str

    @property
    def name(self) -> str:
        return str(self.path)


class Study:
    """Clips, and a seed from which their aliases and each participant's order come.

    Args:
        clips: two or more, no method's file twice.
        seed: any text. Who knows it, the methods and the files can tell what an alias stands for.

    Attributes:
        clips: by alias, a name that tells nothing; the aliases are sorted.
    """

    def __init__(self, clips: Sequence[Clip], seed: str):
        self.seed = seed
        aliases = {self._digest("clip", c.method, c.sha256): c for c in clips}
        self.clips = dict(sorted(aliases.items()))
        if len(aliases) < len(clips):
            names = Counter((clip.method, clip.sha256) for clip in clips)
            same = [f"{c.method}={c.name}" for c in clips if names[c.method, c.sha256] > 1]
            raise InputError(f"the same video of one method is there twice: {', '.join(same)}.")
        if len(clips) < 2:
            raise InputError(f"a study compares two clips or more, got {len(clips)}.")

    def new_participant(self) -> str:
        """A random number, and what shows that it is from here: nothing else is known of them."""
        number = secrets.token_hex(ID_LENGTH // 2)
        return number + self._digest("participant", number)

    def is_participant(self, name: str) -> bool:
        """Whether `new_participant` gave this name, in this run of the server or another."""
        number, shown = name[:ID_LENGTH], name[ID_LENGTH:]
        expected = self._digest("participant", number)
        return hmac.compare_digest(shown.encode(), expected.encode())

    def order(self, participant: str) -> list[str]:
        """Aliases of all clips in this participant's own random order, always the same."""
        aliases = list(self.clips)
        random.Random(f"{self.seed} {participant}").shuffle(aliases)
        return aliases

    def description(self) -> dict[str, Any]:
        """What makes ratings belong together."""
        clips = [
            {"method": clip.method, "clip": clip.name, "sha256": clip.sha256}
            for clip in self.clips.values()
        ]
        clips.sort(key=lambda clip: (clip["method"], clip["clip"]))
        return {"seed": self.seed, "clips": clips, "questions": [q._asdict() for q in QUESTIONS]}

    def _digest(self, *words: str) -> str:
        message = "\n".join(words).encode()
        return hmac.new(self.seed.encode(), message, hashlib.sha256).hexdigest()[:ID_LENGTH]


def read_clips(pairs: Sequence[str], file: Path | None) -> list[Clip]:
    """Clips given as `method=clip.mp4`, or in a YAML file, whose paths start from its folder.

    Raises:
        InputError: not of that form, or a clip that is not there.
    """
    methods = [_pair(text) for text in pairs]
    if file is not None:
        methods += _yaml(file)
    for method, path in methods:
        if not method.strip() or not (method + str(path)).isprintable():
            raise InputError(f"{method!r}={str(path)!r}: expected a method's name and a path.")
    return [
        Clip(method, path, sha256(require_file(path, f"a clip of {method!r}")))
        for method, path in methods
    ]


def open_study(clips: Sequence[Clip], ratings: Path, begun: bool, seed: str | None) -> Study:
    """The study whose ratings go into a file.

    Args:
        begun: there are ratings; what of, lies beside them (see `keep_study`).
        seed: None: the one that was kept, or a random one.

    Raises:
        InputError: the ratings there are of other clips, questions or another seed.
    """
    if not begun:
        return Study(clips, secrets.token_hex(ID_LENGTH) if seed is None else seed)
    path = _description(ratings)
    try:
        content = require_file(path, "what the ratings are of").read_text(encoding="utf-8")
        known = json.loads(content)
        study = Study(clips, str(known["seed"]) if seed is None else seed)
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not the description of a study ({error!r}).") from error
    for part, now in study.description().items():
        if (before := known.get(part)) != now:
            raise InputError(
                f"{path}: the study that was begun has other {part}: {_difference(before, now)}. "
                "Go on with those, or choose another file for --ratings."
            )
    return study


def keep_study(study: Study, ratings: Path) -> None:
    """Write what ratings are of beside them: `ratings.csv`, `ratings.study.json`."""
    write_json(_description(ratings), study.description())


def _description(ratings: Path) -> Path:
    return ratings.with_suffix(".study.json")


def _difference(before: Any, now: Any) -> str:
    if not isinstance(before, list) or not isinstance(now, list):
        return f"{before!r}, now {now!r}"
    gone = [item for item in before if item not in now]
    new = [item for item in now if item not in before]
    return "; ".join(f"{word} {items[0]}" for word, items in (("not", gone), ("new", new)) if items)


def _pair(text: str) -> tuple[str, Path]:
    method, equals, path = text.partition("=")
    if not equals or not path:
        raise InputError(f"--clips: expected METHOD=FILE, got {text!r}.")
    return method, Path(path)


def _yaml(file: Path) -> list[tuple[str, Path]]:
    try:
        import yaml
    except ImportError as error:
        raise InputError(f"{file}: reading it needs PyYAML: `pip install PyYAML`.") from error
    content = require_file(file, "the list of a study's clips").read_text(encoding="utf-8")
    try:
        methods = yaml.safe_load(content)["methods"].items()
    except (yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{file}: no methods in it ({first_line(error)}). {EXAMPLE}") from error
    found = []
    for method, paths in methods:
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise InputError(f"{file}: methods.{method} is {paths!r}. {EXAMPLE}")
        found += [(str(method), file.parent / path) for path in paths]
    return found
