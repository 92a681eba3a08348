"""What every data service gets: the installation, what is published, the engine of queries, the limits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request

from desdm.accounts.model import Caller
from desdm.archive.archive import Archive
from desdm.config import Config
from desdm.query.engines.model import Engine
from desdm.schema.database import Database
from desdm.services.journal import Journal
from desdm.services.problems import FaultList
from desdm.services.published import Published
from desdm.services.refusals import Refusals
from desdm.services.supervise import Supervisor
from desdm.services.threads import Threads

__all__ = ["Services", "caller_of"]

#: Threads that one caller has at once.
_SHARE, _PAGE_SHARE = 6, 2


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers of a service take; made once by the web's app.

    Attributes
    ----------
    database, archive
        Of operations: releases and people stand there.
    state
        The service's own database: jobs, denials, use of tokens.
    published
        What is published now.
    engine
        The engine that answers queries on release tables.
    pool
        Threads for work that would hold up the event loop: queries, cutouts, reading files.
    supervisor
        Keeps the background loops alive.
    pages
        Threads of pages, health and availability.
    journal
        Takes small writes of requests.
    faults
        Takes files of releases that are not as released.
    refusals
        Takes requests for releases that the caller may not see.
    threads, page_threads
        The pools with a share for each caller.
    server
        Name of this server process, unique over restarts; jobs carry it.
    """

    config: Config
    database: Database
    archive: Archive
    published: Published
    engine: Engine
    pool: ThreadPoolExecutor
    server: str
    state: Database
    supervisor: Supervisor = field(default_factory=Supervisor)
    pages: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "desdm-page"))
    journal: Journal = field(init=False)
    faults: FaultList = field(init=False)
    refusals: Refusals = field(init=False)
    threads: Threads = field(init=False)
    page_threads: Threads = field(init=False)

    def __post_init__(self) -> None:
        # Frozen: what follows from the other attributes is set once, here.
        object.__setattr__(self, "journal", Journal(self.state))
        object.__setattr__(self, "refusals", Refusals(self.journal))
        object.__setattr__(self, "faults", FaultList(self.database, self.state, self.journal))
        object.__setattr__(self, "threads", Threads(self.pool, _SHARE))
        object.__setattr__(self, "page_threads", Threads(self.pages, _PAGE_SHARE))

    def root(self, release: str) -> Path:
        """Directory of a release's files."""
        return self.config.releases / release

    @property
    def results(self) -> Path:
        """Directory of the results of asynchronous jobs."""
        return self.config.home / "results"


def caller_of(request: Request) -> Caller:
    """Who asks, as the door found out."""
    caller = request.scope.get("desdm.caller")
    return caller if isinstance(caller, Caller) else Caller()
