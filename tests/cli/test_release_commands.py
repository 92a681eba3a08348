"""desdm release and desdm problem: from a Parquet file to a published release, as an operator types it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from desdm.cli.main import desdm as group
from desdm.errors import DesdmError
from desdm.facility import initialise
from tests.support.release import write_parquet

Run = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    initialise(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def desdm(home: Path) -> Run:
    """The commands in this process; what they say, or the text of the error that they end with."""

    def run(*words: str, ends: int = 0) -> str:
        said = CliRunner().invoke(group, ["--home", str(home), *words], standalone_mode=False)
        if isinstance(said.exception, DesdmError):
            assert said.exception.exit_status == ends, said.exception
            return str(said.exception)
        assert said.exception is None and (said.return_value or 0) == ends, said.output
        return said.stdout

    return run


def test_four_commands_bring_a_parquet_file_to_people(home: Path, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "objects.parquet", 100)

    def typed(*words: str) -> str:
        command = [str(Path(sys.executable).parent / "desdm"), "--home", str(home), "release", *words]
        said = subprocess.run(command, capture_output=True, text=True)
        assert said.returncode == 0 and "Traceback" not in said.stderr, said.stderr
        return said.stdout

    typed("create", "R1", "--empty")
    typed("add-table", "R1", "objects", str(path), "--ra", "ra", "--dec", "dec")
    assert typed("publish", "R1").startswith("R1 is published; serve it: desdm serve")


def test_a_release_goes_its_way_and_the_engine_is_ready_for_it(desdm: Run, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "objects.parquet", 500)
    desdm("release", "create", "R1", "--empty", "--title", "First", "--reason", "asked for by WG 2")
    words = (
        "R1",
        "objects",
        str(path),
        "--ra",
        "ra",
        "--dec",
        "dec",
        "--reason",
        "first catalogue",
        "--json",
    )
    said = desdm("release", "add-table", *words)
    assert json.loads(said) == {"table": "R1.objects", "rows": 500, "columns": 10, "inferred": 0}
    desdm("problem", "open", "release", "R1", "waits for the sign-off")
    blocked = desdm("release", "publish", "R1", ends=1)
    assert "waits for the sign-off" in blocked
    assert desdm("release", "validate", "R1", ends=1).count("problem 1 is open") == 1
    desdm("problem", "close", "1", "signed")
    published = json.loads(desdm("release", "publish", "R1", "--reason", "signed off", "--json"))
    assert published["state"] == "published"
    desdm("release", "announce", "R1", "--reason", "collaboration meeting")
    acts = json.loads(desdm("events", "--kind", "release", "--subject", "R1", "--json"))
    assert [(" ".join(e["text"].split()[:2]).rstrip(":,"), e["reason"]) for e in acts] == [
        ("R1 created", "asked for by WG 2"), ("R1.objects: release", "first catalogue"), ("R1 frozen", "signed off"),
        ("R1 published", "signed off"), ("R1 announced", "collaboration meeting"),
    ]  # fmt: skip
    (copy,) = (tmp_path / "home" / "serving").glob("R1*.duckdb")
    with duckdb.connect(str(copy), read_only=True) as conn:
        assert conn.execute("SELECT count(*), count(DISTINCT id) FROM objects").fetchone() == (500, 500)
    queries = json.loads((tmp_path / "home" / "releases" / "R1" / "docs" / "queries.json").read_text())[
        "queries"
    ]
    assert {q["title"]: q["rows"] for q in queries}["A first look at R1.objects"] == 10
    assert all(q["rows"] > 0 for q in queries), "an example that finds nothing is none"
    shown = json.loads(desdm("release", "show", "R1", "--json"))
    assert shown["tables"] == [{"name": "objects", "rows": 500, "columns": 10, "kind": "release"}]
    notes = tmp_path / "home" / "releases" / "R1" / "docs" / "notes.md"
    assert "0 faults" in desdm("release", "verify", "R1")
    notes.write_text("x")
    assert "docs/notes.md" in desdm("release", "verify", "R1", ends=1)


def test_mistakes_are_told_with_the_way_on(desdm: Run, tmp_path: Path) -> None:
    assert "no good product of a coadd run" in desdm("release", "create", "R1", ends=2)
    assert "no good product" in desdm("release", "create", "R1", "--select", "tag=Y6A1", ends=2)
    assert "--empty takes no data" in desdm("release", "create", "R1", "--empty", "--select", "tag=A", ends=2)
    with (tmp_path / "home" / "desdm.toml").open("a") as settings:
        settings.write("\n[release]\nblessed_only = true\n")
    assert "fits (data_state=ACTIVE)" in desdm("release", "create", "R1", ends=2)
    assert json.loads(desdm("release", "list", "--json")) == [], "what failed left nothing"
    desdm("release", "create", "R1", "--empty")
    (tmp_path / "x.parquet").write_text("no Parquet")
    words = ("release", "add-table", "R1", "t", str(tmp_path / "x.parquet"), "--ra", "ra", "--dec", "dec")
    assert "x.parquet is not a Parquet file" in desdm(*words, ends=2)
    assert "it is empty" in desdm("release", "publish", "R1", ends=1)
    assert "see: desdm release list" in desdm("release", "publish", "R7", ends=2)
    desdm("release", "discard", "R1")
    assert not (tmp_path / "home" / "releases" / "R1").exists()
