"""Policies of the queue: enter one with the statement that set it, end one, list them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.operations.queue import store
from desdm.operations.queue.model import ANY, DEFAULT_POLICIES, Policy
from desdm.pipelines import PIPELINES, get
from desdm.schema.states import EventKind
from desdm.schema.store import record_event, require_reason

__all__ = ["QUEUED", "add_policy", "end_policy", "policies_in_force"]

#: Units of pipelines that the queue can run as nights and exposures arrive.
_UNITS = ("nite", "exposure")
#: Names of the pipelines that policies may queue.
QUEUED = tuple(pipeline.name for pipeline in PIPELINES if pipeline.unit in _UNITS)
#: Longest deadline, hours (a year), most tries, and names of programmes and bands.
_LONGEST, _MOST_TRIES = 8784.0, 99
#: First and last night that there can be.
_ALL_NIGHTS = ("00010101", "99991231")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


def policies_in_force(conn: Connection) -> Sequence[Policy]:
    """Return the policies in force, by rank; where none was ever entered, `DEFAULT_POLICIES`."""
    policies = store.policies(conn)
    return policies if policies or store.policies(conn, ended=True) else DEFAULT_POLICIES


def add_policy(conn: Connection, policy: Policy, *, who: str, now: datetime) -> Policy:
    """Enter a policy.

    Parameters
    ----------
    conn
        Connection in a transaction.
    policy
        The policy; number, author and time are set here.
    who
        Who enters it.
    now
        Time, UTC.

    Returns
    -------
    Policy
        The policy with its number.

    Raises
    ------
    UsageError
        A value cannot be, or no statement says who agreed.
    ConflictError
        A policy in force says the same, whatever its statement.
    """
    if not policy.statement.strip():
        raise UsageError("say who agreed what: --statement TEXT")
    unit = get(policy.pipeline).unit
    if unit not in _UNITS:
        raise UsageError(
            f"pipeline {policy.pipeline} works on a {unit}; policies queue nights and exposures, a campaign queues the rest"
        )
    if policy.nite_from > policy.nite_to:
        raise UsageError(f"the first night {policy.nite_from} is after the last {policy.nite_to}")
    if not 0 < policy.deadline_h <= _LONGEST:
        raise UsageError(f"give a deadline above 0 and up to {_LONGEST:.0f} hours")
    if not 1 <= policy.max_tries <= _MOST_TRIES:
        raise UsageError(f"give 1 to {_MOST_TRIES} tries")
    if policy.rank < 0:
        raise UsageError(f"rank {policy.rank} is below 0; the least goes first, from 0 on")
    for name, value in (("programme", policy.programme), ("band", policy.band)):
        if value != ANY and _NAME.fullmatch(value) is None:
            raise UsageError(
                f"{name} {value[:40]!r}: 1 to 32 letters, digits, '.', '_' or '-', or {ANY} for all"
            )
    same = next((p for p in store.policies(conn) if _rule_of(p) == _rule_of(policy)), None)
    if same is not None:
        raise ConflictError(f"{same.text} says the same; end it first: desdm queue policy end {same.id}")
    entered = replace(policy, id=None, who=who[:32], since=now, until=None)
    entered = replace(entered, id=store.insert_policy(conn, entered))
    text = (
        f"policy {entered.id} entered: {entered.pipeline}, programme {entered.programme}, band {entered.band}, "
        f"nights {entered.nite_from} to {entered.nite_to}, rank {entered.rank}"
    )
    record_event(conn, EventKind.QUEUE, who, text, subject=f"policy {entered.id}", reason=entered.statement)
    return entered


def _rule_of(policy: Policy) -> Policy:
    """Return what a policy says, without number, author, statement and times; all nights in one form."""
    return replace(
        policy,
        id=None,
        nite_from=max(policy.nite_from, _ALL_NIGHTS[0]),
        nite_to=min(policy.nite_to, _ALL_NIGHTS[1]),
        statement="",
        who="",
        since=None,
        until=None,
    )


def end_policy(conn: Connection, number: int, *, reason: str, who: str, now: datetime) -> None:
    """End a policy; rows that it queued stay.

    Parameters
    ----------
    conn
        Connection in a transaction.
    number
        Number of the policy.
    reason, who
        Why, and who ends it.
    now
        Time, UTC.

    Raises
    ------
    NotFoundError
        No policy of that number is in force.
    """
    require_reason(reason)
    if not store.end_policy(conn, number, now):
        raise NotFoundError(f"no policy {number} is in force; see: desdm queue policy list")
    text = f"policy {number} ended"
    record_event(conn, EventKind.QUEUE, who, text, subject=f"policy {number}", reason=reason)
