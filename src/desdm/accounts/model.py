"""Who asks, what can be asked for, and which role may."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from desdm.schema.states import Role

__all__ = ["MATRIX", "Action", "Caller", "Denial", "Person", "Right", "Session", "Token"]


class Action(StrEnum):
    """What a role may or may not do; the subject (release, table, job) is asked for besides."""

    READ = "read"  # metadata, queries, cutouts and files of what one may see
    ASYNC = "async"  # asynchronous jobs
    UPLOAD = "upload"  # tables that come with a query
    MYDB = "mydb"  # tables of one's own that stay
    BATCH = "batch"  # batches of cutouts
    TOKEN = "token"  # noqa: S105 - tokens of one's own
    SEE_JOBS = "see-jobs"  # jobs of others
    SEE_DRAFTS = "see-drafts"  # releases that are not yet published
    DENIALS = "denials"  # what was denied
    PEOPLE = "people"  # accounts, roles, rights and tokens of others


_ALL = frozenset(Role)
_KNOWN = frozenset((Role.COLLABORATOR, Role.OPERATOR, Role.ADMIN))
_STAFF = frozenset((Role.OPERATOR, Role.ADMIN))

#: Which role may do what: the one place, from which code, pages and tests take it.
MATRIX: dict[Action, frozenset[Role]] = {
    Action.READ: _ALL,
    Action.ASYNC: _ALL,
    Action.UPLOAD: _ALL,
    Action.BATCH: _ALL,
    Action.MYDB: _KNOWN,
    Action.TOKEN: _KNOWN,
    Action.SEE_JOBS: _STAFF,
    Action.SEE_DRAFTS: _STAFF,
    Action.DENIALS: _STAFF,
    Action.PEOPLE: frozenset((Role.ADMIN,)),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes
    ----------
    login
        Login name; empty for anybody.
    role
        Role of the person, or `Role.PUBLIC`.
    actions
        What the person may do by role, narrowed by the scopes of the token.
    rights
        (release, table or ``*``) that the person may see though they are proprietary.
    address
        Address from which the request came.
    """

    login: str = ""
    role: Role = Role.PUBLIC
    actions: frozenset[Action] = frozenset(a for a, roles in MATRIX.items() if Role.PUBLIC in roles)
    rights: frozenset[tuple[str, str]] = frozenset()
    address: str = ""

    @property
    def known(self) -> bool:
        """Whether it is a person with an account."""
        return bool(self.login)

    def may(self, action: Action) -> bool:
        """Whether role and scopes allow it."""
        return action in self.actions


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account; the hash of the password stays in the database."""

    id: int
    login: str
    name: str
    email: str
    role: Role
    has_password: bool
    disabled_at: datetime | None
    created_by: str
    created_at: datetime
    #: how often all sessions of browsers were ended
    session_generation: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is logged in, until ``expires_at`` (UTC) or logout; ``generation`` as the person's when it began."""

    login: str
    generation: int
    scopes: frozenset[Action]
    expires_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Token:
    """By what a program acts for a person; times in UTC."""

    id: int
    login: str
    kind: str
    name: str
    scopes: frozenset[Action]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Right:
    """Who may see a table of a proprietary release; ``*``: all of its tables, and its files."""

    grantee_kind: str
    grantee: str
    release: str
    table: str
    granted_by: str
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class Denial:
    """What was denied to whom."""

    at: datetime
    login: str
    address: str
    action: str
    subject: str
    reason: str
