"""Deposits files: staged and registered, in transactions of a thousand, each of which is all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from desdm.archive import store
from desdm.archive.archive import Archive
from desdm.archive.flight import sweep
from desdm.archive.model import Deposit, DepositReport
from desdm.archive.register import OnConflict, register
from desdm.archive.stage import stage
from desdm.schema.database import Database

__all__ = ["deposit", "register", "stage"]


def deposit(
    database: Database,
    archive: Archive,
    items: Sequence[Deposit],
    *,
    who: str,
    chunk: int = 1000,
    on_conflict: OnConflict = "refuse",
    progress: Callable[[int], object] | None = None,
) -> DepositReport:
    """Deposit files.

    Each chunk is one transaction: name, metadata, parentage, digest and location of its files appear together
    or not at all. A deposit that was killed is repeated by calling again: what was registered is present, bytes
    without a row are taken over.

    Parameters
    ----------
    items
        What; parents before, or in the same chunk as, their children.
    who
        Person or program, for the events.
    chunk
        Files a transaction.
    on_conflict
        What becomes of a name that stands for other bytes; see `register`.
    progress
        Called after each chunk with the number of items done in it.

    Raises
    ------
    StorageFull, DatabaseUnavailable
        Chunks that are done stay. When the database failed, the bytes of the chunk under way stay too: whether
        its commit arrived may be unknown, and a row without a file is worse than a file without a row, which
        the next try adopts.
    """
    report = DepositReport()
    sweep(archive)
    for start in range(0, len(items), chunk):
        part = items[start : start + chunk]
        staged, refused = stage(archive, part)
        report.refused += refused
        if staged:
            try:
                with database.write() as conn:
                    done = register(conn, archive, staged, who=who, on_conflict=on_conflict)
                    if len(items) > 1:
                        store.add_event(
                            conn,
                            "ingest",
                            who,
                            _told(len(done.records), len(done.present), len(done.refused)),
                        )
            finally:
                if staged[0].flight is not None:
                    staged[0].flight.close()
            report.registered += done.records
            report.present += done.present
            report.refused += done.refused
            report.findings += [(s.name, finding) for s in staged for finding in s.findings]
        if progress is not None:
            progress(len(part))
    return report


def _told(registered: int, present: int, refused: int) -> str:
    return f"deposit: {registered} registered, {present} present, {refused} refused"
