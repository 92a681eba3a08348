"""A disk that is really full: the simulator says so in one line, and no file has its name before it is whole."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desdm.errors import StorageFull
from desdm.simulate.newfits import new_fits


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own can be mounted by root only")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_no_half_of_a_file(disk: Path) -> None:
    path = disk / "starflat.fits"
    small = np.arange(100.0).reshape(10, 10)
    with new_fits(path) as out:
        out.write(small)
    with (
        pytest.raises(StorageFull, match=r"starflat\.fits: No space left on device; make room") as caught,
        new_fits(path) as out,
    ):
        out.write(np.zeros((1000, 1000)))
    assert "\n" not in str(caught.value)
    assert [p.name for p in disk.iterdir()] == ["starflat.fits"]
    assert np.array_equal(fits.getdata(path), small)
