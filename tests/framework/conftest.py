"""An installation with one text file in its archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.toy import arrive

from desdm.facility import Facility, initialise

ROOT = Path(__file__).parents[2]


@pytest.fixture
def facility(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Facility]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    initialise(tmp_path / "home")
    opened = Facility.open(tmp_path / "home")
    arrive(opened, tmp_path)
    yield opened
    opened.close()
