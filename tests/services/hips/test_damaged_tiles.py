"""No picture goes out whose bytes are not those that were released, by either of its two addresses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import requests

from desdm.facility import Facility
from desdm.release.problems import problems
from tests.support.server import served
from tests.support.tiles import demo_release
from tests.support.wait import until

KINDS = ("properties", "Moc.fits", "Norder3/Allsky.png")


def flip(path: Path) -> None:
    """Change one bit in the middle of a file, its size and its time of modification kept."""
    found = path.stat()
    with path.open("r+b") as file:
        file.seek(found.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 64]))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_picture_is_refused_and_entered_into_the_problem_list(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "home"
    demo_release(home)
    path = home / "releases" / "D1" / "hips" / "color" / kind
    whole = path.read_bytes()
    with served(home) as url:
        for prefix in ("/hips", "/map/hips"):
            answer = requests.get(f"{url}{prefix}/D1/color/{kind}", timeout=30)
            assert (answer.status_code, answer.content) == (200, whole)
        flip(path)
        for prefix in ("/hips", "/map/hips", "/files/D1/hips"):
            where = (
                f"{url}{prefix}/color/{kind}"
                if prefix.startswith("/files")
                else f"{url}{prefix}/D1/color/{kind}"
            )
            assert requests.get(where, timeout=30).status_code == 500, prefix
        path.write_bytes(whole)
        assert requests.get(f"{url}/hips/D1/color/{kind}", timeout=30).status_code == 200
        facility = Facility.open(home)

        def listed() -> list[str]:
            with facility.database.read() as conn:
                return [p.subject for p in problems(conn)]

        subjects = until(listed)
        facility.close()
    assert subjects == [f"D1/hips/color/{kind}"]
