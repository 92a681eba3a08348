"""desdm get brings a release whole and right, over a network that breaks and servers that die."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.files import file_release, wire
from tests.support.server import Served, served

SIZE = 4_000_000
PROGRAM = str(Path(sys.executable).parent / "desdm")


class Site(NamedTuple):
    """A served installation: its home, the directory of release T1, the server's address."""

    home: Path
    root: Path
    url: Served


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installation with a release of 16 MB in four images, a table and a text, served."""
    home = tmp_path_factory.mktemp("get") / "home"
    root = file_release(home, "T1", size=SIZE)
    with served(home) as url:
        yield Site(home, root, url)


def get(*arguments: str, folder: Path) -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        [PROGRAM, "get", *arguments, "--json"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def same(folder: Path, root: Path) -> bool:
    """Whether a folder holds what the release holds, and nothing else."""

    def content(top: Path) -> dict[str, str]:
        files = (p for p in top.rglob("*") if p.is_file())
        return {str(p.relative_to(top)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    return content(folder) == content(root)


def test_a_whole_release_comes_and_sha256sum_agrees(site: Site, tmp_path: Path) -> None:
    status, said = get(f"{site.url}/files/T1", folder=tmp_path)
    assert (status, said["failed"], said["standing"]) == (0, [], [])
    assert same(tmp_path / "T1", site.root)
    check = ["sha256sum", "--quiet", "-c", "MANIFEST.sha256"]
    assert subprocess.run(check, cwd=tmp_path / "T1", timeout=60).returncode == 0
    # Run again, only what is missing or wrong is fetched.
    image = next((tmp_path / "T1").rglob("*_g.fits.fz"))
    image.write_bytes(image.read_bytes()[:-1] + b"?")
    (tmp_path / "T1/docs/read me.txt").unlink()
    status, said = get("T1", "--url", site.url, folder=tmp_path)
    assert status == 0
    assert said["fetched"] == sorted(["docs/read me.txt", str(image.relative_to(tmp_path / "T1"))])
    assert same(tmp_path / "T1", site.root)


def test_a_part_by_tile_band_place_or_folder(site: Site, tmp_path: Path) -> None:
    def paths(what: str, *conditions: str) -> list[str]:
        status, said = get(what, *conditions, "--list", folder=tmp_path)
        assert status == 0
        files = said["files"]
        assert isinstance(files, list)
        return [Path(row["path"]).name for row in files]

    release = f"{site.url}/files/T1"
    assert paths(release, "--tile", "DES0200-0500", "--band", "r") == ["DES0200-0500_r.fits.fz"]
    assert paths(f"{release}/images/DES0000+0000/") == ["DES0000+0000_g.fits.fz", "DES0000+0000_r.fits.fz"]
    assert paths(f"{release}/docs/read%20me.txt") == ["read me.txt"]
    assert paths(release, "--type", "coadd", "--pos", "359.9,0,0.01") == paths(
        release, "--tile", "des0000+0000"
    )
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_said_in_one_line(site: Site, tmp_path: Path) -> None:
    for what, status in (
        ((f"{site.url}/files/T9",), 2),
        ((f"{site.url}/files/T1", "--band", "w"), 2),
        ((f"{site.url}/files/T1", "--pos", "5,95,1"), 2),
        (("http://127.0.0.1:1/files/T1", "--patience", "0.3"), 3),
    ):
        found, said = get(*what, folder=tmp_path)
        assert (found, "error" in said) == (status, True), what
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cuts_every_connection_costs_no_byte_twice(site: Site, tmp_path: Path) -> None:
    with wire(site.url.port, cut_after=1_500_000) as bad:
        status, said = get(f"{bad.url}/files/T1", "--type", "coadd", folder=tmp_path)
    assert (status, said["failed"]) == (0, [])
    for path in (tmp_path / "T1").rglob("*.fz"):
        assert path.read_bytes() == (site.root / path.relative_to(tmp_path / "T1")).read_bytes()
    assert bad.connections > 10
    # Beside the files there are the manifest and heads; the most that a cut loses is what was on its way.
    assert bad.carried < 4 * SIZE * 1.1


def test_a_server_that_is_killed_and_started_again_does_not_end_a_download(
    site: Site, tmp_path: Path
) -> None:
    with served(site.home) as first, wire(first.port, speed=6_000_000) as slow:
        client = subprocess.Popen(
            [PROGRAM, "get", f"{slow.url}/files/T1", "--band", "g", "--parallel", "2"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        _until(lambda: sum(p.stat().st_size for p in tmp_path.rglob("*.part")) > 2_000_000)
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        assert client.poll() is None
        with served(site.home, port=first.port):
            said, _ = client.communicate(timeout=60)
    assert client.returncode == 0, said
    for path in (tmp_path / "T1").rglob("*.fz"):
        assert path.read_bytes() == (site.root / path.relative_to(tmp_path / "T1")).read_bytes()
    assert slow.carried < 2 * SIZE * 1.3


def test_a_killed_download_leaves_nothing_half_under_its_name_and_goes_on(site: Site, tmp_path: Path) -> None:
    with wire(site.url.port, speed=6_000_000) as slow:
        client = subprocess.Popen([PROGRAM, "get", f"{slow.url}/files/T1/images/"], cwd=tmp_path)
        _until(lambda: sum(p.stat().st_size for p in tmp_path.rglob("*.part")) > 3_000_000)
        client.kill()
        client.wait()
    stood = list((tmp_path / "T1").rglob("*.fz"))
    assert all(p.stat().st_size == SIZE for p in stood)
    parts = sum(p.stat().st_size for p in tmp_path.rglob("*.part"))
    with wire(site.url.port) as counted:
        status, _ = get(f"{counted.url}/files/T1/images/", folder=tmp_path)
    assert status == 0
    assert counted.carried < 4 * SIZE - parts - len(stood) * SIZE + 100_000
    assert not list(tmp_path.rglob("*.part"))
    assert len(list((tmp_path / "T1").rglob("*.fz"))) == 4


def test_a_spoilt_file_is_reported_and_the_others_come(site: Site, tmp_path: Path) -> None:
    path = site.root / "images/DES0000+0000/DES0000+0000_g.fits.fz"
    data = path.read_bytes()
    path.write_bytes(b"?" + data[1:])
    try:
        status, said = get(f"{site.url}/files/T1", folder=tmp_path)
    finally:
        path.write_bytes(data)
    assert status == 1
    failed = said["failed"]
    assert isinstance(failed, list)
    assert [f["path"] for f in failed] == [str(path.relative_to(site.root))]
    assert "differ from the released digest" in failed[0]["reason"]
    status, said = get(f"{site.url}/files/T1", folder=tmp_path)
    assert (status, said["fetched"]) == (0, [str(path.relative_to(site.root))])
    assert same(tmp_path / "T1", site.root)


def _until(true: object, seconds: float = 30) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
