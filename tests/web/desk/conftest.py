"""The served desk of a processed night, with people of each office, and a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.desknight import Desk, served_desk
from tests.support.pages import Browser, browser


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """21 exposures in g and r, a review queue with 24 entries."""
    with served_desk(tmp_path_factory) as made:
        yield made


@pytest.fixture(scope="session")
def desk_browser(desk: Desk) -> Iterator[Browser]:
    """A browser of the desk."""
    with browser(desk.url) as opened:
        yield opened
