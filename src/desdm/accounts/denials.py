"""Records of denials: caller, address, action, subject and reason."""

from __future__ import annotations

from sqlalchemy import Connection

from desdm.accounts import store
from desdm.accounts.clock import now
from desdm.accounts.model import Caller, Denial

__all__ = ["record"]


def record(conn: Connection, caller: Caller, action: str, subject: str, reason: str) -> None:
    """Record one denial; texts of the client are truncated.

    Parameters
    ----------
    conn
        Connection to the service database.
    caller
        Caller of the request.
    action
        Action, or method of the request.
    subject
        Subject, or address of the request.
    reason
        Reason of the denial.
    """
    store.add_denial(
        conn,
        Denial(
            at=now(),
            login=caller.login,
            address=caller.address[:64],
            action=action[:48],
            subject=_printable(subject, 400),
            reason=_printable(reason, 400),
        ),
    )


def _printable(text: str, most: int) -> str:
    """Replace unprintable characters and truncate."""
    # A client must not send control sequences to the terminal of a reader.
    return "".join(c if c.isprintable() else "?" for c in text)[:most]
