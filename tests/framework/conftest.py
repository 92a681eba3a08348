"""An installation with one text file in its archive, on each database engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from desdm.facility import Facility, initialise
from tests.support.postgres import Cluster
from tests.support.toy import arrive

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def facility(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Facility]:
    """An installation made as ``desdm init`` makes it; workers find the tests' codes."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    url, name = None, ""
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("postgres")
        name = cluster.database()
        monkeypatch.setenv("DESDM_DB_PASSWORD", cluster.password)
        url = f"postgresql+psycopg://desdm@127.0.0.1:{cluster.port}/{name}"
    initialise(tmp_path / "home", url)
    opened = Facility.open(tmp_path / "home")
    arrive(opened, tmp_path)
    yield opened
    opened.close()
    if name:
        request.getfixturevalue("postgres").drop(name)
