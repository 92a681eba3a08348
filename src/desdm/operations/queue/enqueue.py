"""Queue what has arrived: rows of nights and exposures that no row covers, and rows that a rule judges anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from desdm.archive.model import Scope
from desdm.numbers import counted
from desdm.operations.arrival import Arrival, arrivals
from desdm.operations.queue import store
from desdm.operations.queue.model import RULE, Policy, QueueRow
from desdm.operations.queue.policies import policies_in_force
from desdm.operations.unassessed import Exposure, record_unassessed
from desdm.pipelines import get
from desdm.schema.operationstates import QueueState
from desdm.schema.states import EventKind, Verdict
from desdm.schema.store import exposure_name, record_event

__all__ = ["Queued", "enqueue", "queue_again", "refused_no_longer"]

#: Who queues, in events.
WHO = "queue"
#: Pipelines that stand in rows of what no policy queues.
_OF_NIGHT, _OF_EXPOSURE = "precal", "firstcut"
_NO_POLICY = "no policy queues it"


@dataclass(frozen=True, slots=True)
class Queued:
    """How many rows were added, and how many went back to the queue."""

    added: int = 0
    reopened: int = 0


@dataclass(frozen=True, slots=True)
class _Situation:
    """What rows of a night follow from: policies, programmes of proposals, times of arrival, scope and time."""

    policies: Sequence[Policy]
    programmes: Mapping[str, str]
    arrived: Mapping[int, datetime]
    scope: Scope
    now: datetime
    quiet: timedelta

    def time_of(self, arrival: Arrival) -> datetime:
        """Return when a raw file was in the catalogue; without a delivery, when it is queued."""
        return self.arrived.get(arrival.desfile_id, self.now)

    def policies_for(self, arrival: Arrival) -> list[Policy]:
        """Return the first policy of each pipeline that queues an exposure."""
        return self._first("exposure", self.programmes.get(arrival.propid, ""), arrival.band, arrival.nite)

    def policies_for_night(self, nite: str) -> list[Policy]:
        """Return the first policy of each pipeline that queues a night."""
        return self._first("nite", None, "", nite)

    def _first(self, unit: str, programme: str | None, band: str, nite: str) -> list[Policy]:
        """Return the first policy of each pipeline of a unit that applies; a night is of every programme."""
        first: dict[str, Policy] = {}
        for policy in self.policies:
            of_programme = policy.programme if programme is None else programme
            if get(policy.pipeline).unit == unit and policy.applies(of_programme, band, nite):
                first.setdefault(policy.pipeline, policy)
        return list(first.values())


def enqueue(
    conn: Connection, scope: Scope, nites: Iterable[str], *, now: datetime, quiet: timedelta = timedelta(0)
) -> Queued:
    """Queue the raw files of nights that no row covers; calibrations that arrive later queue the night again.

    Parameters
    ----------
    conn
        Connection in a transaction.
    scope
        Project and campaign of production.
    nites
        Nights.
    now
        Time, UTC.
    quiet
        How long the calibrations of a night wait for more of them.

    Returns
    -------
    Queued
        Numbers of rows.
    """
    count = Queued()
    policies, programmes = policies_in_force(conn), store.programmes(conn)
    for nite in nites:
        exposures = arrivals(conn, nite)
        times = store.arrival_times(conn, [a.desfile_id for a in exposures])
        situation = _Situation(policies, programmes, times, scope, now, quiet)
        rows = {
            (row.unitname, row.pipeline): row for row in store.rows_of_nites(conn, [nite], scope.campaign)
        }
        of_night = _queue_night(conn, situation, nite, [a for a in exposures if a.calibration], rows)
        added = [_queue_exposure(conn, situation, a, rows) for a in exposures if not a.calibration]
        count = Queued(count.added + of_night.added + sum(added), count.reopened + of_night.reopened)
        if of_night.added or any(added):
            text = f"night {nite}: {counted(of_night.added + sum(added), 'row')} queued"
            record_event(conn, EventKind.QUEUE, WHO, text, subject=nite)
    return count


def _queue_night(
    conn: Connection,
    situation: _Situation,
    nite: str,
    frames: Sequence[Arrival],
    rows: Mapping[tuple[str, str], QueueRow],
) -> Queued:
    """Queue a night with its calibration frames, or queue it again for frames that arrived after its end."""
    if not frames:
        return Queued()
    newest = max(frame.desfile_id for frame in frames)
    arrived = max(situation.time_of(frame) for frame in frames)
    not_before = situation.now + situation.quiet if situation.quiet else None
    added = reopened = 0
    policies: list[Policy | None] = [*situation.policies_for_night(nite)]
    for policy in policies or [None]:
        pipeline = _OF_NIGHT if policy is None else policy.pipeline
        row = rows.get((nite, pipeline))
        if row is None:
            fresh = _new_row(situation, policy, pipeline, nite, arrived)
            store.insert_row(
                conn, replace(fresh, unitname=nite, newest_desfile_id=newest, not_before=not_before)
            )
            added += 1
        elif newest > (row.newest_desfile_id or 0) and row.state is not QueueState.SUBMITTED:
            # The frames that arrive during its run queue it again when that has ended.
            ended = row.state in (QueueState.DONE, QueueState.GAVE_UP)
            state = QueueState.WAITING if ended else row.state
            why = f"more calibration frames have arrived: {len(frames)} now" if ended else row.why
            values: dict[str, int | datetime | None] = {"newest_desfile_id": newest}
            if state is QueueState.WAITING:
                values |= {"not_before": not_before, "tries": 0}
            store.change_row(conn, row, state, why=why, now=situation.now, **values)
            reopened += ended
    return Queued(added, reopened)


def _queue_exposure(
    conn: Connection,
    situation: _Situation,
    arrival: Arrival,
    rows: Mapping[tuple[str, str], QueueRow],
) -> int:
    """Queue an exposure for each pipeline that a policy names; return how many rows were added."""
    name = exposure_name(arrival.expnum)
    policies: list[Policy | None] = [*situation.policies_for(arrival)]
    added = 0
    for policy in policies or [None]:
        pipeline = _OF_EXPOSURE if policy is None else policy.pipeline
        # Two files may have one number; both are refused, and a row stands for the exposure.
        if (name, pipeline) in rows or (added and policy is None):
            continue
        fresh = _new_row(situation, policy, pipeline, arrival.nite, situation.time_of(arrival))
        fresh = replace(
            fresh,
            unitname=name,
            expnum=arrival.expnum,
            band=arrival.band,
            programme=situation.programmes.get(arrival.propid, ""),
            newest_desfile_id=arrival.desfile_id,
        )
        if arrival.refused:
            fresh = replace(fresh, state=QueueState.DISMISSED, why=arrival.refused, held_by=RULE)
            record_refusal(conn, situation.scope, arrival)
        store.insert_row(conn, fresh)
        added += 1
    return added


def record_refusal(conn: Connection, scope: Scope, arrival: Arrival) -> None:
    """Record the verdict on an exposure that a rule keeps from being processed."""
    exposure = Exposure(arrival.expnum, arrival.nite, arrival.band)
    record_unassessed(conn, scope, exposure, Verdict.REJECTED, arrival.refused, processed=False)


def _new_row(
    situation: _Situation, policy: Policy | None, pipeline: str, nite: str, arrived: datetime
) -> QueueRow:
    """Return a row that waits, or that is dismissed because no policy queues it."""
    waiting = policy is not None
    return QueueRow(
        id=0,
        unitname="",
        pipeline=pipeline,
        campaign=situation.scope.campaign,
        nite=nite,
        expnum=None,
        band="",
        programme="",
        state=QueueState.WAITING if waiting else QueueState.DISMISSED,
        rank=0 if policy is None else policy.rank,
        why=_NO_POLICY if policy is None else f"queued by {policy.text}",
        due_at=None if policy is None else arrived + timedelta(hours=policy.deadline_h),
        tries=0,
        max_tries=1 if policy is None else policy.max_tries,
        policy_id=None if policy is None else policy.id,
        held_by="" if waiting else RULE,
        arrived_at=arrived,
        updated_at=situation.now,
    )


def refused_no_longer(conn: Connection, scope: Scope, *, now: datetime) -> list[tuple[QueueRow, Policy]]:
    """Return the rows that a rule dismissed and no longer refuses, each with the policy that queues it.

    Exclusions are lifted, and policies entered, after a row was dismissed.

    Parameters
    ----------
    conn
        The database.
    scope
        Project and campaign of production.
    now
        Time, UTC.
    """
    policies, programmes = policies_in_force(conn), store.programmes(conn)
    fitting_rows = []
    for nite in store.judged_nites(conn, scope.campaign):
        situation = _Situation(policies, programmes, {}, scope, now, timedelta(0))
        exposures = {a.expnum: a for a in arrivals(conn, nite)}
        for row in store.rows_of_nites(conn, [nite], scope.campaign):
            if row.state is not QueueState.DISMISSED or row.held_by != RULE:
                continue
            arrival = None if row.expnum is None else exposures.get(row.expnum)
            if row.expnum is not None and (arrival is None or arrival.refused):
                continue
            fitting = (
                situation.policies_for_night(nite) if arrival is None else situation.policies_for(arrival)
            )
            policy = next((p for p in fitting if p.pipeline == row.pipeline), None)
            if policy is not None:
                fitting_rows.append((row, policy))
    return fitting_rows


def queue_again(conn: Connection, rows: Iterable[tuple[QueueRow, Policy]], *, now: datetime) -> int:
    """Queue rows that a rule had dismissed, and return how many.

    Parameters
    ----------
    conn
        Connection in a transaction.
    rows
        Rows as `refused_no_longer` found them; one that was changed meanwhile is left.
    now
        Time, UTC.
    """
    count = 0
    for row, policy in rows:
        why = f"refused no longer; queued by {policy.text}"
        values = {
            "held_by": None,
            "rank": policy.rank,
            "due_at": now + timedelta(hours=policy.deadline_h),
            "max_tries": policy.max_tries,
            "policy_id": policy.id,
            "tries": 0,
        }
        if store.change_row(conn, row, QueueState.WAITING, why=why, now=now, **values):
            record_event(conn, EventKind.QUEUE, WHO, f"{row.name} queued: {why}", subject=row.unitname)
            count += 1
    return count
