"""What an asynchronous job is: its record, its kind, and what its code is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from desdm.accounts.model import Caller
from desdm.errors import UsageError
from desdm.query.engines.model import Cancel
from desdm.schema.states import Phase
from desdm.services.context import Services

__all__ = [
    "ACTIVE",
    "BLOCKING",
    "ENDED",
    "OVERFLOW",
    "Job",
    "JobContext",
    "JobKind",
    "Owner",
    "Parameters",
    "Result",
    "owner_key",
]

#: Phases from which a job goes on by itself.
ACTIVE = frozenset((Phase.QUEUED, Phase.EXECUTING))
#: Phases in which WAIT holds its answer (UWS 1.1, 2.2.1.1: the active phases); a pending job may be started meanwhile.
BLOCKING = ACTIVE | {Phase.PENDING}
#: Phases that a job never leaves.
ENDED = frozenset((Phase.COMPLETED, Phase.ERROR, Phase.ABORTED, Phase.ARCHIVED))

#: What the service notes at a job whose result was cut at MAXREC.
OVERFLOW = ("_STATUS", "OVERFLOW")
#: (name in capitals, value), in the order given; a name may stand several times.
Parameters = Sequence[tuple[str, str]]
#: Whose share a job counts in: (login, ""), or ("", address) of who is not known.
Owner = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Result:
    """A file that a job made; ``path`` is relative to the results' directory."""

    id: str
    path: str
    mime: str
    filesize: int


@dataclass(frozen=True, slots=True)
class Job:
    """One job as the database has it; times are UTC."""

    id: str
    service: str
    owner: str
    run_id: str
    phase: Phase
    creation_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    execution_duration: float
    destruction: datetime
    error_type: str | None
    error_message: str | None
    server: str | None
    tries: int
    parameters: tuple[tuple[str, str], ...] = ()
    results: tuple[Result, ...] = ()
    address: str = ""
    size: int = 0


def owner_key(job: Job) -> Owner:
    """Whose share of places a job counts in: strangers are many, each known by the address alone."""
    return (job.owner, "") if job.owner else ("", job.address)


@dataclass(slots=True)
class JobContext:
    """What the code of a job is given.

    Attributes
    ----------
    id, parameters
        The job and its parameters.
    caller
        Its owner, with the rights of now.
    directory
        Where its results go; it exists. ``uploads/<name>`` in it are the files that came with the job.
    cancel
        Set when the job is to end; long work looks at ``cancel.event``.
    seconds
        How long the job may run; None: no limit.
    notes
        What the service is to keep of the finished job, as parameters whose names begin with an underscore.
    """

    id: str
    parameters: Parameters
    caller: Caller
    directory: Path
    cancel: Cancel
    seconds: float | None
    services: Services
    results: list[Result] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def owner(self) -> str:
        """Login of the owner; empty: anybody."""
        return self.caller.login

    def value(self, name: str, default: str = "") -> str:
        """The one value of a parameter.

        Raises
        ------
        UsageError
            If it is given twice.
        """
        found = self.values(name)
        if len(found) > 1:
            raise UsageError(f"{name} is given {len(found)} times; give it once")
        return found[0] if found else default

    def values(self, name: str) -> list[str]:
        """All values of a parameter."""
        return [value for key, value in self.parameters if key == name]

    def uploaded(self, name: str) -> Path:
        """File that came with the job as multipart part ``name`` (``param:<name>``)."""
        path = self.directory / "uploads" / name
        if "/" in name or name.startswith(".") or not path.is_file():
            raise UsageError(f"no file came with the job as part {name!r}; send it as multipart/form-data")
        return path

    def result(self, id: str, filename: str, mime: str) -> Path:
        """Tell of a result that stands, whole, as ``directory / filename``; its path."""
        path = self.directory / filename
        self.results.append(Result(id, f"{self.id}/{filename}", mime, path.stat().st_size))
        return path


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of asynchronous jobs: one a service.

    Attributes
    ----------
    name
        Name of the service in the database: tap, soda, cutout.
    run
        Does the work of one job in a thread of its own; results by `JobContext.result`.
    check
        Refuses parameters that can never work, when the job is made or started; optional.
    places
        Jobs of this kind that run at once in one server.
    """

    name: str
    run: Callable[[JobContext], None]
    check: Callable[[Services, Caller, Parameters], None] | None = None
    places: int = 4
