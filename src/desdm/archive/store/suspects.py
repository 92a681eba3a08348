"""SQL of suspect files: damaged files, and files derived from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Executable, delete, insert, select
from sqlalchemy.sql.elements import ColumnElement

from desdm.archive.store.common import among, now, packed
from desdm.schema import desfile, file_suspect

__all__ = ["Suspect", "add_suspects", "drop_suspects", "suspects_of", "suspects_of_causes"]


class Suspect(NamedTuple):
    """A suspect file: the damaged file from which it was derived (or itself), who marked it, when and why."""

    desfile_id: int
    cause_id: int
    filename: str
    cause: str
    who: str
    since: datetime
    reason: str


def _select_suspects(condition: ColumnElement[bool]) -> Executable:
    """Return the statement that selects suspects by a condition."""
    cause = desfile.alias("cause")
    return (
        select(
            file_suspect.c.desfile_id,
            file_suspect.c.cause_desfile_id,
            (desfile.c.filename + desfile.c.compression).label("name"),
            (cause.c.filename + cause.c.compression).label("cause_name"),
            file_suspect.c.who,
            file_suspect.c.since,
            file_suspect.c.reason,
        )
        .select_from(
            file_suspect.join(desfile, desfile.c.id == file_suspect.c.desfile_id).join(
                cause, cause.c.id == file_suspect.c.cause_desfile_id
            )
        )
        .where(condition)
        .order_by(file_suspect.c.desfile_id, file_suspect.c.cause_desfile_id)
    )


def _suspects_where(conn: Connection, column: ColumnElement[int], ids: Sequence[int]) -> list[Suspect]:
    """Return the suspects with one of the numbers in a column."""
    # Nearly always nothing is suspect; that is known without sending the numbers.
    if not ids or conn.execute(select(file_suspect.c.desfile_id).limit(1)).first() is None:
        return []
    rows = conn.execute(_select_suspects(among(conn, column)), {"among": packed(conn, ids)})
    return list(map(Suspect._make, rows))


def suspects_of(conn: Connection, ids: Sequence[int]) -> list[Suspect]:
    """Return the suspects among these files."""
    return _suspects_where(conn, file_suspect.c.desfile_id, ids)


def suspects_of_causes(conn: Connection, causes: Sequence[int]) -> list[Suspect]:
    """Return the suspects caused by these damaged files."""
    return _suspects_where(conn, file_suspect.c.cause_desfile_id, causes)


def add_suspects(conn: Connection, pairs: Sequence[tuple[int, int]], who: str, reason: str) -> None:
    """Record files as suspect, for one reason.

    Parameters
    ----------
    conn
        Connection to the database.
    pairs
        Numbers of each suspect file and of the damaged file that is its cause.
    who
        Login or program that suspects them.
    reason
        Why they are suspect.
    """
    if pairs:
        since = now()
        conn.execute(
            insert(file_suspect),
            [
                {
                    "desfile_id": file,
                    "cause_desfile_id": cause,
                    "who": who[:32],
                    "since": since,
                    "reason": reason,
                }
                for file, cause in pairs
            ],
        )


def drop_suspects(conn: Connection, suspects: Sequence[Suspect]) -> None:
    """Delete suspects."""
    for suspect in suspects:
        conn.execute(
            delete(file_suspect).where(
                file_suspect.c.desfile_id == suspect.desfile_id,
                file_suspect.c.cause_desfile_id == suspect.cause_id,
            )
        )
