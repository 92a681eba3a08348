"""Opens an installation for reading, and says what exists where something does not."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Connection

from desdm.archive import catalog
from desdm.archive.model import FileRecord
from desdm.archive.verify import verified
from desdm.config import find_home
from desdm.errors import NotFoundError
from desdm.facility import Facility
from desdm.look import store

__all__ = ["file_record", "installation", "listed", "verified_path"]

#: Names that an error message lists at most.
_MOST = 8


def installation(home: str | os.PathLike[str] | None = None) -> Facility:
    """Return the installation, opened for reading only."""
    return _opened(find_home(home))


@lru_cache(maxsize=8)
def _opened(home: Path) -> Facility:
    """Open an installation once: a cell of a notebook opens it many times."""
    return Facility.open(home, writable=False)


def listed(names: Iterable[object], most: int = _MOST) -> str:
    """Return names in one line, with the number of those that are left out; ``none`` if there are none."""
    texts = [str(name) for name in names]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more if texts else "none"


def file_record(conn: Connection, name: str) -> FileRecord:
    """Return the file of a name; `NotFoundError` names files that are called alike."""
    record = catalog.by_name(conn, name)
    if record is None:
        # The beginning of a name is that of its unit: few files share it.
        names = store.file_names(conn, name[:9])
        close = get_close_matches(name, names, n=_MOST, cutoff=0.5)
        hint = f"called alike: {listed(close)}" if close else "see: desdm files"
        raise NotFoundError(f"no file {name} in the archive; {hint}")
    return record


def verified_path(facility: Facility, record: FileRecord) -> Path:
    """Return where a file lies; `CorruptFile` if its bytes are not as registered."""
    return verified(facility.archive, record)
