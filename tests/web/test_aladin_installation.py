"""Aladin Lite is installed from a package with the right digest only, and the map page does without it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from starlette.requests import Request

from desdm.errors import CorruptFile, UsageError
from desdm.web.aladin import install
from desdm.web.render import page

SCRIPT = b"export default {};\n" * 100


def package(path: Path, *names: str) -> str:
    """Write a package with some files; its digest as npm writes it."""
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(SCRIPT)
            archive.addfile(entry, io.BytesIO(SCRIPT))
    return base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def test_a_package_replaces_the_one_before(tmp_path: Path) -> None:
    digest = package(tmp_path / "a.tgz", "dist/aladin.js", "COPYING", "COPYING.LESSER", "dist/more.js")
    target = tmp_path / "share" / "desdm" / "aladin"
    target.mkdir(parents=True)
    (target / "old.js").touch()
    install(tmp_path / "a.tgz", target, digest)
    names = {p.name for p in target.iterdir()}
    assert names == {"aladin.js", "aladin.js.gz", "COPYING", "COPYING.LESSER", ".version"}
    assert gzip.decompress((target / "aladin.js.gz").read_bytes()) == SCRIPT
    assert [p.name for p in target.parent.iterdir()] == ["aladin"]


def test_another_digest_installs_nothing(tmp_path: Path) -> None:
    package(tmp_path / "a.tgz", "dist/aladin.js", "COPYING", "COPYING.LESSER")
    with pytest.raises(CorruptFile, match="expected /VGtxSWZ4S"):
        install(tmp_path / "a.tgz", tmp_path / "aladin")
    assert not (tmp_path / "aladin").exists()


def test_a_package_without_the_script_is_refused(tmp_path: Path) -> None:
    digest = package(tmp_path / "a.tgz", "COPYING")
    with pytest.raises(UsageError, match=r"a\.tgz is not the package aladin-lite"):
        install(tmp_path / "a.tgz", tmp_path / "aladin", digest)
    assert not (tmp_path / "aladin").exists()


def test_the_command_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    for arguments, status, text in (
        (["nosuch.tgz"], 2, "error: nosuch.tgz cannot be read"),
        ([__file__], 4, "nothing was installed"),
        (["--help"], 0, "usage: python -m desdm.web.aladin"),
    ):
        command = [sys.executable, "-m", "desdm.web.aladin", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
        assert done.returncode == status and text in done.stderr, done.stderr


@pytest.mark.parametrize("aladin", [False, True])
def test_the_map_page_promises_a_click_only_with_its_script(aladin: bool) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/map",
        "query_string": b"",
        "headers": [],
        "scheme": "http",
    }
    answer = page(
        Request({**scope, "server": ("localhost", 80)}), "map.html", aladin=aladin, release="R1", releases=["R1"],
        layers=[], mocs=[], sky=None, ra="0", dec="0", fov="1", pos="", here="", depth=None, trouble="", base="",
    )  # fmt: skip
    text = bytes(answer.body).decode()
    assert ("Click on the map" in text) == ("A click asks the footprint" in text) == aladin
    assert ("python -m desdm.web.aladin" in text) == (not aladin)
