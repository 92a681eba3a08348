"""Tables of users on the embedded engine: one DuckDB file for each user, which one process at a time can open."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import quote as quote_path

import duckdb

from desdm.errors import OwnTablesUnavailable
from desdm.query.engines.writing import quote

__all__ = ["UserTables", "fault_of"]

_LOG = logging.getLogger(__name__)
_IN_USE = "Could not set lock"
#: A larger file is opened by `fault_of`, but not read through, bytes.
_LARGE = 1 << 30


class UserTables:
    """Files of users that are attached to a database, each once.

    Parameters
    ----------
    folder
        Directory of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._attached: set[str] = set()

    def is_attached(self, owner: str) -> bool:
        """Tell whether the file of a user is attached."""
        return owner in self._attached

    def attach(self, conn: duckdb.DuckDBPyConnection, owner: str, *, create: bool = False) -> bool:
        """Attach the tables of a user as ``mydb_<owner>``; return whether there are any.

        Parameters
        ----------
        conn
            Connection to the database.
        owner
            Login of the user.
        create
            Whether a file that is absent is created.

        Raises
        ------
        OwnTablesUnavailable
            Another process has the file open, it cannot be read, or it is not a file.
        """
        if owner in self._attached:
            return True
        path = self._folder / f"{quote_path(owner, safe='')}.duckdb"
        if path.exists() or path.is_symlink():
            if not path.is_file():
                _LOG.error("%s is not a regular file; restore it from a backup", path)
                raise OwnTablesUnavailable(_DAMAGED)
        elif not create:
            return False
        text = "'" + str(path).replace("'", "''") + "'"
        try:
            conn.execute(f"ATTACH {text} AS {quote(f'mydb_{owner}', 'duckdb')}")
        except duckdb.Error as err:
            if _IN_USE in str(err):
                raise OwnTablesUnavailable(
                    "your own tables are in use by another server of this installation; try again there, or later"
                ) from err
            _LOG.error("%s cannot be opened; restore it from a backup: %s", path, err)
            raise OwnTablesUnavailable(_DAMAGED) from err
        self._attached.add(owner)
        return True


_DAMAGED = "the file of your own tables is damaged; report it to the operators of this service"


def fault_of(path: Path) -> str:
    """Return what is wrong with a DuckDB file; empty if it can be read, or if a server has it open."""
    if not path.is_file():
        return "is not a regular file"
    try:
        with duckdb.connect(str(path), read_only=True) as conn:
            names = conn.execute("SELECT table_name FROM duckdb_tables()").fetchall()
            if path.stat().st_size > _LARGE:
                return ""
            for (name,) in names:
                # Each block has a checksum, which is compared as it is read.
                conn.execute(f"SELECT count(COLUMNS(*)) FROM {quote(name, 'duckdb')}")  # noqa: S608
    except duckdb.Error as err:
        return "" if _IN_USE in str(err) else f"cannot be read: {str(err).splitlines()[0]}"
    return ""
