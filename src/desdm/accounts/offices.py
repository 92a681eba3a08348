"""Offices that people hold in the organisation: giving and ending them."""

from __future__ import annotations

from sqlalchemy import Connection

from desdm.accounts import people, store
from desdm.accounts.clock import now
from desdm.accounts.model import HeldOffice
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.schema.operationstates import Office
from desdm.schema.states import EventKind
from desdm.schema.store import record_event, require_reason

__all__ = ["end", "give"]


def give(
    conn: Connection, login: str, office: Office, working_group: str = "", *, who: str, reason: str
) -> HeldOffice:
    """Give a person an office, from now on.

    Parameters
    ----------
    conn
        Connection to the operations database.
    login
        Login of the person.
    office
        The office.
    working_group
        Working group of a member; empty for other offices.
    who
        Login of the person who does it.
    reason
        Reason, for the event.

    Returns
    -------
    HeldOffice
        The office as it is held.

    Raises
    ------
    UsageError
        No reason, a member without a group, or a group for another office.
    NotFoundError
        There is no such account.
    ConflictError
        The person holds the office already.
    """
    require_reason(reason)
    _check_group(office, working_group)
    person, at = people.find(conn, login), now()
    held = store.offices_of(conn, login, at)
    if any((one.office, one.working_group) == (office, working_group) for one in held):
        raise ConflictError(f"{login} holds the office {_name(office, working_group)} already")
    given = HeldOffice(login, office, working_group, who, at, None)
    store.add_office(conn, person.id, given)
    text = f"{login}: holds the office {_name(office, working_group)}"
    record_event(conn, EventKind.ACCOUNT, who, text, subject=login, reason=reason)
    return given


def end(
    conn: Connection, login: str, office: Office, working_group: str = "", *, who: str, reason: str
) -> None:
    """End an office of a person, from the next request on; parameters as of `give`.

    Raises
    ------
    UsageError
        No reason, a member without a group, or a group for another office.
    NotFoundError
        There is no such account, or it does not hold the office.
    """
    require_reason(reason)
    _check_group(office, working_group)
    person = people.find(conn, login)
    if not store.end_office(conn, person.id, office, working_group, now()):
        raise NotFoundError(
            f"{login} does not hold the office {_name(office, working_group)}; desdm account offices"
        )
    text = f"{login}: holds the office {_name(office, working_group)} no longer"
    record_event(conn, EventKind.ACCOUNT, who, text, subject=login, reason=reason)


def _check_group(office: Office, working_group: str) -> None:
    """Raise `UsageError` for a member without a group, or a group for another office."""
    if (office is Office.WG_MEMBER) != bool(working_group):
        raise UsageError(
            f"the office {Office.WG_MEMBER.value} needs the name of the working group (--group), other offices have none"
        )


def _name(office: Office, working_group: str) -> str:
    """Return the name of an office in texts."""
    return f"{office.value} of {working_group}" if working_group else office.value
