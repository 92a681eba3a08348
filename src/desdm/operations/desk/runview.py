"""Gather what the page of a run shows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive.model import Scope
from desdm.archive.withheld import unfit_reasons
from desdm.errors import NotFoundError
from desdm.framework import store as attempts
from desdm.framework.model import Attempt
from desdm.framework.process import current_state
from desdm.framework.watch import store as watch
from desdm.framework.watch.store import FileTypeRow, MessageRow, MetricRow, SoftwareRow
from desdm.operations.desk import store
from desdm.operations.desk.store import InputCount, JobNode, RelatedRun
from desdm.operations.queue.failures import failure_of
from desdm.operations.retry import operator_settings
from desdm.pipelines import get
from desdm.schema.states import AttemptState, JobState

__all__ = ["MOST_NODES", "MetricSummary", "RunView", "drawn_jobs", "gather_run"]

#: Nodes of a graph; one of hundreds is no longer read, and stops browsers.
MOST_NODES = 100
#: Messages of a run that are shown.
_MESSAGES = 40
_BAD = (JobState.FAILED, JobState.LOST)
_BUSY = (JobState.RUNNING, JobState.QUEUED)


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """A QA number over the wrappers of a run that measured it."""

    module: str
    band: str
    name: str
    unit: str
    text: str
    count: int
    least: float
    median: float
    most: float


@dataclass(frozen=True, slots=True)
class RunView:
    """What the page of a run shows.

    Attributes
    ----------
    attempt, state, campaign
        The attempt, its state now, and its campaign.
    comment
        Why it ended as it did.
    jobs
        Its jobs.
    failure
        The first bad line of the first step that failed; empty: none failed.
    messages
        The gravest first; ``more_messages``: there are more.
    metrics
        QA numbers.
    inputs, outputs, software
        Files that it used and made, by type, and programs that it ran.
    settings
        Settings by which it differs from its pipeline.
    related
        Attempts at the same unit, itself among them, newest first.
    replaces, replaced_by
        Attempts that it repeats, and that repeat it.
    unfit
        Why its data must not be used; empty: they may be.
    """

    attempt: Attempt
    state: AttemptState
    campaign: str
    comment: str
    jobs: tuple[JobNode, ...]
    failure: str
    messages: tuple[MessageRow, ...]
    more_messages: bool
    metrics: tuple[MetricSummary, ...]
    inputs: tuple[InputCount, ...]
    outputs: tuple[FileTypeRow, ...]
    software: tuple[SoftwareRow, ...]
    settings: Mapping[str, str]
    related: tuple[RelatedRun, ...]
    replaces: tuple[RelatedRun, ...]
    replaced_by: tuple[RelatedRun, ...]
    unfit: str


def gather_run(conn: Connection, run: str, scope: Scope) -> RunView:
    """Gather what the page of a run shows.

    Parameters
    ----------
    conn
        The database.
    run
        Name of the run.
    scope
        Attempts that are production.

    Raises
    ------
    NotFoundError
        There is no such run.
    """
    attempt = attempts.attempt_by_name(conn, run)
    state = current_state(attempt)
    row = watch.runs(conn, {}, 1, [attempt.id])[0]
    messages = watch.messages(conn, attempt.id, limit=_MESSAGES + 1)
    related = store.related_runs(conn, attempt.unitname, attempt.pipeline)
    mine = next(one.replaces_id for one in related if one.id == attempt.id)
    failed = state in (AttemptState.FAILED, AttemptState.INTERRUPTED, AttemptState.CANCELLED)
    return RunView(
        attempt,
        state,
        row.campaign,
        row.comment or "",
        tuple(store.job_nodes(conn, attempt.id)),
        failure_of(conn, attempt.id).text if failed and row.jobs_failed else "",
        tuple(messages[:_MESSAGES]),
        len(messages) > _MESSAGES,
        _summaries(watch.metrics(conn, attempt.id)),
        tuple(store.inputs_by_type(conn, attempt.id, attempt.task_id)),
        tuple(watch.files_by_type(conn, attempt.id)),
        tuple(watch.software(conn, attempt.id)),
        _settings(conn, attempt),
        tuple(related),
        tuple(one for one in related if one.id == mine),
        tuple(one for one in related if one.replaces_id == attempt.id),
        unfit_reasons(conn, [attempt.id], scope).get(attempt.id, ""),
    )


def drawn_jobs(jobs: Sequence[JobNode]) -> list[JobNode]:
    """Return the jobs of a graph of at most `MOST_NODES`: those that failed or run before others, in their order."""
    if len(jobs) <= MOST_NODES:
        return list(jobs)
    place = dict.fromkeys(_BAD, 0) | dict.fromkeys(_BUSY, 1)
    chosen = sorted(jobs, key=lambda job: (place.get(job.state, 2), job.number))[:MOST_NODES]
    return sorted(chosen, key=lambda job: job.number)


def _settings(conn: Connection, attempt: Attempt) -> Mapping[str, str]:
    """Return the settings by which an attempt differs from its pipeline; none for one that comes from a submit WCL."""
    try:
        return operator_settings(conn, attempt, get(attempt.pipeline))
    except NotFoundError:
        return {}


def _summaries(metrics: Sequence[MetricRow]) -> tuple[MetricSummary, ...]:
    """Sum up QA numbers over wrappers."""
    groups: dict[tuple[str, str, str], list[MetricRow]] = {}
    for row in metrics:
        groups.setdefault((row["modname"], row["name"], row["band"]), []).append(row)
    summaries = []
    for (module, name, band), rows in groups.items():
        values = [row["value"] for row in rows]
        summaries.append(
            MetricSummary(
                module,
                band,
                name,
                rows[0]["unit"],
                rows[0]["text"],
                len(values),
                min(values),
                statistics.median(values),
                max(values),
            )
        )
    return tuple(summaries)
