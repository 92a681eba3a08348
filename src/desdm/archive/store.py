"""The archive's SQL: rows of files, copies, metadata, provenance and events; nothing but SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import ColumnElement

from desdm.archive.model import FileRecord
from desdm.schema import (
    METADATA_TABLES,
    CopyState,
    desfile,
    event,
    file_archive_info,
    file_tag,
    file_trash,
    opm_was_derived_from,
    opm_was_generated_by,
    ops_archive,
    ops_filetype,
    pfw_attempt,
    pfw_request,
    proctag,
)

__all__ = [
    "Standing",
    "add_copies",
    "add_event",
    "add_files",
    "among",
    "by_names",
    "define_archive",
    "define_filetypes",
    "ids_there",
    "lock_names",
    "now",
    "set_copy_state",
]


class Standing(NamedTuple):
    """A registered file as a deposit of the same name meets it; path and state are None without a copy here."""

    record: FileRecord
    state: str | None


def now() -> datetime:
    """The time, UTC, as the database keeps it: without zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def among(conn: Connection, column: ColumnElement[Any], name: str = "among") -> ColumnElement[bool]:
    """Condition that ``column`` is among the values of one bound parameter made by `packed`.

    One parameter, however many values: the statement is compiled once, and no limit on parameters is met.
    """
    if conn.dialect.name == "sqlite":
        each = func.json_each(bindparam(name)).table_valued("value")
        return column.in_(select(each.c.value))
    kind = Integer() if isinstance(column.type, Integer) else String()
    return column == func.any(cast(bindparam(name), postgresql.ARRAY(kind)))


def packed(conn: Connection, values: Iterable[Any]) -> Any:
    """The value of the parameter of `among`."""
    return json.dumps(list(values)) if conn.dialect.name == "sqlite" else list(values)


# -- definitions


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


def define_archive(conn: Connection, name: str, root: str) -> None:
    """Make ``ops_archive`` hold the archive under its root."""
    if conn.execute(update(ops_archive).where(ops_archive.c.name == name).values(root=root)).rowcount == 0:
        conn.execute(insert(ops_archive).values(name=name, root=root))


# -- what a deposit asks and writes

_band = func.coalesce(*(t.c.band for t in METADATA_TABLES.values()))


def _records(archive: ColumnElement[bool] | None = None) -> Select[Any]:
    """File, copy and band: the columns of `FileRecord`, then the copy's state."""
    join = desfile.c.id == file_archive_info.c.desfile_id
    joined = desfile.outerjoin(file_archive_info, join if archive is None else and_(join, archive))
    for table in METADATA_TABLES.values():
        joined = joined.outerjoin(table, table.c.desfile_id == desfile.c.id)
    return select(
        desfile.c.id,
        desfile.c.filename,
        desfile.c.compression,
        desfile.c.filetype,
        desfile.c.filesize,
        desfile.c.sha256,
        desfile.c.md5sum,
        desfile.c.pfw_attempt_id,
        func.coalesce(file_archive_info.c.archive_name, ""),
        func.coalesce(file_archive_info.c.path, ""),
        _band,
        file_archive_info.c.state,
    ).select_from(joined)


def by_names(conn: Connection, archive: str, names: Sequence[str]) -> dict[tuple[str, str], Standing]:
    """Registered files by (filename, compression), of those whose filename is among ``names``."""
    if not names:
        return {}
    statement = _records(file_archive_info.c.archive_name == bindparam("archive")).where(
        among(conn, desfile.c.filename)
    )
    rows = conn.execute(statement, {"archive": archive, "among": packed(conn, names)})
    return {(row[1], row[2]): Standing(FileRecord._make(row[:11]), row[11]) for row in rows}


def by_name(conn: Connection, filename: str, compression: str) -> FileRecord | None:
    """The file of that name, with the copy that is best off; None if there is no such file."""
    rows = conn.execute(_by_name(), {"filename": filename, "compression": compression}).all()
    best = min(rows, key=lambda row: (row[11] != CopyState.OK, row[8]), default=None)
    return None if best is None else FileRecord._make(best[:11])


@cache
def _by_name() -> Select[Any]:
    return _records().where(
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
def _add_files(dialect: str) -> Any:
    # Columns are named, so that a bulk insert compiles once.
    if dialect == "postgresql":
        return postgresql.insert(desfile).on_conflict_do_nothing(index_elements=["filename", "compression"])
    return insert(desfile)


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
    """Insert edges of provenance: which task made a file, and which files it was derived from."""
    if generated:
        conn.execute(insert(opm_was_generated_by), generated)
    if derived:
        conn.execute(insert(opm_was_derived_from), derived)


def claim_names(conn: Connection, files: Sequence[Mapping[str, Any]]) -> set[int]:
    """Insert rows of files; the ids of those that are ours now.

    On PostgreSQL another transaction may hold a name: then we wait for it, in the order of the names so that two
    deposits never wait for each other, and its row stands.
    """
    if not files:
        return set()
    conn.execute(
        _add_files(conn.dialect.name), sorted(files, key=lambda f: (f["filename"], f["compression"]))
    )
    ids = [f["id"] for f in files]
    return set(ids) if conn.dialect.name == "sqlite" else ids_there(conn, ids)


def add_copies(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert copies: desfile_id, archive_name, path, state."""
    if rows:
        conn.execute(insert(file_archive_info), rows)


def set_copy_state(conn: Connection, archive: str, ids: Sequence[int], state: CopyState) -> None:
    """Mark copies."""
    if ids:
        conn.execute(
            update(file_archive_info)
            .where(file_archive_info.c.archive_name == archive, among(conn, file_archive_info.c.desfile_id))
            .values(state=state.value),
            {"among": packed(conn, ids)},
        )


def add_event(conn: Connection, kind: str, who: str, what: str, attempt: int | None = None) -> None:
    """Note what happened."""
    conn.execute(
        insert(event),
        {"event_time": now(), "kind": kind, "who": who[:32], "text": what, "pfw_attempt_id": attempt},
    )


# -- what a query asks


def attempts_named(conn: Connection, names: Sequence[tuple[str, int, int]]) -> list[int]:
    """Numbers of attempts (unit, request, attempt); those that do not exist are missing from the list."""
    found = []
    for unitname, reqnum, attnum in names:
        number = conn.execute(
            select(pfw_attempt.c.id).where(
                pfw_attempt.c.unitname == unitname,
                pfw_attempt.c.reqnum == reqnum,
                pfw_attempt.c.attnum == attnum,
            )
        ).scalar()
        if number is not None:
            found.append(number)
    return found


def tagged(tag_condition: Any) -> ColumnElement[bool]:
    """Condition that a file, or the attempt that made it, has a tag; ``tag_condition`` maps a column to a condition."""
    return or_(
        desfile.c.id.in_(select(file_tag.c.desfile_id).where(tag_condition(file_tag.c.tag))),
        desfile.c.pfw_attempt_id.in_(select(proctag.c.pfw_attempt_id).where(tag_condition(proctag.c.tag))),
    )


def find_rows(
    conn: Connection, table: Any, conditions: Sequence[ColumnElement[bool]], archive: str | None
) -> Any:
    """Rows of files of one metadata table: identity, place and every column of metadata, in the order of names."""
    metadata = [c for c in table.c if c.name != "desfile_id"]
    statement = (
        select(
            desfile.c.id,
            desfile.c.filename,
            desfile.c.compression,
            desfile.c.filetype,
            desfile.c.filesize,
            desfile.c.sha256,
            desfile.c.md5sum,
            desfile.c.pfw_attempt_id,
            file_archive_info.c.archive_name,
            file_archive_info.c.path,
            *metadata,
        )
        .select_from(
            desfile.join(table, table.c.desfile_id == desfile.c.id).join(
                file_archive_info, file_archive_info.c.desfile_id == desfile.c.id
            )
        )
        .where(file_archive_info.c.state == CopyState.OK.value, *conditions)
        .order_by(desfile.c.filename, desfile.c.compression)
    )
    if archive is not None:
        statement = statement.where(file_archive_info.c.archive_name == archive)
    return conn.execute(statement).mappings()


def superseded(conn: Connection, attempts: Sequence[int]) -> dict[int, set[str] | None]:
    """For each attempt, the file types of it that another attempt supersedes; None: all, its data are not for use.

    An attempt whose data are JUNK or PRUNED is not for use. A *good* attempt has ended well (done or flagged) and
    is for use. Another attempt at the same unit with the same pipeline supersedes the file types that it made too
    if it is good, and either newer or the first one is not good.
    """
    if not attempts:
        return {}
    mine, other = pfw_attempt.alias("mine"), pfw_attempt.alias("other")
    my_request, other_request = pfw_request.alias("my_request"), pfw_request.alias("other_request")
    good_states = ("done", "flagged")
    usable = ("NEW", "ACTIVE")
    found: dict[int, set[str] | None] = {}
    packed_ids = {"among": packed(conn, attempts)}
    bad = select(mine.c.id).where(among(conn, mine.c.id), mine.c.data_state.not_in(usable))
    for number in conn.execute(bad, packed_ids).scalars():
        found[number] = None
    newer = (
        select(mine.c.id, other.c.id.label("other"))
        .select_from(
            mine.join(my_request, my_request.c.reqnum == mine.c.reqnum)
            .join(other, and_(other.c.unitname == mine.c.unitname, other.c.id != mine.c.id))
            .join(
                other_request,
                and_(
                    other_request.c.reqnum == other.c.reqnum,
                    other_request.c.pipeline == my_request.c.pipeline,
                ),
            )
        )
        .where(
            among(conn, mine.c.id),
            other.c.state.in_(good_states),
            other.c.data_state.in_(usable),
            or_(other.c.id > mine.c.id, mine.c.state.not_in(good_states)),
        )
    )
    pairs = [(row[0], row[1]) for row in conn.execute(newer, packed_ids)]
    types: dict[int, set[str]] = {}
    made = (
        select(desfile.c.pfw_attempt_id, desfile.c.filetype)
        .where(among(conn, desfile.c.pfw_attempt_id))
        .distinct()
    )
    for attempt, filetype in conn.execute(made, {"among": packed(conn, sorted({p[1] for p in pairs}))}):
        types.setdefault(attempt, set()).add(filetype)
    for attempt, by in pairs:
        known = found.setdefault(attempt, set())
        if known is not None:
            known |= types.get(by, set())
    return found


@cache
def _files(keys: tuple[str, ...], limited: bool) -> Any:
    statement = _records().where(file_archive_info.c.state != CopyState.TRASH.value)
    if "attempt" in keys:
        statement = statement.where(desfile.c.pfw_attempt_id == bindparam("attempt"))
    if "filetype" in keys:
        statement = statement.where(desfile.c.filetype == bindparam("filetype"))
    if "band" in keys:
        statement = statement.where(_band == bindparam("band"))
    if "tag" in keys:
        statement = statement.where(tagged(lambda column: column == bindparam("tag")))
    statement = statement.order_by(desfile.c.filename, desfile.c.compression)
    return statement.limit(bindparam("limit")) if limited else statement


def list_files(conn: Connection, asked: Mapping[str, Any], limit: int | None) -> list[FileRecord]:
    """Files by attempt, filetype, band and tag (what is not in ``asked`` is free), in the order of names."""
    parameters = {**asked, **({} if limit is None else {"limit": limit})}
    rows = conn.execute(_files(tuple(sorted(asked)), limit is not None), parameters)
    return [FileRecord._make(row[:11]) for row in rows]
