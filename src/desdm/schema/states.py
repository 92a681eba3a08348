"""The closed sets: states of attempts, jobs, wrappers, data and copies, with texts and lawful changes."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Self

__all__ = [
    "ATTEMPT_CHANGES",
    "JOB_CHANGES",
    "AttemptState",
    "CopyState",
    "DataState",
    "EventKind",
    "JobState",
    "Phase",
    "ReleaseState",
    "Role",
    "RunClass",
    "State",
    "Verdict",
    "WrapperState",
    "changes",
]


class State(StrEnum):
    """A closed set of names; ``text`` says what each member means."""

    text: str

    def __new__(cls, value: str, text: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member


class AttemptState(State):
    """Where an attempt (and each of its blocks) stands."""

    PLANNED = "planned", "rows and job files exist; nothing runs yet"
    RUNNING = "running", "a submitter has it and jobs are under way"
    DONE = "done", "every module is done and registered"
    FLAGGED = "flagged", "done, with findings that an operator must look at"
    FAILED = "failed", "a job failed; resume goes on at the first module that is not done"
    CANCELLED = "cancelled", "an operator ended it"
    INTERRUPTED = "interrupted", "its submitter is no longer running; resume goes on"


class JobState(State):
    """Where one job stands; a job is a bundle of wrappers with one work folder."""

    PLANNED = "planned", "its WCL is written"
    QUEUED = "queued", "given to an engine under a token"
    RUNNING = "running", "a worker has begun it"
    DONE = "done", "its outputs are registered"
    FAILED = "failed", "a wrapper failed; good outputs are registered, the work folder is kept"
    LOST = "lost", "the worker or the engine went away"
    CANCELLED = "cancelled", "ended by an operator"


class ReleaseState(State):
    """Where a release stands."""

    DRAFT = "draft", "being put together; its content may change"
    FROZEN = "frozen", "selected and built; validated before it can be published"
    PUBLISHED = "published", "served; never changes, an erratum is a new point release"


class Role(State):
    """Role of a person; each may do what those before it may."""

    PUBLIC = "public", "anybody: what is published and not proprietary"
    COLLABORATOR = "collaborator", "proprietary data by right, tables of their own, larger limits"
    OPERATOR = "operator", "runs production and makes releases"
    ADMIN = "admin", "people, rights and tokens of others"


class Phase(State):
    """Phase of an asynchronous job (IVOA UWS 1.1)."""

    PENDING = "PENDING", "made, not yet run"
    QUEUED = "QUEUED", "waits for its turn"
    EXECUTING = "EXECUTING", "runs"
    COMPLETED = "COMPLETED", "done, its results can be fetched"
    ERROR = "ERROR", "ended with an error"
    ABORTED = "ABORTED", "ended by its owner or by its time limit"
    HELD = "HELD", "held back by an operator"
    SUSPENDED = "SUSPENDED", "stopped for a time by the service"
    UNKNOWN = "UNKNOWN", "nobody knows"
    ARCHIVED = "ARCHIVED", "its results are gone, its record is kept"


class WrapperState(State):
    """Where one wrapper stands."""

    PLANNED = "planned", "not begun"
    RUNNING = "running", "its code runs"
    DONE = "done", "its outputs are checked"
    REUSED = "reused", "its outputs stood from an earlier try and were taken over"
    FAILED = "failed", "its code, an input or an output failed"
    LEFT = "left", "left out: an input was not made, because a wrapper before it failed and the run goes on"


class DataState(State):
    """What an attempt's data are worth; an operator's or QA scientist's mark."""

    NEW = "NEW", "nobody has judged it"
    ACTIVE = "ACTIVE", "good for use"
    JUNK = "JUNK", "not to be used; may be deleted"
    PRUNED = "PRUNED", "its files are deleted, its record stands"


class RunClass(State):
    """Purpose of an attempt; only ``survey`` attempts are production (classes of DESDM runs, operations section)."""

    DEV = "dev", "development: tries a code or a pipeline; nobody relies on it"
    QUALIFY = "qualify", "qualification: tests a software release before production uses it"
    STUDY = "study", "study: answers a question about data, codes or settings"
    SURVEY = "survey", "production of the survey"


class Verdict(State):
    """Judgement on an exposure, as DESDM's evaluation tables write it."""

    ACCEPTED = "True", "good enough for the survey"
    REJECTED = "False", "not good enough; observed again"
    UNKNOWN = "Unknown", "not assessed: a person decides"


class EventKind(State):
    """What kind of act an event records."""

    ATTEMPT = "attempt", "an attempt was planned, started, ended or cancelled"
    JOB = "job", "a job ended"
    INGEST = "ingest", "files were registered"
    REFUSAL = "refusal", "a delivered file was refused"
    DELETE = "delete", "files were deleted, recovered or removed for good"
    TAG = "tag", "a tag was set or removed"
    AUDIT = "audit", "an audit found a file that is not as registered"
    VERDICT = "verdict", "a person judged an exposure, or withdrew that judgement"
    EXCLUDE = "exclude", "an exposure or CCD was excluded, or the exclusion was lifted"
    MARK = "mark", "the data state of an attempt was changed"
    PROBLEM = "problem", "a problem was opened or closed"
    EPOCH = "epoch", "an epoch was defined, or calibrations were registered for it"
    RELEASE = "release", "a release was created, changed, published, announced or discarded"
    ACCOUNT = "account", "an account, a token or a data right was changed"
    DELIVERY = "delivery", "a delivery of the telescope arrived, was refused or was decided on"
    QUEUE = "queue", "the nightly queue was changed: policy, hold, release, priority, retry, giving up"
    REVIEW = "review", "data were put up for review, blessed, marked defective, or a mark was withdrawn"
    DISPATCH = "dispatch", "data were sent to a working group, or it answered"
    ENTRY = "entry", "a person wrote in the logbook"
    NOTICE = "notice", "a rule of notices was changed, or a notice was acknowledged"
    SURVEY = "survey", "the table of survey fields was imported"


class CopyState(State):
    """How one copy of a file in one archive stands."""

    OK = "ok", "present as registered"
    CORRUPT = "corrupt", "an audit found other bytes"
    MISSING = "missing", "an audit did not find it"
    TRASH = "trash", "deleted, recoverable until its grace time ends"


ATTEMPT_CHANGES: dict[AttemptState, tuple[AttemptState, ...]] = {
    AttemptState.PLANNED: (AttemptState.RUNNING, AttemptState.CANCELLED, AttemptState.INTERRUPTED),
    AttemptState.RUNNING: (
        AttemptState.DONE,
        AttemptState.FLAGGED,
        AttemptState.FAILED,
        AttemptState.CANCELLED,
        AttemptState.INTERRUPTED,
    ),
    AttemptState.FAILED: (AttemptState.RUNNING, AttemptState.CANCELLED),
    AttemptState.INTERRUPTED: (AttemptState.RUNNING, AttemptState.CANCELLED),
    AttemptState.CANCELLED: (AttemptState.RUNNING,),
    AttemptState.DONE: (),
    AttemptState.FLAGGED: (),
}

JOB_CHANGES: dict[JobState, tuple[JobState, ...]] = {
    JobState.PLANNED: (JobState.QUEUED, JobState.CANCELLED),
    JobState.QUEUED: (JobState.RUNNING, JobState.DONE, JobState.FAILED, JobState.LOST, JobState.CANCELLED),
    JobState.RUNNING: (JobState.DONE, JobState.FAILED, JobState.LOST, JobState.CANCELLED),
    JobState.FAILED: (JobState.QUEUED, JobState.CANCELLED),
    JobState.LOST: (JobState.QUEUED, JobState.CANCELLED),
    JobState.CANCELLED: (JobState.QUEUED,),
    JobState.DONE: (),
}


def changes() -> Iterator[tuple[str, str, str]]:
    """(kind, from, to) of every lawful change of the states of attempts and jobs, for ``ops_state_change``."""
    for attempt, attempt_next in ATTEMPT_CHANGES.items():
        for state in attempt_next:
            yield "attempt", attempt.value, state.value
    for job, job_next in JOB_CHANGES.items():
        for job_state in job_next:
            yield "job", job.value, job_state.value
