"""Real servers that the tests of the services share: one of a table, one of images and objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Cluster
from tests.support.release import small_release
from tests.support.server import Served, served
from tests.support.tiles import demo_release

ROWS = 2000


@pytest.fixture(scope="session")
def objects_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with release T1 of one table, `tests.support.release.objects` of 2000 rows."""
    return small_release(tmp_path_factory.mktemp("objects") / "home", rows=ROWS)


@pytest.fixture(scope="session")
def on_duckdb(objects_home: Path) -> Iterator[Served]:
    """Release T1, served by the embedded engine."""
    with served(objects_home) as url:
        yield url


@pytest.fixture(scope="session")
def on_postgresql(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Release T1, served by PostgreSQL."""
    home = small_release(tmp_path_factory.mktemp("objects-pg") / "home", rows=ROWS)
    name = postgres.database()
    with served(home, postgres.url(name).render_as_string(hide_password=False)) as url:
        yield url
    postgres.drop(name)


@pytest.fixture(scope="session", params=["on_duckdb", "on_postgresql"])
def service(request: pytest.FixtureRequest) -> Served:
    """Release T1, served by each engine."""
    made: Served = request.getfixturevalue(request.param)
    return made


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Release D1: two tiles in two bands with pictures and objects, served by the embedded engine."""
    home = tmp_path_factory.mktemp("images") / "home"
    demo_release(home)
    with served(home) as url:
        yield url
