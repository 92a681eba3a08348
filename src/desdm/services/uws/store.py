"""SQL of asynchronous jobs: records, and conditional changes of phase that only one process can make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Select, and_, case, delete, func, insert, not_, select, update

from desdm.schema.service import uws_job, uws_parameter, uws_result
from desdm.schema.states import Phase
from desdm.services.uws.model import BLOCKING, Job, Owner, Parameters, Result

__all__ = [
    "add",
    "add_parameters",
    "change",
    "claim",
    "expired",
    "finish",
    "forgotten",
    "grow",
    "job",
    "jobs",
    "now",
    "phases",
    "queued",
    "remove",
    "requeue",
    "running",
    "usage",
]

_JOB = tuple(name for name in Job.__slots__ if name not in ("parameters", "results"))
_SELECT = select(*(uws_job.c[name] for name in _JOB))


def now() -> datetime:
    """Return the current time in UTC, without zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def add(conn: Connection, record: Job) -> None:
    """Insert a job with its parameters."""
    conn.execute(insert(uws_job), {name: getattr(record, name) for name in _JOB})
    add_parameters(conn, record.id, record.parameters)


def add_parameters(conn: Connection, job_id: str, parameters: Parameters) -> None:
    """Add parameters to a job.

    Parameters
    ----------
    conn
        Connection to the service database.
    job_id
        Job.
    parameters
        (name, value); ``UPLOAD`` is appended to existing values, any other name replaces its values.
    """
    names = {name for name, _ in parameters if name != "UPLOAD"}
    if names:
        conn.execute(
            delete(uws_parameter).where(uws_parameter.c.job_id == job_id, uws_parameter.c.name.in_(names))
        )
    last = conn.execute(
        select(func.max(uws_parameter.c.ordinal)).where(uws_parameter.c.job_id == job_id)
    ).scalar()
    first = 0 if last is None else last + 1
    rows = [
        {"job_id": job_id, "ordinal": first + n, "name": name, "value": value}
        for n, (name, value) in enumerate(parameters)
    ]
    if rows:
        conn.execute(insert(uws_parameter), rows)


def job(conn: Connection, service: str, job_id: str) -> Job | None:
    """Return a job with parameters and results.

    Parameters
    ----------
    conn
        Connection to the service database.
    service, job_id
        Kind of the job and its identifier.

    Returns
    -------
    Job or None
        None if there is no such job.
    """
    records = _records(conn, _SELECT.where(uws_job.c.id == job_id, uws_job.c.service == service))
    return records[0] if records else None


def jobs(
    conn: Connection,
    service: str,
    owner: str | None,
    *,
    phases: Sequence[Phase] = (),
    after: datetime | None = None,
    last: int | None = None,
) -> list[Job]:
    """Return jobs, newest first (UWS 1.1, 2.2.2.1).

    Parameters
    ----------
    conn
        Connection to the service database.
    service
        Kind of the jobs.
    owner
        Login; empty: anonymous jobs; None: all jobs.
    phases
        Only these phases; empty: all but ARCHIVED.
    after
        Only jobs created after this time, UTC.
    last
        Only so many of the newest jobs.

    Returns
    -------
    list of Job
        The jobs.
    """
    query = _SELECT.where(uws_job.c.service == service)
    if owner is not None:
        query = query.where(uws_job.c.owner == owner)
    # Archived jobs are returned on request only.
    query = query.where(uws_job.c.phase.in_(phases) if phases else uws_job.c.phase != Phase.ARCHIVED)
    if after is not None:
        query = query.where(uws_job.c.creation_time > after)
    return _records(conn, query.order_by(uws_job.c.creation_time.desc(), uws_job.c.id).limit(last))


def phases(conn: Connection, job_ids: Iterable[str]) -> dict[str, Phase]:
    """Return the phases of those of some jobs that still exist."""
    query = select(uws_job.c.id, uws_job.c.phase).where(uws_job.c.id.in_(list(job_ids)))
    return {row.id: Phase(row.phase) for row in conn.execute(query)}


def queued(
    conn: Connection, service: str, without: Iterable[Owner] = (), limit: int | None = None
) -> list[Job]:
    """Return queued jobs, oldest first.

    Parameters
    ----------
    conn
        Connection to the service database.
    service
        Kind of the jobs.
    without
        Owners whose jobs are skipped.
    limit
        Largest number of jobs.

    Returns
    -------
    list of Job
        The jobs.
    """
    query = _SELECT.where(uws_job.c.service == service, uws_job.c.phase == Phase.QUEUED)
    for login, address in without:
        own = uws_job.c.owner == login if login else and_(uws_job.c.owner == "", uws_job.c.address == address)
        query = query.where(not_(own))
    return _records(conn, query.order_by(uws_job.c.creation_time, uws_job.c.id).limit(limit))


def running(conn: Connection, service: str) -> list[Job]:
    """Return the jobs that run, on any server."""
    return _records(conn, _SELECT.where(uws_job.c.service == service, uws_job.c.phase == Phase.EXECUTING))


def expired(conn: Connection, service: str) -> list[str]:
    """Return the jobs whose destruction time has passed."""
    query = select(uws_job.c.id).where(uws_job.c.service == service, uws_job.c.destruction <= now())
    return list(conn.execute(query).scalars())


def forgotten(conn: Connection, service: str, seconds: float) -> list[str]:
    """Return old jobs that were never started.

    Parameters
    ----------
    conn
        Connection to the service database.
    service
        Kind of the jobs.
    seconds
        Least age.

    Returns
    -------
    list of str
        Identifiers.
    """
    query = select(uws_job.c.id).where(
        uws_job.c.service == service,
        uws_job.c.phase == Phase.PENDING.value,
        uws_job.c.creation_time < now() - timedelta(seconds=seconds),
    )
    return list(conn.execute(query).scalars())


def usage(conn: Connection, owner: str, address: str) -> tuple[int, int]:
    """Return the use of an owner.

    Parameters
    ----------
    conn
        Connection to the service database.
    owner
        Login; empty: anonymous callers at the address.
    address
        Address of the caller.

    Returns
    -------
    tuple of int
        Number of jobs that have not ended, and bytes of all jobs.
    """
    conditions = [uws_job.c.owner == owner]
    if not owner:
        conditions.append(uws_job.c.address == address)
    waiting = func.sum(case((uws_job.c.phase.in_([p.value for p in BLOCKING]), 1), else_=0))
    row = conn.execute(
        select(func.coalesce(waiting, 0), func.coalesce(func.sum(uws_job.c.size), 0)).where(*conditions)
    ).one()
    return int(row[0]), int(row[1])


def grow(conn: Connection, job_id: str, size: int) -> None:
    """Increase the size of a job.

    Parameters
    ----------
    conn
        Connection to the service database.
    job_id
        Job.
    size
        Bytes to add.
    """
    conn.execute(update(uws_job).where(uws_job.c.id == job_id).values(size=uws_job.c.size + size))


def change(conn: Connection, job_id: str, before: Iterable[Phase], **values: object) -> bool:
    """Change a job if it is in one of some phases.

    Parameters
    ----------
    conn
        Connection to the service database.
    job_id
        Job.
    before
        Phases in which the change is allowed.
    values
        New values by column.

    Returns
    -------
    bool
        Whether the job was changed.
    """
    query = update(uws_job).where(uws_job.c.id == job_id, uws_job.c.phase.in_([p.value for p in before]))
    return bool(conn.execute(query.values(**values)).rowcount)


def claim(conn: Connection, job_id: str, server: str) -> bool:
    """Claim a queued job for a server.

    Parameters
    ----------
    conn
        Connection to the service database.
    job_id
        Job.
    server
        Name of the server.

    Returns
    -------
    bool
        False if another server was first.
    """
    values = {"phase": Phase.EXECUTING, "server": server, "start_time": now(), "tries": uws_job.c.tries + 1}
    return change(conn, job_id, (Phase.QUEUED,), **values)


def finish(
    conn: Connection,
    job_id: str,
    server: str,
    phase: Phase,
    results: Sequence[Result] = (),
    *,
    error_type: str | None = None,
    error_message: str | None = None,
) -> bool:
    """Write the end of a job that a server runs.

    Parameters
    ----------
    conn
        Connection to the service database.
    job_id, server
        Job, and the server that runs it.
    phase
        Final phase.
    results
        Result files.
    error_type, error_message
        Error, if it failed.

    Returns
    -------
    bool
        False if it was aborted, deleted or requeued meanwhile.
    """
    query = update(uws_job).where(
        uws_job.c.id == job_id, uws_job.c.phase == Phase.EXECUTING.value, uws_job.c.server == server
    )
    ended = conn.execute(
        query.values(
            phase=phase,
            end_time=now(),
            error_type=error_type,
            error_message=error_message,
            size=uws_job.c.size + sum(r.filesize for r in results),
        )
    ).rowcount
    if ended and results:
        rows = [
            {
                "job_id": job_id,
                "result_id": r.id,
                "ordinal": n,
                "path": r.path,
                "mime": r.mime,
                "filesize": r.filesize,
            }
            for n, r in enumerate(results)
        ]
        conn.execute(insert(uws_result), rows)
    return bool(ended)


def requeue(conn: Connection, lost: Job) -> bool:
    """Queue a job of a dead server again."""
    query = update(uws_job).where(
        uws_job.c.id == lost.id, uws_job.c.phase == Phase.EXECUTING.value, uws_job.c.server == lost.server
    )
    return bool(conn.execute(query.values(phase=Phase.QUEUED, server=None, start_time=None)).rowcount)


def remove(conn: Connection, job_id: str) -> bool:
    """Delete a job with parameters and results; False if there was none."""
    for table in (uws_result, uws_parameter):
        conn.execute(delete(table).where(table.c.job_id == job_id))
    return bool(conn.execute(delete(uws_job).where(uws_job.c.id == job_id)).rowcount)


def _records(conn: Connection, query: Select[tuple[object, ...]]) -> list[Job]:
    """Load jobs with their parameters and results."""
    rows = list(conn.execute(query))
    ids = [row.id for row in rows]
    parameters: dict[str, list[tuple[str, str]]] = defaultdict(list)
    results: dict[str, list[Result]] = defaultdict(list)
    # Batches of ids, since SQLite bounds the number of parameters of a statement.
    for first in range(0, len(ids), 500):
        batch = ids[first : first + 500]
        query = select(uws_parameter).where(uws_parameter.c.job_id.in_(batch))
        for row in conn.execute(query.order_by(uws_parameter.c.job_id, uws_parameter.c.ordinal)):
            parameters[row.job_id].append((row.name, row.value))
        results_query = select(uws_result).where(uws_result.c.job_id.in_(batch))
        for row in conn.execute(results_query.order_by(uws_result.c.job_id, uws_result.c.ordinal)):
            results[row.job_id].append(Result(row.result_id, row.path, row.mime, row.filesize))
    return [
        Job(
            **{**row._mapping, "phase": Phase(row.phase)},
            parameters=tuple(parameters[row.id]),
            results=tuple(results[row.id]),
        )
        for row in rows
    ]
