"""Asynchronous jobs: record, kind, and the context of the running code."""

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

#: Phases from which a job proceeds by itself.
ACTIVE = frozenset((Phase.QUEUED, Phase.EXECUTING))
#: Phases in which WAIT holds its answer (UWS 1.1, 2.2.1.1: the active phases); a pending job may be started meanwhile.
BLOCKING = ACTIVE | {Phase.PENDING}
#: Phases that a job never leaves.
ENDED = frozenset((Phase.COMPLETED, Phase.ERROR, Phase.ABORTED, Phase.ARCHIVED))

#: Reserved parameter of a job whose result was truncated at MAXREC.
OVERFLOW = ("_STATUS", "OVERFLOW")
#: (name in capitals, value), in the order of the request; names may repeat.
Parameters = Sequence[tuple[str, str]]
#: Owner for the share of places: (login, ""), or ("", address) of an anonymous caller.
Owner = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Result:
    """A result file of a job; ``path`` is relative to the results' directory."""

    id: str
    path: str
    mime: str
    filesize: int


@dataclass(frozen=True, slots=True)
class Job:
    """Record of a job; times are UTC."""

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
    """Return the owner for the share of places; anonymous callers are distinguished by address."""
    return (job.owner, "") if job.owner else ("", job.address)


@dataclass(slots=True)
class JobContext:
    """Context of the code of a job.

    Attributes
    ----------
    id, parameters
        The job and its parameters.
    caller
        Its owner, with the rights of now.
    directory
        Existing directory of its results; ``uploads/<name>`` in it are the uploaded files.
    cancel
        Set when the job must end; long work checks ``cancel.event``.
    seconds
        Time limit of the job; None: no limit.
    notes
        Reserved parameters (leading underscore) to store with the finished job.
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
        """Login of the owner; empty: anonymous."""
        return self.caller.login

    def value(self, name: str, default: str = "") -> str:
        """Return the value of a parameter.

        Raises
        ------
        UsageError
            The parameter is repeated.
        """
        values = self.values(name)
        if len(values) > 1:
            raise UsageError(f"{name} has {len(values)} values; give it once")
        return values[0] if values else default

    def values(self, name: str) -> list[str]:
        """All values of a parameter."""
        return [value for key, value in self.parameters if key == name]

    def uploaded(self, name: str) -> Path:
        """Return the uploaded file of multipart part ``name`` (``param:<name>``)."""
        path = self.directory / "uploads" / name
        if "/" in name or name.startswith(".") or not path.is_file():
            raise UsageError(f"no file came with the job as part {name!r}; send it as multipart/form-data")
        return path

    def result(self, id: str, filename: str, mime: str) -> Path:
        """Register the complete file ``directory / filename`` as a result.

        Parameters
        ----------
        id
            Identifier of the result.
        filename
            Name of the file in the job's directory.
        mime
            Media type.

        Returns
        -------
        Path
            Path of the file.
        """
        path = self.directory / filename
        self.results.append(Result(id, f"{self.id}/{filename}", mime, path.stat().st_size))
        return path


@dataclass(frozen=True, slots=True)
class JobKind:
    """Kind of asynchronous jobs: one for each service.

    Attributes
    ----------
    name
        Name of the service in the database: tap, soda, cutout.
    run
        Runs one job in its own thread; registers results by `JobContext.result`.
    check
        Raises for invalid parameters when a job is created or started; optional.
    places
        Jobs of this kind that run at once in one server.
    """

    name: str
    run: Callable[[JobContext], None]
    check: Callable[[Services, Caller, Parameters], None] | None = None
    places: int = 4
