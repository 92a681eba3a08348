"""Records of the report on a night."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = [
    "Arrivals",
    "CalibrationUse",
    "ExposureOfNight",
    "Loss",
    "NightReport",
    "ProblemOfNight",
    "ProcessedRows",
    "TimeAccount",
]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What arrived of a night.

    Attributes
    ----------
    expected
        Files that the observatory lists; 0: it lists none.
    missing
        Of these, not delivered yet.
    deliveries
        Deliveries by state; empty: files came otherwise.
    calibrations, exposures, others
        Raw files in the archive: calibration frames, science exposures, those that are not processed.
    """

    expected: int
    missing: int
    deliveries: dict[str, int]
    calibrations: int
    exposures: int
    others: int


@dataclass(frozen=True, slots=True)
class ProcessedRows:
    """Rows of the queue by pipeline and state, and runs by pipeline and state."""

    queue: dict[str, dict[str, int]]
    runs: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Loss:
    """Time lost by one cause, as entries of the logbook say."""

    cause: str
    hours: float


@dataclass(frozen=True, slots=True)
class TimeAccount:
    """Where the time of a night went; hours.

    Attributes
    ----------
    span_h
        From the begin of the first to the end of the last science exposure; None: there are not two.
    open_h
        Shutter open on science exposures.
    accepted_h
        Of these, on accepted exposures.
    effective_h
        Sum of t_eff times exposure time of the accepted ones.
    idle_h
        Span less open time: readout, slews, and waiting.
    losses
        Time lost by cause, from the logbook.
    verdict_minutes_median, verdict_minutes_p95
        From arrival to verdict of the exposures that were processed.
    cpu_h
        Of the programs of the night's runs.
    """

    span_h: float | None
    open_h: float
    accepted_h: float
    effective_h: float
    idle_h: float | None
    losses: tuple[Loss, ...]
    verdict_minutes_median: float | None
    verdict_minutes_p95: float | None
    cpu_h: float


@dataclass(frozen=True, slots=True)
class CalibrationUse:
    """Calibrations of a type that the night's First Cut took from a night and run, by a rule."""

    filetype: str
    rule: str
    nite: str
    run: str
    exposures: int
    files: int


@dataclass(frozen=True, slots=True)
class ProblemOfNight:
    """An open problem of the night, of an exposure of it, or of a run."""

    id: int
    subject_kind: str
    subject: str
    severity: str
    state: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class ExposureOfNight:
    """An exposure that is no calibration: when it was taken, its verdict and its numbers."""

    expnum: int
    band: str
    begin: datetime | None
    exptime: float | None
    programme: str
    accepted: str
    reason: str
    run: str
    t_eff: float | None
    fwhm_asec: float | None
    skybrightness: float | None
    cloud: float | None
    magzero: float | None


@dataclass(frozen=True, slots=True)
class NightReport:
    """Everything that the report on a night says."""

    nite: str
    arrived: Arrivals
    processed: ProcessedRows
    verdicts: dict[str, int]
    times: TimeAccount
    calibrations: tuple[CalibrationUse, ...]
    problems: tuple[ProblemOfNight, ...]
    exposures: tuple[ExposureOfNight, ...]
