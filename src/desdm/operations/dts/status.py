"""What was expected, delivered and ingested by night, and what of it is late, missing or extra."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from desdm.operations.dts import store
from desdm.operations.dts.model import Delivery, ExpectedFile, ListedFile, NightArrival
from desdm.schema.database import Database
from desdm.schema.operationstates import DeliveryState

__all__ = ["ALLOWANCE_H", "NITES", "ArrivalStatus", "arrival_status", "listed_and_missing", "status_of_nites"]

#: Hours after the time at which a file is expected before it counts as late.
ALLOWANCE_H = 12.0
#: Newest nights that are shown; DESDM's monitor shows as many.
NITES = 48
#: Of several deliveries of a file the one that has come farthest counts.
_ORDER = (
    DeliveryState.INGESTED,
    DeliveryState.CHECKED,
    DeliveryState.DELIVERED,
    DeliveryState.QUARANTINED,
    DeliveryState.DUPLICATE,
    DeliveryState.DISMISSED,
)


@dataclass(frozen=True, slots=True)
class ArrivalStatus:
    """Where the arrival of data stands.

    Attributes
    ----------
    clock
        Time for which it holds, UTC.
    nights
        Counts by night; deliveries whose night is not known are counted under the night ``""``.
    deliveries
        Deliveries of these nights, in order of arrival.
    expected
        Files on the observatory's lists, by night and name.
    """

    clock: datetime
    nights: tuple[NightArrival, ...]
    deliveries: tuple[Delivery, ...]
    expected: tuple[ExpectedFile, ...]


def arrival_status(
    database: Database,
    *,
    now: datetime,
    nite: str = "",
    most: int | None = NITES,
    allowance_h: float = ALLOWANCE_H,
) -> ArrivalStatus:
    """Return where the arrival of data stands.

    Parameters
    ----------
    database
        Database of the installation.
    now
        Time for which late and missing files are computed, UTC.
    nite
        One night, YYYYMMDD; empty: the newest nights and the deliveries without a night.
    most
        So many nights; None: all.
    allowance_h
        Hours after the time at which a file is expected before it counts as late.
    """
    with database.read() as conn:
        nites = [nite] if nite else store.newest_nites(conn, most)
        return status_of_nites(conn, nites, now=now, unknown=not nite, allowance_h=allowance_h)


def status_of_nites(
    conn: Connection,
    nites: Sequence[str],
    *,
    now: datetime,
    unknown: bool = False,
    allowance_h: float = ALLOWANCE_H,
) -> ArrivalStatus:
    """Return where the arrival of some nights stands.

    Parameters
    ----------
    conn
        The database.
    nites
        The nights, YYYYMMDD.
    now
        Time for which late and missing files are computed, UTC.
    unknown
        Whether deliveries without a night are counted too.
    allowance_h
        Hours after the time at which a file is expected before it counts as late.
    """
    lists = store.listed_files(conn, nites)
    names = {file.filename for file in lists}
    deliveries = store.deliveries_of_nites(conn, nites, names, unknown=unknown)
    archived = store.archived_names(conn, names)
    best = _best(deliveries)
    limit = timedelta(hours=allowance_h)
    expected = [
        _expected(file, best.get(file.filename), file.filename in archived, now, limit) for file in lists
    ]
    listed_nites = {file.filename: file.nite for file in lists}
    counted = [(d, listed_nites.get(d.filename) or d.nite or "") for d in deliveries]
    delivered: dict[str, list[Delivery]] = {}
    listed: dict[str, list[ExpectedFile]] = {}
    for one, night in counted:
        delivered.setdefault(night, []).append(one)
    for file in expected:
        listed.setdefault(file.listed.nite, []).append(file)
    undated = [""] if any(not night for _, night in counted) else []
    nights = [_counts(night, delivered.get(night, []), listed.get(night, [])) for night in [*nites, *undated]]
    return ArrivalStatus(now, tuple(nights), tuple(deliveries), tuple(expected))


def listed_and_missing(conn: Connection, nite: str) -> tuple[int, int]:
    """Return how many files of a night are listed, and how many of these are missing: delivered, and not in the archive."""
    lists = store.listed_files(conn, [nite])
    names = {file.filename for file in lists}
    best = _best(store.deliveries_of_nites(conn, [nite], names, unknown=False)) if lists else {}
    archived = store.archived_names(conn, names)
    missing = [
        file
        for file in lists
        if file.delivered and not _is_there(best.get(file.filename), file.filename in archived)
    ]
    return len(lists), len(missing)


def _is_there(delivery: Delivery | None, archived: bool) -> bool:
    """Tell whether a file is in the archive: by its name, or by the delivery that came farthest."""
    return archived or (delivery is not None and delivery.state is DeliveryState.INGESTED)


def _best(deliveries: Iterable[Delivery]) -> dict[str, Delivery]:
    """Return the delivery of each file that has come farthest, of those the first."""
    best: dict[str, Delivery] = {}
    for one in deliveries:
        known = best.get(one.filename)
        if known is None or _ORDER.index(one.state) < _ORDER.index(known.state):
            best[one.filename] = one
    return best


def _expected(
    file: ListedFile, delivery: Delivery | None, archived: bool, now: datetime, limit: timedelta
) -> ExpectedFile:
    """Return what became of a file on a list; one that was ingested without a delivery is in the archive all the same."""
    state = DeliveryState.EXPECTED if delivery is None else delivery.state
    there = _is_there(delivery, archived)
    if there:
        state = DeliveryState.INGESTED
    # A file that a person ingested without a delivery has no time of arrival.
    arrived = delivery.noticed_at if delivery is not None else file.expected_at if there else now
    return ExpectedFile(
        listed=file,
        state=state,
        delivery_id=None if delivery is None else delivery.id,
        noticed_at=None if delivery is None else delivery.noticed_at,
        late=arrived > file.expected_at + limit,
        missing=file.delivered and not there,
    )


def _counts(night: str, deliveries: Sequence[Delivery], expected: Sequence[ExpectedFile]) -> NightArrival:
    """Return the counts of a night."""
    states = Counter(d.state for d in deliveries)
    names = {e.listed.filename for e in expected}
    # Without a list nothing can be extra. What is listed never is, whether the observatory marks it as delivered or not.
    extra = {d.filename for d in deliveries if d.state is DeliveryState.INGESTED} - names if names else set()
    return NightArrival(
        nite=night,
        expected=len(expected),
        delivered=len(deliveries),
        ingested=states[DeliveryState.INGESTED],
        duplicate=states[DeliveryState.DUPLICATE],
        quarantined=states[DeliveryState.QUARANTINED],
        dismissed=states[DeliveryState.DISMISSED],
        pending=states[DeliveryState.DELIVERED] + states[DeliveryState.CHECKED],
        late=sum(e.late for e in expected),
        missing=sum(e.missing for e in expected),
        extra=len(extra),
    )
