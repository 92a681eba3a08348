"""Shared state of the data services: installation, published releases, query engine, thread pools."""

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

#: Threads that one caller may use at once: queries, pages.
_SHARE, _PAGE_SHARE = 6, 2


@dataclass(frozen=True, slots=True)
class Services:
    """Shared state of all handlers; created once by the web application.

    Attributes
    ----------
    database, archive
        Operations database (releases, people) and file archive.
    state
        Service database: jobs, denials, use of tokens.
    published
        Published releases; re-read when a release is published.
    engine
        Query engine of the release tables.
    pool
        Threads for work that would hold up the event loop: queries, cutouts, reading files.
    supervisor
        Runs the background loops.
    pages
        Threads of pages, health and availability.
    journal
        Queue of small writes to the service database.
    faults
        Queue of damaged or missing release files for the problem list.
    refusals
        Records requests for releases that the caller may not see.
    threads, page_threads
        The two pools with a share for each caller.
    server
        Name of this server process, unique over restarts; jobs store it.
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
    """Return the caller of a request, as the authentication middleware stored it."""
    caller = request.scope.get("desdm.caller")
    return caller if isinstance(caller, Caller) else Caller()
