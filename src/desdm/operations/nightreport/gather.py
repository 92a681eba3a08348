"""Gather the report on a night from the record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import Connection

from desdm.archive.model import Scope
from desdm.archive.store import attempt_names
from desdm.errors import NotFoundError
from desdm.operations.arrival import arrivals
from desdm.operations.dts.status import listed_and_missing
from desdm.operations.nightreport import store
from desdm.operations.nightreport.cadence import cadence
from desdm.operations.nightreport.model import (
    Arrivals,
    BandCadence,
    ExposureOfNight,
    NightReport,
    ProcessedRows,
    TimeAccount,
)
from desdm.operations.surveytable.coverage import field_statuses
from desdm.quality.qa.verdict import verdicts
from desdm.schema.evaluation import EvaluationRow
from desdm.schema.states import AttemptState, Verdict
from desdm.schema.store import exposure_name

__all__ = ["CadenceOf", "gather_night"]

#: Returns the cadence of a night.
CadenceOf = Callable[[str], tuple[BandCadence, ...]]

#: Day 0 of Modified Julian Dates.
_MJD = datetime(1858, 11, 17)


def gather_night(
    conn: Connection, nite: str, scope: Scope, cadence_of: CadenceOf | None = None
) -> NightReport:
    """Gather what the record says of a night.

    Parameters
    ----------
    conn
        The database.
    nite
        Night, YYYYMMDD.
    scope
        Attempts that are production.
    cadence_of
        Returns the cadence of a night, where the survey table is known already; None: the table is computed.

    Raises
    ------
    NotFoundError
        Nothing has arrived of that night, and nothing is expected.
    """
    raw = arrivals(conn, nite)
    delivered = store.deliveries(conn, nite)
    listed, missing = listed_and_missing(conn, nite)
    if not (raw or delivered or listed):
        raise NotFoundError(f"nothing has arrived of night {nite}, and nothing is expected")
    numbers = sorted({a.expnum for a in raw if not a.calibration})
    judged = {row["expnum"]: row for row in verdicts(conn, "firstcut", numbers, scope)}
    units = [nite, *(exposure_name(number) for number in numbers)]
    runs = store.runs(conn, units, scope)
    ids = [run.id for run in runs]
    exposures = _exposures(conn, nite, {a.expnum: a.band for a in raw if not a.calibration}, judged)
    counts = Counter(exposure.accepted for exposure in exposures)
    subjects = [*units, *(run.run for run in runs)]
    return NightReport(
        nite,
        Arrivals(
            listed,
            missing,
            delivered,
            sum(a.calibration for a in raw),
            sum(not a.calibration and not a.refused for a in raw),
            sum(not a.calibration and bool(a.refused) for a in raw),
        ),
        ProcessedRows(
            store.queue_states(conn, nite, scope.campaign),
            _states([run for run in runs if run.production]),
            _states([run for run in runs if not run.production]),
            scope.campaign,
        ),
        {verdict.value: counts.get(verdict.value, 0) for verdict in Verdict},
        _times(conn, nite, exposures, runs, scope.campaign),
        # Of each exposure the attempt that counts: repeated ones, trials and other campaigns add nothing.
        tuple(store.calibrations(conn, nite, _counting(judged.values()))),
        tuple(store.problems(conn, nite, subjects, ids)),
        tuple(exposures),
        cadence_of(nite) if cadence_of else cadence(field_statuses(conn, scope), nite),
    )


def _counting(rows: Iterable[EvaluationRow]) -> list[int]:
    """Return the numbers of the attempts whose verdicts count."""
    return sorted({row["pfw_attempt_id"] for row in rows if row["pfw_attempt_id"]})


def _states(runs: Sequence[store.RunOfNight]) -> dict[str, dict[str, int]]:
    """Count runs by pipeline and state."""
    counts: dict[str, dict[str, int]] = {}
    for run in runs:
        of_pipeline = counts.setdefault(run.pipeline, {})
        of_pipeline[run.state] = of_pipeline.get(run.state, 0) + 1
    return counts


def _exposures(
    conn: Connection, nite: str, bands: Mapping[int, str], judged: Mapping[int, EvaluationRow]
) -> list[ExposureOfNight]:
    """Return the exposures of a night in the order in which they were taken."""
    names = attempt_names(conn, _counting(judged.values()))
    exposures = {}
    for file in store.raw_files(conn, nite):
        if file.expnum not in bands:
            continue
        row = judged.get(file.expnum)
        begin = None if file.mjd_obs is None else _MJD + timedelta(days=file.mjd_obs)
        attempt_id = row["pfw_attempt_id"] if row else None
        exposures[file.expnum] = ExposureOfNight(
            file.expnum,
            bands[file.expnum],
            begin,
            file.exptime,
            file.programme,
            str(row["accepted"]) if row else Verdict.UNKNOWN.value,
            str(row["reason"]) if row else "it has not been assessed",
            names[attempt_id][0] if attempt_id else "",
            row["t_eff"] if row else None,
            row["fwhm_asec"] if row else None,
            row["skybrightness"] if row else None,
            row["cloud"] if row else None,
            row["magzero"] if row else None,
        )
    return sorted(exposures.values(), key=lambda one: (one.begin or datetime.max, one.expnum))


def _times(
    conn: Connection,
    nite: str,
    exposures: Sequence[ExposureOfNight],
    runs: Sequence[store.RunOfNight],
    campaign: str,
) -> TimeAccount:
    """Account for the time of a night; arrivals and verdicts are those of the campaign of production."""
    taken = [one for one in exposures if one.begin is not None]
    ends = [one.begin + timedelta(seconds=one.exptime or 0.0) for one in taken if one.begin is not None]
    begins = [one.begin for one in taken if one.begin is not None]
    span = (max(ends) - min(begins)).total_seconds() / 3600 if len(taken) > 1 else None
    open_h = sum(one.exptime or 0.0 for one in exposures) / 3600
    accepted = [one for one in exposures if one.accepted == Verdict.ACCEPTED.value]
    delays = _delays(store.ingest_times(conn, nite, campaign), runs)
    return TimeAccount(
        span,
        open_h,
        sum(one.exptime or 0.0 for one in accepted) / 3600,
        sum((one.exptime or 0.0) * (one.t_eff or 0.0) for one in accepted) / 3600,
        None if span is None else span - open_h,
        tuple(store.losses(conn, nite)),
        float(np.median(delays)) if delays else None,
        float(np.percentile(delays, 95)) if delays else None,
        store.cpu_seconds(conn, [run.id for run in runs]) / 3600,
    )


def _delays(arrived: Mapping[int, datetime], runs: Sequence[store.RunOfNight]) -> list[float]:
    """Return the minutes from the arrival of each exposure to the end of its first good First Cut."""
    good = (AttemptState.DONE.value, AttemptState.FLAGGED.value)
    first: dict[str, datetime] = {}
    for run in runs:
        if run.production and run.pipeline == "firstcut" and run.state in good and run.endtime is not None:
            first.setdefault(run.unitname, run.endtime)
    pairs = [(first.get(exposure_name(number)), moment) for number, moment in arrived.items()]
    minutes = [(end - moment).total_seconds() / 60 for end, moment in pairs if end is not None]
    # Under a moved clock the times of arrival and of runs are not of one clock.
    return [delay for delay in minutes if delay >= 0]
