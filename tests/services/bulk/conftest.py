"""One served release for the tests of downloads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.files import file_release
from tests.support.server import Served, served


class Site(NamedTuple):
    """A served installation: its home, the directory of release T1, the server's address."""

    home: Path
    root: Path
    url: Served


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installation with the public release T1 and the proprietary P1, served."""
    home = tmp_path_factory.mktemp("files") / "home"
    root = file_release(home, "T1", size=3_000_000)
    file_release(home, "P1", proprietary=True)
    with served(home) as url:
        yield Site(home, root, url)
