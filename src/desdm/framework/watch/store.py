"""The SQL that watches runs; it only reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, case, func, select

from desdm.errors import UsageError
from desdm.schema import (
    desfile,
    pfw_attempt,
    pfw_attempt_config,
    pfw_attempt_val,
    pfw_block,
    pfw_exec,
    pfw_job,
    pfw_request,
    pfw_wrapper,
    qa_metric,
    task,
    task_message,
)
from desdm.schema.runname import RunName

__all__ = [
    "HISTORY_COLUMNS",
    "BlockRow",
    "ConfigRow",
    "MessageRow",
    "RunRow",
    "blocks",
    "configuration",
    "files_by_type",
    "history",
    "jobs",
    "messages",
    "metrics",
    "runs",
    "software",
    "values",
    "wrappers",
]


class RunRow(NamedTuple):
    """One line of ``desdm status``."""

    id: int
    run: str
    pipeline: str
    project: str
    campaign: str
    state: str
    data_state: str
    run_class: str
    operator: str
    submittime: datetime
    endtime: datetime | None
    heartbeat: datetime | None
    jobs: int
    wrappers: int
    jobs_done: int
    jobs_failed: int
    wrappers_done: int
    submitter_host: str | None
    submitter_pid: int | None
    submitter_start: int | None
    comment: str | None


class BlockRow(NamedTuple):
    """A block of a run, with the times and states of its jobs."""

    blknum: int
    name: str
    modulelist: str
    jobs: int
    done: int
    failed: int
    wrappers: int
    start_time: datetime | None
    end_time: datetime | None


class MessageRow(NamedTuple):
    """A message that quality control found."""

    level: int
    module: str
    wrapkeys: str
    pattern: str
    action: str
    text: str
    log: str
    line: int


def runs(conn: Connection, where: Mapping[str, str], limit: int | None) -> list[RunRow]:
    """Attempts, newest first; ``where`` by column (run, unitname, reqnum, pipeline, state, operator …)."""
    a, r = pfw_attempt.c, pfw_request.c
    query: Select[Any] = (
        select(
            a.id, a.unitname, a.reqnum, a.attnum, a.pipeprod, r.project, r.campaign, a.state, a.data_state,
            a.run_class, a.operator, a.submittime, a.endtime, a.heartbeat, a.numexpjobs, a.numexpwrap, a.submitter_host,
            a.submitter_pid, a.submitter_start, a.comment,
        )
        .join(pfw_request, r.reqnum == a.reqnum)
        .order_by(a.id.desc())
    )  # fmt: skip
    columns = {
        "unitname": a.unitname, "reqnum": a.reqnum, "pipeline": a.pipeprod, "state": a.state, "operator": a.operator,
        "project": r.project, "campaign": r.campaign, "data_state": a.data_state, "run_class": a.run_class,
    }  # fmt: skip
    for key, value in where.items():
        if key not in columns:
            raise UsageError(f"no such column: {key}; known: {', '.join(columns)}")
        query = query.where(columns[key] == (int(value) if key == "reqnum" and value.isdecimal() else value))
    rows = conn.execute(query if limit is None else query.limit(limit)).all()
    ids = [row.id for row in rows]
    job_counts = _job_counts(conn, ids if limit is not None else None)
    wrappers_done = _wrapper_counts(conn, ids if limit is not None else None)
    return [
        RunRow(
            row.id, RunName(row.unitname, row.reqnum, row.attnum).text, row.pipeprod, row.project, row.campaign,
            row.state, row.data_state, row.run_class, row.operator, row.submittime, row.endtime, row.heartbeat,
            row.numexpjobs, row.numexpwrap, *job_counts.get(row.id, (0, 0)), wrappers_done.get(row.id, 0),
            row.submitter_host, row.submitter_pid, row.submitter_start, row.comment,
        )
        for row in rows
    ]  # fmt: skip


def _job_counts(conn: Connection, ids: Sequence[int] | None) -> dict[int, tuple[int, int]]:
    j = pfw_job.c
    done = func.sum(case((j.state == "done", 1), else_=0))
    failed = func.sum(case((j.state.in_(["failed", "lost"]), 1), else_=0))
    query = select(j.pfw_attempt_id, done, failed).group_by(j.pfw_attempt_id)
    if ids is not None:
        query = query.where(j.pfw_attempt_id.in_(ids))
    return {row[0]: (row[1], row[2]) for row in conn.execute(query)}


def _wrapper_counts(conn: Connection, ids: Sequence[int] | None) -> dict[int, int]:
    w = pfw_wrapper.c
    query = select(w.pfw_attempt_id, func.count()).where(w.state.in_(["done", "reused"]))
    if ids is not None:
        query = query.where(w.pfw_attempt_id.in_(ids))
    return {row[0]: row[1] for row in conn.execute(query.group_by(w.pfw_attempt_id))}


def blocks(conn: Connection, attempt_id: int) -> list[BlockRow]:
    """Blocks of a run."""
    b, j = pfw_block.c, pfw_job.c
    query = (
        select(
            b.blknum,
            b.name,
            b.modulelist,
            b.numexpjobs,
            func.sum(case((j.state == "done", 1), else_=0)),
            func.sum(case((j.state.in_(["failed", "lost"]), 1), else_=0)),
            func.sum(j.expect_num_wrap),
            func.min(task.c.start_time),
            func.max(task.c.end_time),
        )
        .outerjoin(pfw_job, j.pfw_block_task_id == b.task_id)
        .outerjoin(task, task.c.id == j.task_id)
        .where(b.pfw_attempt_id == attempt_id)
        .group_by(b.blknum, b.name, b.modulelist, b.numexpjobs)
        .order_by(b.blknum)
    )
    return [BlockRow._make(row) for row in conn.execute(query)]


def jobs(conn: Connection, attempt_id: int) -> list[dict[str, Any]]:
    """Jobs of a run with their times."""
    j = pfw_job.c
    query = (
        select(
            j.jobnum, j.jobkeys, j.state, j.tries, j.expect_num_wrap, j.jobroot, j.junktar, j.comment,
            task.c.start_time, task.c.end_time,
        )
        .join(task, task.c.id == j.task_id)
        .where(j.pfw_attempt_id == attempt_id)
        .order_by(j.jobnum)
    )  # fmt: skip
    return [dict(row._mapping) for row in conn.execute(query)]


def wrappers(conn: Connection, attempt_id: int) -> list[dict[str, Any]]:
    """Wrappers of a run with their times and log."""
    w = pfw_wrapper.c
    query = (
        select(
            w.wrapnum, w.modname, w.wrapkeys, w.state, w.log, w.diskusage, task.c.start_time, task.c.end_time
        )
        .join(task, task.c.id == w.task_id)
        .where(w.pfw_attempt_id == attempt_id)
        .order_by(w.wrapnum)
    )
    return [dict(row._mapping) for row in conn.execute(query)]


def messages(conn: Connection, attempt_id: int, level: int = 3, limit: int | None = None) -> list[MessageRow]:
    """Messages of a run of at most that level (1 errors only), the gravest first."""
    m, w = task_message.c, pfw_wrapper.c
    query = (
        select(
            m.message_lvl, func.coalesce(w.modname, ""), func.coalesce(w.wrapkeys, ""), m.pattern, m.action,
            m.message, m.log_file, m.log_line,
        )
        .outerjoin(pfw_wrapper, w.task_id == m.task_id)
        .where(m.pfw_attempt_id == attempt_id, m.message_lvl <= level)
        .order_by(m.message_lvl, m.id)
    )  # fmt: skip
    return [MessageRow._make(row) for row in conn.execute(query if limit is None else query.limit(limit))]


def metrics(conn: Connection, attempt_id: int) -> list[dict[str, Any]]:
    """QA numbers of a run."""
    q, w = qa_metric.c, pfw_wrapper.c
    query = (
        select(w.modname, q.wrapkeys, q.band, q.name, q.value, q.unit, q.text)
        .join(pfw_wrapper, w.task_id == q.task_id)
        .where(q.pfw_attempt_id == attempt_id)
        .order_by(w.wrapnum, q.name)
    )
    return [dict(row._mapping) for row in conn.execute(query)]


def software(conn: Connection, attempt_id: int) -> list[dict[str, Any]]:
    """Programs of a run with versions, how often they ran and what they took."""
    e = pfw_exec.c
    query = (
        select(
            e.name,
            e.version,
            e.digest,
            func.count().label("runs"),
            func.sum(e.utime + e.stime).label("cpu_s"),
            func.max(e.maxrss).label("maxrss_kb"),
        )
        .where(e.pfw_attempt_id == attempt_id)
        .group_by(e.name, e.version, e.digest)
        .order_by(e.name)
    )
    return [dict(row._mapping) for row in conn.execute(query)]


def files_by_type(conn: Connection, attempt_id: int) -> list[tuple[str, int, int]]:
    """(file type, files, bytes) of what a run made."""
    query = (
        select(desfile.c.filetype, func.count(), func.sum(desfile.c.filesize))
        .where(desfile.c.pfw_attempt_id == attempt_id)
        .group_by(desfile.c.filetype)
        .order_by(desfile.c.filetype)
    )
    return [(row[0], row[1], int(row[2])) for row in conn.execute(query)]


def values(conn: Connection, attempt_id: int) -> dict[str, str]:
    """Settings of a run."""
    v = pfw_attempt_val.c
    query = select(v.key, v.val).where(v.pfw_attempt_id == attempt_id).order_by(v.key)
    return {row[0]: row[1] for row in conn.execute(query)}


class ConfigRow(NamedTuple):
    """The configuration of a run: settings with their sections, those of each module, the system's own software."""

    settings: dict[str, Any]
    modules: dict[str, Any]
    software: list[dict[str, Any]]


def configuration(conn: Connection, attempt_id: int) -> ConfigRow:
    """What a run was told, whole; runs of before this was kept have their values only."""
    c = pfw_attempt_config.c
    row = conn.execute(
        select(c.settings, c.modules, c.software).where(c.pfw_attempt_id == attempt_id)
    ).first()
    if row is None:
        return ConfigRow(dict(values(conn, attempt_id)), {}, [])
    return ConfigRow(json.loads(row.settings), json.loads(row.modules), json.loads(row.software))


#: Columns of ``desdm history``, with what they are.
HISTORY_COLUMNS: dict[str, str] = {
    "run": "name of the run",
    "pipeline": "pipeline",
    "project": "project",
    "campaign": "campaign",
    "state": "processing state",
    "data_state": "what its data are worth",
    "run_class": "purpose: survey is production",
    "operator": "who submitted it",
    "submittime": "submission, UTC",
    "endtime": "end, UTC",
    "wall_s": "seconds from submission to end",
    "jobs": "jobs expected",
    "wrappers": "wrappers expected",
    "wrappers_done": "wrappers done",
    "comment": "why it ended as it did",
}


def history(conn: Connection, where: Mapping[str, str], limit: int | None) -> list[dict[str, Any]]:
    """Runs with the columns of `HISTORY_COLUMNS`."""
    records = []
    for row in runs(conn, where, limit):
        fields = row._asdict()
        seconds = None if row.endtime is None else (row.endtime - row.submittime).total_seconds()
        records.append({**{k: fields.get(k) for k in HISTORY_COLUMNS}, "wall_s": seconds})
    return records
