"""Denials: every refusal is kept with who, from where, what and why."""

from __future__ import annotations

from sqlalchemy import Connection

from desdm.accounts import store
from desdm.accounts.clock import now
from desdm.accounts.model import Caller, Denial

__all__ = ["record"]


def record(conn: Connection, caller: Caller, action: str, subject: str, reason: str) -> None:
    """Keep one denial; texts of the outside are cut to a length that a table bears."""
    store.add_denial(
        conn,
        Denial(
            at=now(),
            login=caller.login,
            address=caller.address[:64],
            action=action[:48],
            subject=_plain(subject, 400),
            reason=_plain(reason, 400),
        ),
    )


def _plain(text: str, most: int) -> str:
    # A log that is read in a terminal must not be painted by whoever was refused.
    return "".join(c if c.isprintable() else "?" for c in text)[:most]
