"""The SQL of the pages of operations: narrow queries on indexed columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, func, select

from desdm.archive.store.common import among, packed
from desdm.schema import (
    desfile,
    event,
    image,
    opm_used,
    pfw_attempt,
    pfw_block,
    pfw_job,
    pfw_request,
    task,
)
from desdm.schema.arrival import delivery, delivery_expected
from desdm.schema.operationstates import QueueState
from desdm.schema.queue import ops_auto_queue
from desdm.schema.runname import RunName
from desdm.schema.states import AttemptState, JobState, RunClass
from desdm.schema.store import exposure_name

__all__ = [
    "InputCount",
    "JobNode",
    "ProductCount",
    "RelatedRun",
    "RunFilter",
    "campaigns",
    "inputs_by_type",
    "job_nodes",
    "last_nites",
    "near_nites",
    "newest_event",
    "newest_nite",
    "open_rows",
    "product_counts",
    "related_runs",
    "run_numbers",
    "units_of_nite",
    "unqueued_counts",
]

#: Indexed columns with the nights of what has arrived; what is listed is expected only.
_NITES: Sequence[Column[str]] = (delivery.c.nite, image.c.nite, ops_auto_queue.c.nite)
_OPEN = (QueueState.SUBMITTED, QueueState.WAITING, QueueState.HELD, QueueState.GAVE_UP)


class NearNites(NamedTuple):
    """The nights with data before and after a night; empty: none."""

    earlier: str
    later: str


def newest_nite(conn: Connection) -> str:
    """Return the newest night with data, else the newest that the observatory lists; empty: there is none."""
    newest = [conn.execute(select(func.max(column))).scalar() or "" for column in _NITES]
    return max(newest) or str(conn.execute(select(func.max(delivery_expected.c.nite))).scalar() or "")


def near_nites(conn: Connection, nite: str) -> NearNites:
    """Return the nights with data before and after a night."""
    before = [conn.execute(select(func.max(c)).where(c < nite)).scalar() or "" for c in _NITES]
    after = [conn.execute(select(func.min(c)).where(c > nite)).scalar() for c in _NITES]
    return NearNites(max(before), min((name for name in after if name), default=""))


def open_rows(conn: Connection) -> dict[QueueState, int]:
    """Return how many rows of the queue are in each state that is not an end."""
    state = ops_auto_queue.c.state
    query = select(state, func.count()).where(state.in_([s.value for s in _OPEN])).group_by(state)
    counts = dict.fromkeys(_OPEN, 0)
    return counts | {QueueState(name): int(count) for name, count in conn.execute(query)}


def newest_event(conn: Connection) -> int:
    """Return the number of the newest event; 0: there is none."""
    return int(conn.execute(select(func.max(event.c.id))).scalar() or 0)


# -- nights and pipelines


class ProductCount(NamedTuple):
    """How many units of a night and pipeline are in a state: of the queue, or of the attempt that ended or runs."""

    nite: str
    pipeline: str
    campaign: str
    state: QueueState | AttemptState
    units: int


def last_nites(conn: Connection, count: int, until: str = "") -> list[str]:
    """Return the newest nights with data, newest first.

    Parameters
    ----------
    conn
        The database.
    count
        So many.
    until
        Last night; empty: the newest.
    """
    nites: set[str] = set()
    for column in (image.c.nite, ops_auto_queue.c.nite):
        # In the order of its index: it ends after so many nights.
        query = select(column).where(column.is_not(None)).distinct().order_by(column.desc()).limit(count)
        nites |= set(conn.execute(query.where(column <= until) if until else query).scalars())
    return sorted(nites, reverse=True)[:count]


def product_counts(conn: Connection, nites: Sequence[str], campaign: str) -> list[ProductCount]:
    """Return the units of nights that the queue has, by night, pipeline, campaign and state.

    Parameters
    ----------
    conn
        The database.
    nites
        The nights.
    campaign
        Campaign of the rows; empty: all.
    """
    q, a = ops_auto_queue.c, pfw_attempt.c
    columns = (q.nite, q.pipeline, q.campaign, q.state, a.state)
    query = (
        select(*columns, func.count())
        .select_from(ops_auto_queue.outerjoin(pfw_attempt, a.id == q.pfw_attempt_id))
        .where(q.nite.in_(list(nites)))
        .group_by(*columns)
    )
    if campaign:
        query = query.where(q.campaign == campaign)
    counts: dict[tuple[str, str, str, QueueState | AttemptState], int] = {}
    for nite, pipeline, of_campaign, row, attempt, count in conn.execute(query):
        state: QueueState | AttemptState = QueueState(row)
        # What an attempt came to says more than that the queue is done with it.
        if state in (QueueState.DONE, QueueState.SUBMITTED) and attempt is not None:
            state = AttemptState(attempt)
        key = (nite, pipeline, of_campaign, state)
        counts[key] = counts.get(key, 0) + int(count)
    return [ProductCount(*key, count) for key, count in counts.items()]


def unqueued_counts(conn: Connection, nite: str, campaign: str) -> list[ProductCount]:
    """Return the units of a night by pipeline, campaign and state of their newest attempt, as the runs themselves say.

    Trials do not count: they are no attempts at the products of a night.

    Parameters
    ----------
    conn
        The database.
    nite
        The night.
    campaign
        Campaign of the runs; empty: all.
    """
    a, r = pfw_attempt.c, pfw_request.c
    query = (
        select(a.unitname, a.pipeprod, r.campaign, a.state)
        .join(pfw_request, r.reqnum == a.reqnum)
        .where(*_of_units(conn), a.run_class == RunClass.SURVEY.value)
        .order_by(a.id)
    )
    if campaign:
        query = query.where(r.campaign == campaign)
    rows = conn.execute(query, {"among": packed(conn, units_of_nite(conn, nite))})
    newest = {(row.unitname, row.pipeprod, row.campaign): AttemptState(row.state) for row in rows}
    counts: dict[tuple[str, str, AttemptState], int] = {}
    for (_, pipeline, name), state in newest.items():
        counts[pipeline, name, state] = counts.get((pipeline, name, state), 0) + 1
    return [ProductCount(nite, *key, count) for key, count in counts.items()]


def units_of_nite(conn: Connection, nite: str) -> list[str]:
    """Return the units of a night: itself, and its exposures."""
    q, i = ops_auto_queue.c, image.c
    queued = set(conn.execute(select(q.unitname).where(q.nite == nite)).scalars())
    if queued:
        return sorted({nite, *queued})
    numbers = conn.execute(select(i.expnum).where(i.nite == nite, i.expnum.is_not(None)).distinct()).scalars()
    return sorted({nite, *(exposure_name(number) for number in numbers)})


def campaigns(conn: Connection) -> list[str]:
    """Return the campaigns of all requests."""
    query = select(pfw_request.c.campaign).distinct().order_by(pfw_request.c.campaign)
    return [str(name) for name in conn.execute(query).scalars()]


# -- runs


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are wanted; the default is all.

    Attributes
    ----------
    pipeline, campaign, unit
        Pipeline, campaign and unit.
    nite
        Runs on a night or an exposure of it.
    states
        States by their rows.
    before
        Only runs with smaller numbers: the next page.
    """

    pipeline: str = ""
    campaign: str = ""
    unit: str = ""
    nite: str = ""
    states: tuple[AttemptState, ...] = ()
    before: int | None = None


def _of_units(conn: Connection) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Conditions that an attempt is on one of the units ``among``: with the request first, as its index has them."""
    requests = select(pfw_request.c.reqnum).scalar_subquery()
    return pfw_attempt.c.reqnum.in_(requests), among(conn, pfw_attempt.c.unitname)


def run_numbers(conn: Connection, wanted: RunFilter, limit: int) -> list[int]:
    """Return the numbers of attempts, newest first.

    Parameters
    ----------
    conn
        The database.
    wanted
        Which.
    limit
        At most so many.
    """
    a = pfw_attempt.c
    query = select(a.id).order_by(a.id.desc()).limit(limit)
    parameters = {}
    if wanted.pipeline:
        query = query.where(a.pipeprod == wanted.pipeline)
    if wanted.states:
        query = query.where(a.state.in_([state.value for state in wanted.states]))
    if wanted.before is not None:
        query = query.where(a.id < wanted.before)
    if wanted.campaign:
        of_campaign = select(pfw_request.c.reqnum).where(pfw_request.c.campaign == wanted.campaign)
        query = query.where(a.reqnum.in_(of_campaign))
    units = [wanted.unit] if wanted.unit else units_of_nite(conn, wanted.nite) if wanted.nite else []
    if units:
        query = query.where(*_of_units(conn))
        parameters["among"] = packed(conn, units)
    return [int(number) for number in conn.execute(query, parameters).scalars()]


class RelatedRun(NamedTuple):
    """Another attempt at the same unit, and the number of the one that it replaces (None: none)."""

    id: int
    run: str
    state: AttemptState
    submittime: datetime
    replaces_id: int | None


def related_runs(conn: Connection, unit: str, pipeline: str) -> list[RelatedRun]:
    """Return the attempts at a unit by a pipeline, newest first.

    Parameters
    ----------
    conn
        The database.
    unit
        The unit.
    pipeline
        The pipeline.
    """
    a = pfw_attempt.c
    columns = (a.id, a.unitname, a.reqnum, a.attnum, a.state, a.submittime, a.replaces_id)
    query = select(*columns).where(*_of_units(conn), a.pipeprod == pipeline).order_by(a.id.desc())
    return [
        RelatedRun(
            row.id,
            RunName(row.unitname, row.reqnum, row.attnum).text,
            AttemptState(row.state),
            row.submittime,
            row.replaces_id,
        )
        for row in conn.execute(query, {"among": packed(conn, [unit])})
    ]


class JobNode(NamedTuple):
    """A job in the graph of a run."""

    number: int
    block: int
    block_name: str
    modules: str
    keys: str
    state: JobState
    tries: int
    comment: str
    start: datetime | None
    end: datetime | None


def job_nodes(conn: Connection, attempt_id: int) -> list[JobNode]:
    """Return the jobs of an attempt with their blocks, in the order of their numbers."""
    j, b = pfw_job.c, pfw_block.c
    query = (
        select(
            j.jobnum,
            b.blknum,
            b.name,
            b.modulelist,
            j.jobkeys,
            j.state,
            j.tries,
            j.comment,
            task.c.start_time,
            task.c.end_time,
        )
        .select_from(
            pfw_job.join(pfw_block, b.task_id == j.pfw_block_task_id).join(task, task.c.id == j.task_id)
        )
        .where(j.pfw_attempt_id == attempt_id)
        .order_by(j.jobnum)
    )
    return [
        JobNode(
            row.jobnum,
            row.blknum,
            row.name,
            row.modulelist,
            row.jobkeys or "",
            JobState(row.state),
            row.tries,
            row.comment or "",
            row.start_time,
            row.end_time,
        )
        for row in conn.execute(query)
    ]


class InputCount(NamedTuple):
    """Files of a type that a run used."""

    filetype: str
    files: int


def inputs_by_type(conn: Connection, attempt_id: int, task_id: int) -> list[InputCount]:
    """Return the files of others that a run used, by type.

    Parameters
    ----------
    conn
        The database.
    attempt_id, task_id
        The attempt, and the task of the whole run.
    """
    d, u = desfile.c, opm_used.c
    query = (
        select(d.filetype, func.count(d.id.distinct()))
        .select_from(task.join(opm_used, u.task_id == task.c.id).join(desfile, d.id == u.desfile_id))
        .where(task.c.root_task_id == task_id, d.pfw_attempt_id.is_distinct_from(attempt_id))
        .group_by(d.filetype)
        .order_by(d.filetype)
    )
    return [InputCount(*row) for row in conn.execute(query)]
