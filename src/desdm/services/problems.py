"""Files of releases that a service finds not as released, on their way to the problem list of production.

A request only queues what it met. It is kept in the service's own database, and a loop enters it into the problem list,
once, when production can be written: neither a flood of requests nor a lock of production touches the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from desdm.accounts.clock import now
from desdm.release.problems import report_file
from desdm.schema.database import Database
from desdm.schema.service import release_fault
from desdm.services.journal import Journal
from desdm.services.supervise import Supervisor

__all__ = ["Fault", "FaultList"]

#: Seconds between looks at what earlier steps could not enter.
_EVERY = 10.0
_MOST = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one file of a release, and which service met it."""

    release: str
    path: str
    fault: str
    who: str


class FaultList:
    """Takes faults of requests and enters them into the problem list.

    Parameters
    ----------
    database, state
        Of operations, with the problem list, and the service's own.
    journal
        Writes what requests met.
    """

    def __init__(self, database: Database, state: Database, journal: Journal) -> None:
        self._database, self._state, self._journal = database, state, journal
        self._wake = threading.Event()

    def start(self, supervisor: Supervisor, until: Callable[[], bool] | None = None) -> None:
        """Begin to enter faults."""
        supervisor.loop("problems", self.step, _EVERY, wake=self._wake, until=until)

    def report(self, release: str, path: str, fault: str, who: str) -> None:
        """Queue a fault; nobody waits for a database.

        Parameters
        ----------
        release, path
            The file.
        fault
            What is wrong with it.
        who
            Service that met it.
        """
        met = Fault(release, path[:200], fault, who)
        self._journal.put(lambda conn: _keep(conn, met)).add_done_callback(lambda _: self._wake.set())

    def step(self) -> None:
        """Enter what is not in the problem list yet."""
        with self._state.read() as conn:
            waiting = _waiting(conn)
        for met in waiting:
            said = f"{met.release}/{met.path}: {met.fault}"
            number = report_file(self._database, met.release, met.path, said, met.who)
            if number is None:
                return  # production cannot be written now; the next step tries again
            with self._state.write() as conn:
                _entered(conn, met, number)


def _keep(conn: Connection, met: Fault) -> None:
    """Keep a fault, to be entered; one that stands in the list already is looked up there again."""
    conn.execute(delete(release_fault).where(_is(met)))
    conn.execute(
        insert(release_fault).values(
            release=met.release, path=met.path, at=now(), who=met.who, fault=met.fault, problem=None
        )
    )


def _waiting(conn: Connection) -> list[Fault]:
    """Faults that are not entered yet, oldest first."""
    query = select(release_fault).where(release_fault.c.problem.is_(None)).order_by(release_fault.c.at)
    return [Fault(row.release, row.path, row.fault, row.who) for row in conn.execute(query.limit(_MOST))]


def _entered(conn: Connection, met: Fault, number: int) -> None:
    """Note the number under which a fault stands in the problem list."""
    conn.execute(update(release_fault).where(_is(met)).values(problem=number))


def _is(met: Fault) -> ColumnElement[bool]:
    """The condition that picks the row of a file."""
    return (release_fault.c.release == met.release) & (release_fault.c.path == met.path)
