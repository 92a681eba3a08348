"""The SQL of leases."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from desdm.operations.lease.model import Lease
from desdm.schema.queue import ops_lease

__all__ = ["delete_lease", "find_lease", "insert_lease", "move_end", "replace_lease"]


def find_lease(conn: Connection, name: str, *, lock: bool = False) -> Lease | None:
    """Return the lease of that name, or None.

    Parameters
    ----------
    conn
        Connection.
    name
        What is leased.
    lock
        Whether nobody may take or end the lease before the transaction ends (other holders of this lock may read it).
    """
    query = select(ops_lease).where(ops_lease.c.name == name)
    row = conn.execute(query.with_for_update(read=True) if lock else query).one_or_none()
    return None if row is None else Lease(row.name, row.holder, row.token, row.since, row.until)


def insert_lease(conn: Connection, lease: Lease) -> bool:
    """Insert a lease; False: there is one of that name."""
    dialect = sqlite if conn.dialect.name == "sqlite" else postgresql
    row = {
        "name": lease.name,
        "holder": lease.holder,
        "token": lease.token,
        "since": lease.since,
        "until": lease.until,
    }
    statement = dialect.insert(ops_lease).values(row).on_conflict_do_nothing().returning(ops_lease.c.name)
    return conn.execute(statement).first() is not None


def replace_lease(conn: Connection, before: Lease, after: Lease) -> bool:
    """Put a lease in the place of an earlier one; False: that was replaced or renewed in the meantime."""
    mine = ops_lease.c
    same = (mine.name == before.name) & (mine.token == before.token) & (mine.until == before.until)
    values = {
        "holder": after.holder,
        "token": after.token,
        "since": after.since,
        "until": after.until,
    }
    return conn.execute(update(ops_lease).where(same).values(values)).rowcount == 1


def move_end(conn: Connection, lease: Lease, until: datetime) -> bool:
    """Move the end of a lease; False: another process has taken it."""
    same = (ops_lease.c.name == lease.name) & (ops_lease.c.token == lease.token)
    return conn.execute(update(ops_lease).where(same).values(until=until)).rowcount == 1


def delete_lease(conn: Connection, lease: Lease) -> bool:
    """Delete a lease; False: another process has taken it."""
    same = (ops_lease.c.name == lease.name) & (ops_lease.c.token == lease.token)
    return conn.execute(delete(ops_lease).where(same)).rowcount == 1
