"""The service's own database, which holds the sessions of browsers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from desdm.schema.database import Database
from desdm.schema.service import prepare


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/service.sqlite")
    prepare(made)
    yield made
    made.close()
