"""Mean opinion scores beside closed forms and scipy's interval."""

import csv
import re

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from ssp_nerf.study import __main__ as command
from ssp_nerf.study.questions import QUESTIONS
from ssp_nerf.study.ratings import COLUMNS, Rating
from ssp_nerf.study.scores import markdown, score

KEYS = [question.key for question in QUESTIONS]


def rating(participant: str, method: str, clip: str, *values: int) -> Rating:
    answers = dict(zip(KEYS, values * 3 if len(values) == 1 else values, strict=True))
    return Rating(participant, 1, method, clip, answers)


def simulated(seed: int = 0) -> tuple[list[Rating], np.ndarray]:
    """18 participants, 2 methods, 5 clips each; answers (participant, method, clip, question)."""
    rng = np.random.default_rng(seed)
    answers = rng.integers(1, 6, (18, 2, 5, 3))
    answers[:, 1] = np.minimum(answers[:, 1], 3)
    rows = [
        rating(f"p{p}", f"m{m}", f"c{c}", *map(int, answers[p, m, c]))
        for p, m, c in np.ndindex(18, 2, 5)
    ]
    return rows, answers


def test_where_all_rated_all_the_score_is_the_plain_mean():
    rows, answers = simulated()
    found = score(rows)
    for m in range(2):
        for q, key in enumerate(KEYS):
            assert found.scores[f"m{m}", key].mos == pytest.approx(answers[:, m, :, q].mean())
            assert found.scores[f"m{m}", key].ratings == 90
    assert found.methods == ["m0", "m1"]  # the better first
    assert (found.participants, found.clips, found.raters) == (18, 10, (18, 18))


def test_the_interval_is_students_over_participants():
    rows, answers = simulated()
    own = score(rows).scores["m0", KEYS[1]]
    means = answers[:, 0, :, 1].mean(axis=1)
    low, high = stats.t.interval(0.95, 17, means.mean(), stats.sem(means))
    assert (own.mos - own.margin, own.mos + own.margin) == pytest.approx((low, high))


def test_two_participants_closed_form():
    """Means 2 and 4: t(0.975, 1) = tan(0.475 pi) = 12.706, standard error 1."""
    own = score([rating("a", "m", "c", 2), rating("b", "m", "c", 4)]).scores["m", KEYS[0]]
    assert (own.mos, own.margin) == (3, pytest.approx(np.tan(0.475 * np.pi)))


def test_more_ratings_of_the_same_people_do_not_make_it_surer():
    few = [rating(p, "m", "c0", v) for p, v in (("a", 2), ("b", 3), ("c", 5))]
    many = [r._replace(clip=f"c{i}") for r in few for i in range(20)]
    one, two = (score(rows).scores["m", KEYS[0]] for rows in (few, many))
    assert (two.mos, two.margin) == pytest.approx((one.mos, one.margin))


def test_one_participant_has_no_interval():
    found = score([rating("a", "m", "c", 5, 4, 3)])
    assert found.scores["m", KEYS[0]].margin is None
    assert "| m | 5.00 | 4.00 | 3.00 |" in markdown(found)
    assert found.kappas == dict.fromkeys(KEYS)
    assert "not defined" in markdown(found)


def write(path, rows) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow([*row[:4], *row.answers.values()])


def test_the_command_writes_the_table_as_markdown_csv_and_picture(tmp_path, capsys):
    rows, answers = simulated()
    write(tmp_path / "ratings.csv", rows)
    paths = {kind: tmp_path / f"scores.{kind}" for kind in ("csv", "md", "png")}
    command.main(
        ["scores", "--ratings", str(tmp_path / "ratings.csv"), "--csv", str(paths["csv"]),
         "--markdown", str(paths["md"]), "--plot", str(paths["png"])]
    )  # fmt: skip
    said = capsys.readouterr().out
    assert said == paths["md"].read_text()
    shown = re.search(r"\| m0 \| ([\d.]+) ± ([\d.]+) ", said)
    assert float(shown[1]) == pytest.approx(answers[:, 0, :, 0].mean(), abs=0.005)
    assert "18 participants, 10 clips, each rated by 18 participants" in said
    with open(paths["csv"]) as file:
        table = list(csv.DictReader(file))
    assert [(row["method"], row["question"]) for row in table] == [
        (method, key) for method in ("m0", "m1") for key in KEYS
    ]
    assert all(float(r["ci_low"]) < float(r["mos"]) < float(r["ci_high"]) for r in table)
    assert Image.open(paths["png"]).size[0] == 1200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (",".join(COLUMNS) + "\n", "nobody has rated"),
        ("a,b\n1,2\n", "expected the columns participant"),
        ("no line end", "expected the columns"),
        (",".join(COLUMNS) + "\np,1,m,c,4,5,6\n", "line 2: image_quality is 6, expected 1 to 5"),
        (",".join(COLUMNS) + "\np,1,m,c,4,5\n", "line 2"),
        (",".join(COLUMNS) + "\np,1,m,c,4,5,good\n", "line 2"),
        (",".join(COLUMNS) + "\np,1,m,c,4,5,1\np,2,m,c,4,5,2\n", "line 3: participant p has rated"),
        ("\x89\x00\n", "expected"),
    ],
)
def test_what_are_no_ratings_is_one_line(tmp_path, capsys, content, words):
    path = tmp_path / "ratings.csv"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(SystemExit) as stop:
        command.main(["scores", "--ratings", str(path), "--csv", str(tmp_path / "scores.csv")])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not (tmp_path / "scores.csv").exists()
