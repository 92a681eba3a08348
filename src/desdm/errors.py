"""Every error that desdm raises on purpose, by the kind that tells an operator what to do.

DesdmError
├── UsageError          mend the request, the file or the setting (exit status 2)
│   ├── ConfigError         the installation is not found or its settings are wrong
│   ├── WCLError            a WCL document cannot be read or resolved (wcl/)
│   ├── FileTypeError       a file is not what its type demands, or of no known type
│   │   └── CutOffFile          a file ends before its headers say
│   ├── ConflictError       the same name stands already for other bytes or another deed
│   ├── NotFoundError       no such file, run, tag or table
│   ├── PlanError           a pipeline cannot be planned: an input is missing, a query is empty
│   │   └── MissingCalibration  no calibration serves, or not yet
│   ├── QueryError          an ADQL query is not allowed or cannot be understood; with position
│   ├── AccessDenied        who asks may not do this, or is not known
│   └── LimitExceeded       more than the caller's limits allow: time, rows, bytes, jobs, requests
├── TransientError      try again later (exit status 3)
│   ├── DatabaseUnavailable the database does not answer or is locked
│   ├── StorageUnavailable  a file or directory cannot be read or written: mode, read-only mount, I/O error
│   ├── StorageFull         no room, or a size limit, where bytes must go
│   ├── LostJob             the worker or engine that ran a job went away
│   └── LeaseHeld           another process of the kind of which one may run runs already
└── FatalError          report it: the record or the code is wrong (exit status 4)
    ├── CorruptFile         bytes differ from their recorded digest
    │   └── CorruptReleaseFile  those of a file of a release; the message is public
    ├── DamagedDatabase     the database's own file or tables are damaged
    ├── ProgramFailed       a program of a wrapper ended badly or did not make its outputs
    ├── StaleToken          a late twin of a job asks to be registered
    └── LeaseLost           another process has taken the lease of this one, which must end
"""

from __future__ import annotations

import errno
import os
import re
from enum import StrEnum

__all__ = [
    "AccessDenied",
    "ConfigError",
    "ConflictError",
    "CorruptFile",
    "CorruptReleaseFile",
    "CutOffFile",
    "DamagedDatabase",
    "DatabaseUnavailable",
    "DesdmError",
    "FatalError",
    "FileTypeError",
    "LeaseHeld",
    "LeaseLost",
    "LimitExceeded",
    "LimitKind",
    "LostJob",
    "MissingCalibration",
    "NotFoundError",
    "PlanError",
    "ProgramFailed",
    "QueryError",
    "StaleToken",
    "StorageFull",
    "StorageUnavailable",
    "TransientError",
    "UsageError",
    "WCLError",
    "storage_error",
]


class DesdmError(Exception):
    """Root of the tree; ``exit_status`` is what a command ends with."""

    exit_status = 4


class UsageError(DesdmError):
    """The request cannot be served as it stands; the text says what to mend."""

    exit_status = 2


class ConfigError(UsageError):
    """The installation is not found, or a setting of it is wrong."""


class WCLError(UsageError):
    """A WCL document cannot be read or resolved; ``file`` and ``line`` say where.

    Parameters
    ----------
    message
        What is wrong and what to do.
    file, line
        Where it stands (``line`` counts from 1), if known.
    """

    def __init__(self, message: str, file: str | None = None, line: int | None = None) -> None:
        self.message, self.file, self.line = message, file, line
        where = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(where + message)


class FileTypeError(UsageError):
    """A file is not what its file type demands, or is of no known type."""


class CutOffFile(FileTypeError):
    """A file ends before its headers say: a transfer was cut off, or a size in a header is damaged."""


class ConflictError(UsageError):
    """The same name stands already for other bytes or for another deed."""


class NotFoundError(UsageError):
    """No such file, run, tag or table."""


class ChecksFailed(UsageError):
    """The request was understood and checks refuse it: done with findings, not a wrong call."""

    exit_status = 1


class PlanError(UsageError):
    """A pipeline cannot be planned: an input is missing or a query is empty."""


class MissingCalibration(PlanError):
    """A pipeline cannot be planned because no calibration serves it, or none yet."""


class QueryError(UsageError):
    """An ADQL query is not allowed or cannot be understood.

    Parameters
    ----------
    message
        What is wrong and what to do; holds no path and no SQL of ours.
    line, column
        Where in the query, both from 1, if known.
    """

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        self.message, self.line, self.column = message, line, column
        super().__init__(message if line is None else f"line {line}, column {column}: {message}")


class AccessDenied(UsageError):
    """Who asks may not do this, or is not known.

    Parameters
    ----------
    message
        What is denied and what would help.
    known
        Whether it is known who asks: HTTP 403, else 401.
    """

    def __init__(self, message: str, known: bool = True) -> None:
        self.known = known
        super().__init__(message)


class LimitKind(StrEnum):
    """Kind of a limit; the services answer with HTTP status 400, 413, 429 and 403."""

    TIME = "time"
    SIZE = "size"
    RATE = "rate"
    QUOTA = "quota"


class LimitExceeded(UsageError):
    """More than the caller's limits allow.

    Parameters
    ----------
    message
        Which limit, how much it is, and what to do.
    kind
        Kind of the limit.
    retry_after
        Seconds after which it may be tried again, for ``rate``.
    """

    def __init__(
        self, message: str, kind: LimitKind = LimitKind.SIZE, retry_after: int | None = None
    ) -> None:
        self.kind, self.retry_after = kind, retry_after
        super().__init__(message)


class TransientError(DesdmError):
    """The request is right but cannot be served now; try again."""

    exit_status = 3


class DatabaseUnavailable(TransientError):
    """The database does not answer, or is locked for too long."""


class OwnTablesUnavailable(DatabaseUnavailable):
    """A user's own tables cannot be opened now; the message is fit for the user."""


class StorageUnavailable(TransientError):
    """A file or directory cannot be read or written: mode, owner, read-only mount, I/O error."""


class StorageFull(TransientError):
    """No room, or a size limit, where bytes must go."""


class LostJob(TransientError):
    """The worker or engine that ran a job went away."""


class LeaseHeld(TransientError):
    """Another process of the kind of which one at a time may run runs already."""


class FatalError(DesdmError):
    """The record or the code is wrong; report it."""


class CorruptFile(FatalError):
    """Bytes differ from their recorded digest."""


class CorruptReleaseFile(CorruptFile):
    """Bytes of a file of a release differ from its record; the message is public."""


class DamagedDatabase(FatalError):
    """The database's file or tables are damaged."""


class ProgramFailed(FatalError):
    """A program of a wrapper ended badly or did not make its outputs."""


class StaleToken(FatalError):
    """A late twin of a job asks to be registered."""


class LeaseLost(FatalError):
    """Another process has taken the lease of this one, which must write nothing more and end."""


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: The path that was named is at fault, not what lies below it.
_WRONG_PATH = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL,
    errno.ENOTEMPTY, errno.ENXIO, errno.EXDEV,
}  # fmt: skip


#: ``.<name>[.<process or digest>].part``: a file stands so beside its place until its last byte is written.
_PART = re.compile(r"\.(.+?)(?:\.\d+|\.[0-9a-f]{12})?\.part")


def storage_error(err: OSError, path: object = None) -> DesdmError:
    """The typed error for an error of the operating system on a file.

    Parameters
    ----------
    err
        The error; where it names a file, that is the one to blame.
    path
        The file or directory, where the error names none.

    Returns
    -------
    DesdmError
        `StorageFull` (no room), `UsageError` (no such path) or `StorageUnavailable` (mode, read-only mount, I/O error).
    """
    named = err.filename if err.filename is not None else path
    where = (
        ""
        if named is None
        else f"{_wanted(os.fsdecode(named) if isinstance(named, bytes) else str(named))}: "
    )
    text = os.strerror(err.errno) if err.errno else str(err)
    if err.errno in _FULL:
        return StorageFull(f"{where}{text}; make room and try again")
    if err.errno in _WRONG_PATH:
        return UsageError(f"{where}{text}; give another path")
    return StorageUnavailable(f"{where}{text}; check mode, owner and mount (desdm doctor), and try again")


def _wanted(name: str) -> str:
    """The file that was to be written, of the name under which it is written until it is whole."""
    folder, slash, last = name.rpartition("/")
    found = _PART.fullmatch(last)
    return f"{folder}{slash}{found[1]}" if found else name
