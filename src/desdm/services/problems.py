"""Damaged or missing files of releases: queued by requests, entered into the problem list of production by a loop.

A request only queues a fault. It is stored in the service database; the loop enters it into the problem list once, as
soon as the operations database can be written, so that requests and operations do not block each other.
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

#: Seconds between attempts to enter faults that earlier steps could not enter.
_EVERY = 10.0
_MOST = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """Fault of one file of a release, with the service that detected it."""

    release: str
    path: str
    fault: str
    who: str


class FaultList:
    """Queues faults that requests detect and enters them into the problem list.

    Parameters
    ----------
    database, state
        Operations database with the problem list, and service database.
    journal
        Writes the faults to the service database.
    """

    def __init__(self, database: Database, state: Database, journal: Journal) -> None:
        self._database, self._state, self._journal = database, state, journal
        self._wake = threading.Event()

    def start(self, supervisor: Supervisor, until: Callable[[], bool] | None = None) -> None:
        """Start the loop that enters faults."""
        supervisor.loop("problems", self.step, _EVERY, wake=self._wake, until=until)

    def report(self, release: str, path: str, fault: str, who: str) -> None:
        """Queue a fault without waiting for a database.

        Parameters
        ----------
        release, path
            The file.
        fault
            What is wrong with it.
        who
            Service that detected it.
        """
        record = Fault(release, path[:200], fault, who)
        self._journal.put(lambda conn: _store_fault(conn, record)).add_done_callback(
            lambda _: self._wake.set()
        )

    def step(self) -> None:
        """Enter the pending faults into the problem list."""
        with self._state.read() as conn:
            pending = _pending(conn)
        for fault in pending:
            text = f"{fault.release}/{fault.path}: {fault.fault}"
            number = report_file(self._database, fault.release, fault.path, text, fault.who)
            if number is None:
                return  # the operations database cannot be written now; the next step tries again
            with self._state.write() as conn:
                _mark_entered(conn, fault, number)


def _store_fault(conn: Connection, fault: Fault) -> None:
    """Store a fault as pending, also if it was entered before: the problem list then confirms its number."""
    conn.execute(delete(release_fault).where(_file_condition(fault)))
    conn.execute(
        insert(release_fault).values(
            release=fault.release, path=fault.path, at=now(), who=fault.who, fault=fault.fault, problem=None
        )
    )


def _pending(conn: Connection) -> list[Fault]:
    """Return the faults that are not entered yet, oldest first."""
    query = select(release_fault).where(release_fault.c.problem.is_(None)).order_by(release_fault.c.at)
    return [Fault(row.release, row.path, row.fault, row.who) for row in conn.execute(query.limit(_MOST))]


def _mark_entered(conn: Connection, fault: Fault, number: int) -> None:
    """Store the number of a fault in the problem list."""
    conn.execute(update(release_fault).where(_file_condition(fault)).values(problem=number))


def _file_condition(fault: Fault) -> ColumnElement[bool]:
    """Return the condition that selects the row of a file."""
    return (release_fault.c.release == fault.release) & (release_fault.c.path == fault.path)
