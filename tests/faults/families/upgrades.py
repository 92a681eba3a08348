"""Installations with data from every earlier revision of the schema, upgraded."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic import command as alembic
from alembic.config import Config
from alembic.script import ScriptDirectory

import desdm.schema
from desdm.schema.database import Database
from tests.faults.floods import ask
from tests.faults.outcome import Fault, Outcome, family
from tests.faults.testbed import COADD, NITE, Testbed
from tests.faults.truth import wait_for
from tests.support.server import served

QUERY = "/tap/sync?LANG=ADQL&FORMAT=csv&QUERY=SELECT+COUNT(*)+AS+n+FROM+{}.objects"
Rows = dict[str, tuple[list[str], list[tuple[Any, ...]]]]


def _config(engine: object = None) -> Config:
    """Settings of Alembic for the program's migrations."""
    config = Config()
    config.set_main_option("script_location", str(Path(desdm.schema.__file__).parent / "migrations"))
    if engine is not None:
        config.attributes["engine"] = engine
    return config


def revisions() -> list[str]:
    """Every revision of the schema, the first one first."""
    return [s.revision for s in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def _columns(conn: sqlite3.Connection, table: str) -> dict[str, tuple[bool, str]]:
    """Columns of a table: whether one must be filled, and its type."""
    found = conn.execute(f'PRAGMA table_info("{table}")').fetchall()
    return {name: (bool(needed) and default is None, kind) for _, name, kind, needed, default, _ in found}


def _tables(conn: sqlite3.Connection) -> list[str]:
    return [
        n
        for (n,) in conn.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'alembic%'"
        )
    ]


def age(home: Path, revision: str) -> Rows:
    """Replace an installation's database by one of an earlier revision that holds its rows; what it holds.

    The program's own migrations make the tables as they were then; every row goes into them with the columns that there
    were. Jobs and denials go from the service's database to where they stood before.
    """
    path, old = home / "desdm.sqlite", home / "earlier.sqlite"
    database = Database(f"sqlite:///{old}")
    alembic.upgrade(_config(database.engine), revision)
    database.close()
    with closing(sqlite3.connect(old, isolation_level=None)) as conn:
        conn.execute("ATTACH ? AS now", (str(path),))
        conn.execute("ATTACH ? AS service", (str(home / "service.sqlite"),))
        # Triggers guard what an installation may do; these rows were made lawfully at the newest revision.
        triggers = conn.execute("SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            conn.execute(f'DROP TRIGGER main."{name}"')
        for table in _tables(conn):
            # A table may have moved to the service's database, as a whole or in part.
            for source in ("now", "service"):
                _copy(conn, source, table)
        for _, statement in triggers:
            conn.execute(statement)
        held = _rows(conn)
        conn.execute("DETACH now")
        conn.execute("DETACH service")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for name in ("desdm.sqlite", "service.sqlite"):
        for ending in ("", "-wal", "-shm"):
            (home / (name + ending)).unlink(missing_ok=True)
    shutil.move(old, path)
    for ending in ("-wal", "-shm"):
        old.with_name(old.name + ending).unlink(missing_ok=True)
    path.chmod(0o600)
    return held


def _copy(conn: sqlite3.Connection, source: str, table: str) -> None:
    """Copy the rows of a table, if the attached database has it, with the columns that there are in both."""
    present = {row[1] for row in conn.execute(f'PRAGMA {source}.table_info("{table}")')}
    if not present:
        return
    columns = _columns(conn, table)
    shared = [name for name in columns if name in present]
    more = {
        name: "''" if "CHAR" in kind or kind == "TEXT" else "0"
        for name, (needed, kind) in columns.items()
        if needed and name not in present
    }
    names = ", ".join(f'"{n}"' for n in (*shared, *more))
    values = ", ".join([*(f'"{n}"' for n in shared), *more.values()])
    conn.execute(f'INSERT OR IGNORE INTO main."{table}" ({names}) SELECT {values} FROM {source}."{table}"')


def _rows(conn: sqlite3.Connection) -> Rows:
    """Every row of every table, with the names of its columns."""
    out: Rows = {}
    for table in _tables(conn):
        names = list(_columns(conn, table))
        out[table] = names, sorted(conn.execute(f'SELECT * FROM main."{table}"').fetchall(), key=repr)
    return out


@family(
    "upgrades",
    "installations with a night, a coadd, a release, accounts, jobs and denials at every earlier revision of the schema, "
    "upgraded; rows compared, then everything is used",
)
def upgrades(testbed: Testbed, outcome: Outcome) -> None:
    base = _full(testbed)
    # Work anew is tried on the oldest and on the newest of them, and on all with SCALE=2.
    known = revisions()[:-1]
    ends = known if testbed.scale > 1 else (known[0], known[-1])
    for revision in known:
        with testbed.copy(base) as home:
            held = age(home, revision)
            if not held.get("release"):
                # An installation of that time had no releases, and so no folder of one.
                shutil.rmtree(home / "releases")
            outcome.tried += 1
            refused = testbed.desdm(home, "status")
            outcome.expect(
                refused.status == 2 and "--upgrade" in refused.err,
                Fault.WRONG,
                f"{revision}: not told: {refused.short}",
            )
            done = testbed.desdm(home, "init", home, "--upgrade")
            outcome.expect(done.status is not None, Fault.HANG, f"{revision}: init --upgrade hung")
            if not outcome.expect(done.status == 0, Fault.LOST, f"{revision}: init --upgrade: {done.short}"):
                continue
            _kept(home, outcome, revision, held)
            _use(
                testbed,
                home,
                outcome,
                revision,
                released=bool(held.get("release", ([], []))[1]),
                work=revision in ends,
            )


def _full(testbed: Testbed) -> Path:
    """An installation with rows in as many tables as can be: night, coadd, release, people, verdicts, tags, jobs."""
    home = testbed.folder / "full"
    shutil.copytree(testbed.processed, home, symlinks=True)
    testbed.must(home, "ingest", testbed.patch)
    testbed.must(home, *COADD, "--wait")
    testbed.must(home, "release", "create", "R1")
    testbed.must(home, "release", "publish", "R1")
    testbed.must(home, "account", "add", "alice", "--role", "collaborator")
    testbed.must(home, "account", "token", "alice")
    testbed.must(home, "account", "grant", "alice", "R1")
    expnum = testbed.ask(home, "verdict")[0]["expnum"]
    testbed.must(home, "verdict", str(expnum), "--set", "False", "--reason", "faults")
    testbed.must(home, "exclude", str(expnum), "--ccd", "1", "--reason", "faults")
    name = testbed.ask(home, "files", "--limit", "1")[0]["filename"]
    testbed.must(home, "tag", "KEPT", name, "--reason", "faults")
    with served(home) as url:
        data = {"LANG": "ADQL", "QUERY": "SELECT TOP 1 ra FROM R1.objects", "PHASE": "RUN"}
        job = re.sub(r"^http://[^/]*", "", ask(url, "/tap/async", data=data)[2]["location"])
        wait_for(lambda: ask(url, f"{job}/phase")[1] == b"COMPLETED", 30)
        ask(url, "/account/revoke", data={"token": "1"})
        ask(url, "/api/mydb")
        time.sleep(1.0)
    return home


def _kept(home: Path, outcome: Outcome, revision: str, held: Rows) -> None:
    """Every row that there was is there, with the values that it had."""
    with (
        closing(sqlite3.connect(home / "desdm.sqlite")) as conn,
        closing(sqlite3.connect(home / "service.sqlite")) as service,
    ):
        for table, (columns, old) in held.items():
            if table == "ops_archive":
                continue  # its root is that of the copy
            places = [place for place in (conn, service) if _columns(place, table)]
            if not places:
                outcome.expect(not old, Fault.LOST, f"{revision}: table {table} is gone with {len(old)} rows")
                continue
            shared = [n for n in columns if all(n in _columns(place, table) for place in places)]
            at = [columns.index(n) for n in shared]
            wanted = [tuple(row[i] for i in at) for row in old]
            names = ", ".join(f'"{n}"' for n in shared)
            found = [row for place in places for row in place.execute(f'SELECT {names} FROM "{table}"')]
            for row in set(wanted) - set(found):
                outcome.broken(Fault.LOST, f"{revision}: {table}: {row!r:.200}")
            outcome.expect(
                len(found) >= len(wanted),
                Fault.LOST,
                f"{revision}: {table}: {len(found)} of {len(wanted)} rows",
            )
            if table not in ("ops_state_change", "ops_data_state_def", "event"):
                outcome.expect(
                    len(found) <= len(wanted),
                    Fault.TWICE,
                    f"{revision}: {table}: {len(found)} rows of {len(wanted)}",
                )


def _use(
    testbed: Testbed, home: Path, outcome: Outcome, revision: str, *, released: bool, work: bool
) -> None:
    """Commands and services work on it.

    Parameters
    ----------
    released
        Whether there were releases at that revision.
    work
        Whether runs and a release are made, too.
    """
    whole = (0,) if released else (2,)
    commands: list[tuple[tuple[object, ...], tuple[int, ...]]] = [
        (("doctor",), (0,)), (("audit",), (0,)), (("status",), (0,)), (("history",), (0,)), (("events",), (0,)),
        (("verdict",), (0,)), (("account", "list"), (0,)), (("release", "verify", "R1"), whole), (("tag", "--list"), (0,)),
    ]  # fmt: skip
    if work:
        acts = (
            ("run", "night", NITE),
            (*COADD, "--wait"),
            ("release", "create", "R2"),
            ("release", "publish", "R2"),
        )
        commands += [(act, (0,)) for act in acts]
    for words, statuses in commands:
        done = testbed.desdm(home, *words)
        outcome.expect(
            done.status is not None, Fault.HANG, f"{revision}: {' '.join(map(str, words[:3]))} hung"
        )
        outcome.expect(
            done.status in statuses, Fault.WRONG, f"{revision}: {' '.join(map(str, words[:3]))}: {done.short}"
        )
    with served(home) as url:
        for name in ["R1"] * released + ["R2"] * work:
            status, body, _ = ask(url, QUERY.format(name))
            good = status == 200 and int(body.split()[1]) > 0
            outcome.expect(good, Fault.WRONG, f"{revision}: {name}: {status} {body[:100]!r}")
        outcome.expect(ask(url, "/health")[0] == 200, Fault.WRONG, f"{revision}: health")
