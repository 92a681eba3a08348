"""What every data service gets: the installation, what is published, the engine of queries, the limits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from desdm.accounts.model import Caller
from desdm.archive.archive import Archive
from desdm.config import Config
from desdm.schema.database import Database
from desdm.services.engines.model import Engine
from desdm.services.published import Published

__all__ = ["Services", "caller_of"]


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers of a service take; made once by the web's app.

    Attributes
    ----------
    database, archive
        Of operations: releases, jobs, people stand there.
    published
        What is published now.
    engine
        The engine that answers queries on release tables.
    pool
        Threads for work that would hold up the event loop: queries, cutouts, reading files.
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
