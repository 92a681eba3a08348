"""The SQL of queries: files by metadata, by attempt and tag, and which attempts stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from desdm.archive.model import FileRecord
from desdm.archive.store.common import among, band_of_any, packed, records
from desdm.schema import (
    CopyState,
    DataState,
    desfile,
    file_archive_info,
    file_tag,
    pfw_attempt,
    pfw_request,
    proctag,
)

__all__ = ["attempts_named", "find_rows", "list_files", "superseded", "tagged"]


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
) -> tuple[list[str], Sequence[Any]]:
    """(columns, rows) of files of one metadata table: identity, place, every column of metadata; ordered by name."""
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
    result = conn.execute(statement)
    return list(result.keys()), result.all()


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
def _files(keys: tuple[str, ...], limited: bool, junk: bool) -> Any:
    statement = records().where(file_archive_info.c.state != CopyState.TRASH.value)
    if not junk:
        unusable = select(pfw_attempt.c.id).where(
            pfw_attempt.c.data_state.in_((DataState.JUNK.value, DataState.PRUNED.value))
        )
        # Files of no attempt stay: 0 is no attempt's number.
        statement = statement.where(func.coalesce(desfile.c.pfw_attempt_id, 0).not_in(unusable))
    if "attempt" in keys:
        statement = statement.where(desfile.c.pfw_attempt_id == bindparam("attempt"))
    if "filetype" in keys:
        statement = statement.where(desfile.c.filetype == bindparam("filetype"))
    if "band" in keys:
        statement = statement.where(band_of_any == bindparam("band"))
    if "tag" in keys:
        statement = statement.where(tagged(lambda column: column == bindparam("tag")))
    statement = statement.order_by(desfile.c.filename, desfile.c.compression)
    # Without the copy's state a row is a record as it comes: ten thousand of them are not cut one by one.
    columns = tuple(statement.selected_columns)[: len(FileRecord._fields)]
    statement = statement.with_only_columns(*columns, maintain_column_froms=True)
    return statement.limit(bindparam("limit")) if limited else statement


def list_files(
    conn: Connection, asked: Mapping[str, Any], limit: int | None, *, junk: bool = False
) -> list[FileRecord]:
    """Files by attempt, filetype, band and tag, in the order of names.

    Parameters
    ----------
    asked
        Values by key; a key that is missing is free.
    limit
        At most so many; None: all.
    junk
        Also files of attempts whose data are JUNK or PRUNED, which are left out otherwise unless the attempt is asked
        for.
    """
    parameters = {**asked, **({} if limit is None else {"limit": limit})}
    rows = conn.execute(
        _files(tuple(sorted(asked)), limit is not None, junk or "attempt" in asked), parameters
    )
    return list(map(FileRecord._make, rows))
