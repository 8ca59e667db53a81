"""Mean opinion scores of each method, with confidence intervals, and the raters' agreement."""

import csv
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssp_nerf.files import whole_output
from ssp_nerf.study.agreement import fleiss_kappa
from ssp_nerf.study.questions import HIGHEST, LOWEST, QUESTIONS, Question
from ssp_nerf.study.ratings import Rating

CONFIDENCE = 0.95
COLUMNS = ("method", "question", "mos", "ci_low", "ci_high", "participants", "ratings", "kappa")


@dataclass(frozen=True)
class Score:
    """A method's mean opinion score.

    Attributes:
        mos: mean over participants of each one's mean rating: the plain mean where all rated all.
        margin: half the confidence interval, None of a single participant. Participants are the
            sample, since the ratings of one are no independent ones: Student's t of their means.
    """

    mos: float
    margin: float | None
    participants: int
    ratings: int


@dataclass(frozen=True)
class Scores:
    """What a study found; methods from the best to the worst, by their mean over the questions.

    Attributes:
        scores: by method and a question's key.
        kappas: by a question's key, see `fleiss_kappa`; an item is one clip of one method.
        raters: fewest and most participants that a clip has.
    """

    methods: list[str]
    scores: dict[tuple[str, str], Score]
    kappas: dict[str, float | None]
    participants: int
    clips: int
    raters: tuple[int, int]


def score(ratings: Sequence[Rating]) -> Scores:
    """Scores of at least one rating."""
    scores: dict[tuple[str, str], Score] = {}
    kappas: dict[str, float | None] = {}
    per_item: dict[tuple[str, str], int] = defaultdict(int)
    for rating in ratings:
        per_item[rating.method, rating.clip] += 1
    items = {item: number for number, item in enumerate(per_item)}
    for question in QUESTIONS:
        counts = np.zeros((len(items), HIGHEST - LOWEST + 1))
        of_method: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for rating in ratings:
            answer = rating.answers[question.key]
            counts[items[rating.method, rating.clip], answer - LOWEST] += 1
            of_method[rating.method][rating.participant].append(answer)
        kappas[question.key] = fleiss_kappa(counts)
        for method, answers in of_method.items():
            scores[method, question.key] = _mean_opinion(list(answers.values()))

    def mean(method: str) -> float:
        return float(np.mean([scores[method, question.key].mos for question in QUESTIONS]))

    return Scores(
        methods=sorted({rating.method for rating in ratings}, key=lambda m: (-mean(m), m)),
        scores=scores,
        kappas=kappas,
        participants=len({rating.participant for rating in ratings}),
        clips=len(items),
        raters=(min(per_item.values()), max(per_item.values())),
    )


def _mean_opinion(answers: Sequence[Sequence[int]]) -> Score:
    """Of the answers of each participant."""
    from scipy.stats import t

    means = np.array([np.mean(own) for own in answers])
    n = len(means)
    margin = None
    if n > 1:
        margin = float(t.ppf((1 + CONFIDENCE) / 2, n - 1) * means.std(ddof=1) / math.sqrt(n))
    return Score(float(means.mean()), margin, n, sum(map(len, answers)))


def markdown(found: Scores) -> str:
    """A table like table 3 of the paper."""
    rows = [["", *(question.title for question in QUESTIONS)]]
    rows.append(["---"] * len(rows[0]))
    for method in found.methods:
        rows.append([method, *(_with_margin(found.scores[method, q.key]) for q in QUESTIONS)])
    rows.append(["Fleiss' kappa", *(_kappa(found.kappas[q.key]) for q in QUESTIONS)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    least, most = found.raters
    raters = f"{least} participants" if least == most else f"{least} to {most} participants"
    return (
        f"# User study\n\n{table}\n\n"
        f"Mean opinion scores, {LOWEST} to {HIGHEST}, more is better, ± half of the "
        f"{CONFIDENCE:.0%} confidence interval over participants (Student's t). "
        f"{found.participants} participants, {found.clips} clips, each rated by {raters}. Kappa "
        "takes the ratings for unordered categories: 4 beside 5 counts as disagreement.\n"
    )


def write_csv(path: Path, found: Scores) -> None:
    """One line for each method and question; `kappa` is the question's."""
    with whole_output(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for method in found.methods:
            for question in QUESTIONS:
                writer.writerow(_row(method, question, found))


def _row(method: str, question: Question, found: Scores) -> list[object]:
    own, kappa = found.scores[method, question.key], found.kappas[question.key]
    interval = ["", ""]
    if own.margin is not None:
        interval = [f"{own.mos - own.margin:.4f}", f"{own.mos + own.margin:.4f}"]
    return [
        method, question.key, f"{own.mos:.4f}", *interval, own.participants, own.ratings,
        "" if kappa is None else f"{kappa:.4f}",
    ]  # fmt: skip


def _with_margin(own: Score) -> str:
    return f"{own.mos:.2f}" if own.margin is None else f"{own.mos:.2f} ± {own.margin:.2f}"


def _kappa(kappa: float | None) -> str:
    return "not defined" if kappa is None else f"{kappa:.3f}"
