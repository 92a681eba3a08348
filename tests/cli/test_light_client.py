"""The client works without the packages of an installation, and other commands say which extra they need."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.files import file_release
from tests.support.footprintrelease import coadds, footprint_release
from tests.support.server import Served, served

#: Runs the command line where the modules of the first argument cannot be imported.
WITHOUT = """
import sys
refused = set(sys.argv.pop(1).split(","))
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
from desdm.cli.main import main
main()
"""


def facility_modules() -> set[str]:
    """The importable names of the packages that only the extra ``facility`` brings."""
    wanted = {
        line.split(";")[0].strip().partition("[")[0].rstrip("0123456789.,<>=! ").lower()
        for line in requires("desdm") or ()
        if "facility" in line.partition(";")[2]
    }
    return {
        module
        for module, owners in packages_distributions().items()
        if wanted & {owner.lower().replace("_", "-") for owner in owners}
    }


def desdm(*arguments: str, folder: Path, url: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command as where the client alone is installed; ``url`` is its DESDM_URL."""
    command = [sys.executable, "-c", WITHOUT, ",".join(facility_modules()), *arguments]
    env = {**os.environ, **({"DESDM_URL": url} if url else {})}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env=env)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Served]]:
    """A served release: its folder, and the server's address."""
    home = tmp_path_factory.mktemp("light") / "home"
    root = file_release(home, "T1", size=20_000)
    with served(home) as url:
        yield root, url


def test_the_extra_names_what_is_heavy() -> None:
    assert {"numba", "duckdb", "hyperscan", "sqlalchemy", "scipy", "starlette"} <= facility_modules()


def test_the_client_downloads_without_the_packages_of_an_installation(
    site: tuple[Path, Served], tmp_path: Path
) -> None:
    root, url = site
    done = desdm("get", "T1", "--url", str(url), folder=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    for path in (p for p in root.rglob("*") if p.is_file()):
        copy = tmp_path / "T1" / path.relative_to(root)
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_client_queries_without_the_packages_of_an_installation(
    site: tuple[Path, Served], tmp_path: Path
) -> None:
    query = "SELECT COUNT(*) AS n FROM tap_schema.tables"
    done = desdm("sql", "--url", str(site[1]), "-c", query, folder=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert "n" in done.stdout.split()


@pytest.mark.parametrize("command", [("init", "home"), ("status",), ("serve",), ("ingest", ".")])
def test_a_command_of_an_installation_says_what_it_needs(command: tuple[str, ...], tmp_path: Path) -> None:
    done = desdm(*command, folder=tmp_path)
    assert (done.returncode, "pip install 'desdm[facility]'" in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command", [("sql", "-c", "SELECT 1 FROM x"), ("footprint", "30", "-5"), ("get", "T1")]
)
def test_without_an_address_the_client_asks_for_one(command: tuple[str, ...], tmp_path: Path) -> None:
    done = desdm(*command, folder=tmp_path)
    assert done.returncode == 2 and "--url" in done.stderr and "DESDM_URL" in done.stderr, done.stderr
    assert "which server?" in done.stderr and "needs the package" not in done.stderr


@pytest.fixture(scope="module")
def footprint_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served release with a footprint around (0, -44)."""
    folder = tmp_path_factory.mktemp("light-footprint")
    (folder / "coadds").mkdir()
    footprint_release(folder / "home", coadds(folder / "coadds"), "F1")
    with served(folder / "home") as url:
        yield url


def test_the_footprint_is_asked_at_the_address_of_the_environment(
    footprint_url: Served, tmp_path: Path
) -> None:
    done = desdm("footprint", "0.01", "-43.99", "--json", folder=tmp_path, url=str(footprint_url))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["inside"] is True


def test_a_table_is_sent_to_a_server(footprint_url: Served, tmp_path: Path) -> None:
    (tmp_path / "places.csv").write_text("name,lon,lat\nin,0.01,-43.99\nout,200,45\n")
    words = ("footprint", "--table", "places.csv", "--ra-column", "lon", "--dec-column", "lat", "--band", "g")
    done = desdm(*words, "--tiles", folder=tmp_path, url=str(footprint_url))
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [(r["name"], r["inside_g"]) for r in rows] == [("in", "1"), ("out", "0")]
    assert rows[0]["tiles"] and not rows[1]["tiles"]
    done = desdm(*words, "--out", "answer.parquet", folder=tmp_path, url=str(footprint_url))
    assert done.returncode == 0 and done.stdout.startswith("wrote answer.parquet"), done.stderr
    assert pq.read_table(tmp_path / "answer.parquet")["inside_g"].to_pylist() == [1, 0]
