"""Every command meets damaged, locked, read-only and full storage with a typed error: never with a traceback."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from desdm.cli import COMMANDS
from desdm.cli.main import main
from desdm.facility import Facility, initialise
from desdm.schema import database as schema_database
from tests.support.toy import arrive, plan, text_pipeline

RUN = "T1_r1p01"
#: One call of each command; ``{tmp}`` is a folder of the test. None: it needs no installation, or runs until it is ended.
CALLS: dict[str, tuple[str, ...] | None] = {
    "init": ("--upgrade", "{home}"),
    "ingest": ("{tmp}/new.txt", "--filetype", "misc"),
    "dts": ("accept", "{tmp}/new.txt"),
    "files": (),
    "lineage": ("raw.txt",),
    "fetch": ("raw.txt", "--to", "{tmp}/out"),
    "audit": (),
    "doctor": (),
    "tag": ("list",),
    "delete": ("raw.txt", "--reason", "r", "--yes"),
    "pipeline": ("list",),
    "tile": ("list",),
    "submit": ("coadd", "--set", "tilename=DES0000+0000", "--dry-run"),
    "status": (),
    "show": (RUN,),
    "log": (RUN,),
    "history": (),
    "events": (),
    "mark": (RUN, "junk", "--reason", "r"),
    "resume": (RUN,),
    "cancel": (RUN, "--reason", "r"),
    "run": ("night", "20180101"),
    "explain": (RUN,),
    "verdict": (),
    "epoch": ("list",),
    "exclude": (),
    "problem": ("list",),
    "release": ("list",),
    "report": (RUN, "--out", "{tmp}/r.html"),
    "quicklook": ("raw.fits", "--out", "{tmp}/p.png"),
    "completion": ("bash",),
    "wcl": None,
    "simulate": None,
    "demo": None,
    "serve": None,
    "sql": None,
    "footprint": None,
    "cutout": None,
    "get": None,
    "account": ("list",),
    "queue": ("list",),
    "night": ("report", "20180101", "--json"),
    "retry": (RUN, "--reason", "r", "--dry-run"),
    "compare": (RUN, RUN),
    "logbook": ("add", "dome closed"),
    "notice": ("rule", "add", "n", "mailto:a@example.org", "--reason", "r"),
    "survey": (),
    "review": ("list",),
    "qa": ("threshold", "list"),
    "dispatch": ("list",),
}


def truncated(home: Path) -> None:
    os.truncate(home / "desdm.sqlite", (home / "desdm.sqlite").stat().st_size // 2)


def overwritten(home: Path) -> None:
    with (home / "desdm.sqlite").open("r+b") as file:
        file.write(b"not a database at all " * 400)


def zeroed(home: Path) -> None:
    """Every second page but the first."""
    path = home / "desdm.sqlite"
    with path.open("r+b") as file:
        for start in range(4096, path.stat().st_size, 8192):
            file.seek(start)
            file.write(bytes(4096))


def emptied(home: Path) -> None:
    (home / "desdm.sqlite").write_bytes(b"")


def staging_is_a_file(home: Path) -> None:
    """What a read-only archive does too; modes do not bind root."""
    shutil.rmtree(home / "archive" / ".stage", ignore_errors=True)
    (home / "archive" / ".stage").write_text("")


@contextmanager
def as_is(home: Path) -> Iterator[None]:
    yield


@contextmanager
def locked(home: Path) -> Iterator[None]:
    other = sqlite3.connect(home / "desdm.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


@contextmanager
def full(home: Path) -> Iterator[None]:
    """No file may grow beyond 4 kB: EFBIG, one of the ways in which a quota says no."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    initialise(folder / "home")
    facility = Facility.open(folder / "home")
    arrive(facility, folder)
    plan(facility, text_pipeline())
    facility.close()
    return folder / "home"


def call(monkeypatch: pytest.MonkeyPatch, home: Path, tmp: Path, command: str) -> int:
    words = [w.format(tmp=tmp, home=home) for w in CALLS[command] or ()]
    monkeypatch.setattr(sys, "argv", ["desdm", "--home", str(home), command, *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_every_command_is_tried() -> None:
    assert set(CALLS) == {entry.name for entry in COMMANDS}


DAMAGE: dict[str, Callable[[Path], None]] = {
    "truncated": truncated, "overwritten": overwritten, "zeroed": zeroed, "emptied": emptied,
    "staging": staging_is_a_file,
}  # fmt: skip
#: Commands that read nothing of the database.
STATIC = {"completion", "pipeline", "tile"}


@pytest.mark.parametrize("fault", [*DAMAGE, "locked", "full"])
@pytest.mark.parametrize("command", [name for name, words in CALLS.items() if words is not None])
def test_a_storage_fault_is_a_typed_error(
    installation: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    fault: str,
) -> None:
    home = tmp_path / "home"
    shutil.copytree(installation, home)
    (tmp_path / "new.txt").write_text("new" * 4000)
    # The lock outlasts any patience: a short one tells the same.
    monkeypatch.setattr(
        schema_database.Database,
        "_set_patience",
        lambda _database, connection, _record: connection.execute("PRAGMA busy_timeout=50"),
    )
    if fault in DAMAGE:
        DAMAGE[fault](home)
    with {"locked": locked, "full": full}.get(fault, as_is)(home):
        status = call(monkeypatch, home, tmp_path, command)
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert status in (0, 1, 2, 3, 4)
    if status > 1:
        assert said.err.startswith("error: "), said.err
    if fault in ("truncated", "overwritten") and command not in STATIC | {"doctor"}:
        assert status == 4, said
        assert "desdm doctor" in said.err
    if fault == "locked" and command == "ingest":
        assert status == 3, said
    if fault in ("full", "staging") and command == "ingest":
        assert status in (2, 3), said


def test_init_where_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    url = "postgresql+psycopg://desdm@127.0.0.1:1/none"
    for words, status in (
        ([str(tmp_path / "file")], 2),
        ([str(tmp_path / "file" / "below")], 2),
        (["/proc/desdm"], 2),
        ([str(tmp_path / "pg"), "--database", url], 3),
        ([str(tmp_path / "sl"), "--database", f"sqlite:////proc/{os.getpid()}/none/x.sqlite"], 2),
    ):
        monkeypatch.setattr(sys, "argv", ["desdm", "init", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr().err
        assert said.startswith("error: "), said
        assert end.value.code == status, (words, said)
    assert not (tmp_path / "pg" / "desdm.toml").exists()


def test_an_unreadable_file_is_refused_by_name_and_the_others_go_on(
    installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    shutil.copytree(installation, home)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    # Reading a process's memory from its address 0 is an input/output error, as a bad disk block is.
    (folder / "bad.txt").symlink_to("/proc/self/mem")
    (folder / "c.txt").write_text("c")
    monkeypatch.setattr(
        sys, "argv", ["desdm", "--home", str(home), "ingest", str(folder), "--filetype", "misc"]
    )
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert end.value.code == 1
    assert "2 registered, 0 present, 1 refused" in said.out
    assert f"{folder}/bad.txt cannot be read: Input/output error" in said.out


def test_a_name_that_is_not_utf_8_is_refused_and_the_others_go_on(installation: Path, tmp_path: Path) -> None:
    home, folder, bad = tmp_path / "home", tmp_path / "in", b"bad\xff\xfe.txt"
    shutil.copytree(installation, home)
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    (folder / os.fsdecode(bad)).write_text("b")
    program = [sys.executable, "-m", "desdm.cli.main", "--home", str(home)]
    for words, status in (
        (["ingest", str(folder), "--filetype", "misc"], 1),
        (["events", "--subject", os.fsdecode(bad)], 2),
        (["fetch", os.fsdecode(bad), "--to", str(tmp_path)], 2),
    ):
        done = subprocess.run([*program, *words], capture_output=True, text=True, errors="replace")
        assert done.returncode == status, done.stderr
        assert status == 1 or done.stderr.startswith("error: "), done.stderr
        assert status == 2 or "1 registered, 0 present, 1 refused" in done.stdout


def test_fetch_to_a_bad_place_blames_the_place(
    installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("/proc/desdm", str(tmp_path / "file" / "x")):
        (tmp_path / "file").write_text("")
        monkeypatch.setattr(
            sys, "argv", ["desdm", "--home", str(installation), "fetch", "raw.txt", "--to", place]
        )
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr().err
        assert end.value.code == 2
        assert said.startswith(f"error: {place}: "), said
