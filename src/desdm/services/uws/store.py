"""SQL of asynchronous jobs: records in and out, and changes of phase that only one can make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

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
    "held",
    "job",
    "jobs",
    "now",
    "phases",
    "queued",
    "remove",
    "requeue",
    "running",
]

_JOB = tuple(name for name in Job.__slots__ if name not in ("parameters", "results"))
_SELECT = select(*(uws_job.c[name] for name in _JOB))


def now() -> datetime:
    """The time, UTC, as the database keeps it: without zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def add(conn: Connection, made: Job) -> None:
    """Put in a new job with its parameters."""
    conn.execute(insert(uws_job), {name: getattr(made, name) for name in _JOB})
    add_parameters(conn, made.id, made.parameters)


def add_parameters(conn: Connection, job_id: str, parameters: Parameters) -> None:
    """Add parameters; an ``UPLOAD`` joins those that stand, any other name replaces its values."""
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
    """A job of a service with parameters and results."""
    found = _records(conn, _SELECT.where(uws_job.c.id == job_id, uws_job.c.service == service))
    return found[0] if found else None


def jobs(
    conn: Connection,
    service: str,
    owner: str | None,
    *,
    phases: Sequence[Phase] = (),
    after: datetime | None = None,
    last: int | None = None,
) -> list[Job]:
    """Jobs of an owner (None: of all), newest first, without parameters and results of the archived.

    ``last``: the newest so many only (UWS 1.1, 2.2.2.1).
    """
    query = _SELECT.where(uws_job.c.service == service)
    if owner is not None:
        query = query.where(uws_job.c.owner == owner)
    # Archived jobs are shown only when they are asked for.
    query = query.where(uws_job.c.phase.in_(phases) if phases else uws_job.c.phase != Phase.ARCHIVED)
    if after is not None:
        query = query.where(uws_job.c.creation_time > after)
    return _records(conn, query.order_by(uws_job.c.creation_time.desc(), uws_job.c.id).limit(last))


def phases(conn: Connection, job_ids: Iterable[str]) -> dict[str, Phase]:
    """Phase of each of some jobs that still exist."""
    query = select(uws_job.c.id, uws_job.c.phase).where(uws_job.c.id.in_(list(job_ids)))
    return {row.id: Phase(row.phase) for row in conn.execute(query)}


def queued(
    conn: Connection, service: str, without: Iterable[Owner] = (), limit: int | None = None
) -> list[Job]:
    """Jobs that wait, oldest first, but for those of the owners ``without``; at most ``limit``."""
    query = _SELECT.where(uws_job.c.service == service, uws_job.c.phase == Phase.QUEUED)
    for login, address in without:
        own = uws_job.c.owner == login if login else and_(uws_job.c.owner == "", uws_job.c.address == address)
        query = query.where(not_(own))
    return _records(conn, query.order_by(uws_job.c.creation_time, uws_job.c.id).limit(limit))


def running(conn: Connection, service: str) -> list[Job]:
    """Jobs that run, on any server."""
    return _records(conn, _SELECT.where(uws_job.c.service == service, uws_job.c.phase == Phase.EXECUTING))


def expired(conn: Connection, service: str) -> list[str]:
    """Jobs whose destruction time has come."""
    query = select(uws_job.c.id).where(uws_job.c.service == service, uws_job.c.destruction <= now())
    return list(conn.execute(query).scalars())


def forgotten(conn: Connection, service: str, seconds: float) -> list[str]:
    """Jobs that were made so long ago and were never started."""
    query = select(uws_job.c.id).where(
        uws_job.c.service == service,
        uws_job.c.phase == Phase.PENDING.value,
        uws_job.c.creation_time < now() - timedelta(seconds=seconds),
    )
    return list(conn.execute(query).scalars())


def held(conn: Connection, owner: str, address: str) -> tuple[int, int]:
    """How many jobs of an owner have not ended, and the bytes of all; an empty owner is everybody at the address."""
    whose = [uws_job.c.owner == owner]
    if not owner:
        whose.append(uws_job.c.address == address)
    waiting = func.sum(case((uws_job.c.phase.in_([p.value for p in BLOCKING]), 1), else_=0))
    row = conn.execute(
        select(func.coalesce(waiting, 0), func.coalesce(func.sum(uws_job.c.size), 0)).where(*whose)
    ).one()
    return int(row[0]), int(row[1])


def grow(conn: Connection, job_id: str, size: int) -> None:
    """Count more bytes to the room that a job takes."""
    conn.execute(update(uws_job).where(uws_job.c.id == job_id).values(size=uws_job.c.size + size))


def change(conn: Connection, job_id: str, before: Iterable[Phase], **values: Any) -> bool:
    """Change a job if it is in a phase of ``before``; whether it was."""
    query = update(uws_job).where(uws_job.c.id == job_id, uws_job.c.phase.in_([p.value for p in before]))
    return bool(conn.execute(query.values(**values)).rowcount)


def claim(conn: Connection, job_id: str, server: str) -> bool:
    """Take a waiting job up; False if another server was first."""
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
    """End a job that ``server`` runs; False if it was aborted, deleted or given away meanwhile."""
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
    """Let a job whose server is gone wait for its turn again."""
    query = update(uws_job).where(
        uws_job.c.id == lost.id, uws_job.c.phase == Phase.EXECUTING.value, uws_job.c.server == lost.server
    )
    return bool(conn.execute(query.values(phase=Phase.QUEUED, server=None, start_time=None)).rowcount)


def remove(conn: Connection, job_id: str) -> bool:
    """Delete a job with parameters and results; False if there was none."""
    for table in (uws_result, uws_parameter):
        conn.execute(delete(table).where(table.c.job_id == job_id))
    return bool(conn.execute(delete(uws_job).where(uws_job.c.id == job_id)).rowcount)


def _records(conn: Connection, query: Select[Any]) -> list[Job]:
    rows = list(conn.execute(query))
    ids = [row.id for row in rows]
    parameters: dict[str, list[tuple[str, str]]] = defaultdict(list)
    results: dict[str, list[Result]] = defaultdict(list)
    # Some hundred ids at a time: SQLite bounds the number of parameters of a statement.
    for first in range(0, len(ids), 500):
        some = ids[first : first + 500]
        held = select(uws_parameter).where(uws_parameter.c.job_id.in_(some))
        for row in conn.execute(held.order_by(uws_parameter.c.job_id, uws_parameter.c.ordinal)):
            parameters[row.job_id].append((row.name, row.value))
        made = select(uws_result).where(uws_result.c.job_id.in_(some))
        for row in conn.execute(made.order_by(uws_result.c.job_id, uws_result.c.ordinal)):
            results[row.job_id].append(Result(row.result_id, row.path, row.mime, row.filesize))
    return [
        Job(
            **{**row._mapping, "phase": Phase(row.phase)},
            parameters=tuple(parameters[row.id]),
            results=tuple(results[row.id]),
        )
        for row in rows
    ]
