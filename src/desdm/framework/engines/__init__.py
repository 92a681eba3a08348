"""Engines: places where jobs run. One interface, one file a batch system, one contract test for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from desdm.framework.job import Ticket

__all__ = ["Engine", "JobEvent"]


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something an engine saw.

    Attributes
    ----------
    token
        Of the job's try.
    kind
        ``started``, ``wrapper`` (with ``wrapnum`` and ``state``), ``ended`` (the job came to its end; its
        receipt says how) or ``lost`` (its worker went away).
    """

    token: str
    kind: str
    handle: str = ""
    wrapnum: int = 0
    state: str = ""
    text: str = ""


class Engine(Protocol):
    """What the framework asks of a batch system. It owns no state: the database does."""

    name: str

    def submit(self, ticket: Ticket) -> None:
        """Take a job; its ticket's token names it from now on."""

    def events(self, timeout: float) -> Sequence[JobEvent]:
        """What happened since the last call; waits up to ``timeout`` seconds for the first."""

    def cancel(self, token: str) -> None:
        """End a job, its programs with it."""

    def close(self) -> None:
        """End every job and let go of everything."""
