"""One release of images, and a server on it, for all tests of cutouts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cutouts import ImageRelease, image_release
from tests.support.server import Served, served


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageRelease:
    """Two tiles in three bands, packed by fpack."""
    return image_release(tmp_path_factory.mktemp("cutouts") / "home")


@pytest.fixture(scope="session")
def server(images: ImageRelease) -> Iterator[Served]:
    """A real ``desdm serve``."""
    with served(images.home) as address:
        yield address
