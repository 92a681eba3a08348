"""Enters a file of a release into the problem list, when its bytes are not as recorded."""

from __future__ import annotations

from sqlalchemy import Connection

from desdm.release import store
from desdm.release.problems import open_problem

__all__ = ["report"]


def report(conn: Connection, subject: str, text: str, who: str) -> int:
    """Enter a file into the problem list, once while the problem stands open; its number.

    Parameters
    ----------
    subject
        ``<release>/<path>`` of the file.
    """
    subject = subject[:200]
    for known in store.open_problems(conn):
        if (known["subject_kind"], known["subject"]) == ("file", subject):
            return int(known["id"])
    return open_problem(conn, "file", subject, text, who=who)
