"""Owner of a job that outlived its server, with the current role and rights."""

from __future__ import annotations

from desdm.accounts import store
from desdm.accounts.model import Caller
from desdm.accounts.tokens import actions_of, public, roles_of
from desdm.schema.database import Database

__all__ = ["owner_of"]


def owner_of(database: Database, login: str) -> Caller:
    """Return the caller of a login with its current rights; anonymous, if it is empty or the account is closed."""
    with database.read() as conn:
        person = next(iter(store.people(conn, login)), None) if login else None
        if person is None or person.disabled_at is not None:
            return public(conn)
        return Caller(
            login=person.login,
            role=person.role,
            actions=actions_of(person.role),
            rights=store.rights_of(conn, person.login, roles_of(person.role)),
        )
