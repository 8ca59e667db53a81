"""What participants may ask and say, and what is answered: the study without HTTP."""

import threading
from collections.abc import Mapping
from typing import Any

from ssp_nerf.study.clips import Study
from ssp_nerf.study.questions import HIGHEST, LOWEST, QUESTIONS, SCALE
from ssp_nerf.study.ratings import Rating, RatingsFile


class RefusedError(Exception):
    """A request that is wrong: HTTP status and one line on why."""

    def __init__(self, status: int, why: str):
        super().__init__(why)
        self.status = status


class Session:
    """Hands out clips and takes ratings; several threads may call it at once.

    Args:
        study: the clips.
        file: where ratings go; what is there already counts.
    """

    def __init__(self, study: Study, file: RatingsFile):
        self._study, self._file = study, file
        self._lock = threading.Lock()
        aliases = {(clip.method, clip.name): alias for alias, clip in study.clips.items()}
        self._answers: dict[tuple[str, str], Mapping[str, int]] = {
            (rating.participant, aliases[rating.method, rating.clip]): rating.answers
            for rating in file.ratings
        }

    def about(self) -> dict[str, Any]:
        """Questions, scale, and how many clips there are."""
        questions = [question._asdict() for question in QUESTIONS]
        return {"questions": questions, "scale": SCALE, "clips": len(self._study.clips)}

    def join(self) -> dict[str, Any]:
        """A new participant."""
        return self.participant(self._study.new_participant())

    def participant(self, name: object) -> dict[str, Any]:
        """A participant's clips in order, and which of them are rated.

        Raises:
            RefusedError: not a participant of this study.
        """
        name = self._known(name)
        return {
            "participant": name,
            "clips": [
                {"clip": alias, "rated": (name, alias) in self._answers}
                for alias in self._study.order(name)
            ],
        }

    def rate(self, said: object) -> dict[str, Any]:
        """Save a rating; the same again is as good as once, for whoever missed the answer.

        Raises:
            RefusedError: anything else than `{participant, clip, ratings: {question: 1 to 5}}`, or
                another rating of the same clip.
            OSError: it could not be saved.
        """
        if not isinstance(said, dict) or set(said) != {"participant", "clip", "ratings"}:
            raise RefusedError(400, "expected participant, clip and ratings")
        name = self._known(said["participant"])
        alias, answers = said["clip"], said["ratings"]
        if not isinstance(alias, str) or alias not in self._study.clips:
            raise RefusedError(404, "no such clip in this study")
        keys = [question.key for question in QUESTIONS]
        if not isinstance(answers, dict) or set(answers) != set(keys):
            raise RefusedError(400, f"expected a rating for each of {', '.join(keys)}")
        for key, value in answers.items():
            # True is an int to Python.
            if type(value) is not int or not LOWEST <= value <= HIGHEST:
                raise RefusedError(400, f"{key}: expected a whole number, {LOWEST} to {HIGHEST}")
        clip = self._study.clips[alias]
        order = self._study.order(name)
        rating = Rating(name, order.index(alias) + 1, clip.method, clip.name, answers)
        with self._lock:
            before = self._answers.get((name, alias))
            if before is None:
                self._file.add(rating)
                self._answers[name, alias] = answers
            elif before != answers:
                raise RefusedError(409, "this clip is rated already")
            rated = sum((name, alias) in self._answers for alias in order)
        return {"rated": rated, "of": len(order)}

    def _known(self, name: object) -> str:
        if not isinstance(name, str) or not self._study.is_participant(name):
            raise RefusedError(404, "no such participant in this study")
        return name
