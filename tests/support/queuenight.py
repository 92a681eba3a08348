"""A small simulated night for tests of the queue: its raw files in an installation, and the commands on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from desdm.simulate.plan import plan_night
from tests.support.night import Processed, ingested_once

__all__ = ["NITE", "command", "desdm", "small_night"]

NITE = "20121120"


def small_night(factory: pytest.TempPathFactory) -> Processed:
    """Seven biases, six flats, three exposures in r and one that is junk; nothing is processed."""
    base = factory.getbasetemp()
    base = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "nights"
    plan = plan_night(11, program="demo", bands=("r",), biases=7, flats=6, exposures=2)
    return ingested_once(base, "queue", plan)


def command(home: Path, *args: str) -> list[str]:
    """The command line of a command on an installation."""
    return [sys.executable, "-m", "desdm.cli.main", "--home", str(home), *args]


def desdm(home: Path, *args: str, status: tuple[int, ...] = (0, 1)) -> Any:
    """The JSON document of a command that ends with one of these statuses."""
    done = subprocess.run(command(home, *args, "--json"), capture_output=True, text=True)
    assert done.returncode in status, done.stderr
    return json.loads(done.stdout)
