"""Attempts in the database: numbering, look-up, submitter, states."""

from __future__ import annotations

import socket
from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, RowMapping, func, select, update

from desdm.archive.store import lock_exclusions, no_such_run, order_of_columns
from desdm.errors import UsageError
from desdm.framework.model import Attempt
from desdm.framework.store.common import now
from desdm.schema import (
    desfile,
    opm_was_derived_from,
    pfw_attempt,
    pfw_exec,
    pfw_job,
    pfw_request,
    pfw_unit,
    task,
)
from desdm.schema.runname import RunName
from desdm.schema.states import AttemptState, DataState, EventKind, RunClass
from desdm.schema.store import record_event

__all__ = [
    "attempt_by_name",
    "attempts_with_fingerprint",
    "calibrations_read",
    "change_attempt",
    "claim_attempt",
    "hand_to_submitter",
    "heartbeat",
    "lock_submissions",
    "number_attempt",
    "plan_size",
    "program_digests",
    "request_cancel",
    "run_filter",
    "scope_of",
    "set_data_state",
]


def number_attempt(
    conn: Connection,
    *,
    project: str,
    campaign: str,
    pipeline: str,
    unitname: str,
    jira_id: str | None = None,
    reqnum: int | None = None,
) -> RunName:
    """Return the name of a new attempt; its request and unit are inserted if they are new.

    The writer's lock (SQLite) or the unique constraint (PostgreSQL) prevents two submitters from using one number.

    Parameters
    ----------
    project, campaign, pipeline, jira_id
        Identify the request, if ``reqnum`` is None: the first with these values, or a new one.
    unitname
        Unit to process; the attempt is the next of this unit.
    reqnum
        Number of the request.

    Raises
    ------
    UsageError
        The request is for another pipeline.
    """
    if reqnum is None:
        same = select(pfw_request.c.reqnum).where(
            pfw_request.c.project == project,
            pfw_request.c.campaign == campaign,
            pfw_request.c.pipeline == pipeline,
            pfw_request.c.jira_id.is_not_distinct_from(jira_id),
        )
        reqnum = conn.execute(same.order_by(pfw_request.c.reqnum)).scalars().first()
        if reqnum is None:
            reqnum = 1 + conn.execute(select(func.coalesce(func.max(pfw_request.c.reqnum), 0))).scalar_one()
    registered = conn.execute(select(pfw_request.c.pipeline).where(pfw_request.c.reqnum == reqnum)).scalar()
    if registered is None:
        row = {"project": project, "campaign": campaign, "pipeline": pipeline, "jira_id": jira_id}
        conn.execute(pfw_request.insert(), {"reqnum": reqnum, **row})
    elif registered != pipeline:
        raise UsageError(
            f"request {reqnum} is for pipeline {registered}, not {pipeline}; take another reqnum"
        )
    unit = (pfw_unit.c.reqnum == reqnum) & (pfw_unit.c.unitname == unitname)
    if conn.execute(select(pfw_unit.c.reqnum).where(unit).with_for_update()).scalar() is None:
        conn.execute(pfw_unit.insert(), {"reqnum": reqnum, "unitname": unitname})
    last = select(func.coalesce(func.max(pfw_attempt.c.attnum), 0)).where(
        pfw_attempt.c.reqnum == reqnum, pfw_attempt.c.unitname == unitname
    )
    return RunName(unitname, reqnum, 1 + conn.execute(last).scalar_one())


_ATTEMPT = (
    pfw_attempt.c.id,
    pfw_attempt.c.reqnum,
    pfw_attempt.c.unitname,
    pfw_attempt.c.attnum,
    pfw_attempt.c.task_id,
    pfw_attempt.c.pipeprod,
    pfw_attempt.c.state,
    pfw_attempt.c.data_state,
    pfw_attempt.c.run_class,
    pfw_attempt.c.operator,
    pfw_attempt.c.submittime,
    pfw_attempt.c.endtime,
    pfw_attempt.c.archive_path,
    pfw_attempt.c.fingerprint,
    pfw_attempt.c.token,
    pfw_attempt.c.submitter_host,
    pfw_attempt.c.submitter_pid,
    pfw_attempt.c.submitter_start,
    pfw_attempt.c.cancel_requested,
)


def _attempt(row: RowMapping) -> Attempt:
    """Return the record of a row of `_ATTEMPT`."""
    return Attempt(
        id=row["id"],
        reqnum=row["reqnum"],
        unitname=row["unitname"],
        attnum=row["attnum"],
        task_id=row["task_id"],
        pipeline=row["pipeprod"],
        state=AttemptState(row["state"]),
        data_state=DataState(row["data_state"]),
        run_class=RunClass(row["run_class"]),
        operator=row["operator"],
        submittime=row["submittime"],
        endtime=row["endtime"],
        archive_path=row["archive_path"],
        fingerprint=row["fingerprint"],
        token=row["token"],
        submitter_host=row["submitter_host"],
        submitter_pid=row["submitter_pid"],
        submitter_start=row["submitter_start"],
        cancel_requested=row["cancel_requested"],
    )


def run_filter(run: str) -> ColumnElement[bool] | None:
    """Return the condition that selects a run by its name; None if the text is not the name of a run."""
    name = RunName.parse(run)
    if name is None:
        return None
    return (
        (pfw_attempt.c.unitname == name.unitname)
        & (pfw_attempt.c.reqnum == name.reqnum)
        & (pfw_attempt.c.attnum == name.attnum)
    )


def attempt_by_name(conn: Connection, run: str) -> Attempt:
    """The attempt of that name; `NotFoundError` if there is none, which names the runs of a unit of that name."""
    condition = run_filter(run)
    row = None if condition is None else conn.execute(select(*_ATTEMPT).where(condition)).first()
    if row is None:
        raise no_such_run(conn, run)
    return _attempt(row._mapping)


def scope_of(conn: Connection, reqnum: int) -> tuple[str, str]:
    """Return project and campaign of a request."""
    query = select(pfw_request.c.project, pfw_request.c.campaign).where(pfw_request.c.reqnum == reqnum)
    project, campaign = conn.execute(query).one()
    return str(project), str(campaign)


def plan_size(conn: Connection, attempt_id: int) -> tuple[int, int]:
    """Return how many jobs and wrappers an attempt has by its plan."""
    jobs, wrappers = conn.execute(
        select(func.count(), func.coalesce(func.sum(pfw_job.c.expect_num_wrap), 0)).where(
            pfw_job.c.pfw_attempt_id == attempt_id
        )
    ).one()
    return int(jobs), int(wrappers)


def attempts_with_fingerprint(conn: Connection, fingerprint: str) -> list[Attempt]:
    """The attempts at the same work (pipeline, settings, inputs): the done ones, then the flagged, each the last first."""
    query = (
        select(*_ATTEMPT)
        .where(
            pfw_attempt.c.fingerprint == fingerprint,
            pfw_attempt.c.data_state.in_([DataState.NEW, DataState.ACTIVE]),
        )
        .order_by(order_of_columns(pfw_attempt), pfw_attempt.c.id.desc())
    )
    return [_attempt(row._mapping) for row in conn.execute(query)]


def program_digests(conn: Connection, attempt_id: int) -> dict[str, set[str]]:
    """Return the digests of the programs that an attempt ran, by their names in the settings."""
    query = (
        select(pfw_exec.c.name, pfw_exec.c.digest).where(pfw_exec.c.pfw_attempt_id == attempt_id).distinct()
    )
    digests: dict[str, set[str]] = {}
    for name, digest in conn.execute(query):
        if digest:
            digests.setdefault(name, set()).add(digest)
    return digests


def calibrations_read(conn: Connection, attempt_id: int, filetypes: Collection[str]) -> set[int]:
    """Return the files of other runs from which an attempt derived its own.

    Parameters
    ----------
    conn
        The database.
    attempt_id
        The attempt.
    filetypes
        File types that count.

    Returns
    -------
    set of int
        Numbers of files (``desfile.id``).
    """
    parent, child = desfile.alias("parent"), desfile.alias("child")
    edge = opm_was_derived_from.c
    query = (
        select(parent.c.id)
        .select_from(
            opm_was_derived_from.join(child, child.c.id == edge.child_desfile_id).join(
                parent, parent.c.id == edge.parent_desfile_id
            )
        )
        .where(
            child.c.pfw_attempt_id == attempt_id,
            parent.c.filetype.in_(sorted(filetypes)),
            parent.c.pfw_attempt_id.is_distinct_from(attempt_id),
        )
        .distinct()
    )
    return set(conn.execute(query).scalars())


def lock_submissions(conn: Connection) -> None:
    """Until the end of the transaction nobody else submits, so that two submissions of one work see each other.

    On SQLite the writer is alone anyway.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(select(func.pg_advisory_xact_lock(_SUBMISSIONS)))


#: Number of the advisory lock on submissions; any number that nothing else of ours uses.
_SUBMISSIONS = 0x0DE55B17


def hand_to_submitter(conn: Connection, run: str, pid: int, start: int) -> None:
    """Record the process that is about to drive a planned attempt.

    Parameters
    ----------
    conn
        The transaction.
    run
        Name of the attempt.
    pid, start
        Process number, and its start in clock ticks since boot.
    """
    conn.execute(
        update(pfw_attempt)
        .where(
            pfw_attempt.c.id == attempt_by_name(conn, run).id,
            pfw_attempt.c.state == AttemptState.PLANNED.value,
        )
        .values(submitter_host=socket.gethostname(), submitter_pid=pid, submitter_start=start)
    )


def claim_attempt(
    conn: Connection,
    attempt: Attempt,
    token: str,
    pid: int,
    start: int,
    who: str,
    text: str,
    reason: str = "",
) -> None:
    """Make the calling process the attempt's submitter, and set the attempt running.

    Parameters
    ----------
    conn
        The transaction.
    attempt
        The attempt.
    token
        Identifies the submitter from now on.
    pid, start
        Process number, and its start in clock ticks since boot.
    who, text, reason
        Author, text and reason of the event.
    """
    conn.execute(
        update(pfw_attempt)
        .where(pfw_attempt.c.id == attempt.id)
        .values(
            state=AttemptState.RUNNING.value,
            token=token,
            submitter_host=socket.gethostname(),
            submitter_pid=pid,
            submitter_start=start,
            heartbeat=now(),
            endtime=None,
            cancel_requested=False,
            comment=None,
            # An attempt that goes on makes files anew: it is not without files any more.
            data_state=func.coalesce(pfw_attempt.c.pruned_from, pfw_attempt.c.data_state),
            pruned_from=None,
        )
    )
    conn.execute(
        update(task)
        .where(task.c.id == attempt.task_id)
        .values(start_time=func.coalesce(task.c.start_time, now()), end_time=None, status=None)
    )
    record_event(conn, EventKind.ATTEMPT, who, text, attempt.id, subject=attempt.run, reason=reason)
    if attempt.data_state is DataState.PRUNED:
        text = f"{attempt.run} is PRUNED no longer"
        record_event(conn, EventKind.MARK, who, text, attempt.id, subject=attempt.run, reason="it goes on")


def heartbeat(conn: Connection, attempt_id: int, token: str) -> bool:
    """Update the heartbeat of an attempt.

    Parameters
    ----------
    conn
        The transaction.
    attempt_id
        The attempt.
    token
        Token of the submitter.

    Returns
    -------
    bool
        False if the attempt has another submitter now, or an operator has cancelled it.
    """
    conn.execute(
        update(pfw_attempt)
        .where(pfw_attempt.c.id == attempt_id, pfw_attempt.c.token == token)
        .values(heartbeat=now())
    )
    row = conn.execute(
        select(pfw_attempt.c.token, pfw_attempt.c.cancel_requested).where(pfw_attempt.c.id == attempt_id)
    ).one()
    return row.token == token and not row.cancel_requested


def change_attempt(
    conn: Connection,
    attempt: Attempt,
    state: AttemptState,
    who: str,
    comment: str | None = None,
    *,
    reason: str = "",
) -> None:
    """Set the final (or interrupted) state of an attempt, with an event.

    Parameters
    ----------
    conn
        The transaction.
    attempt, state
        The attempt and its new state.
    who
        Author of the event.
    comment
        Why it ended so; ``desdm status`` prints it.
    reason
        A person's reason; else the comment is the reason of the event.
    """
    conn.execute(
        update(pfw_attempt)
        .where(pfw_attempt.c.id == attempt.id)
        .values(state=state.value, endtime=now(), token=None, comment=comment)
    )
    status = 0 if state in (AttemptState.DONE, AttemptState.FLAGGED) else 1
    conn.execute(update(task).where(task.c.id == attempt.task_id).values(end_time=now(), status=status))
    text = f"{attempt.run} {state.value}" + (f": {comment}" if comment else "")
    record_event(
        conn, EventKind.ATTEMPT, who, text, attempt.id, subject=attempt.run, reason=reason or comment or ""
    )


def set_data_state(conn: Connection, attempt_id: int, before: DataState, after: DataState) -> bool:
    """Change the data state of an attempt.

    Parameters
    ----------
    conn
        The transaction.
    attempt_id
        The attempt.
    before, after
        Expected and new state.

    Returns
    -------
    bool
        False if the state was not ``before``; nothing is changed then.
    """
    lock_exclusions(conn, shared=True)
    done = conn.execute(
        update(pfw_attempt)
        .where(pfw_attempt.c.id == attempt_id, pfw_attempt.c.data_state == before.value)
        .values(data_state=after.value)
    )
    return done.rowcount == 1


def request_cancel(conn: Connection, attempt_id: int) -> None:
    """Note that an operator wants the attempt to end; its submitter sees it at the next heartbeat."""
    conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == attempt_id).values(cancel_requested=True))
