"""What a release is: its record, tables, columns and files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from desdm.schema.operationstates import ProblemState, Resolution, Severity
from desdm.schema.states import ReleaseState

__all__ = [
    "Announcement",
    "Evidence",
    "Problem",
    "ProblemNote",
    "Release",
    "ReleaseColumn",
    "ReleaseFile",
    "ReleaseTable",
]


@dataclass(frozen=True, slots=True)
class ReleaseColumn:
    """One column of a release table, as VOTable and TAP_SCHEMA say it.

    Attributes
    ----------
    datatype
        boolean, short, int, long, float, double, char or unicodeChar.
    arraysize
        None for a scalar, ``*`` for text.
    inferred
        Text, unit or UCD are guesses of the program.
    """

    name: str
    datatype: str
    arraysize: str | None = None
    xtype: str | None = None
    unit: str = ""
    ucd: str = ""
    text: str = ""
    principal: bool = False
    indexed: bool = False
    inferred: bool = False
    minimum: float | None = None
    maximum: float | None = None
    null_count: int = 0


@dataclass(frozen=True, slots=True)
class ReleaseTable:
    """One table of a release; its Parquet files lie in HATS layout below ``path``, sorted by ``hpix29``."""

    release: str
    name: str
    kind: str
    text: str
    row_count: int
    ra_column: str | None
    dec_column: str | None
    id_column: str | None
    path: str
    columns: tuple[ReleaseColumn, ...]


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """A file of a release; ``path`` is relative to the release's directory, ``id`` 0 until the file is registered."""

    id: int
    release: str
    path: str
    filetype: str
    mime: str
    tilename: str | None
    band: str | None
    filesize: int
    sha256: str
    desfile_id: int | None = None
    source_sha256: str | None = None
    ra_cent: float | None = None
    dec_cent: float | None = None
    radius: float | None = None
    s_region: str | None = None
    naxis1: int | None = None
    naxis2: int | None = None
    pixscale: float | None = None
    fwhm: float | None = None
    t_min: float | None = None
    t_max: float | None = None
    t_exptime: float | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """One release."""

    name: str
    state: ReleaseState
    title: str
    text: str
    selection: str
    erratum_of: str | None
    proprietary: bool
    created_by: str
    created_at: datetime
    frozen_at: datetime | None
    published_by: str | None
    published_at: datetime | None
    manifest_sha256: str | None


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry of the problem list.

    Attributes
    ----------
    subject_kind, subject
        Kind of the subject (`desdm.release.problems.KINDS`), and its name.
    blocks
        Whether it blocks a release that contains its subject: its severity is stop or block.
    dedupe_key
        Key of a program: the same trouble again counts as an occurrence; None: a person opened the problem.
    pfw_attempt_id
        Number of the attempt in which it was seen.
    """

    id: int
    subject_kind: str
    subject: str
    text: str
    blocks: bool
    opened_by: str
    opened_at: datetime
    closed_by: str | None = None
    closed_at: datetime | None = None
    resolution: str | None = None
    title: str = ""
    state: ProblemState = ProblemState.CONFIRMED
    severity: Severity = Severity.BLOCK
    impression: str = ""
    dedupe_key: str | None = None
    occurrences: int = 1
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    owner: str | None = None
    resolution_code: Resolution | None = None
    confirmed_by: str | None = None
    pfw_attempt_id: int | None = None


@dataclass(frozen=True, slots=True)
class ProblemNote:
    """An entry in the history of a problem; states and severity are None where it changed none."""

    id: int
    noted_at: datetime
    who: str
    from_state: ProblemState | None
    to_state: ProblemState | None
    severity: Severity | None
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence for a problem: ``kind`` is run, file, message, number, page, bundle or test."""

    id: int
    kind: str
    ref: str
    sha256: str | None
    who: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Announcement:
    """An announcement of a release; ``mailed_to`` has one address a line."""

    id: int
    release: str
    subject: str
    body: str
    announced_by: str
    announced_at: datetime
    mailed_to: str
