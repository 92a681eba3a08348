"""Owner of a job that outlived its server, with the current role and rights."""

from __future__ import annotations

from dataclasses import replace

from desdm.accounts import store
from desdm.accounts.model import Action, Caller
from desdm.accounts.tokens import actions_of, public, roles_of
from desdm.schema.database import Database
from desdm.services.uws.model import Job

__all__ = ["ACTIONS", "narrowed", "owner_of"]

#: Parameter of a job with the actions that its creator was allowed, narrowed by the scopes of the token.
ACTIONS = "_ACTIONS"


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


def narrowed(caller: Caller, job: Job) -> Caller:
    """Return a caller without the actions that the creator of a job was not allowed."""
    allowed = dict(job.parameters).get(ACTIONS)
    if allowed is None:  # a job of an earlier version
        return caller
    return replace(caller, actions=caller.actions & {Action(name) for name in allowed.split(",") if name})
