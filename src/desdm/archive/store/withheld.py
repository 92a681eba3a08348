"""The SQL of files that queries do not return: of attempts that are not for use, or without a sound copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Table, and_, exists, func, not_, or_, select
from sqlalchemy.sql.elements import ColumnElement

from desdm.archive.catalogfile import FileIdentity
from desdm.archive.model import Scope
from desdm.archive.store.common import among, packed
from desdm.archive.store.standing import usable
from desdm.schema import CopyState, desfile, event, file_archive_info, pfw_attempt, pfw_request
from desdm.schema.states import DataState, EventKind

__all__ = ["LastMark", "last_marks", "withheld_files"]


class LastMark(NamedTuple):
    """Who set the data state of an attempt, and why."""

    who: str
    reason: str


def last_marks(conn: Connection, attempts: Sequence[int], state: DataState) -> dict[int, LastMark]:
    """Who gave each of these attempts a data state last, and why; attempts that nobody gave it are missing.

    Files that come back give a PRUNED attempt its earlier state again: that is no mark of the person who brings them.

    Parameters
    ----------
    attempts
        Numbers of the attempts.
    state
        The data state.
    """
    newest = (
        select(func.max(event.c.id))
        .where(
            event.c.kind == EventKind.MARK.value,
            among(conn, event.c.pfw_attempt_id),
            event.c.text.like(f"% marked {state.value}, was %"),
            event.c.text.not_like("%, was PRUNED"),
        )
        .group_by(event.c.pfw_attempt_id)
    )
    query = select(event.c.pfw_attempt_id, event.c.who, event.c.reason).where(event.c.id.in_(newest))
    return {
        row[0]: LastMark(row[1], row[2] or "")
        for row in conn.execute(query, {"among": packed(conn, attempts)})
    }


def withheld_files(
    conn: Connection,
    table: Table,
    conditions: Sequence[ColumnElement[bool]],
    scope: Scope | None,
    named: bool,
) -> list[FileIdentity]:
    """Return the files of one metadata table that must not be used; ordered by name.

    Parameters
    ----------
    table
        The metadata table.
    conditions
        What the files are, as of `find_files`.
    scope
        Only attempts of its project and campaign are looked at; those of other run classes must not be used.
    named
        The attempts were named: only files without a sound copy are returned.
    """
    sound = exists().where(
        file_archive_info.c.desfile_id == desfile.c.id, file_archive_info.c.state == CopyState.OK.value
    )
    unfit: list[ColumnElement[bool]] = [not_(sound)]
    where = list(conditions)
    if not named:
        unfit.append(and_(pfw_attempt.c.id.is_not(None), not_(usable(pfw_attempt))))
        if scope is not None:
            unfit.append(pfw_attempt.c.run_class.not_in([c.value for c in scope.run_classes]))
            own = [
                column == value
                for column, value in (
                    (pfw_request.c.project, scope.project),
                    (pfw_request.c.campaign, scope.campaign),
                )
                if value
            ]
            if own:
                where.append(or_(pfw_attempt.c.id.is_(None), and_(*own)))
    query = (
        select(
            desfile.c.id,
            (desfile.c.filename + desfile.c.compression).label("filename"),
            desfile.c.filetype,
            desfile.c.pfw_attempt_id,
            table.c.expnum,
            table.c.ccdnum,
            table.c.band,
            table.c.nite,
        )
        .select_from(
            desfile.join(table, table.c.desfile_id == desfile.c.id)
            .outerjoin(pfw_attempt, pfw_attempt.c.id == desfile.c.pfw_attempt_id)
            .outerjoin(pfw_request, pfw_request.c.reqnum == pfw_attempt.c.reqnum)
        )
        .where(or_(*unfit), *where)
        .order_by(desfile.c.filename, desfile.c.id)
    )
    return [FileIdentity(*row) for row in conn.execute(query)]
