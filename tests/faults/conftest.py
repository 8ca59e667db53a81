"""The undisturbed run, and the table of what the faults gave."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.faults.pipeline import Undisturbed
from tests.faults.table import Tables

OPTION = "--faults-table"
TABLES = pytest.StashKey[Tables]()
BEGUN = pytest.StashKey[float]()
SEED = int(os.environ.get("FAULTS_SEED", "2022"))

Note = Callable[..., None]
"""`note(section, *cells, begun=...)`: a row of the table; its last cell, how long it took since the
test or `begun`, is added."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, type=Path, help="Markdown file for what each fault gave")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLES] = Tables(SEED)
    config.stash[BEGUN] = time.monotonic()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    path = session.config.getoption(OPTION, None)
    if path is not None and exitstatus == pytest.ExitCode.OK:
        minutes = (time.monotonic() - session.config.stash[BEGUN]) / 60
        session.config.stash[TABLES].write(path, minutes)


@pytest.fixture
def note(pytestconfig: pytest.Config) -> Note:
    tables = pytestconfig.stash.setdefault(TABLES, Tables(SEED))
    test_begun = time.monotonic()

    def note(section: str, *cells: str, begun: float = test_begun) -> None:
        tables.add(section, *cells, f"{time.monotonic() - begun:.0f} s")

    return note


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """A stream of a test's own, the same in every run with this seed."""
    return Random(f"{SEED} {request.node.name}")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed") / "checkout", tiny_config)


@pytest.fixture(scope="session")
def tiny_config() -> Path:
    return Path(__file__).parents[1] / "workflow/tiny.yaml"
