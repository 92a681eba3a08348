"""A damaged operations database under the commands, and under a server: typed errors, and the doctor names it."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.faults import processes
from tests.faults.floods import ask
from tests.faults.outcome import Fault, Outcome, family
from tests.faults.testbed import RUN, Testbed
from tests.support.server import served

PAGE = 4096
QUERY = "/tap/sync?LANG=ADQL&FORMAT=csv&QUERY=SELECT+COUNT(*)+AS+n+FROM+R1.objects"
Damage = Callable[[Path, random.Random], None]


def truncated(path: Path, moments: random.Random) -> None:
    os.truncate(path, moments.randrange(path.stat().st_size // 4, path.stat().st_size // 4 * 3))


def overwritten(path: Path, moments: random.Random) -> None:
    with path.open("r+b") as file:
        file.write(moments.randbytes(8192))


def zeroed(path: Path, moments: random.Random) -> None:
    """Two pages of three, so that pages in use are among them."""
    with path.open("r+b") as file:
        for start in range(PAGE, path.stat().st_size - PAGE, PAGE):
            if moments.random() < 0.67:
                file.seek(start)
                file.write(bytes(PAGE))


def scrambled(path: Path, moments: random.Random) -> None:
    with path.open("r+b") as file:
        for start in range(PAGE, path.stat().st_size - PAGE, PAGE):
            if moments.random() < 0.67:
                file.seek(start)
                file.write(moments.randbytes(PAGE))


def emptied(path: Path, moments: random.Random) -> None:
    path.write_bytes(b"")


DAMAGE: tuple[Damage, ...] = (truncated, overwritten, zeroed, scrambled, emptied)
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("status",), ("history",), ("files",), ("audit",), ("release", "list"), ("release", "verify", "R1"), ("show", RUN),
    ("events",), ("verdict",), ("ingest", "{new}", "--filetype", "misc"), ("submit", "coadd", "--dry-run"),
    ("account", "list"),
)  # fmt: skip


def _settled(home: Path) -> None:
    """Bring the databases into one file each."""
    for name in ("desdm.sqlite", "service.sqlite"):
        if (home / name).exists():
            with closing(sqlite3.connect(home / name)) as conn:
                conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                conn.execute("PRAGMA journal_mode=DELETE")


def _doctor(testbed: Testbed, home: Path, outcome: Outcome, where: str) -> None:
    """The doctor finds the damage and hangs nowhere."""
    done = testbed.desdm(home, "doctor")
    outcome.expect(done.status is not None, Fault.HANG, f"{where}: doctor hung")
    outcome.expect(not done.traceback, Fault.WRONG, f"{where}: doctor: {done.short}")
    outcome.damage(done.status == 1 and "database" in done.out, f"{where}: doctor: {done.short}")


@family(
    "broken-database",
    "SQLite file truncated, overwritten, pages zeroed and scrambled, emptied, under 12 commands and the doctor; read-only "
    "archive",
)
def broken_database(testbed: Testbed, outcome: Outcome) -> None:
    new = testbed.folder / "new.txt"
    new.write_text("new " * 1000)
    commands = [tuple(w.format(new=new) for w in words) for words in COMMANDS]
    base = testbed.released
    _settled(base)
    whole = {}
    for words in commands:
        with testbed.copy(base) as home:
            whole[words] = testbed.desdm(home, *words)
    for number in range(testbed.times(len(DAMAGE))):
        damage = DAMAGE[number % len(DAMAGE)]
        with testbed.copy(base) as home:
            damage(home / "desdm.sqlite", testbed.moments)
            _doctor(testbed, home, outcome, damage.__name__)
            for words in commands:
                where = f"{damage.__name__}: {' '.join(words)}"
                done = testbed.desdm(home, *words)
                outcome.tried += 1
                outcome.expect(done.status is not None, Fault.HANG, f"{where}: hung")
                typed = done.err.lstrip().startswith("error: ") or done.status in (0, 1)
                outcome.expect(typed and not done.traceback, Fault.WRONG, f"{where}: {done.short}")
                # A command that reads whole pages only may answer, and then as it did before.
                silent = done.status in (0, 1) and done.out != whole[words].out and words[0] != "submit"
                outcome.expect(not silent, Fault.WRONG, f"{where}: silent: {done.out[-200:]!r}")
    _doctor_content(testbed, base, outcome)
    _read_only(testbed, base, outcome, new)


def _doctor_content(testbed: Testbed, base: Path, outcome: Outcome) -> None:
    """The whole database is called whole."""
    done = testbed.desdm(base, "doctor")
    outcome.expect(done.status == 0, Fault.FALSE, f"doctor of a whole installation: {done.out}")


def _read_only(testbed: Testbed, base: Path, outcome: Outcome, new: Path) -> None:
    """A read-only archive: writers say so, readers work."""
    if os.geteuid() != 0:
        outcome.note("read-only archive not tried: needs root")
        return
    with testbed.copy(base) as home:
        archive = str(home / "archive")
        subprocess.run(["mount", "--bind", archive, archive], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", archive], check=True)
            for words, statuses in (
                (("ingest", str(new), "--filetype", "misc"), (3,)), (("audit",), (0,)), (("files",), (0,)),
                (("doctor",), (1,)),
            ):  # fmt: skip
                done = testbed.desdm(home, *words)
                outcome.tried += 1
                outcome.expect(done.status is not None, Fault.HANG, f"read-only: {words[0]} hung")
                outcome.expect(
                    done.status in statuses and not done.traceback,
                    Fault.WRONG,
                    f"read-only: {words[0]}: {done.short}",
                )
        finally:
            subprocess.run(["umount", "-l", archive], check=True)


@family(
    "damaged-mirror-database",
    "a copy of the production database, and the service's own, damaged in the same ways, opened and served",
)
def damaged_mirror(testbed: Testbed, outcome: Outcome) -> None:
    base = testbed.released
    _settled(base)
    with testbed.copy(base) as home, served(home) as url:
        ask(url, "/tap/sync?LANG=ADQL&QUERY=SELECT+TOP+1+ra+FROM+R1.objects")
    for name in ("desdm.sqlite", "service.sqlite"):
        for damage in DAMAGE:
            where = f"{name} {damage.__name__}"
            with testbed.copy(base) as home:
                _settled(home)
                damage(home / name, testbed.moments)
                outcome.tried += 1
                _doctor(testbed, home, outcome, where)
                _served_or_told(home, outcome, where)
                up = testbed.desdm(home, "init", home, "--upgrade")
                outcome.expect(up.status is not None, Fault.HANG, f"{where}: init --upgrade hung")
                outcome.expect(not up.traceback, Fault.WRONG, f"{where}: init --upgrade: {up.short}")


def _served_or_told(home: Path, outcome: Outcome, where: str) -> None:
    """The server serves what is whole, or tells what is damaged and ends; requests never hang."""
    try:
        with served(home) as url:
            for path in (
                "/health",
                "/",
                QUERY,
                "/releases/R1",
                "/files/R1/docs/notes.md",
            ):
                status, body, _ = ask(url, path, timeout=20)
                outcome.expect(b"Traceback" not in body, Fault.WRONG, f"{where}: {path} shows a traceback")
                outcome.expect(
                    status in (200, 404, 500, 503), Fault.WRONG, f"{where}: {path} answers {status}"
                )
    except AssertionError as err:
        told = str(err)
        outcome.expect("did not come up" in told, Fault.HANG, f"{where}: {told}")
        outcome.expect("Traceback" not in told and "error: " in told, Fault.WRONG, f"{where}: {told[-300:]}")
    except (TimeoutError, subprocess.TimeoutExpired) as err:
        outcome.broken(Fault.HANG, f"{where}: {err}")
    for one in processes.left_over(home, 5):
        outcome.broken(Fault.HANG, f"{where}: a process is left: {one}")
