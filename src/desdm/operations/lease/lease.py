"""Acquire, renew, check and give up leases."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from desdm.errors import LeaseHeld, LeaseLost
from desdm.operations.lease import store
from desdm.operations.lease.model import Lease, holder_exists, holder_name
from desdm.schema.database import Database

__all__ = ["acquire", "current_lease", "give_up", "renew", "require"]

#: Seconds after which a lease ends unless it is renewed.
SECONDS = 60.0


def acquire(
    database: Database, name: str, *, now: datetime, seconds: float = SECONDS, holder: str = ""
) -> Lease:
    """Acquire a lease that is free: nobody has it, it has ended, or the process that had it does not exist any more.

    Parameters
    ----------
    database
        Database of the installation.
    name
        What is leased, at most 32 characters.
    now
        Time of the machine, UTC.
    seconds
        Seconds after which it ends unless it is renewed.
    holder
        Name of the holder; empty: this process.

    Returns
    -------
    Lease
        The lease.

    Raises
    ------
    LeaseHeld
        Another process has it.
    """
    lease = Lease(name, holder or holder_name(), secrets.token_hex(16), now, now + timedelta(seconds=seconds))
    with database.write() as conn:
        if store.insert_lease(conn, lease):
            return lease
        before = store.find_lease(conn, name)
        free = before is not None and (before.until <= now or not holder_exists(before.holder))
        if before is not None and free and store.replace_lease(conn, before, lease):
            return lease
    who = "another process" if before is None else f"{before.holder} (until {before.until:%H:%M:%S} UTC)"
    raise LeaseHeld(f"{name} runs already: {who} has its lease; wait until it has ended, or end it")


def renew(database: Database, lease: Lease, *, now: datetime, seconds: float = SECONDS) -> Lease:
    """Move the end of a lease.

    Parameters
    ----------
    database
        Database of the installation.
    lease
        The lease, as it was acquired or last renewed.
    now
        Time of the machine, UTC.
    seconds
        Seconds from now after which it ends.

    Returns
    -------
    Lease
        The lease with its new end.

    Raises
    ------
    LeaseLost
        It had ended, and another process has taken it: this process must stop without another write.
    """
    until = now + timedelta(seconds=seconds)
    with database.write() as conn:
        if not store.move_end(conn, lease, until):
            raise _lost(conn, lease)
    return replace(lease, until=until)


def require(conn: Connection, lease: Lease) -> None:
    """Refuse a transaction of a process that has lost its lease, with `LeaseLost`.

    Called at the begin of each transaction that writes: until it ends, no other process can take the lease. A lease that
    has ended and that nobody has taken is still the holder's.
    """
    current = store.find_lease(conn, lease.name, lock=True)
    if current is None or current.token != lease.token:
        raise _lost(conn, lease)


def give_up(database: Database, lease: Lease) -> None:
    """End a lease; one that another process has taken stays with that process."""
    with database.write() as conn:
        store.delete_lease(conn, lease)


def current_lease(conn: Connection, name: str) -> Lease | None:
    """Return the lease of that name, also one that has ended and was not taken; None without one."""
    return store.find_lease(conn, name)


def _lost(conn: Connection, lease: Lease) -> LeaseLost:
    """Return the error of a lost lease, with who has it now."""
    current = store.find_lease(conn, lease.name)
    who = f"{current.holder} has it" if current is not None else "it was given up"
    return LeaseLost(f"the lease of {lease.name} is lost: {who}; this process must end")
