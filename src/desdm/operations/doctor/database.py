"""Checks of the database: it answers, is whole and current, and what it knows of damage and of processes that went away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import inspect

from desdm.archive.archive import Archive
from desdm.errors import ConfigError, DatabaseUnavailable, DesdmError
from desdm.framework.process import is_in_progress
from desdm.operations.doctor import store
from desdm.operations.doctor.model import Check, State
from desdm.release.remains import archived_files, frozen_directories
from desdm.schema.database import Database
from desdm.schema.service import VERSION
from desdm.schema.states import AttemptState, CopyState
from desdm.schema.version import HEAD

__all__ = ["check_contents", "check_database", "check_service_database"]

#: Names of damaged files that one check tells.
_NAMES = 5


def check_database(database: Database) -> Iterator[Check]:
    """Whether it answers, its pages, its schema, its clock; then its contents, if all that is well."""
    try:
        damage = database.integrity()
    except DesdmError as err:
        yield Check("database", State.PROBLEM, str(err))
        return
    if damage:
        text = f"{database.describe()} is damaged: {damage}; stop every process, and restore it from a backup"
        yield Check("database", State.PROBLEM, text)
        return
    if database.read_only:
        text = (
            f"{database.describe()} is whole, but it or its file system is read only: lists work, nothing can be changed; "
            "make it writable"
        )
        yield Check("database", State.PROBLEM, text)
    else:
        yield Check("database", State.OK, f"{database.describe()} answers and is whole")
    try:
        database.require_current()
    except ConfigError as err:
        yield Check("schema", State.PROBLEM, str(err))
        return
    except DesdmError as err:
        yield Check("database", State.PROBLEM, str(err))
        return
    yield Check("schema", State.OK, f"revision {HEAD}, as this program needs")
    try:
        yield from _server(database)
        yield from _attempts(database)
        yield from _damage(database)
    except DesdmError as err:
        yield Check("database", State.PROBLEM, str(err))


def check_contents(database: Database, archive: Archive, releases: Path) -> Iterator[Check]:
    """Check that the database knows of what archive and releases hold; an empty one was put in the place of theirs.

    Parameters
    ----------
    database
        The operations database. Of one that does not answer, or has another schema, `check_database` tells.
    archive, releases
        The archive, and the directory of all releases.
    """
    try:
        database.require_current()
        with database.read() as conn:
            knows_files, names = store.has_files(conn), store.release_names(conn)
    except DesdmError:
        return
    faults = []
    count = 0 if knows_files else archived_files(archive)
    if count:
        faults.append(f"none of the {count} files in {archive.root}")
    unknown = [name for name in frozen_directories(releases) if name not in names]
    if unknown:
        faults.append(f"not the releases {', '.join(unknown)} in {releases}")
    if faults:
        text = f"the database knows {' and '.join(faults)}; restore it from a backup that does"
        yield Check("contents", State.PROBLEM, text)
    else:
        yield Check("contents", State.OK, "the database knows the archive and every release that was frozen")


def check_service_database(service: Database) -> Iterator[Check]:
    """Whether the service's own database answers and is whole; the first server creates it."""
    name = "service database"
    path = service.url.database if service.dialect == "sqlite" else None
    if path and not Path(path).exists():
        yield Check(name, State.OK, f"{service.describe()} is not there yet; the first server makes it")
        return
    try:
        damage = service.integrity() or _tables_lacking(service)
        newer = "" if damage else _newer(service)
    except DatabaseUnavailable as err:
        yield Check(name, State.PROBLEM, f"{service.describe()}: {err}")
        return
    except DesdmError as err:
        damage, newer = str(err).partition(";")[0], ""
    if newer:
        yield Check(name, State.PROBLEM, newer)
    elif damage:
        text = (
            f"{service.describe()} is damaged: {damage}; stop every server, and restore it from a backup or move it away "
            "(jobs, sessions and the record of users' tables are lost)"
        )
        yield Check(name, State.PROBLEM, text)
    else:
        yield Check(name, State.OK, f"{service.describe()} answers and is whole")


def _tables_lacking(service: Database) -> str:
    """What is wrong with the tables of the service's database; empty: nothing."""
    with service.read() as conn:
        return "" if inspect(conn).has_table("service_version") else "its tables are gone"


def _newer(service: Database) -> str:
    """What to do if the service's database is that of a newer program; empty: it is not."""
    with service.read() as conn:
        version = store.service_version_of(conn)
    if version <= VERSION:
        return ""
    return f"{service.describe()} is at version {version}, this program knows versions up to {VERSION}; update the program"


def _server(database: Database) -> Iterator[Check]:
    """Check the version and the clock of a PostgreSQL server."""
    if database.dialect != "postgresql":
        return
    with database.read() as conn:
        version, now, extensions = store.server_facts(conn)
    yield Check("server", State.OK, f"PostgreSQL {version}, extensions: {', '.join(extensions)}")
    skew = (now - datetime.now(UTC)).total_seconds()
    if abs(skew) > 5.0:
        text = (
            f"the clock of the database server differs by {skew:.0f} s from this machine's; set both by NTP"
        )
        yield Check("clock", State.PROBLEM, text)
    else:
        yield Check("clock", State.OK, f"the database server's clock agrees within {abs(skew):.1f} s")


def _attempts(database: Database) -> Iterator[Check]:
    """Runs whose submitter is no longer running."""
    with database.read() as conn:
        open_ones = store.unfinished(conn)
    stale = [a for a in open_ones if a.state is AttemptState.RUNNING and not is_in_progress(a)]
    for attempt in stale:
        text = f"{attempt.run} is running, but its submitter (process {attempt.submitter_pid}) is gone"
        yield Check(
            "runs", State.PROBLEM, f"{text}; run: desdm resume {attempt.run}, or desdm cancel {attempt.run}"
        )
    if not stale:
        alive = sum(map(is_in_progress, open_ones))
        yield Check("runs", State.OK, f"{alive} runs are under way, none has lost its submitter")


def _damage(database: Database) -> Iterator[Check]:
    """Check for copies that the last audit reported damaged or missing, and for suspect files."""
    with database.read() as conn:
        copies = store.damaged_copies(conn, _NAMES)
        suspect = store.suspect_files(conn, _NAMES)
    examples = {
        "corrupt": copies[CopyState.CORRUPT],
        "missing": copies[CopyState.MISSING],
        "suspect": suspect,
    }
    if any(sample.total for sample in examples.values()):
        parts = [
            f"{sample.total} {'file is' if sample.total == 1 else 'files are'} {word}: {', '.join(sample.names)}"
            + (" …" if sample.total > len(sample.names) else "")
            for word, sample in examples.items()
            if sample.total
        ]
        text = f"since the last audit {'; '.join(parts)}"
        yield Check(
            "files", State.PROBLEM, f"{text}; see: desdm audit, desdm files --suspect; put back good copies"
        )
    else:
        yield Check("files", State.OK, "no file is known as damaged (the last word has: desdm audit)")
