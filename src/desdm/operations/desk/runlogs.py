"""Logs of a run: those that its jobs write now, and those in the archive."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from desdm.archive import catalog
from desdm.archive.archive import Archive
from desdm.archive.verify import verified
from desdm.errors import NotFoundError, storage_error
from desdm.texttable import without_codes

__all__ = ["LogTail", "RunLog", "live_logs", "log_path", "log_tail"]

#: Logs of a run that are listed.
_MOST = 100


@dataclass(frozen=True, slots=True)
class RunLog:
    """A log that is being written, or was written and is not yet in the archive; ``changed`` in UTC."""

    name: str
    path: Path
    size: int
    changed: datetime


@dataclass(frozen=True, slots=True)
class LogTail:
    """The last lines of a log; ``whole``: these are all."""

    name: str
    lines: tuple[str, ...]
    whole: bool


def live_logs(runs: Path, run: str) -> list[RunLog]:
    """Return the logs below the work folder of a run, the one that was changed last first.

    Parameters
    ----------
    runs
        Folder of the work folders.
    run
        Name of the run.
    """
    folder = runs / run
    logs: dict[str, RunLog] = {}
    for path in (*folder.glob("J*/try*/*.log"), folder / "submitter.log"):
        try:
            status = path.lstat()
        except OSError:
            continue
        # A job's code may leave links behind; only its own files are its logs.
        if path.is_symlink() or not path.is_file():
            continue
        changed = datetime.fromtimestamp(status.st_mtime, UTC).replace(tzinfo=None)
        known = logs.get(path.name)
        if known is None or known.changed < changed:
            logs[path.name] = RunLog(path.name, path, status.st_size, changed)
    return sorted(logs.values(), key=lambda log: (log.changed, log.name), reverse=True)[:_MOST]


def log_path(conn: Connection, archive: Archive, logs: Sequence[RunLog], run: str, name: str) -> Path:
    """Return the path of a log of a run: one that is being written, else the one in the archive, verified.

    Parameters
    ----------
    conn
        The database.
    archive
        The archive.
    logs
        Logs of `live_logs`.
    run
        Name of the run.
    name
        Name of the log.

    Raises
    ------
    NotFoundError
        The run has no such log.
    """
    for log in logs:
        if log.name == name:
            return log.path
    for record in catalog.files(conn, attempt=run, filetype="log"):
        if record.filename == name:
            return verified(archive, record)
    raise NotFoundError(f"{run} has no log {name[:80]}")


def log_tail(path: Path, lines: int = 40, most_bytes: int = 16_000) -> LogTail:
    """Return the last lines of a log, without codes that move a cursor.

    Parameters
    ----------
    path
        The log.
    lines
        At most so many.
    most_bytes
        So many bytes of its end are read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most_bytes))
            text = file.read(most_bytes).decode("utf-8", "replace")
    except OSError as err:
        raise storage_error(err, path) from err
    read = [without_codes(line.rstrip("\r")) for line in text.split("\n")]
    read = read[:-1] if read and not read[-1] else read
    # The first line may have lost its begin.
    cut = size > most_bytes
    read = read[1:] if cut and len(read) > 1 else read
    return LogTail(path.name, tuple(read[-lines:]), not cut and len(read) <= lines)
