"""The SQL of runs: attempts are numbered, plans become rows, states change, outcomes are kept."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, select, update

from desdm.errors import NotFoundError, UsageError
from desdm.framework.model import Attempt, Job, WrapperRow
from desdm.framework.pipeline import Pipeline
from desdm.framework.plan import Identity, Plan
from desdm.schema import (
    desfile,
    event,
    opm_used,
    opm_was_generated_by,
    pfw_attempt,
    pfw_attempt_label,
    pfw_attempt_val,
    pfw_block,
    pfw_data_query,
    pfw_exec,
    pfw_job,
    pfw_request,
    pfw_unit,
    pfw_wrapper,
    qa_metric,
    task,
    task_message,
)
from desdm.schema.database import new_ids
from desdm.schema.states import AttemptState, JobState, WrapperState

__all__ = [
    "attempt_by_name",
    "change_attempt",
    "claim_attempt",
    "close_job",
    "count_findings",
    "file_ids",
    "generated_names",
    "heartbeat",
    "insert_plan",
    "jobs_of",
    "keep_outcome",
    "newest_with_fingerprint",
    "number_attempt",
    "queue_job",
    "record_event",
    "request_cancel",
    "start_job",
    "wrappers_of",
]

Values = Sequence[Mapping[str, Any]]


def now() -> datetime:
    """The time, UTC, as the database keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


def record_event(conn: Connection, kind: str, who: str, text: str, attempt_id: int | None = None) -> None:
    """Add a line to what happened."""
    conn.execute(
        event.insert(),
        {"event_time": now(), "kind": kind, "who": who, "pfw_attempt_id": attempt_id, "text": text},
    )


# -- attempts


def number_attempt(
    conn: Connection,
    *,
    project: str,
    campaign: str,
    pipeline: str,
    unitname: str,
    jira_id: str | None = None,
    reqnum: int | None = None,
) -> Identity:
    """The identity of a new attempt.

    Without ``reqnum`` the request is that of the same project, campaign, pipeline and ticket, made if there
    is none; the attempt is the next of its unit. The writer's lock (SQLite) or the unique constraint
    (PostgreSQL) keeps two submitters from one number.
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
    known = conn.execute(select(pfw_request.c.pipeline).where(pfw_request.c.reqnum == reqnum)).scalar()
    if known is None:
        row = {"project": project, "campaign": campaign, "pipeline": pipeline, "jira_id": jira_id}
        conn.execute(pfw_request.insert(), {"reqnum": reqnum, **row})
    elif known != pipeline:
        raise UsageError(f"request {reqnum} is for pipeline {known}, not {pipeline}; take another reqnum")
    unit = (pfw_unit.c.reqnum == reqnum) & (pfw_unit.c.unitname == unitname)
    if conn.execute(select(pfw_unit.c.reqnum).where(unit).with_for_update()).scalar() is None:
        conn.execute(pfw_unit.insert(), {"reqnum": reqnum, "unitname": unitname})
    last = select(func.coalesce(func.max(pfw_attempt.c.attnum), 0)).where(
        pfw_attempt.c.reqnum == reqnum, pfw_attempt.c.unitname == unitname
    )
    return Identity(unitname, reqnum, 1 + conn.execute(last).scalar_one())


def insert_plan(
    conn: Connection,
    pipeline: Pipeline,
    identity: Identity,
    plan: Plan,
    *,
    values: Mapping[str, str],
    queries: Iterable[tuple[str, str, str, int]],
    labels: Sequence[str],
    operator: str,
    archive_path: str,
    fingerprint: str,
    jobroots: Mapping[int, str],
) -> int:
    """Write every row of a planned attempt; returns the attempt's number."""
    jobs = list(plan.jobs)
    nwrap = sum(len(job.wrappers) for job in jobs)
    ids = iter(new_ids(conn, task, 1 + len(plan.blocks) + len(jobs) + nwrap))
    root = next(ids)
    attempt_id = new_ids(conn, pfw_attempt, 1)[0]
    tasks: list[dict[str, Any]] = []

    def node(name: str, table: str, parent: int | None, label: str) -> int:
        number = root if parent is None else next(ids)
        tasks.append(
            {
                "id": number, "name": name[:64], "info_table": table, "parent_task_id": parent,
                "root_task_id": root, "label": label[:64] or None,
            }
        )  # fmt: skip
        return number

    node(pipeline.name, "pfw_attempt", None, identity.run)
    blocks: list[dict[str, Any]] = []
    job_rows: list[dict[str, Any]] = []
    wrappers: list[dict[str, Any]] = []
    for blknum, (block, planned) in enumerate(zip(pipeline.blocks, plan.blocks, strict=True), 1):
        block_task = node(block.name, "pfw_block", root, block.name)
        blocks.append(
            {
                "task_id": block_task, "pfw_attempt_id": attempt_id, "blknum": blknum, "name": block.name,
                "modulelist": ",".join(m.name for m in block.modules), "numexpjobs": len(planned),
            }
        )  # fmt: skip
        for job in planned:
            job_task = node(f"job{job.jobnum:04d}", "pfw_job", block_task, job.jobkeys)
            job_rows.append(
                {
                    "task_id": job_task, "pfw_attempt_id": attempt_id, "pfw_block_task_id": block_task,
                    "jobnum": job.jobnum, "jobkeys": job.jobkeys[:96], "expect_num_wrap": len(job.wrappers),
                    "state": JobState.PLANNED.value, "tries": 0, "jobroot": jobroots.get(job.jobnum),
                }
            )  # fmt: skip
            for wrapper in job.wrappers:
                keys = wrapper.wrapkeys
                wrapper_task = node(wrapper.module.name, "pfw_wrapper", job_task, keys)
                wrappers.append(
                    {
                        "task_id": wrapper_task, "pfw_attempt_id": attempt_id, "pfw_job_task_id": job_task,
                        "wrapnum": wrapper.wrapnum, "modname": wrapper.module.name,
                        "name": wrapper.module.wrapper, "wrapkeys": keys[:96],
                        "state": WrapperState.PLANNED.value,
                    }
                )  # fmt: skip
    conn.execute(task.insert(), tasks)
    conn.execute(
        pfw_attempt.insert(),
        {
            "id": attempt_id,
            "reqnum": identity.reqnum,
            "unitname": identity.unitname,
            "attnum": identity.attnum,
            "task_id": root,
            "state": AttemptState.PLANNED.value,
            "data_state": "NEW",
            "operator": operator,
            "pipeprod": pipeline.name,
            "pipever": pipeline.version,
            "submittime": now(),
            "numexpblk": len(plan.blocks),
            "numexpjobs": len(jobs),
            "numexpwrap": nwrap,
            "archive_path": archive_path,
            "fingerprint": fingerprint,
            "cancel_requested": False,
        },
    )
    conn.execute(pfw_block.insert(), blocks)
    _many(conn, pfw_job, job_rows)
    _many(conn, pfw_wrapper, wrappers)
    _many(
        conn, pfw_attempt_val, [{"pfw_attempt_id": attempt_id, "key": k, "val": v} for k, v in values.items()]
    )
    _many(conn, pfw_attempt_label, [{"pfw_attempt_id": attempt_id, "label": label} for label in labels])
    _many(
        conn,
        pfw_data_query,
        [
            {"pfw_attempt_id": attempt_id, "modname": m, "dataname": d, "query": q, "nfound": n}
            for m, d, q, n in queries
        ],
    )
    record_event(
        conn, "attempt", operator, f"{identity.run} planned: {nwrap} wrappers in {len(jobs)} jobs", attempt_id
    )
    return attempt_id


def _many(conn: Connection, table: Any, rows: Values) -> None:
    if rows:
        conn.execute(table.insert(), rows)


_ATTEMPT = (
    pfw_attempt.c.id,
    pfw_attempt.c.reqnum,
    pfw_attempt.c.unitname,
    pfw_attempt.c.attnum,
    pfw_attempt.c.task_id,
    pfw_attempt.c.pipeprod,
    pfw_attempt.c.state,
    pfw_attempt.c.data_state,
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


def _attempt(row: Any) -> Attempt:
    values = list(row)
    values[6] = AttemptState(values[6])
    return Attempt(*values)


def run_filter(run: str) -> ColumnElement[bool]:
    """Condition that picks the attempt ``<unit>_r<req>p<att>``; `NotFoundError` if it is no such name."""
    unit, _, tail = run.rpartition("_r")
    reqnum, _, attnum = tail.partition("p")
    if not (unit and reqnum.isdecimal() and attnum.isdecimal()):
        raise NotFoundError(f"{run!r} is no run; runs are named <unit>_r<req>p<att>, see: desdm status")
    return (
        (pfw_attempt.c.unitname == unit)
        & (pfw_attempt.c.reqnum == int(reqnum))
        & (pfw_attempt.c.attnum == int(attnum))
    )


def attempt_by_name(conn: Connection, run: str) -> Attempt:
    """The attempt of that name; `NotFoundError` if there is none."""
    row = conn.execute(select(*_ATTEMPT).where(run_filter(run))).first()
    if row is None:
        raise NotFoundError(f"no run {run}; see: desdm status")
    return _attempt(row)


def newest_with_fingerprint(conn: Connection, fingerprint: str) -> Attempt | None:
    """The newest attempt whose pipeline, settings and inputs were the same, and that is not cancelled."""
    query = (
        select(*_ATTEMPT)
        .where(pfw_attempt.c.fingerprint == fingerprint, pfw_attempt.c.data_state.in_(["NEW", "ACTIVE"]))
        .order_by(pfw_attempt.c.id.desc())
    )
    row = conn.execute(query).first()
    return None if row is None else _attempt(row)


def claim_attempt(
    conn: Connection, attempt: Attempt, token: str, pid: int, start: int, who: str, text: str
) -> None:
    """Make the calling process the attempt's submitter and set it running."""
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
        )
    )
    conn.execute(
        update(task)
        .where(task.c.id == attempt.task_id)
        .values(start_time=func.coalesce(task.c.start_time, now()), end_time=None, status=None)
    )
    record_event(conn, "attempt", who, text, attempt.id)


def heartbeat(conn: Connection, attempt_id: int, token: str) -> bool:
    """Give a sign of life; False if the attempt has another submitter now or an operator wants it to end."""
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
    conn: Connection, attempt: Attempt, state: AttemptState, who: str, comment: str | None = None
) -> None:
    """End an attempt (or interrupt it) in ``state``."""
    conn.execute(
        update(pfw_attempt)
        .where(pfw_attempt.c.id == attempt.id)
        .values(state=state.value, endtime=now(), token=None, comment=comment)
    )
    status = 0 if state in (AttemptState.DONE, AttemptState.FLAGGED) else 1
    conn.execute(update(task).where(task.c.id == attempt.task_id).values(end_time=now(), status=status))
    text = f"{attempt.run} {state.value}" + (f": {comment}" if comment else "")
    record_event(conn, "attempt", who, text, attempt.id)


def request_cancel(conn: Connection, attempt_id: int) -> None:
    """Note that an operator wants the attempt to end; its submitter sees it at the next heartbeat."""
    conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == attempt_id).values(cancel_requested=True))


# -- jobs and wrappers


def jobs_of(conn: Connection, attempt_id: int) -> list[Job]:
    """Jobs of an attempt, in order."""
    j, b = pfw_job.c, pfw_block.c
    query = (
        select(
            j.task_id, b.blknum, b.name, j.jobnum, j.jobkeys, j.state, j.tries, j.token, j.jobroot, j.comment
        )
        .join(pfw_block, b.task_id == j.pfw_block_task_id)
        .where(j.pfw_attempt_id == attempt_id)
        .order_by(j.jobnum)
    )
    rows = (list(row) for row in conn.execute(query))
    return [Job._make([*row[:5], JobState(row[5]), *row[6:]]) for row in rows]


def wrappers_of(conn: Connection, attempt_id: int, job_task_id: int | None = None) -> list[WrapperRow]:
    """Wrappers of an attempt, or of one job of it, in order."""
    w = pfw_wrapper.c
    query = select(w.task_id, w.pfw_job_task_id, w.wrapnum, w.modname, w.wrapkeys, w.state)
    query = query.where(w.pfw_attempt_id == attempt_id)
    if job_task_id is not None:
        query = query.where(w.pfw_job_task_id == job_task_id)
    return [WrapperRow(*row) for row in conn.execute(query.order_by(w.wrapnum))]


def queue_job(conn: Connection, job: Job, token: str, engine: str, jobroot: str) -> None:
    """Give a job out under a new token, which alone may register its outputs."""
    conn.execute(
        update(pfw_job)
        .where(pfw_job.c.task_id == job.task_id)
        .values(
            state=JobState.QUEUED.value, token=token, engine=engine, jobroot=jobroot,
            tries=pfw_job.c.tries + 1, comment=None,
        )
    )  # fmt: skip


def start_job(conn: Connection, task_id: int, token: str, handle: str) -> None:
    """A worker has begun the job."""
    conn.execute(
        update(pfw_job)
        .where(pfw_job.c.task_id == task_id, pfw_job.c.token == token)
        .values(state=JobState.RUNNING.value, handle=handle)
    )
    conn.execute(
        update(task)
        .where(task.c.id == task_id)
        .values(start_time=now(), end_time=None, status=None, exec_host=socket.gethostname())
    )


def close_job(
    conn: Connection,
    task_id: int,
    token: str | None,
    state: JobState,
    comment: str | None,
    junktar: str | None,
) -> bool:
    """End a job in ``state`` if ``token`` is its live one; False: it is not, and nothing was changed."""
    live = (JobState.QUEUED.value, JobState.RUNNING.value)
    done = conn.execute(
        update(pfw_job)
        .where(pfw_job.c.task_id == task_id, pfw_job.c.token == token, pfw_job.c.state.in_(live))
        .values(state=state.value, token=None, comment=comment, junktar=junktar)
    )
    if done.rowcount != 1:
        return False
    status = 0 if state is JobState.DONE else 1
    conn.execute(update(task).where(task.c.id == task_id).values(end_time=now(), status=status))
    return True


_SET_WRAPPER = (
    update(pfw_wrapper)
    .where(pfw_wrapper.c.task_id == bindparam("number"))
    .values(state=bindparam("state"), log=bindparam("log"), diskusage=bindparam("diskusage"))
)
_SET_TASK = (
    update(task)
    .where(task.c.id == bindparam("number"))
    .values(
        start_time=bindparam("start_time"),
        end_time=bindparam("end_time"),
        status=bindparam("status"),
        exec_host=bindparam("exec_host"),
    )
)


def keep_outcome(
    conn: Connection,
    attempt_id: int,
    *,
    wrappers: Values,
    tasks: Values,
    execs: Values,
    used: Values,
    messages: Values,
    metrics: Values,
) -> None:
    """Keep what a job's wrappers did: states and times, execs, files used, messages and QA numbers."""
    if wrappers:
        conn.execute(_SET_WRAPPER, wrappers)
        conn.execute(_SET_TASK, tasks)
    if execs:
        numbers = new_ids(conn, task, len(execs))
        roots = conn.execute(select(pfw_attempt.c.task_id).where(pfw_attempt.c.id == attempt_id)).scalar_one()
        shared = [
            {
                "id": number, "name": row["name"], "info_table": "pfw_exec", "root_task_id": roots,
                "parent_task_id": row["pfw_wrapper_task_id"], "label": row["version"],
                "start_time": row["start_time"], "end_time": row["end_time"], "status": row["status"],
                "exec_host": row["exec_host"],
            }
            for number, row in zip(numbers, execs, strict=True)
        ]  # fmt: skip
        conn.execute(task.insert(), shared)
        gone = {"start_time", "end_time", "status", "exec_host"}
        rows = [
            {
                "task_id": number,
                "pfw_attempt_id": attempt_id,
                **{k: v for k, v in row.items() if k not in gone},
            }
            for number, row in zip(numbers, execs, strict=True)
        ]
        conn.execute(pfw_exec.insert(), rows)
    _many(conn, opm_used, used)
    _many(conn, task_message, messages)
    if metrics:
        ids = {row["task_id"] for row in metrics}
        conn.execute(qa_metric.delete().where(qa_metric.c.task_id.in_(ids)))
        conn.execute(qa_metric.insert(), metrics)


def count_findings(conn: Connection, attempt_id: int) -> tuple[int, int]:
    """How many messages of level 1 an attempt has, and how many whose pattern asks to flag it."""
    m = task_message.c
    # Messages of a try that failed and was done again stay in the record and do not count against the run.
    last = (pfw_wrapper.c.task_id == m.task_id) & (pfw_wrapper.c.log == m.log_file)
    mine = (
        select(func.count())
        .select_from(task_message)
        .join(pfw_wrapper, last)
        .where(m.pfw_attempt_id == attempt_id)
    )
    errors = conn.execute(mine.where(m.message_lvl == 1)).scalar_one()
    flags = conn.execute(mine.where(m.action == "flag")).scalar_one()
    return errors, flags


def file_ids(conn: Connection, names: Iterable[str]) -> dict[str, int]:
    """Numbers of registered files by full name (with compression suffix)."""
    wanted = sorted(set(names))
    found: dict[str, int] = {}
    full = desfile.c.filename + desfile.c.compression
    stems = {name.removesuffix(".fz").removesuffix(".gz") for name in wanted}
    ordered = sorted(stems | set(wanted))
    for start in range(0, len(ordered), 500):
        query = select(full, desfile.c.id).where(desfile.c.filename.in_(ordered[start : start + 500]))
        found |= {row[0]: row[1] for row in conn.execute(query)}
    return {name: found[name] for name in wanted if name in found}


def generated_names(conn: Connection, task_ids: Sequence[int]) -> dict[int, set[str]]:
    """Names of registered files by the task that made them."""
    made: dict[int, set[str]] = {}
    for start in range(0, len(task_ids), 500):
        query = (
            select(opm_was_generated_by.c.task_id, desfile.c.filename + desfile.c.compression)
            .join(desfile, desfile.c.id == opm_was_generated_by.c.desfile_id)
            .where(opm_was_generated_by.c.task_id.in_(task_ids[start : start + 500]))
        )
        for number, name in conn.execute(query):
            made.setdefault(number, set()).add(name)
    return made
