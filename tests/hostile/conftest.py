"""The folders of a case, and the table of what the cases gave."""

from pathlib import Path

import pytest

from tests.hostile.case import Folders
from tests.hostile.table import Row, write_table

OPTION = "--robustness-table"
ROWS = pytest.StashKey[list[Row]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, type=Path, help="Markdown file for what each case of the table gave")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption(OPTION, None)
    if path is not None:
        write_table(path, session.config.stash[ROWS])


@pytest.fixture
def rows(pytestconfig: pytest.Config) -> list[Row]:
    return pytestconfig.stash.setdefault(ROWS, [])


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def folders(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    own = tmp_path / "case"
    own.mkdir()
    monkeypatch.chdir(own)
    return Folders(own, tmp_path / "out", made)
