"""Every hostile input of the table: one clear line or the right result (docs/robustness.md)."""

import pytest

from tests.hostile import videos
from tests.hostile.case import Case, Folders, run
from tests.hostile.table import Row

CASES: list[Case] = [*videos.CASES]


def parameter(case: Case):
    marks = [] if case.fast else [pytest.mark.thorough]
    return pytest.param(case, id=f"{case.kind}: {case.what}", marks=marks)


@pytest.mark.parametrize("case", [parameter(case) for case in CASES])
def test_hostile_input(
    case: Case, folders: Folders, rows: list[Row], capfd: pytest.CaptureFixture[str]
) -> None:
    rows.append(Row(case.kind, case.what, case.module, run(case, folders, capfd)))
