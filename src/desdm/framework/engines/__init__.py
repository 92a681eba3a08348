"""Engines: places where jobs run. One interface, one file a batch system, one contract test for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from desdm.framework.job import JobRequest
from desdm.schema.states import WrapperState

__all__ = ["Engine", "JobEvent", "JobEventKind"]


class JobEventKind(StrEnum):
    """What an engine reports of a job."""

    STARTED = "started"
    #: a wrapper has started or ended
    WRAPPER = "wrapper"
    #: the job came to its end; its receipt says how
    ENDED = "ended"
    #: its worker went away
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A report of an engine about a job.

    Attributes
    ----------
    token
        Of the job's try.
    kind
        What happened.
    handle
        Name of the job or worker in the engine (the process number, for the local one).
    wrapnum, state
        Number and state of the wrapper, for `JobEventKind.WRAPPER`.
    text
        Reason, for `JobEventKind.LOST`.
    """

    token: str
    kind: JobEventKind
    handle: str = ""
    wrapnum: int = 0
    state: WrapperState | None = None
    text: str = ""


class Engine(Protocol):
    """What the framework asks of a batch system. It owns no state: the database does."""

    name: str

    def submit(self, request: JobRequest) -> None:
        """Take a job; its request's token names it from now on."""

    def events(self, timeout: float) -> Sequence[JobEvent]:
        """What happened since the last call; waits up to ``timeout`` seconds for the first."""

    def cancel(self, token: str) -> None:
        """End a job, its programs with it."""

    def close(self) -> None:
        """End every job and let go of everything."""
