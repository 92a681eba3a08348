"""SQL of what the file service reports: a file of a release whose bytes are not as recorded."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select

from desdm.schema import problem

__all__ = ["report"]


def report(conn: Connection, subject: str, text: str, who: str) -> int:
    """Enter a file into the problem list, once while the problem stands open; its number.

    Parameters
    ----------
    subject
        ``<release>/<path>`` of the file.
    """
    open_one = select(problem.c.id).where(
        problem.c.subject_kind == "file", problem.c.subject == subject[:200], problem.c.closed_at.is_(None)
    )
    known = conn.execute(open_one.order_by(problem.c.id)).scalar()
    if known is not None:
        return int(known)
    row = {
        "subject_kind": "file",
        "subject": subject[:200],
        "text": text,
        "blocks": True,
        "opened_by": who,
        "opened_at": datetime.now(UTC).replace(tzinfo=None),
    }
    return int(conn.execute(insert(problem).values(row).returning(problem.c.id)).scalar_one())
