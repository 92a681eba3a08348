"""Deposits files: staged and registered, in transactions of a thousand, each of which is all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from desdm.archive.archive import Archive
from desdm.archive.flight import sweep
from desdm.archive.model import Deposit, DepositReport, Registered, Staged
from desdm.archive.mounted import require_mounted
from desdm.archive.register import OnConflict, record_refusals, register
from desdm.archive.stage import stage
from desdm.schema.database import Database
from desdm.schema.states import EventKind
from desdm.schema.store import record_event

__all__ = ["deposit", "record_refusals", "register", "stage"]


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
        What becomes of a name that other bytes have; see `register`.
    progress
        Called after each chunk with the number of items done in it.

    Raises
    ------
    StorageFull, DatabaseUnavailable
        Chunks that are done stay. When the database failed, the bytes of the chunk under way stay too: whether
        its commit arrived may be unknown, and a row without a file is worse than a file without a row, which
        the next try adopts.
    StorageUnavailable
        The archive's root is not the one that holds its files; see `desdm.archive.mounted`.
    """
    require_mounted(database, archive)
    report = DepositReport()
    sweep(archive)
    for start in range(0, len(items), chunk):
        part = items[start : start + chunk]
        staged, refused = stage(archive, part)
        report.refused += refused
        try:
            if refused:
                # In a transaction of its own: what was refused stays on record if the others' registration fails.
                with database.write() as conn:
                    record_refusals(conn, refused, who=who)
            done = _register(database, archive, staged, who, on_conflict) if staged else None
        finally:
            if staged and staged[0].flight is not None:
                staged[0].flight.close()
        if done is not None:
            report.registered += done.records
            report.present += done.present
            report.refused += done.refused
            report.findings += [(s.name, finding) for s in staged for finding in s.findings]
        if progress is not None:
            progress(len(part))
    return report


def _register(
    database: Database, archive: Archive, staged: Sequence[Staged], who: str, on_conflict: OnConflict
) -> Registered:
    """Register one chunk in one transaction, with the event that tells how many files it took."""
    with database.write() as conn:
        done = register(conn, archive, staged, who=who, on_conflict=on_conflict)
        counts = f"{len(done.records)} registered, {len(done.present)} present, {len(done.refused)} refused"
        # A deposit of one file is identified by its name; one of many by the files' own records.
        subject = staged[0].name if len(staged) == 1 else ""
        record_event(conn, EventKind.INGEST, who, f"deposit: {counts}", subject=subject)
    return done
