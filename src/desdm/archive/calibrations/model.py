"""Records of the choice of a calibration: what it is chosen for, the file, the rule and the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import NamedTuple

from desdm.archive.catalogfile import CatalogFile, FileIdentity
from desdm.archive.model import Scope
from desdm.errors import UsageError

__all__ = [
    "SERVING",
    "CalibrationChoice",
    "CalibrationFile",
    "CalibrationIdentity",
    "CalibrationRequest",
    "ChoiceRule",
    "RejectedCalibration",
    "Selection",
    "calibration_files",
    "calibration_identity",
    "night_date",
]

#: File types that serve exposures; what else a supercal makes (lists of frames, star catalogues) is its own evidence.
SERVING = (
    "cal_crosstalk",
    "cal_lintable",
    "cal_biascor",
    "cal_bpm",
    "cal_bf",
    "cal_dflatcor",
    "cal_starflat",
    "cal_skypc",
    "cal_skytempl",
)
#: Of these file types each band has its own; the others serve every band, whatever frames they were made from.
_BANDED = ("cal_dflatcor", "cal_starflat", "cal_skypc", "cal_skytempl", "flatnorm")


class ChoiceRule(Enum):
    """The rule that chose a calibration, as column ``pfw_calibration.how`` records it."""

    OPERATOR = "operator"
    EPOCH = "epoch"
    NIGHT = "night"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class CalibrationIdentity:
    """What a calibration file of the archive is, for use or not.

    Attributes
    ----------
    id, filename, filetype, ccdnum, nite, expnum
        As in the archive's record; ``ccdnum`` None: of the whole camera.
    band
        The band that it serves; empty: every band.
    attempt_id
        Number of the attempt that made it; None: it was delivered.
    """

    id: int
    filename: str
    filetype: str
    ccdnum: int | None
    nite: str
    expnum: int | None
    band: str
    attempt_id: int | None

    @property
    def detector(self) -> tuple[int | None, str]:
        """CCD and band: of files of one type with the same, one is chosen."""
        return self.ccdnum, self.band

    def serves(self, band: str) -> bool:
        """Tell whether the file serves a band; an empty ``band`` asks for any."""
        return not band or self.band in ("", band)


@dataclass(frozen=True, slots=True)
class CalibrationFile(CalibrationIdentity):
    """A calibration file with a sound copy; ``record`` is that of the catalogue, which the plan of a run takes."""

    record: CatalogFile


def _identity(file: FileIdentity) -> tuple[int, str, str, int | None, str, int | None, str, int | None]:
    """The fields of `CalibrationIdentity`, of a file of the archive."""
    band = (file.band or "") if file.filetype in _BANDED else ""
    return (
        file.id,
        file.filename,
        file.filetype,
        file.ccdnum,
        file.nite or "",
        file.expnum,
        band,
        file.pfw_attempt_id,
    )


def calibration_identity(file: FileIdentity) -> CalibrationIdentity:
    """Return what a file of the archive is as a calibration."""
    return CalibrationIdentity(*_identity(file))


def calibration_files(files: Iterable[CatalogFile]) -> list[CalibrationFile]:
    """Build the records of calibration files, in their order."""
    return [CalibrationFile(*_identity(file), file) for file in files]


class CalibrationChoice(NamedTuple):
    """A calibration file, the rule that chose it, and the choice in words."""

    file: CalibrationFile
    rule: ChoiceRule
    reason: str


class RejectedCalibration(NamedTuple):
    """A calibration file that was not chosen although it lay nearer or was named, and why."""

    file: CalibrationIdentity
    reason: str


@dataclass(frozen=True, slots=True)
class CalibrationRequest:
    """What a calibration is chosen for.

    Attributes
    ----------
    expnum, nite, band, campaign
        Of the exposure; an empty band asks for every band.
    nights
        The largest distance of a calibration's night, in days.
    tag
        Fallback: files or attempts with this tag; empty: none.
    pins
        File type → attempt that the operator names for it.
    unit
        Unit that is processed: what its own earlier attempts made does not serve it, or a second attempt at the same
        work would not be the same work.
    scopes
        Attempts whose calibrations may serve, the preferred scope first; empty: all attempts. What the operator or the
        epoch table names serves whatever the scope.
    """

    expnum: int | None = None
    nite: str = ""
    band: str = ""
    campaign: str = ""
    nights: int = 10
    tag: str = ""
    pins: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    scopes: tuple[Scope, ...] = ()

    def days_to(self, file: CalibrationIdentity) -> int:
        """Return the days from the exposure's night to the calibration's; negative: it is earlier."""
        return (night_date(file.nite) - night_date(self.nite)).days

    def is_own(self, run: str) -> bool:
        """Tell whether a run is an attempt at the unit that is processed."""
        return bool(self.unit) and run.rpartition("_r")[0] == self.unit


@dataclass(slots=True)
class Selection:
    """Calibrations of one type: the chosen ones, the rejected ones, and notes for people."""

    choices: list[CalibrationChoice] = field(default_factory=list)
    rejected: list[RejectedCalibration] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def night_date(nite: str) -> date:
    """Return the date of a night YYYYMMDD; `UsageError` if the text is none."""
    try:
        return date(int(nite[:4]), int(nite[4:6]), int(nite[6:8]))
    except ValueError as err:
        raise UsageError(f"{nite!r} is not a night: write YYYYMMDD") from err
