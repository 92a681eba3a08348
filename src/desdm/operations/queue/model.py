"""Records of the nightly queue: policies and rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from desdm.schema.operationstates import QueueState

__all__ = [
    "ANY",
    "DEFAULT_POLICIES",
    "LEASE",
    "NEEDS",
    "PROGRAMS",
    "RULE",
    "Policy",
    "QueueChange",
    "QueueRow",
]

#: Programme or band of a policy that is for all of them.
ANY = "*"
#: ``held_by`` of a row that a rule dismissed: it is judged again when exclusions or policies change.
RULE = "rule"
#: Name of the lease of the process that runs the queue.
LEASE = "queue"
#: Authors of events that are programs: the queue, and the watcher of deliveries.
PROGRAMS = ("queue", "dts")
#: Pipeline → pipeline of the night that must have ended, well or not, before it begins.
NEEDS: Mapping[str, str] = {"firstcut": "precal"}


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy: which exposures or nights a pipeline is queued for, in which order, with which deadline and tries.

    Attributes
    ----------
    id
        Number; None: the policy that holds where no policy was ever entered.
    programme, band
        Programme and band that it is for; ``*``: all.
    pipeline
        Pipeline that it queues.
    nite_from, nite_to
        First and last night, YYYYMMDD.
    rank
        Order: the least goes first.
    deadline_h
        Hours from arrival within which it should be done.
    max_tries
        Attempts at most, if its failures are transient.
    statement
        The statement that set it: who agreed what.
    who, since, until
        Who entered it, since when it holds, and until when it held (None: it holds), UTC.
    """

    id: int | None
    programme: str
    pipeline: str
    band: str
    nite_from: str
    nite_to: str
    rank: int
    deadline_h: float
    max_tries: int
    statement: str
    who: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def applies(self, programme: str, band: str, nite: str) -> bool:
        """Tell whether the policy is for a programme, band and night; a night's calibrations are of every band."""
        return (
            self.programme in (ANY, programme)
            and (self.band == ANY or not band or self.band == band)
            and self.nite_from <= nite <= self.nite_to
        )

    @property
    def text(self) -> str:
        """The policy and the statement that set it, as rows of the queue cite it."""
        name = "the default policy" if self.id is None else f"policy {self.id}"
        return f"{name} ({self.statement})"


#: What holds where no policy was ever entered: precal of each night, then First Cut of each exposure.
DEFAULT_POLICIES = tuple(
    Policy(None, ANY, pipeline, ANY, "00000000", "99999999", rank, 24.0, 3, statement)
    for pipeline, rank, statement in (
        ("precal", 10, "calibrations of each night before its exposures"),
        ("firstcut", 20, "First Cut of each science exposure"),
    )
)


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A row of the queue; texts of its fields are those of the columns of `desdm.schema.queue.ops_auto_queue`.

    Attributes
    ----------
    run
        Name of the newest attempt; empty: there is none.
    """

    id: int
    unitname: str
    pipeline: str
    campaign: str
    nite: str
    expnum: int | None
    band: str
    programme: str
    state: QueueState
    rank: int
    why: str
    due_at: datetime | None
    tries: int
    max_tries: int
    settings: Mapping[str, str] = field(default_factory=dict)
    policy_id: int | None = None
    attempt_id: int | None = None
    run: str = ""
    held_by: str = ""
    newest_desfile_id: int | None = None
    not_before: datetime | None = None
    arrived_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def name(self) -> str:
        """Pipeline and unit, as messages name the row."""
        return f"{self.pipeline} {self.unitname}"


@dataclass(frozen=True, slots=True)
class QueueChange:
    """What an act changes, or would change, of a row: its state and rank before and after."""

    row: QueueRow
    state: QueueState
    rank: int
