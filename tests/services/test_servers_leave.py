"""A server that ends in order leaves no file that the doctor takes for one that died."""

from __future__ import annotations

from pathlib import Path

from tests.support.release import small_release
from tests.support.server import served
from tests.support.wait import until


def test_the_lock_file_goes_with_its_server(tmp_path: Path) -> None:
    home = small_release(tmp_path / "home", rows=50)
    folder = home / "results" / ".servers"
    with served(home):
        until(lambda: folder.is_dir() and len(list(folder.iterdir())) > 0)
    assert list(folder.iterdir()) == []
