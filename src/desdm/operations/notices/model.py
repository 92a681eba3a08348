"""Records of notices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum
from fnmatch import fnmatchcase

from desdm.schema.operationstates import NoticeMode, NoticeState, Severity
from desdm.schema.states import EventKind

__all__ = ["ANYTHING", "Cause", "Message", "Notice", "Rule", "Source", "rank"]

#: Pattern of a rule that fits everything.
ANYTHING = "*"
_ORDER = tuple(Severity)


def rank(severity: Severity) -> int:
    """Return the place of a severity: 0 is the gravest."""
    return _ORDER.index(severity)


class Source(StrEnum):
    """Where causes of notices come from."""

    EVENT = "event"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who is told what, where and how often.

    Attributes
    ----------
    kind
        Kind of event, or `ANYTHING`.
    subject
        Pattern of the subject with ``*`` and ``?``.
    severity
        Least severity that is told; events that are no problems have `Severity.WATCH`.
    target
        ``mailto:address``, or the URL of a webhook, chat or ticket system.
    quiet_from, quiet_to
        Quiet hours, UTC; None: none. A notice of severity stop is sent in them too.
    after_event, after_note
        Newest event and newest note on a problem when the rule was added: it tells what came after.
    """

    id: int
    name: str
    kind: str
    subject: str
    severity: Severity
    target: str
    mode: NoticeMode
    quiet_from: time | None
    quiet_to: time | None
    owner: str
    since: datetime
    until: datetime | None = None
    after_event: int = 0
    after_note: int = 0

    def fits(self, cause: Cause) -> bool:
        """Whether a cause is to be told by this rule."""
        return (
            self.kind in (ANYTHING, cause.kind.value)
            and rank(cause.severity) <= rank(self.severity)
            and fnmatchcase(cause.subject, self.subject)
            and cause.number > (self.after_event if cause.source is Source.EVENT else self.after_note)
        )

    def is_quiet(self, now: datetime) -> bool:
        """Whether a time (UTC) lies in the quiet hours."""
        if self.quiet_from is None or self.quiet_to is None:
            return False
        at = now.time()
        if self.quiet_from <= self.quiet_to:
            return self.quiet_from <= at < self.quiet_to
        return at >= self.quiet_from or at < self.quiet_to


@dataclass(frozen=True, slots=True)
class Cause:
    """What a notice tells of: an event, or a change of a problem.

    Attributes
    ----------
    source, number
        Table of it, and number of its row.
    resolved
        Whether it tells that the trouble of its subject is gone.
    """

    source: Source
    number: int
    kind: EventKind
    subject: str
    severity: Severity
    text: str
    resolved: bool = False

    @property
    def key(self) -> str:
        """Name of the cause: ``event:17``, ``problem:5``."""
        return f"{self.source.value}:{self.number}"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice of the outbox to one target."""

    id: int
    rule_id: int
    key: str
    target: str
    subject: str
    severity: Severity
    body: str
    state: NoticeState
    tries: int
    next_try: datetime | None
    made_at: datetime
    sent_at: datetime | None
    batch: str | None
    last_error: str | None
    acked_by: str | None
    resolves_id: int | None


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to a target at once: one notice or several.

    Attributes
    ----------
    batch
        Name of the message: the same at each try.
    notices
        Numbers of the notices that it carries.
    tries
        How often it was tried before.
    """

    batch: str
    target: str
    subject: str
    body: str
    severity: Severity
    notices: tuple[int, ...]
    tries: int
