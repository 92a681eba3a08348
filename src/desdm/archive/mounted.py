"""Whether an archive's root is the one that holds its files, and not the place of a disk that is not mounted."""

from __future__ import annotations

import os

from desdm.archive import store
from desdm.archive.archive import Archive
from desdm.errors import StorageUnavailable, storage_error
from desdm.schema.database import Database

__all__ = ["require_mounted"]


def require_mounted(database: Database, archive: Archive) -> None:
    """Raise `StorageUnavailable` if the root is gone or empty although files are registered in it.

    Files written there would lie hidden under the disk once it is mounted again, and an audit would call every file
    missing. A root that is not there before the first file is created by the first deposit.
    """
    what = _missing(archive)
    if not what:
        return
    with database.read() as conn:
        if not store.copies_after(conn, archive.name, 0, 1):
            return
    # Another process may have completed the first deposit between the two looks; its bytes were in place before its rows.
    what = _missing(archive)
    if what:
        raise StorageUnavailable(f"{what}; mount it, or correct archive.root")


def _missing(archive: Archive) -> str:
    """What the root lacks, in words; empty if there is something in it."""
    try:
        with os.scandir(archive.root) as entries:
            if next(entries, None) is not None:
                return ""
        return f"{archive.root} is empty although files are registered in it"
    except (FileNotFoundError, NotADirectoryError):
        return f"{archive.root} is not a directory"
    except OSError as err:
        raise storage_error(err, archive.root) from err
