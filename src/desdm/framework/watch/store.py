"""Queries of run monitoring; they only read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from sqlalchemy import Connection, Row, case, exists, false, func, or_, select

from desdm.errors import UsageError
from desdm.framework.model import Value
from desdm.processes import process_exists
from desdm.schema import (
    desfile,
    file_archive_info,
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
from desdm.schema.currentstate import state_now
from desdm.schema.runname import RunName
from desdm.schema.states import AttemptState, CopyState, DataState, JobState, RunClass, WrapperState
from desdm.wcl import Tree

__all__ = [
    "HISTORY_COLUMNS",
    "BlockRow",
    "ConfigRow",
    "JobRow",
    "MessageRow",
    "MetricRow",
    "OwnSoftware",
    "RunRow",
    "SoftwareRow",
    "WrapperRow",
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
    """A message of the quality controls."""

    level: int
    module: str
    wrapkeys: str
    pattern: str
    action: str
    text: str
    log: str
    line: int


#: Columns of runs with fixed values.
_RUNNING, _INTERRUPTED = AttemptState.RUNNING.value, AttemptState.INTERRUPTED.value
_PLANNED = AttemptState.PLANNED.value
_STATES: Mapping[str, type[AttemptState | DataState | RunClass]] = {
    "state": AttemptState,
    "data_state": DataState,
    "run_class": RunClass,
}


def runs(
    conn: Connection, where: Mapping[str, str], limit: int | None, numbers: Sequence[int] | None = None
) -> list[RunRow]:
    """Return attempts, newest first.

    Parameters
    ----------
    conn
        The database.
    where
        Values by column (unitname, reqnum, pipeline, state, operator …).
    limit
        At most so many; None: all.
    numbers
        Only of these attempts; None: of all.

    Raises
    ------
    UsageError
        A column is not known.
    """
    a, r = pfw_attempt.c, pfw_request.c
    query = (
        select(
            a.id,
            a.unitname,
            a.reqnum,
            a.attnum,
            a.pipeprod,
            r.project,
            r.campaign,
            a.state,
            a.data_state,
            a.run_class,
            a.operator,
            a.submittime,
            a.endtime,
            a.heartbeat,
            a.numexpjobs,
            a.numexpwrap,
            a.submitter_host,
            a.submitter_pid,
            a.submitter_start,
            a.comment,
        )
        .join(pfw_request, r.reqnum == a.reqnum)
        .order_by(a.id.desc())
    )
    if numbers is not None:
        query = query.where(a.id.in_(list(numbers)))
    columns = {
        "unitname": a.unitname,
        "reqnum": a.reqnum,
        "pipeline": a.pipeprod,
        "state": a.state,
        "operator": a.operator,
        "project": r.project,
        "campaign": r.campaign,
        "data_state": a.data_state,
        "run_class": a.run_class,
    }
    wanted: set[str] = set()
    for key, text in where.items():
        values = [part.strip() for part in text.split(",") if part.strip()]
        if key == "run":
            names = [RunName.parse(value) for value in values]
            query = query.where(
                or_(
                    false(),
                    *(
                        (a.unitname == n.unitname) & (a.reqnum == n.reqnum) & (a.attnum == n.attnum)
                        for n in names
                        if n is not None
                    ),
                )
            )
            continue
        if key not in columns:
            raise UsageError(f"--where {key}: runs are selected by run, {', '.join(columns)}")
        if key == "reqnum":
            query = query.where(a.reqnum.in_([int(value) for value in values if value.isdecimal()]))
            continue
        if kind := _STATES.get(key):
            known = {member.value.lower(): member.value for member in kind}
            unknown = [value for value in values if value.lower() not in known]
            if unknown or not values:
                raise UsageError(f"{key}={text}: the values are {', '.join(known.values())}")
            values = [known[value.lower()] for value in values]
        if key == "state":
            wanted = {*values}
            # The submitter of a run may have gone without a word; its row then says running.
            values = [*values, *([_RUNNING] if _INTERRUPTED in wanted else [])]
        query = query.where(columns[key].in_(values or [text]))
    split = wanted & {_RUNNING, _INTERRUPTED}
    rows = conn.execute(query if limit is None or split else query.limit(limit)).all()
    if split:
        rows = [row for row in rows if _state_now(row) in wanted][:limit]
    ids = [row.id for row in rows]
    job_counts = _job_counts(conn, ids if limit is not None else None)
    wrappers_done = _wrapper_counts(conn, ids if limit is not None else None)
    return [
        RunRow(
            row.id,
            RunName(row.unitname, row.reqnum, row.attnum).text,
            row.pipeprod,
            row.project,
            row.campaign,
            _state_now(row),
            row.data_state,
            row.run_class,
            row.operator,
            row.submittime,
            row.endtime,
            row.heartbeat,
            row.numexpjobs,
            row.numexpwrap,
            *job_counts.get(row.id, (0, 0)),
            wrappers_done.get(row.id, 0),
            row.submitter_host,
            row.submitter_pid,
            row.submitter_start,
            _comment_now(row),
        )
        for row in rows
    ]


def _comment_now(row: Row[*tuple[Any, ...]]) -> str | None:
    """Why a run is in its state; of one whose submitter is gone, that nobody goes on with it and what does."""
    lost = row.state in (_RUNNING, _PLANNED) and row.submitter_pid is not None
    if not lost or process_exists(row.submitter_host, row.submitter_pid, row.submitter_start):
        return None if row.comment is None else str(row.comment)
    next_ = f"next: desdm resume {RunName(row.unitname, row.reqnum, row.attnum).text}"
    return f"its submitter is no longer running{' before it began' if row.state == _PLANNED else ''}; {next_}"


def _state_now(row: Row[*tuple[Any, ...]]) -> str:
    """The state of a run; one that its row says is running is interrupted if its submitter is gone."""
    submitter = row.submitter_host, row.submitter_pid, row.submitter_start
    return state_now(AttemptState(row.state), *submitter).value


def _job_counts(conn: Connection, ids: Sequence[int] | None) -> dict[int, tuple[int, int]]:
    """Return done and failed jobs by attempt."""
    j = pfw_job.c
    done = func.sum(case((j.state == JobState.DONE, 1), else_=0))
    failed = func.sum(case((j.state.in_([JobState.FAILED, JobState.LOST]), 1), else_=0))
    query = select(j.pfw_attempt_id, done, failed).group_by(j.pfw_attempt_id)
    if ids is not None:
        query = query.where(j.pfw_attempt_id.in_(ids))
    return {row[0]: (row[1], row[2]) for row in conn.execute(query)}


def _wrapper_counts(conn: Connection, ids: Sequence[int] | None) -> dict[int, int]:
    """Return the number of completed wrappers by attempt."""
    w = pfw_wrapper.c
    query = select(w.pfw_attempt_id, func.count()).where(
        w.state.in_([WrapperState.DONE, WrapperState.REUSED])
    )
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
            func.sum(case((j.state == JobState.DONE, 1), else_=0)),
            func.sum(case((j.state.in_([JobState.FAILED, JobState.LOST]), 1), else_=0)),
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


class JobRow(TypedDict):
    """A job of a run, as ``desdm show --json`` prints it."""

    jobnum: int
    jobkeys: str
    state: str
    tries: int
    expect_num_wrap: int
    jobroot: str | None
    junktar: str | None
    comment: str | None
    start_time: datetime | None
    end_time: datetime | None


class WrapperRow(TypedDict):
    """A wrapper of a run, as ``desdm show --json`` prints it."""

    wrapnum: int
    modname: str
    wrapkeys: str
    state: str
    log: str | None
    diskusage: int | None
    start_time: datetime | None
    end_time: datetime | None


class MetricRow(TypedDict):
    """A QA number of a run, as ``desdm show --json`` prints it."""

    modname: str
    wrapkeys: str
    band: str
    name: str
    value: float
    unit: str
    text: str


class SoftwareRow(TypedDict):
    """A program of a run, as ``desdm show --json`` prints it."""

    name: str
    version: str
    digest: str | None
    runs: int
    cpu_s: float | None
    maxrss_kb: int | None


class OwnSoftware(TypedDict):
    """A piece of the system's own software, as the configuration of a run records it."""

    name: str
    version: str
    digest: str


def jobs(conn: Connection, attempt_id: int) -> list[JobRow]:
    """Jobs of a run with their times."""
    j = pfw_job.c
    query = (
        select(
            j.jobnum,
            j.jobkeys,
            j.state,
            j.tries,
            j.expect_num_wrap,
            j.jobroot,
            j.junktar,
            j.comment,
            task.c.start_time,
            task.c.end_time,
        )
        .join(task, task.c.id == j.task_id)
        .where(j.pfw_attempt_id == attempt_id)
        .order_by(j.jobnum)
    )
    return [
        JobRow(
            jobnum=row.jobnum,
            jobkeys=row.jobkeys,
            state=row.state,
            tries=row.tries,
            expect_num_wrap=row.expect_num_wrap,
            jobroot=row.jobroot,
            junktar=row.junktar,
            comment=row.comment,
            start_time=row.start_time,
            end_time=row.end_time,
        )
        for row in conn.execute(query)
    ]


def wrappers(conn: Connection, attempt_id: int) -> list[WrapperRow]:
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
    return [
        WrapperRow(
            wrapnum=row.wrapnum,
            modname=row.modname,
            wrapkeys=row.wrapkeys,
            state=row.state,
            log=row.log,
            diskusage=row.diskusage,
            start_time=row.start_time,
            end_time=row.end_time,
        )
        for row in conn.execute(query)
    ]


def messages(conn: Connection, attempt_id: int, level: int = 3, limit: int | None = None) -> list[MessageRow]:
    """Return the messages of a run, the most severe first.

    Parameters
    ----------
    conn, attempt_id
        The database and the attempt.
    level
        Highest level: 1 errors only, 2 and warnings, 3 all.
    limit
        At most so many; None: all.
    """
    m, w = task_message.c, pfw_wrapper.c
    query = (
        select(
            m.message_lvl,
            func.coalesce(w.modname, ""),
            func.coalesce(w.wrapkeys, ""),
            m.pattern,
            m.action,
            m.message,
            m.log_file,
            m.log_line,
        )
        .outerjoin(pfw_wrapper, w.task_id == m.task_id)
        .where(m.pfw_attempt_id == attempt_id, m.message_lvl <= level)
        .order_by(m.message_lvl, m.id)
    )
    return [MessageRow._make(row) for row in conn.execute(query if limit is None else query.limit(limit))]


def metrics(conn: Connection, attempt_id: int) -> list[MetricRow]:
    """QA numbers of a run."""
    q, w = qa_metric.c, pfw_wrapper.c
    query = (
        select(w.modname, q.wrapkeys, q.band, q.name, q.value, q.unit, q.text)
        .join(pfw_wrapper, w.task_id == q.task_id)
        .where(q.pfw_attempt_id == attempt_id)
        .order_by(w.wrapnum, q.name)
    )
    return [
        MetricRow(
            modname=row.modname,
            wrapkeys=row.wrapkeys,
            band=row.band,
            name=row.name,
            value=row.value,
            unit=row.unit,
            text=row.text,
        )
        for row in conn.execute(query)
    ]


def software(conn: Connection, attempt_id: int) -> list[SoftwareRow]:
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
        # By its wrapper, on which the table has an index.
        .join(pfw_wrapper, pfw_wrapper.c.task_id == e.pfw_wrapper_task_id)
        .where(pfw_wrapper.c.pfw_attempt_id == attempt_id)
        .group_by(e.name, e.version, e.digest)
        .order_by(e.name)
    )
    return [
        SoftwareRow(
            name=row.name,
            version=row.version,
            digest=row.digest,
            runs=row.runs,
            cpu_s=row.cpu_s,
            maxrss_kb=row.maxrss_kb,
        )
        for row in conn.execute(query)
    ]


class FileTypeRow(NamedTuple):
    """Outputs of a run of one file type: how many files and bytes it registered, and how many files were deleted since."""

    filetype: str
    files: int
    bytes: int
    deleted: int


def files_by_type(conn: Connection, attempt_id: int) -> list[FileTypeRow]:
    """Return the outputs of a run by file type."""
    place = file_archive_info.c
    present = exists().where(place.desfile_id == desfile.c.id, place.state != CopyState.TRASH.value)
    query = (
        select(
            desfile.c.filetype,
            func.count(),
            func.sum(desfile.c.filesize),
            func.sum(case((present, 0), else_=1)),
        )
        .where(desfile.c.pfw_attempt_id == attempt_id)
        .group_by(desfile.c.filetype)
        .order_by(desfile.c.filetype)
    )
    return [FileTypeRow(row[0], row[1], int(row[2]), int(row[3])) for row in conn.execute(query)]


def values(conn: Connection, attempt_id: int) -> dict[str, str]:
    """Settings of a run."""
    v = pfw_attempt_val.c
    query = select(v.key, v.val).where(v.pfw_attempt_id == attempt_id).order_by(v.key)
    return {row[0]: row[1] for row in conn.execute(query)}


class ConfigRow(NamedTuple):
    """The configuration of a run: settings with their sections, those of each module, the system's own software."""

    settings: Tree
    modules: dict[str, Tree]
    software: list[OwnSoftware]


def configuration(conn: Connection, attempt_id: int) -> ConfigRow:
    """Return the configuration of a run; runs that are older than this record have their values only."""
    c = pfw_attempt_config.c
    row = conn.execute(
        select(c.settings, c.modules, c.software).where(c.pfw_attempt_id == attempt_id)
    ).first()
    if row is None:
        return ConfigRow({**values(conn, attempt_id)}, {}, [])
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


def history(conn: Connection, where: Mapping[str, str], limit: int | None) -> list[dict[str, Value]]:
    """Return runs with the columns of `HISTORY_COLUMNS`.

    Parameters
    ----------
    conn
        The database.
    where
        Values by column, as for `runs`.
    limit
        At most so many; None: all.
    """
    records = []
    for row in runs(conn, where, limit):
        fields = row._asdict()
        seconds = None if row.endtime is None else (row.endtime - row.submittime).total_seconds()
        records.append({**{k: fields.get(k) for k in HISTORY_COLUMNS}, "wall_s": seconds})
    return records
