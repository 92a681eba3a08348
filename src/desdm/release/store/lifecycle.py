"""Rows of releases: select, insert, change of state, delete."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from desdm.release.model import Release
from desdm.schema import release, release_column, release_file, release_table
from desdm.schema.states import ReleaseState

__all__ = [
    "change",
    "delete_release",
    "insert_release",
    "releases",
]

_RELEASE = tuple(Release.__slots__)


def releases(conn: Connection, states: Sequence[ReleaseState] | None = None) -> list[Release]:
    """Return releases, newest last: all, or those in ``states``."""
    query = select(*(release.c[name] for name in _RELEASE)).order_by(release.c.created_at, release.c.name)
    if states is not None:
        query = query.where(release.c.state.in_([s.value for s in states]))
    return [Release(**{**row._mapping, "state": ReleaseState(row.state)}) for row in conn.execute(query)]


def insert_release(conn: Connection, draft: Release) -> None:
    """Insert a new release."""
    values = {name: getattr(draft, name) for name in _RELEASE}
    conn.execute(insert(release).values({**values, "state": draft.state.value}))


def change(
    conn: Connection, name: str, from_state: ReleaseState, **values: str | datetime | ReleaseState | None
) -> bool:
    """Change a release that is in ``from_state``; return False if it is in another state.

    Parameters
    ----------
    conn
        Connection in a transaction.
    name
        Name of the release.
    from_state
        State in which it must be.
    **values
        New values by column.

    Returns
    -------
    bool
        Whether the release was changed.
    """
    row = {key: value.value if isinstance(value, ReleaseState) else value for key, value in values.items()}
    condition = (release.c.name == name) & (release.c.state == from_state.value)
    return conn.execute(update(release).where(condition).values(row)).rowcount == 1


def delete_release(conn: Connection, name: str) -> bool:
    """Delete a draft with its rows; return False if it is published, and left unchanged."""
    if (
        conn.execute(select(release.c.state).where(release.c.name == name)).scalar()
        == ReleaseState.PUBLISHED.value
    ):
        return False
    for table in (release_file, release_column, release_table):
        conn.execute(delete(table).where(table.c.release_name == name))
    conn.execute(delete(release).where(release.c.name == name))
    return True
