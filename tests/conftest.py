"""What all tests share: a database on each engine, an archive, the real data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from desdm.archive import catalog
from desdm.archive.archive import Archive
from desdm.schema.database import Database
from desdm.schema.upgrade import upgrade
from tests.support.postgres import Cluster, cluster

# How long an example takes to make says nothing of the code on a machine that others use too.
settings.register_profile(
    "shared", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared")

REAL = Path(__file__).parents[2] / "shared" / "data" / "real"


_NO_DATA = f"no real data at {REAL}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that reads real data; without the data leave it out, or fail if DESDM_REAL_DATA=required."""
    there = REAL.is_dir()
    if not there and os.environ.get("DESDM_REAL_DATA") == "required":
        raise pytest.UsageError(_NO_DATA)
    for item in items:
        if "real" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_data)
        if not there and item.get_closest_marker("real_data"):
            item.add_marker(pytest.mark.skip(reason=_NO_DATA))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line how many tests were left out for want of real data."""
    left_out = sum(_NO_DATA in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    if left_out:
        terminalreporter.write_line(f"{left_out} tests of real data were left out: {_NO_DATA}")


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real data sets."""
    return REAL


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL cluster for the session."""
    with cluster() as made:
        yield made


@pytest.fixture(scope="session")
def _postgres_template(postgres: Cluster) -> str:
    name = postgres.database()
    database = Database(postgres.url(name))
    upgrade(database)
    database.close()
    return name


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "desdm.sqlite"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    database.close()
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An empty archive."""
    root = tmp_path / "archive"
    root.mkdir()
    return Archive("primary", root)


@pytest.fixture
def sqlite(_sqlite_template: Path, tmp_path: Path, archive: Archive) -> Iterator[Database]:
    """A current SQLite database that knows the archive."""
    path = tmp_path / "desdm.sqlite"
    shutil.copyfile(_sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    with database.write() as conn:
        catalog.define(conn, archive)
    yield database
    database.close()


@pytest.fixture
def postgresql(postgres: Cluster, _postgres_template: str, archive: Archive) -> Iterator[Database]:
    """A current PostgreSQL database that knows the archive."""
    name = postgres.database(_postgres_template)
    database = Database(postgres.url(name))
    with database.write() as conn:
        catalog.define(conn, archive)
    yield database
    database.close()
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A current database that knows the archive, on each engine."""
    made: Database = request.getfixturevalue(request.param)
    return made
