"""Installations for tests of the desk: a night that waits in its queue, and one that the queue has run."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from desdm.facility import Facility
from desdm.operations.queue.enqueue import enqueue
from tests.support.deskdata import make_desk
from tests.support.desksite import DeskSite, desk_site
from tests.support.queuenight import NITE, desdm, small_night

NOW = datetime(2012, 11, 21, 12)


@pytest.fixture(scope="session")
def raw_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with the raw files of a night."""
    return small_night(tmp_path_factory).home


@pytest.fixture(scope="session")
def run_night_once(raw_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, run by its queue; made by whichever worker comes first."""
    base = tmp_path_factory.getbasetemp()
    base = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "nights" / "desk"
    base.mkdir(parents=True, exist_ok=True)
    home, ready = base / "home", base / "ready"
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.copytree(raw_night, home)
            desdm(home, "queue", "run", "--until-idle")
            ready.touch()
    return home


@pytest.fixture(scope="module")
def waiting(raw_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskSite]:
    """The night in its queue, nothing of it processed, served."""
    home = tmp_path_factory.mktemp("waiting") / "home"
    shutil.copytree(raw_night, home)
    facility = Facility.open(home)
    with facility.database.write() as conn:
        enqueue(conn, facility.production, [NITE], now=NOW)
    facility.close()
    with desk_site(home) as site:
        yield site


@pytest.fixture(scope="module")
def processed(run_night_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskSite]:
    """The night that the queue has run, served."""
    home = tmp_path_factory.mktemp("processed") / "home"
    shutil.copytree(run_night_once, home)
    with desk_site(home) as site:
        yield site


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskSite]:
    """The record of a survey of 2,000 attempts, of which no file lies in the archive, served."""
    home = tmp_path_factory.mktemp("history") / "home"
    made = make_desk(home, 2000)
    with desk_site(home, made) as site:
        yield site
