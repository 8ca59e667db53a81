"""Every hostile input of the table: one clear line or the right result (docs/robustness.md)."""

import pytest

from tests.hostile import configs, data, sounds, videos
from tests.hostile.case import CANARY, Case, Folders, run
from tests.hostile.table import Row

CASES: list[Case] = [*videos.CASES, *sounds.CASES, *data.CASES]


def str_of(case: configs.ConfigCase) -> str:
    return case.what


def parameter(case: Case):
    marks = [] if case.fast else [pytest.mark.thorough]
    return pytest.param(case, id=f"{case.kind}: {case.what}", marks=marks)


@pytest.mark.parametrize("case", [parameter(case) for case in CASES])
def test_hostile_input(
    case: Case, folders: Folders, rows: list[Row], capfd: pytest.CaptureFixture[str]
) -> None:
    rows.append(Row(case.kind, case.what, case.module, run(case, folders, capfd)))


@pytest.mark.parametrize("case", [case for case in configs.CASES if case.ours], ids=str_of)
def test_our_check_refuses_the_config(case: configs.ConfigCase) -> None:
    found = configs.mistakes(case)
    assert any(case.refusal in line for line in found), found
    assert all(len(line) < 400 and "\n" not in line for line in found)


@pytest.mark.thorough
@pytest.mark.parametrize("case", configs.CASES, ids=str_of)
def test_snakemake_refuses_the_config(
    case: configs.ConfigCase, folders: Folders, rows: list[Row]
) -> None:
    status, said = configs.dry_run(case, folders.own)
    assert status == 1 and "Traceback" not in said, said
    lines = [line for line in said.splitlines() if case.refusal in line]
    assert len(lines) == 1, said[-2000:]
    assert not list(folders.own.rglob(CANARY)) and not (folders.own / "results").exists()
    rows.append(Row("config", case.what, "snakemake", lines[0]))
