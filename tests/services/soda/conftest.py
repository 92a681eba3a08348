"""Releases of images, and a server on them, for all tests of cutouts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cutouts import ImageRelease, image_release
from tests.support.hips import small_hips
from tests.support.server import Served, served


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageRelease:
    """Release C1: two tiles in three bands, packed by fpack, and a small HiPS; F1, to be damaged, came before it."""
    home: Path = tmp_path_factory.mktemp("cutouts") / "home"
    image_release(home, "F1")
    return image_release(home, more=lambda root: small_hips(root / "hips" / "color"))


@pytest.fixture(scope="session")
def server(images: ImageRelease) -> Iterator[Served]:
    """A real ``desdm serve``."""
    with served(images.home) as address:
        yield address
