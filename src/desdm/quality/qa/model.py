"""Records of quality assessment by people: subjects, marks, entries of the review queue, thresholds, dispatches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from desdm.schema.operationstates import (
    AnswerVerdict,
    DispatchState,
    Mark,
    Office,
    ReviewCause,
    ReviewState,
    Severity,
    SubjectKind,
)

__all__ = [
    "Dispatch",
    "DispatchAnswer",
    "NewReview",
    "Number",
    "QaMark",
    "Review",
    "ReviewFilter",
    "Subject",
    "Threshold",
]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is marked or reviewed.

    Attributes
    ----------
    kind, name
        Kind, and canonical name: D00229686, D00229686_c10, the tile, the run, the file.
    expnum, ccdnum
        Exposure and CCD, of these.
    attempt_id, run
        Attempt whose data count for it, and its name; None and empty without one.
    desfile_id
        Number of the file, of a file.
    """

    kind: SubjectKind
    name: str
    expnum: int | None = None
    ccdnum: int | None = None
    attempt_id: int | None = None
    run: str = ""
    desfile_id: int | None = None


@dataclass(frozen=True, slots=True)
class QaMark:
    """A mark of a person on data; the newest of a subject counts.

    Attributes
    ----------
    evidence
        What the author saw and what the mark changed, JSON.
    own_work
        Whether the author blessed what they had processed themselves.
    """

    id: int
    subject_kind: SubjectKind
    subject: str
    pfw_attempt_id: int | None
    desfile_id: int | None
    verdict: Mark
    defect_code: str | None
    severity: Severity | None
    reason: str
    evidence: str
    seen_digest: str
    author: str
    office: Office | None
    own_work: bool
    marked_at: datetime
    supersedes_id: int | None


class NewReview(NamedTuple):
    """An entry that is to be put up for review."""

    subject_kind: SubjectKind
    subject: str
    attempt_id: int
    nite: str | None
    band: str | None
    cause: ReviewCause
    text: str


@dataclass(frozen=True, slots=True)
class Review:
    """An entry of the review queue.

    Attributes
    ----------
    run
        Attempt that produced what is reviewed.
    taken_by, lease_until
        Who looks at it, and until when (UTC) it is kept for that person.
    """

    id: int
    subject_kind: SubjectKind
    subject: str
    run: str
    nite: str | None
    band: str | None
    cause: ReviewCause
    text: str
    state: ReviewState
    taken_by: str | None
    lease_until: datetime | None
    qa_mark_id: int | None
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Entries of the review queue by cause, night and band; None or empty: all."""

    cause: ReviewCause | None = None
    nite: str = ""
    band: str = ""


class Number(NamedTuple):
    """A QA number of a run; ``ccdnum`` 0 and ``band`` empty: of no single one."""

    attempt_id: int
    run: str
    metric: str
    module: str
    band: str
    ccdnum: int
    expnum: int | None
    nite: str | None
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """Bounds of a QA number; outside the first pair a person looks at it, outside the second it is bad.

    Attributes
    ----------
    band, ccdnum
        Band and CCD that it is for; ``*`` and 0: all.
    relative_to
        Empty: the bounds are values; ``history``: robust deviations from the runs before.
    expnum_from, expnum_to
        Exposures for which it is.
    since, until
        Times between which it is in force, UTC; None: it is.
    """

    id: int
    metric: str
    band: str
    ccdnum: int
    low_warn: float | None
    high_warn: float | None
    low_bad: float | None
    high_bad: float | None
    relative_to: str
    expnum_from: int
    expnum_to: int
    who: str
    since: datetime
    until: datetime | None
    reason: str

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Order of the thresholds for one number: of a CCD before of a band before of all, then the newest."""
        return self.ccdnum != 0, self.band != "*", self.id


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Data sent to a working group, with what is asked, by what the answer is judged, and when it is due (UTC)."""

    id: int
    working_group: str
    subject_kind: SubjectKind
    subject: str
    question: str
    criteria: str
    due_at: datetime
    state: DispatchState
    opened_by: str
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class DispatchAnswer:
    """Answer of a working group; ``file`` names the file with its findings, None without one."""

    id: int
    verdict: AnswerVerdict
    text: str
    who: str
    answered_at: datetime
    file: str | None
