"""Scripts of others: installed from packages with the right digest only, and sent in one file with our own."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import requests

from desdm.errors import CorruptFile
from desdm.web.bundles import STATIC, bundle
from desdm.web.npm import PACKAGES, UPLOT, install
from tests.web.conftest import Site


def test_uplot_of_another_digest_is_not_installed(tmp_path: Path) -> None:
    package = tmp_path / UPLOT.filename
    with tarfile.open(package, "w:gz") as archive:
        for member in UPLOT.members:
            (tmp_path / "file").write_text("var uPlot;")
            archive.add(tmp_path / "file", f"package/{member}")
    with pytest.raises(CorruptFile, match=r"expected KIMVnG68"):
        install(UPLOT, package, tmp_path / "uplot")
    assert not (tmp_path / "uplot").exists()
    command = [sys.executable, "-m", "desdm.web.npm", str(package)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4 and "nothing was installed" in done.stderr


def test_the_command_lists_what_it_installs() -> None:
    command = [sys.executable, "-m", "desdm.web.npm", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert all(f"{one.title} {one.version}" in done.stderr for one in PACKAGES)
    command[-1] = "jquery-3.0.0.tgz"
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 2


def test_the_installed_packages_are_current_and_have_their_licences() -> None:
    for one in PACKAGES:
        assert one.is_current(), f"{one.title}: make setup-test installs it"
        assert all((one.target / name).is_file() for name in one.members.values())


def test_a_bundle_is_uplot_and_our_scripts_plain_and_compressed(site: Site) -> None:
    made = bundle("nightplots.js")
    parts = [
        (UPLOT.target / "uplot.js").read_bytes(),
        *((STATIC / p).read_bytes() for p in ("desk.js", "plots.js")),
    ]
    assert made.content == b"\n".join(parts) and gzip.decompress(made.compressed) == made.content
    for encoding, length in (("gzip", len(made.compressed)), ("identity", len(made.content))):
        answer = requests.get(
            f"{site.url}/static/nightplots.js?{made.digest}",
            headers={"Accept-Encoding": encoding},
            timeout=30,
        )
        assert answer.content == made.content and int(answer.headers["content-length"]) == length
        assert "immutable" in answer.headers["cache-control"] and answer.headers["vary"] == "Accept-Encoding"
    assert requests.get(f"{site.url}/static/uplot/LICENSE", timeout=30).text.startswith("The MIT License")
