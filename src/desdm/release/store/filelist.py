"""Rows of the files of a release."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, insert, select

from desdm.archive import store as archive_store
from desdm.release.model import ReleaseFile
from desdm.schema import release_file

__all__ = [
    "drop_files",
    "files",
    "insert_files",
    "releases_with",
    "replace_files",
]

_FILE_COLUMNS = tuple(name for name in ReleaseFile.__slots__ if name not in ("id", "release"))


def files(conn: Connection, name: str, **equal: str | None) -> list[ReleaseFile]:
    """Return the files of a release by path; ``equal`` restricts columns (filetype, tilename, band, path)."""
    query = select(release_file).where(release_file.c.release_name == name)
    for column, value in equal.items():
        query = query.where(release_file.c[column] == value)
    records = []
    for row in conn.execute(query.order_by(release_file.c.path)):
        values = dict(row._mapping)
        values["release"] = values.pop("release_name")
        records.append(ReleaseFile(**values))
    return records


def insert_files(conn: Connection, files: Sequence[ReleaseFile]) -> None:
    """Insert new files of a release; the database gives them their numbers."""
    if files:
        rows = [
            {"release_name": f.release, **{name: getattr(f, name) for name in _FILE_COLUMNS}} for f in files
        ]
        conn.execute(insert(release_file), rows)


def drop_files(conn: Connection, name: str, below: str) -> None:
    """Delete the files of a draft whose paths begin with a prefix.

    Parameters
    ----------
    conn
        Connection in a transaction.
    name
        Name of the release.
    below
        Prefix of the paths.
    """
    condition = (release_file.c.release_name == name) & release_file.c.path.startswith(below, autoescape=True)
    conn.execute(delete(release_file).where(condition))


def replace_files(conn: Connection, name: str, files: Sequence[ReleaseFile]) -> None:
    """Replace the file list of a draft.

    Parameters
    ----------
    conn
        Connection in a transaction.
    name
        Name of the release.
    files
        Its files.
    """
    conn.execute(delete(release_file).where(release_file.c.release_name == name))
    insert_files(conn, files)


def releases_with(conn: Connection, numbers: Iterable[int]) -> dict[str, set[int]]:
    """Return which of the archive's files releases were made from, by name of the release."""
    files_by_release: dict[str, set[int]] = defaultdict(set)
    query = select(release_file.c.release_name, release_file.c.desfile_id).where(
        archive_store.among(conn, release_file.c.desfile_id)
    )
    for name, number in conn.execute(query, {"among": archive_store.packed(conn, numbers)}):
        files_by_release[name].add(number)
    return dict(files_by_release)
