"""Records of the report on a night."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = [
    "Arrivals",
    "BandCadence",
    "CalibrationUse",
    "ExposureOfNight",
    "Loss",
    "NightReport",
    "Pace",
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
    """Rows of the queue and runs, by pipeline and state.

    Attributes
    ----------
    queue, runs
        Those of production.
    others
        Runs that are not: trials, and those of other projects and campaigns.
    campaign
        Campaign of production.
    """

    queue: dict[str, dict[str, int]]
    runs: dict[str, dict[str, int]]
    others: dict[str, dict[str, int]]
    campaign: str

    @property
    def pipelines(self) -> list[str]:
        """Names of the pipelines, those of production first."""
        return list(dict.fromkeys([*self.queue, *self.runs, *self.others]))


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
    """Calibrations of a type that the night's First Cut took from a night and run, by a rule: the attempts that count.

    Attributes
    ----------
    nite
        Night of the calibrations; empty: they are of no night.
    run
        Run that made them; empty: they were delivered.
    age
        Nights from that of the calibrations to that of the exposures, below zero if it is a later one; None: of no night.
    exposures, files
        Exposures that took them, and files.
    """

    filetype: str
    rule: str
    nite: str
    run: str
    age: int | None
    exposures: int
    files: int

    @property
    def age_text(self) -> str:
        """The age in words."""
        if self.age is None:
            return "–"
        if self.age == 0:
            return "same night"
        nights = "1 night" if abs(self.age) == 1 else f"{abs(self.age)} nights"
        return nights if self.age > 0 else f"{nights} later"


@dataclass(frozen=True, slots=True)
class Pace:
    """A band against the even rate of its season: what was owed at its begin, in equal parts over its nights.

    Attributes
    ----------
    night, nights
        Number of the night in the season, from 1, and nights of the season.
    owed_even
        Sum of t_eff that would be owed after the night at the even rate.
    ahead
        Sum of t_eff ahead of it; below zero: behind.
    ahead_nights
        The same in nights of the even rate.
    """

    night: int
    nights: int
    owed_even: float
    ahead: float
    ahead_nights: float

    @property
    def text(self) -> str:
        """The comparison in words."""
        t_eff, nights = f"{abs(self.ahead):.3f}", f"{abs(self.ahead_nights):.1f}"
        if float(t_eff) == 0:
            return "at the even rate"
        return f"{t_eff} {'ahead' if self.ahead > 0 else 'behind'}, {nights} nights"


@dataclass(frozen=True, slots=True)
class BandCadence:
    """What a night did for the fields of a season in a band, and how these stand after it.

    Attributes
    ----------
    season, band
        Season of the plan (empty: it has none), and band.
    fields
        Fields of the plan.
    exposures
        Exposures of the night that count for them.
    gain
        Sum of t_eff that the night brought; what is beyond a field's goal is left out.
    finished
        Fields of which the night reached the goal.
    done, owed
        Fields that are done and that are owed after the night.
    t_eff_owed
        Sum of t_eff that is owed after the night.
    pace
        Comparison with the even rate; None: the plan does not say when the season is, the night is not in it, or nothing
        was owed at its begin.
    """

    season: str
    band: str
    fields: int
    exposures: int
    gain: float
    finished: int
    done: int
    owed: int
    t_eff_owed: float
    pace: Pace | None


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
    """Everything that the report on a night says; ``cadence`` is empty without a survey plan."""

    nite: str
    arrived: Arrivals
    processed: ProcessedRows
    verdicts: dict[str, int]
    times: TimeAccount
    calibrations: tuple[CalibrationUse, ...]
    problems: tuple[ProblemOfNight, ...]
    exposures: tuple[ExposureOfNight, ...]
    cadence: tuple[BandCadence, ...]
