"""Records of accounts: callers, actions, people, sessions, tokens, rights, denials."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from desdm.errors import AccessDenied
from desdm.schema.operationstates import Office
from desdm.schema.states import Role

__all__ = [
    "MATRIX",
    "OFFICES",
    "Action",
    "Caller",
    "Denial",
    "HeldOffice",
    "NewToken",
    "Person",
    "Right",
    "Session",
    "Token",
]


class Action(StrEnum):
    """Action that a role or office allows; rights to the subject (release, table, job) are checked besides."""

    READ = "read"  # metadata, queries, cutouts and files that the caller may see
    ASYNC = "async"  # asynchronous jobs
    UPLOAD = "upload"  # uploaded tables of a query
    MYDB = "mydb"  # permanent tables of one's own
    BATCH = "batch"  # batches of cutouts
    TOKEN = "token"  # noqa: S105 - tokens of one's own
    SEE_JOBS = "see-jobs"  # jobs of others
    SEE_DRAFTS = "see-drafts"  # releases that are not yet published
    DENIALS = "denials"  # records of denials
    PEOPLE = "people"  # accounts, roles, rights and tokens of others
    SEE_OPERATIONS = "see-operations"  # pages of operations and quality assessment
    OPERATE = "operate"  # acts on the queue and on runs, entries of the logbook
    JUDGE = "judge"  # marks, reviews, states of problems, dispatches
    POLICY = "policy"  # policies of the queue
    ANSWER = "answer"  # answers to data that were dispatched to one's working group


_ALL = frozenset(Role)
_KNOWN = frozenset((Role.COLLABORATOR, Role.OPERATOR, Role.ADMIN))
_STAFF = frozenset((Role.OPERATOR, Role.ADMIN))

#: Roles that may do each action; the only definition.
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
    Action.SEE_OPERATIONS: _STAFF,
    Action.OPERATE: _STAFF,
    Action.JUDGE: frozenset((Role.ADMIN,)),
    Action.POLICY: frozenset((Role.ADMIN,)),
    Action.ANSWER: frozenset((Role.ADMIN,)),
}

#: Actions that each office allows beside those of the role; the only definition.
OFFICES: dict[Office, frozenset[Action]] = {
    Office.OPERATOR: frozenset((Action.SEE_OPERATIONS, Action.OPERATE)),
    Office.QA: frozenset((Action.SEE_OPERATIONS, Action.JUDGE)),
    Office.PROD_SCI: frozenset((Action.SEE_OPERATIONS, Action.OPERATE, Action.JUDGE, Action.POLICY)),
    Office.WG_MEMBER: frozenset((Action.ANSWER,)),
}

#: Actions of a token → what it allows, for the message of a denial.
_ALLOWS: dict[Action, str] = {
    Action.READ: "reading",
    Action.ASYNC: "asynchronous jobs",
    Action.UPLOAD: "uploaded tables",
    Action.MYDB: "tables of your own",
    Action.BATCH: "batches of cutouts",
    Action.SEE_OPERATIONS: "the pages of operations",
    Action.OPERATE: "acts on the queue and on runs",
    Action.JUDGE: "marks, reviews and states of problems",
    Action.POLICY: "policies of the queue",
    Action.ANSWER: "answers of a working group",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Caller of a request.

    Attributes
    ----------
    login
        Login name; empty: anonymous.
    role
        Role of the person, or `Role.PUBLIC`.
    actions
        Actions that role and offices allow, narrowed by the scopes of the token.
    groups
        Working groups of which the person is a member.
    rights
        Proprietary (release, table or ``*``) that the person may see.
    address
        Address from which the request came.
    """

    login: str = ""
    role: Role = Role.PUBLIC
    actions: frozenset[Action] = frozenset(a for a, roles in MATRIX.items() if Role.PUBLIC in roles)
    rights: frozenset[tuple[str, str]] = frozenset()
    address: str = ""
    groups: frozenset[str] = frozenset()

    @property
    def known(self) -> bool:
        """Whether the caller has an account."""
        return bool(self.login)

    def may(self, action: Action) -> bool:
        """Whether role, offices and scopes allow an action."""
        return action in self.actions

    def require(self, action: Action) -> None:
        """Raise `AccessDenied` unless role, offices and scopes allow an action."""
        if not self.may(action):
            what = _ALLOWS.get(action, action.value)
            offices = [office.value for office, actions in OFFICES.items() if action in actions]
            if offices and not self.known:
                raise AccessDenied(f"{what}: log in first", known=False)
            if offices:
                raise AccessDenied(
                    f"{what}: this is for the offices {', '.join(offices)}; an administrator gives one with "
                    f"desdm account office {self.login} {offices[0]} (a token needs the scope {action.value} too)",
                    known=True,
                )
            raise AccessDenied(f"this token does not allow {what}: it lacks the scope {action}", self.known)


@dataclass(frozen=True, slots=True)
class Person:
    """A person with an account; the hash of the password is only in the database."""

    id: int
    login: str
    name: str
    email: str
    role: Role
    has_password: bool
    disabled_at: datetime | None
    created_by: str
    created_at: datetime
    #: number of times that all browser sessions were ended
    session_generation: int = 0


@dataclass(frozen=True, slots=True)
class HeldOffice:
    """An office that a person holds or held; ``until`` is None while it is held; times in UTC."""

    login: str
    office: Office
    working_group: str
    who: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    """Session of a browser until ``expires_at`` (UTC) or logout; ``generation`` is the person's at login."""

    login: str
    generation: int
    scopes: frozenset[Action]
    expires_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Token:
    """Credential of a program that acts for a person; times in UTC."""

    id: int
    login: str
    kind: str
    name: str
    scopes: frozenset[Action]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to be stored; times in UTC."""

    name: str
    scopes: frozenset[Action]
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Right:
    """Right to see a table of a proprietary release; ``*``: all of its tables, and its files."""

    grantee_kind: str
    grantee: str
    release: str
    table: str
    granted_by: str
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class Denial:
    """Record of a denial."""

    at: datetime
    login: str
    address: str
    action: str
    subject: str
    reason: str
