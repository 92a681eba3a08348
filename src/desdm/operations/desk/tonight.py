"""Gather what operators look at in the night: its report, what runs, the queue, coverage by band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from desdm.archive.model import Scope
from desdm.errors import NotFoundError
from desdm.framework.watch.store import RunRow, runs
from desdm.operations.desk import store
from desdm.operations.lease import current_lease
from desdm.operations.nightreport import NightReport, gather_night
from desdm.operations.nightreport.gather import CadenceOf
from desdm.operations.nightreport.model import ExposureOfNight
from desdm.operations.queue.model import LEASE
from desdm.schema.operationstates import QueueState
from desdm.schema.states import AttemptState, Verdict
from desdm.survey.bands import band_order

__all__ = ["BandCoverage", "Tonight", "gather_tonight"]

#: Running runs that are listed.
_MOST_RUNNING = 20


@dataclass(frozen=True, slots=True)
class BandCoverage:
    """Exposures of a night in a band; ``effective_s``: sum of t_eff times exposure time of the accepted ones."""

    band: str
    exposures: int
    accepted: int
    open_s: float
    effective_s: float
    t_eff: float


@dataclass(frozen=True, slots=True)
class Tonight:
    """What operators look at in the night.

    Attributes
    ----------
    nite
        Night, YYYYMMDD; empty: nothing has ever arrived.
    report
        Report on it; None: nothing of it has arrived.
    earlier, later
        Nights with data before and after it; empty: none.
    running
        Runs that are under way, whatever their night.
    queue
        Rows of the queue that have not ended, of all nights, by state.
    runner
        Process that runs the queue; empty: none does.
    coverage
        Exposures by band.
    """

    nite: str
    report: NightReport | None
    earlier: str
    later: str
    running: tuple[RunRow, ...]
    queue: dict[QueueState, int]
    runner: str
    coverage: tuple[BandCoverage, ...]


def gather_tonight(conn: Connection, nite: str, scope: Scope, cadence_of: CadenceOf | None = None) -> Tonight:
    """Gather what operators look at in the night.

    Parameters
    ----------
    conn
        The database.
    nite
        Night, YYYYMMDD; empty: the newest with data.
    scope
        Attempts that are production.
    cadence_of
        As of `gather_night`.
    """
    nite = nite or store.newest_nite(conn)
    near = store.near_nites(conn, nite)
    try:
        report = gather_night(conn, nite, scope, cadence_of) if nite else None
    except NotFoundError:
        report = None
    lease = current_lease(conn, LEASE)
    return Tonight(
        nite,
        report,
        near.earlier,
        near.later,
        tuple(runs(conn, {"state": AttemptState.RUNNING.value}, _MOST_RUNNING)),
        store.open_rows(conn),
        "" if lease is None else lease.holder,
        coverage(report.exposures) if report else (),
    )


def coverage(exposures: Sequence[ExposureOfNight]) -> tuple[BandCoverage, ...]:
    """Return the exposures of a night by band, in the order of the bands."""
    bands: dict[str, list[ExposureOfNight]] = {}
    for one in exposures:
        bands.setdefault(one.band, []).append(one)
    return tuple(_of_band(band, bands[band]) for band in sorted(bands, key=band_order))


def _of_band(band: str, exposures: Sequence[ExposureOfNight]) -> BandCoverage:
    """Sum the exposures of a band."""
    good = [one for one in exposures if one.accepted == Verdict.ACCEPTED.value]
    return BandCoverage(
        band,
        len(exposures),
        len(good),
        sum(one.exptime or 0.0 for one in exposures),
        sum((one.exptime or 0.0) * (one.t_eff or 0.0) for one in good),
        sum(one.t_eff or 0.0 for one in good),
    )
