"""The SQL of queries: files by metadata, by attempt and tag, and the facts of attempts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable, FromClause, Table, and_, bindparam, func, null, or_, select
from sqlalchemy.sql.elements import ColumnElement

from desdm.archive.catalogfile import CatalogFile, FileMetadata
from desdm.archive.model import FileRecord, Scope
from desdm.archive.store.common import among, band_of_any, packed, records
from desdm.archive.store.defects import not_defective
from desdm.archive.store.standing import FLAGGED, order_of
from desdm.errors import NotFoundError
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
from desdm.schema.currentstate import state_now
from desdm.schema.states import AttemptState, RunClass
from desdm.schema.store import exposure_name

__all__ = [
    "AttemptFacts",
    "attempt_facts",
    "attempts_named",
    "find_files",
    "in_scope",
    "list_files",
    "no_such_run",
    "tagged",
]

_RUN = re.compile(r".+_r\d{1,9}p\d{1,9}")
#: Runs of a unit that a message names.
_MOST_NAMED = 5


def attempts_named(conn: Connection, names: Sequence[tuple[str, int, int]]) -> list[int]:
    """Numbers of attempts (unit, request, attempt); those that do not exist are missing from the list."""
    numbers = []
    for unitname, reqnum, attnum in names:
        number = conn.execute(
            select(pfw_attempt.c.id).where(
                pfw_attempt.c.unitname == unitname,
                pfw_attempt.c.reqnum == reqnum,
                pfw_attempt.c.attnum == attnum,
            )
        ).scalar()
        if number is not None:
            numbers.append(number)
    return numbers


def no_such_run(conn: Connection, name: str) -> NotFoundError:
    """The error for a name that is not a run's: what lacks, and the runs of the unit (an exposure, a tile) of that name."""
    unit = exposure_name(int(name)) if name.isdecimal() and len(name) < 10 else name
    attempts = conn.execute(
        select(pfw_attempt.c.unitname, pfw_attempt.c.reqnum, pfw_attempt.c.attnum)
        .where(func.lower(pfw_attempt.c.unitname) == unit.lower())
        .order_by(pfw_attempt.c.id.desc())
        .limit(_MOST_NAMED)
    ).all()
    if attempts:
        runs = ", ".join(f"{u}_r{r}p{a:02d}" for u, r, a in attempts)
        return NotFoundError(f"{name} is a unit and not a run; its runs, the newest first: {runs}")
    if not _RUN.fullmatch(name):
        return NotFoundError(f"{name!r} is not a run; runs are named <unit>_r<req>p<att>, see: desdm status")
    return NotFoundError(f"no run {name}; see: desdm status")


def tagged(tag_condition: Callable[[ColumnElement[object]], ColumnElement[bool]]) -> ColumnElement[bool]:
    """Condition that a file, or the attempt that produced it, has a tag; ``tag_condition`` maps a column to a condition."""
    return or_(
        desfile.c.id.in_(select(file_tag.c.desfile_id).where(tag_condition(file_tag.c.tag))),
        desfile.c.pfw_attempt_id.in_(select(proctag.c.pfw_attempt_id).where(tag_condition(proctag.c.tag))),
    )


def find_files(
    conn: Connection, table: Table, conditions: Sequence[ColumnElement[bool]], archive: str | None
) -> list[CatalogFile]:
    """Sound files of one metadata table: identity, place and every column of metadata; ordered by name.

    Parameters
    ----------
    conn
        Connection to the database.
    table
        Metadata table of the files.
    conditions
        Conditions on its columns and those of ``desfile``.
    archive
        Name of the archive whose copies count; None: any.
    """
    # In the order of the record's fields.
    statement = (
        select(
            desfile.c.id,
            (desfile.c.filename + desfile.c.compression).label("fullname"),
            desfile.c.filetype,
            desfile.c.pfw_attempt_id,
            table.c.expnum,
            table.c.ccdnum,
            table.c.band,
            table.c.nite,
            table.c.tilename,
            desfile.c.compression,
            desfile.c.filesize,
            desfile.c.sha256,
            desfile.c.md5sum,
            file_archive_info.c.archive_name,
            file_archive_info.c.path,
            *(table.c[name] if name in table.c else null().label(name) for name in FileMetadata._fields),
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
    first = len(statement.selected_columns) - len(FileMetadata._fields)
    return [
        CatalogFile(*(*row[:first], table.name, FileMetadata._make(row[first:])))
        for row in conn.execute(statement)
    ]


def in_scope(
    scope: Scope, attempt: FromClause = pfw_attempt, request: FromClause = pfw_request
) -> ColumnElement[bool]:
    """Condition that an attempt, joined with its request, lies in a scope; the tables may be aliases.

    Parameters
    ----------
    scope
        Project, campaign and run classes.
    attempt
        Table ``pfw_attempt`` or its alias in the query.
    request
        Table ``pfw_request`` or its alias in the query.
    """
    conditions: list[ColumnElement[bool]] = [attempt.c.run_class.in_([c.value for c in scope.run_classes])]
    if scope.project:
        conditions.append(request.c.project == scope.project)
    if scope.campaign:
        conditions.append(request.c.campaign == scope.campaign)
    return and_(*conditions)


def attempt_facts(conn: Connection, numbers: Sequence[int]) -> dict[int, AttemptFacts]:
    """What queries need to know of attempts, by number."""
    query = (
        select(
            pfw_attempt.c.id,
            pfw_attempt.c.unitname,
            pfw_attempt.c.reqnum,
            pfw_attempt.c.attnum,
            pfw_request.c.pipeline,
            pfw_request.c.project,
            pfw_request.c.campaign,
            pfw_attempt.c.run_class,
            pfw_attempt.c.state,
            pfw_attempt.c.data_state,
            pfw_attempt.c.pruned_from,
            pfw_attempt.c.submitter_host,
            pfw_attempt.c.submitter_pid,
            pfw_attempt.c.submitter_start,
        )
        .join(pfw_request, pfw_request.c.reqnum == pfw_attempt.c.reqnum)
        .where(among(conn, pfw_attempt.c.id))
    )
    return {
        row[0]: AttemptFacts(
            row[0],
            f"{row[1]}_r{row[2]}p{row[3]:02d}",
            row[4],
            row[5],
            row[6],
            RunClass(row[7]),
            state_now(AttemptState(row[8]), row[11], row[12], row[13]),
            DataState(row[9]),
            DataState.JUNK.value in (row[9], row[10]),
        )
        for row in conn.execute(query, {"among": packed(conn, numbers)})
    }


class AttemptFacts(NamedTuple):
    """An attempt as queries see it; ``junk`` also if its data were JUNK before its files were deleted (PRUNED)."""

    id: int
    run: str
    pipeline: str
    project: str
    campaign: str
    run_class: RunClass
    state: AttemptState
    data_state: DataState
    junk: bool

    @property
    def order(self) -> int:
        """Which of two attempts comes first, as `standing` says."""
        return order_of(self.state, self.data_state)

    @property
    def good(self) -> bool:
        """Whether it ended well and its data may be used."""
        return self.order <= FLAGGED


@cache
def _files(keys: tuple[str, ...], limited: bool, junk: bool) -> Executable:
    """Return the statement for the records of files that match the criteria with these keys."""
    statement = records().where(file_archive_info.c.state != CopyState.TRASH.value)
    if not junk:
        unusable = select(pfw_attempt.c.id).where(
            pfw_attempt.c.data_state.in_((DataState.JUNK.value, DataState.PRUNED.value))
        )
        # Files of no attempt stay: 0 is no attempt's number.
        statement = statement.where(
            func.coalesce(desfile.c.pfw_attempt_id, 0).not_in(unusable), not_defective()
        )
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
    conn: Connection, criteria: Mapping[str, Any], limit: int | None, *, junk: bool = False
) -> list[FileRecord]:
    """Files by attempt, filetype, band and tag, in the order of names.

    Parameters
    ----------
    criteria
        Values by key; a key that is missing is free.
    limit
        At most so many; None: all.
    junk
        Also files that are marked defective, and those of attempts whose data are JUNK or PRUNED, which are left out
        otherwise unless the attempt is requested for.
    """
    parameters = {**criteria, **({} if limit is None else {"limit": limit})}
    rows = conn.execute(
        _files(tuple(sorted(criteria)), limit is not None, junk or "attempt" in criteria), parameters
    )
    return list(map(FileRecord._make, rows))
