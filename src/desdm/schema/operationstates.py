"""The closed sets of operations and quality assessment: deliveries, queue, marks, problems, dispatches, notices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from desdm.schema.states import State

__all__ = [
    "DELIVERY_CHANGES",
    "DISPATCH_CHANGES",
    "NOTICE_CHANGES",
    "PROBLEM_CHANGES",
    "QUEUE_CHANGES",
    "REVIEW_CHANGES",
    "AnswerVerdict",
    "DeliveryReason",
    "DeliveryState",
    "DispatchState",
    "LogCategory",
    "Mark",
    "NoticeMode",
    "NoticeState",
    "Office",
    "ProblemState",
    "QueueState",
    "Resolution",
    "ReviewCause",
    "ReviewState",
    "Severity",
    "SubjectKind",
    "TimeLoss",
    "operation_changes",
]

S = TypeVar("S", bound=State)


class SubjectKind(State):
    """Kind of thing that a mark, a problem, an entry of the logbook or a notice is about."""

    NITE = "nite", "a night, YYYYMMDD"
    EXPOSURE = "exposure", "an exposure, D00229686"
    CCD = "ccd", "a CCD of an exposure, D00229686_c10"
    TILE = "tile", "a tile of the sky"
    UNIT = "unit", "a unit of processing"
    ATTEMPT = "attempt", "a run"
    FILE = "file", "a file"
    TAG = "tag", "a tag"
    RELEASE = "release", "a release"
    DELIVERY = "delivery", "a delivery of the telescope"
    NOTICE = "notice", "a notice and its channel"


class DeliveryState(State):
    """Where a delivery of the telescope stands."""

    EXPECTED = "expected", "the observatory lists it; it has not arrived"
    DELIVERED = "delivered", "it has arrived; nothing is judged yet"
    CHECKED = "checked", "checksum, structure and keywords are as they should be"
    INGESTED = "ingested", "in the archive and its catalogue"
    DUPLICATE = "duplicate", "the same bytes are in the archive already; put aside"
    QUARANTINED = "quarantined", "refused, with a reason; put aside until a person decides"
    DISMISSED = "dismissed", "a person decided that it is not needed"


class DeliveryReason(State):
    """Why a delivery is quarantined, put aside or not processed."""

    CHECKSUM = "checksum", "its bytes are not those that the sender announced"
    TRUNCATED = "truncated", "it ends before its header says"
    NOT_FITS = "not_fits", "it cannot be read as FITS"
    STRUCTURE = "structure", "it has not the number of image extensions that the camera writes"
    KEYWORD = "keyword", "a keyword that production needs is missing or invalid"
    CONFLICT = "conflict", "another file of this exposure with other bytes is in the archive"
    DUPLICATE = "duplicate", "the same bytes are in the archive already"
    PROPID = "propid", "its proposal is not of a programme of this survey"
    UNREADABLE = "unreadable", "it could not be read in as many tries as are allowed"
    REGISTER = "register", "it could not be registered"


class QueueState(State):
    """Where a row of the nightly queue stands."""

    WAITING = "waiting", "to be submitted when its inputs are there"
    HELD = "held", "a person or a problem of severity stop holds it"
    SUBMITTED = "submitted", "its attempt runs"
    DONE = "done", "its attempt is done"
    GAVE_UP = "gave_up", "tried as often as its policy allows; a problem is open"
    DISMISSED = "dismissed", "not to be processed, as a person or a rule says"


class Mark(State):
    """What a person says of data after a look at them."""

    BLESSED = "blessed", "looked at and good; its data become ACTIVE"
    DEFECTIVE = "defective", "looked at and not to be used; its data become JUNK"
    WITHDRAWN = "withdrawn", "the earlier mark is taken back"


class ReviewState(State):
    """Where an entry of the review queue stands."""

    OPEN = "open", "waits for a person"
    TAKEN = "taken", "a person looks at it"
    DECIDED = "decided", "marked"


class ReviewCause(State):
    """Why something is in the review queue."""

    FLAGGED = "flagged", "its run is done with findings"
    UNKNOWN = "unknown", "the rules could not decide"
    OUTLIER = "outlier", "a number is far from the history of the same CCD, band or night"
    SAMPLE = "sample", "drawn at random"
    ASKED = "asked", "a person asked for it"


class Severity(State):
    """Severity of a problem, by its effect."""

    STOP = "stop", "the queue of its pipeline holds"
    BLOCK = "block", "no blessing and no release of what it is about"
    DEGRADE = "degrade", "usable, with care"
    NUISANCE = "nuisance", "costs operators time"
    WATCH = "watch", "seen once, or not confirmed"


class ProblemState(State):
    """Where a problem stands."""

    NEW = "new", "entered; nobody has confirmed it"
    CONFIRMED = "confirmed", "a person has seen that it is so"
    IN_WORK = "in_work", "its owner works on it"
    FIXED = "fixed", "its owner says that it is gone"
    CLOSED = "closed", "shown to be gone"
    REJECTED = "rejected", "not a problem"


class Resolution(State):
    """How a problem was resolved."""

    FIXED = "fixed", "its cause is gone"
    WORKED_ROUND = "worked_round", "its cause stands, its effect does not"
    DATA_MARKED = "data_marked", "the data are marked defective or excluded"
    NOT_A_FAULT = "not_a_fault", "it is as it should be"
    DUPLICATE = "duplicate", "another problem tells of the same"
    WONT_FIX = "wont_fix", "it stays"


class DispatchState(State):
    """Where a dispatch of data to a working group stands."""

    OFFERED = "offered", "sent to the group"
    ACCEPTED = "accepted", "the group looks at the data"
    ANSWERED = "answered", "the group has answered"
    EXPIRED = "expired", "no answer before the due date"
    WITHDRAWN = "withdrawn", "no longer asked"


class AnswerVerdict(State):
    """What a working group says of data."""

    VALID = "valid", "good for the question"
    PARTLY = "partly", "good for a part of it"
    INVALID = "invalid", "not good for it"
    UNCLEAR = "unclear", "cannot be told from these data"


class NoticeState(State):
    """Where a notice to one target stands."""

    PENDING = "pending", "to be sent"
    SENT = "sent", "handed to the channel"
    FAILED = "failed", "the channel refused it as often as is tried"
    SUPPRESSED = "suppressed", "told by an earlier notice, or withheld by the rule"
    ACKED = "acked", "a person has acknowledged it"
    RESOLVED = "resolved", "its cause is gone, and that was told"


class NoticeMode(State):
    """How often a rule sends."""

    FIRST = "first", "the first of each subject until it is resolved"
    EVERY = "every", "each one"
    DIGEST = "digest", "all together, once an hour"


class LogCategory(State):
    """What an entry of the logbook is about."""

    WEATHER = "weather", "weather and sky"
    TELESCOPE = "telescope", "telescope and camera"
    TRANSFER = "transfer", "transport of data"
    PROCESSING = "processing", "production"
    QUALITY = "quality", "quality of data"
    SYSTEM = "system", "machines, storage, network"
    OTHER = "other", "anything else"


class TimeLoss(State):
    """Why observing or processing time was lost."""

    WEATHER = "weather", "weather"
    FAULT = "fault", "a fault"
    OTHER = "other", "anything else"


class Office(State):
    """Office of a person in the organisation; what it may do stands in the matrix of actions."""

    OPERATOR = "operator", "runs production"
    QA = "qa", "judges data"
    PROD_SCI = "prod_sci", "production scientist: sets policies"
    WG_MEMBER = "wg_member", "member of a working group: answers dispatches"


DELIVERY_CHANGES: Mapping[DeliveryState, tuple[DeliveryState, ...]] = {
    DeliveryState.EXPECTED: (DeliveryState.DELIVERED, DeliveryState.DISMISSED),
    DeliveryState.DELIVERED: (DeliveryState.CHECKED, DeliveryState.DUPLICATE, DeliveryState.QUARANTINED),
    DeliveryState.CHECKED: (DeliveryState.INGESTED, DeliveryState.DUPLICATE, DeliveryState.QUARANTINED),
    DeliveryState.INGESTED: (),
    DeliveryState.DUPLICATE: (),
    DeliveryState.QUARANTINED: (DeliveryState.DELIVERED, DeliveryState.DISMISSED),
    DeliveryState.DISMISSED: (),
}

QUEUE_CHANGES: Mapping[QueueState, tuple[QueueState, ...]] = {
    QueueState.WAITING: (QueueState.HELD, QueueState.SUBMITTED, QueueState.GAVE_UP, QueueState.DISMISSED),
    QueueState.HELD: (QueueState.WAITING, QueueState.DISMISSED),
    QueueState.SUBMITTED: (QueueState.DONE, QueueState.WAITING, QueueState.GAVE_UP, QueueState.DISMISSED),
    QueueState.DONE: (QueueState.WAITING,),
    QueueState.GAVE_UP: (QueueState.WAITING, QueueState.DISMISSED),
    QueueState.DISMISSED: (QueueState.WAITING,),
}

REVIEW_CHANGES: Mapping[ReviewState, tuple[ReviewState, ...]] = {
    ReviewState.OPEN: (ReviewState.TAKEN, ReviewState.DECIDED),
    ReviewState.TAKEN: (ReviewState.OPEN, ReviewState.DECIDED),
    ReviewState.DECIDED: (ReviewState.OPEN,),
}

PROBLEM_CHANGES: Mapping[ProblemState, tuple[ProblemState, ...]] = {
    ProblemState.NEW: (ProblemState.CONFIRMED, ProblemState.REJECTED),
    ProblemState.CONFIRMED: (ProblemState.IN_WORK, ProblemState.FIXED, ProblemState.REJECTED),
    ProblemState.IN_WORK: (ProblemState.CONFIRMED, ProblemState.FIXED),
    ProblemState.FIXED: (ProblemState.CLOSED, ProblemState.CONFIRMED),
    ProblemState.CLOSED: (),
    ProblemState.REJECTED: (),
}

DISPATCH_CHANGES: Mapping[DispatchState, tuple[DispatchState, ...]] = {
    DispatchState.OFFERED: (DispatchState.ACCEPTED, DispatchState.EXPIRED, DispatchState.WITHDRAWN),
    DispatchState.ACCEPTED: (DispatchState.ANSWERED, DispatchState.EXPIRED, DispatchState.WITHDRAWN),
    DispatchState.ANSWERED: (),
    DispatchState.EXPIRED: (),
    DispatchState.WITHDRAWN: (),
}

NOTICE_CHANGES: Mapping[NoticeState, tuple[NoticeState, ...]] = {
    NoticeState.PENDING: (NoticeState.SENT, NoticeState.FAILED, NoticeState.SUPPRESSED),
    NoticeState.SENT: (NoticeState.ACKED, NoticeState.RESOLVED),
    NoticeState.FAILED: (NoticeState.PENDING,),
    NoticeState.SUPPRESSED: (),
    NoticeState.ACKED: (NoticeState.RESOLVED,),
    NoticeState.RESOLVED: (),
}


def operation_changes() -> Iterator[tuple[str, str, str]]:
    """(kind, from, to) of every lawful change of these states, for ``ops_state_change``."""
    yield from _changes_of("delivery", DELIVERY_CHANGES)
    yield from _changes_of("queue", QUEUE_CHANGES)
    yield from _changes_of("review", REVIEW_CHANGES)
    yield from _changes_of("problem", PROBLEM_CHANGES)
    yield from _changes_of("dispatch", DISPATCH_CHANGES)
    yield from _changes_of("notice", NOTICE_CHANGES)


def _changes_of(kind: str, lawful: Mapping[S, tuple[S, ...]]) -> Iterator[tuple[str, str, str]]:
    """(kind, from, to) of the lawful changes of one kind of state."""
    for state, following in lawful.items():
        for target in following:
            yield kind, state.value, target.value
