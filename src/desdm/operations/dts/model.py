"""Records of the arrival of data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from desdm.schema.operationstates import DeliveryReason, DeliveryState

__all__ = ["OPEN", "Delivery", "ExpectedFile", "ListedFile", "NightArrival", "Notice", "Programme", "Verdict"]

#: States of a delivery that is not judged yet.
OPEN = (DeliveryState.DELIVERED, DeliveryState.CHECKED)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery; see the table ``delivery``. ``waived``: rules that people waived when they released it."""

    id: int
    source: str
    filename: str
    path: str
    filesize: int | None
    modified_ns: int | None
    md5_announced: str | None
    md5_found: str | None
    sha256: str | None
    expnum: int | None
    nite: str | None
    propid: str | None
    programme: str | None
    state: DeliveryState
    reason_code: DeliveryReason | None
    reason: str | None
    waived: frozenset[DeliveryReason]
    desfile_id: int | None
    problem_id: int | None
    tries: int
    next_try: datetime | None
    noticed_at: datetime
    checked_at: datetime | None
    ingested_at: datetime | None
    acknowledged_at: datetime | None

    @property
    def open(self) -> bool:
        """Whether it is not judged yet."""
        return self.state in OPEN


@dataclass(frozen=True, slots=True)
class Notice:
    """What is known of a file when it is noticed, before it is read; size and time are None where it cannot be found."""

    path: str
    filename: str
    filesize: int | None
    modified_ns: int | None
    md5_announced: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the look at a file found.

    Attributes
    ----------
    md5, sha256, filesize
        Of the bytes that were read.
    modified_ns
        When the file was last changed before it was read, nanoseconds since 1970.
    filetype
        Type as the archive recognises it; empty if it does not.
    expnum, nite, propid
        From the headers; None where they do not tell.
    reason_code, reason
        Why it is refused; None and empty: it is good.
    """

    md5: str
    sha256: str
    filesize: int
    modified_ns: int | None = None
    filetype: str = ""
    expnum: int | None = None
    nite: str | None = None
    propid: str | None = None
    reason_code: DeliveryReason | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Programme:
    """A proposal, the programme that it belongs to, the project of its attempts, and whether its exposures are taken."""

    propid: str
    programme: str
    project: str
    accept: bool
    who: str
    since: datetime


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file on a list of the observatory; ``delivered``: the observatory marks it as sent."""

    source: str
    filename: str
    nite: str
    expnum: int | None
    expected_at: datetime
    delivered: bool
    listed_in: str


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """A file that the observatory lists, and what became of it.

    Attributes
    ----------
    state
        State of its best delivery; `DeliveryState.EXPECTED` before it has arrived.
    delivery_id
        Number of that delivery; None without one.
    late
        It arrived, or has not arrived, after the time at which it is expected and the allowance.
    missing
        The observatory marks it as delivered, and it is not in the archive.
    """

    listed: ListedFile
    state: DeliveryState
    delivery_id: int | None
    noticed_at: datetime | None
    late: bool
    missing: bool


@dataclass(frozen=True, slots=True)
class NightArrival:
    """Counts of a night.

    Attributes
    ----------
    expected
        Files on the observatory's lists.
    delivered
        Deliveries, in whatever state.
    ingested, duplicate, quarantined, dismissed, pending
        Deliveries by state; ``pending``: not judged yet.
    late, missing
        Files on the lists, see `ExpectedFile`.
    extra
        Ingested files of a night with a list that are on none.
    """

    nite: str
    expected: int
    delivered: int
    ingested: int
    duplicate: int
    quarantined: int
    dismissed: int
    pending: int
    late: int
    missing: int
    extra: int
