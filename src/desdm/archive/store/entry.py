"""The SQL of deposits: definitions, names that stand, and new rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql

from desdm.archive.model import FileRecord
from desdm.archive.store.common import among, packed, records
from desdm.schema import (
    METADATA_TABLES,
    CopyState,
    desfile,
    file_archive_info,
    opm_was_derived_from,
    opm_was_generated_by,
    ops_archive,
    ops_filetype,
)
from desdm.schema.rows import insert_rows

__all__ = [
    "Standing",
    "add_copies",
    "add_edges",
    "add_metadata",
    "by_name",
    "by_names",
    "claim_names",
    "define_archive",
    "define_filetypes",
    "ids_there",
    "known_filetypes",
    "lock_names",
    "set_copy_state",
]


class Standing(NamedTuple):
    """A registered file as a deposit of the same name meets it; path and state are None without a copy here."""

    record: FileRecord
    state: str | None


def define_filetypes(conn: Connection, rows: Sequence[Mapping[str, str]]) -> None:
    """Make ``ops_filetype`` hold these rows (filetype, metadata_table, description)."""
    known = {row.filetype: row for row in conn.execute(select(ops_filetype))}
    new = [dict(row) for row in rows if row["filetype"] not in known]
    if new:
        conn.execute(insert(ops_filetype), new)
    for row in rows:
        old = known.get(row["filetype"])
        if old is not None and (old.metadata_table, old.description) != (
            row["metadata_table"],
            row["description"],
        ):
            conn.execute(update(ops_filetype).where(ops_filetype.c.filetype == row["filetype"]).values(**row))


@cache
def _known_filetypes(dialect: str) -> Executable:
    """Return the statement for those of some file types that are registered."""
    return select(ops_filetype.c.filetype).where(among(dialect, ops_filetype.c.filetype))


def known_filetypes(conn: Connection, names: Iterable[str]) -> set[str]:
    """Those of the names that are in ``ops_filetype``."""
    return set(conn.execute(_known_filetypes(conn.dialect.name), {"among": packed(conn, names)}).scalars())


def define_archive(conn: Connection, name: str, root: str) -> None:
    """Make ``ops_archive`` hold the archive under its root.

    Parameters
    ----------
    conn
        Connection to the database.
    name
        Name of the archive.
    root
        Its root folder.
    """
    if conn.execute(update(ops_archive).where(ops_archive.c.name == name).values(root=root)).rowcount == 0:
        conn.execute(insert(ops_archive).values(name=name, root=root))


@cache
def _by_names(dialect: str) -> Executable:
    """Return the statement for the records of files with some names."""
    here = file_archive_info.c.archive_name == bindparam("archive")
    return records(here).where(among(dialect, desfile.c.filename))


def by_names(conn: Connection, archive: str, names: Sequence[str]) -> dict[tuple[str, str], Standing]:
    """Registered files by (filename, compression), of those whose filename is among ``names``.

    Parameters
    ----------
    conn
        Connection to the database.
    archive
        Name of the archive whose copies count.
    names
        File names without the ending of their compression.
    """
    if not names:
        return {}
    rows = conn.execute(_by_names(conn.dialect.name), {"archive": archive, "among": packed(conn, names)})
    return {(row[1], row[2]): Standing(FileRecord._make(row[:11]), row[11]) for row in rows}


def by_name(conn: Connection, filename: str, compression: str) -> FileRecord | None:
    """The file of that name, with the copy that is best off; None if there is no such file.

    Parameters
    ----------
    conn
        Connection to the database.
    filename
        Name without the ending of its compression.
    compression
        Ending of the compression, for instance ``.fz``; empty without one.
    """
    rows = conn.execute(_by_name(), {"filename": filename, "compression": compression}).all()
    best = min(rows, key=lambda row: (row[11] != CopyState.OK, row[8]), default=None)
    return None if best is None else FileRecord._make(best[:11])


@cache
def _by_name() -> Executable:
    """Return the statement for the record of the file with a name."""
    return records().where(
        desfile.c.filename == bindparam("filename"), desfile.c.compression == bindparam("compression")
    )


def ids_there(conn: Connection, ids: Sequence[int]) -> set[int]:
    """Those of ``ids`` that are files."""
    if not ids:
        return set()
    return set(
        conn.execute(
            select(desfile.c.id).where(among(conn, desfile.c.id)), {"among": packed(conn, ids)}
        ).scalars()
    )


def lock_names(conn: Connection, *, alone: bool) -> None:
    """Until the end of the transaction: nobody moves unregistered bytes aside (``alone``: only we register).

    On SQLite the writer is alone anyway.
    """
    if conn.dialect.name == "postgresql":
        how = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
        conn.execute(select(getattr(func, how)(_LOCK)))


#: Number of the advisory lock on names; any number that nothing else of ours uses.
_LOCK = 0x0DE5F11E


@cache
def _add_files() -> Executable:
    """Return the statement that inserts files on PostgreSQL, where a name in use is skipped."""
    return postgresql.insert(desfile).on_conflict_do_nothing(index_elements=["filename", "compression"])


def add_metadata(conn: Connection, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Insert metadata, by table; rows with the same columns go together."""
    for table, each in rows.items():
        shapes: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for row in each:
            shapes.setdefault(tuple(row), []).append(row)
        for shape in shapes.values():
            conn.execute(insert(METADATA_TABLES[table]), shape)


def add_edges(
    conn: Connection, generated: Sequence[Mapping[str, Any]], derived: Sequence[Mapping[str, Any]]
) -> None:
    """Insert edges of provenance: which task produced a file, and which files it was derived from.

    Parameters
    ----------
    conn
        Connection to the database.
    generated
        Rows of ``opm_was_generated_by``.
    derived
        Rows of ``opm_was_derived_from``.
    """
    insert_rows(conn, opm_was_generated_by, generated)
    insert_rows(conn, opm_was_derived_from, derived)


def claim_names(conn: Connection, files: Sequence[Mapping[str, Any]]) -> set[int]:
    """Insert rows of files; the ids of those that are ours now.

    On PostgreSQL another transaction may hold a name: then we wait for it, in the order of the names so that two
    deposits never wait for each other, and its row stands.
    """
    if not files:
        return set()
    ids = [f["id"] for f in files]
    ordered = sorted(files, key=lambda f: (f["filename"], f["compression"]))
    if conn.dialect.name == "sqlite":
        insert_rows(conn, desfile, ordered)
        return set(ids)
    conn.execute(_add_files(), ordered)
    return ids_there(conn, ids)


def add_copies(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert copies: desfile_id, archive_name, path, state."""
    insert_rows(conn, file_archive_info, rows)


def set_copy_state(conn: Connection, archive: str, ids: Sequence[int], state: CopyState) -> None:
    """Mark copies.

    Parameters
    ----------
    conn
        Connection to the database.
    archive
        Name of the archive.
    ids
        Numbers of the files.
    state
        New state of their copies.
    """
    if ids:
        conn.execute(
            update(file_archive_info)
            .where(file_archive_info.c.archive_name == archive, among(conn, file_archive_info.c.desfile_id))
            .values(state=state.value),
            {"among": packed(conn, ids)},
        )
