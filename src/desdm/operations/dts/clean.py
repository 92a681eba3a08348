"""Removal of files from the quarantine whose deliveries people have dismissed long ago."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from desdm.errors import storage_error
from desdm.operations.dts import store
from desdm.operations.dts.model import Delivery
from desdm.operations.dts.places import Places
from desdm.schema.database import Database
from desdm.schema.operationstates import DeliveryState
from desdm.schema.states import EventKind
from desdm.schema.store import record_event, require_reason

__all__ = ["OldFile", "clean_quarantine"]


@dataclass(frozen=True, slots=True)
class OldFile:
    """A file in the quarantine that is not needed any more, with its size in bytes."""

    delivery: Delivery
    path: Path
    size: int


def clean_quarantine(
    database: Database, places: Places, *, days: float, reason: str, who: str, now: datetime, go: bool = False
) -> Sequence[OldFile]:
    """Remove the files of deliveries that were dismissed more than some days ago; their rows stay.

    What is quarantined and not decided on, and what was put aside as a duplicate, is not touched.

    Parameters
    ----------
    database
        Database of the installation.
    places
        Where files were put aside.
    days
        Days since the dismissal.
    reason
        Why, in the words of ``who``; needed to remove.
    who
        Person who removes them.
    now
        Current time, UTC.
    go
        Remove them; without, they are returned only.

    Returns
    -------
    sequence of OldFile
        The files, by number of the delivery.
    """
    if go:
        require_reason(reason)
    with database.read() as conn:
        deliveries = store.dismissed_before(conn, now - timedelta(days=days))
    found = []
    for delivery in deliveries:
        path = places.aside(delivery, DeliveryState.QUARANTINED)
        if path.is_file():
            found.append(OldFile(delivery, path, path.stat().st_size))
    if not go or not found:
        return found
    numbers = ", ".join(str(old.delivery.id) for old in found[:20]) + (" …" if len(found) > 20 else "")
    with database.write() as conn:
        text = f"{len(found)} files of dismissed deliveries are removed from the quarantine: {numbers}"
        record_event(conn, EventKind.DELIVERY, who, text, subject="quarantine", reason=reason)
    # After the record: what is left by a killed process is removed by the next one.
    for old in found:
        try:
            old.path.unlink(missing_ok=True)
            old.path.parent.rmdir()
        except OSError as err:
            raise storage_error(err, old.path) from err
    return found
