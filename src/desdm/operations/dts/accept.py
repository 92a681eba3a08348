"""Accepts deliveries: a row first, then the judgement, then the archive, then the acknowledgement."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from desdm.accounts import clock as machine
from desdm.archive.archive import Archive
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.archive.store import files_by_id
from desdm.errors import (
    ConflictError,
    DatabaseUnavailable,
    DesdmError,
    LeaseHeld,
    TransientError,
    UsageError,
)
from desdm.operations.dts import store
from desdm.operations.dts.inspection import inspect
from desdm.operations.dts.model import Delivery, Notice, Verdict
from desdm.operations.dts.paths import path_of, path_text, stored_name
from desdm.operations.dts.places import Places
from desdm.operations.dts.trouble import ROBOT, open_trouble
from desdm.operations.lease import Lease, acquire, give_up, require
from desdm.schema.database import Database
from desdm.schema.operationstates import DeliveryReason, DeliveryState
from desdm.schema.states import EventKind
from desdm.schema.store import exposure_name, record_event

__all__ = ["MOST_TRIES", "PAUSES", "Receiver"]

_LOG = logging.getLogger(__name__)

#: A delivery that cannot be read or stored is tried so often, after pauses of so many seconds.
MOST_TRIES = 5
PAUSES = (5.0, 30.0, 120.0, 600.0)
#: Lease of whoever judges a delivery: two must not judge files of one exposure at the same time.
_JUDGE = "dts judgement"
#: Seconds for which a judgement has the lease, which a file on a slow disk may take; that another process waits for it.
_LONGEST, _PATIENCE = 900.0, 60.0


@dataclass(frozen=True, slots=True)
class Receiver:
    """Takes deliveries into the archive.

    Attributes
    ----------
    database, archive
        Of the installation.
    places
        Where files are put aside, and acknowledgements are written.
    clock
        Current time, UTC; it may be moved.
    patience
        Seconds to wait for another process that judges a delivery.
    """

    database: Database
    archive: Archive
    places: Places
    clock: Callable[[], datetime] = field(default=machine.now)
    patience: float = _PATIENCE

    # -- the row

    def note(
        self, files: Sequence[tuple[Path, str | None]], source: str, lease: Lease | None = None
    ) -> list[Delivery]:
        """Enter deliveries before anything is judged, all in one transaction.

        A file that was delivered already and lies unchanged in its place is the same delivery; a file that has taken its
        place since is another one.

        Parameters
        ----------
        files
            Path of each file, and the md5 that the sender announces (None: none).
        source
            Who sends them.
        lease
            Lease of the caller, if it needs one.

        Returns
        -------
        list of Delivery
            Their deliveries, in the order of ``files``.
        """
        notices = [_notice(path.absolute(), md5) for path, md5 in files]
        with self.database.write() as conn:
            if lease is not None:
                require(conn, lease)
            numbers = [self._note(conn, notice, source) for notice in notices]
            return [_existing(conn, number) for number in numbers]

    def _note(self, conn: Connection, notice: Notice, source: str) -> int:
        """Return the number of the delivery of a file, which is entered unless it is known."""
        known = store.newest_of_path(conn, notice.path)
        if known is not None and self._same(known, notice):
            if known.open and notice.md5_announced not in (None, known.md5_announced):
                store.change(conn, known, md5_announced=notice.md5_announced)
            return known.id
        number = store.insert_delivery(conn, notice, source, self.clock())
        text = f"delivery {number} of {source} arrived: {notice.filename}"
        record_event(conn, EventKind.DELIVERY, ROBOT, text, subject=notice.filename)
        return number

    def _same(self, known: Delivery, notice: Notice) -> bool:
        """Whether a file is that of a known delivery of its path."""
        if known.open or notice.filesize is None:
            return True
        unchanged = (known.filesize, known.modified_ns) == (notice.filesize, notice.modified_ns)
        return unchanged and self.places.aside_now(known) is None

    # -- the judgement

    def accept(self, files: Sequence[tuple[Path, str | None]], source: str) -> list[Delivery]:
        """Enter and judge deliveries.

        Parameters
        ----------
        files
            Path of each file, and the md5 that the sender announces (None: none).
        source
            Who sends them.

        Returns
        -------
        list of Delivery
            Their deliveries, in the order of ``files``. Those that could not be judged now are still open.
        """
        noted = self.note(files, source)
        judged = [self._judged_if_possible(delivery) for delivery in noted]
        # A process that was killed had put the file aside, and another file has taken its place since.
        again = [
            i
            for i, (delivery, (path, _)) in enumerate(zip(judged, files, strict=True))
            if not delivery.open and path.exists() and self.places.aside_now(delivery) is not None
        ]
        if again:
            more = self.note([files[i] for i in again], source)
            for i, delivery in zip(again, more, strict=True):
                judged[i] = self._judged_if_possible(delivery)
        return judged

    def _judged_if_possible(self, noted: Delivery) -> Delivery:
        """Judge a delivery; it stays open where the database stops answering: its row stands, which is what counts."""
        try:
            return self.judge(noted.id)
        except TransientError as err:
            _LOG.warning("delivery %d is judged later: %s", noted.id, err)
            return noted

    def judge(self, number: int) -> Delivery:
        """Bring a delivery to its end; return it, still open where another process or a transient error prevents that.

        Raises
        ------
        DatabaseUnavailable
            The database does not answer.
        """
        try:
            with self._judging() as lease:
                self._judge(number, lease)
        except LeaseHeld:
            _LOG.info("delivery %d is left to the process that judges deliveries now", number)
        with self.database.read() as conn:
            delivery = _existing(conn, number)
        if not delivery.open and delivery.acknowledged_at is None:
            self.acknowledge(delivery)
            with self.database.read() as conn:
                delivery = _existing(conn, number)
        return delivery

    @contextmanager
    def _judging(self) -> Iterator[Lease]:
        """Have the lease of the judgement, for which other processes wait."""
        end = time.monotonic() + self.patience
        while True:
            try:
                lease = acquire(self.database, _JUDGE, now=machine.now(), seconds=_LONGEST)
                break
            except LeaseHeld:
                if time.monotonic() >= end:
                    raise
                time.sleep(0.1)
        try:
            yield lease
        finally:
            give_up(self.database, lease)

    def _judge(self, number: int, lease: Lease) -> None:
        """Judge a delivery that is open, and take it into the archive."""
        with self.database.read() as conn:
            delivery = _existing(conn, number)
        if not delivery.open:
            return
        try:
            verdict = inspect(
                self.places.place(delivery),
                delivery.filename,
                delivery.md5_announced,
                delivery.waived,
                sent_as=path_of(delivery.path),
            )
        except TransientError as err:
            self._postpone(delivery, lease, err)
            return
        if verdict.reason_code is not None:
            self._put_aside(delivery, lease, verdict)
            return
        with self.database.read() as conn:
            programme, verdict = self._route(conn, delivery, verdict)
            verdict, twin = self._compare(conn, delivery, verdict)
        if verdict.reason_code is not None:
            self._put_aside(delivery, lease, verdict, programme, twin)
            return
        if delivery.state is DeliveryState.DELIVERED:
            delivery = self._check(delivery, lease, verdict, programme)
        self._ingest(delivery, lease, verdict, twin)

    def _route(self, conn: Connection, delivery: Delivery, verdict: Verdict) -> tuple[str | None, Verdict]:
        """Return the programme of a delivery by its proposal, and the verdict with a refusal if it is not taken."""
        known = {one.propid.lower(): one for one in store.programmes(conn)}
        if not known or verdict.filetype != "raw":
            return None, verdict
        entry = known.get((verdict.propid or "").lower())
        if entry is not None and entry.accept:
            return entry.programme, verdict
        programme = None if entry is None else entry.programme
        if DeliveryReason.PROPID in delivery.waived:
            return programme, verdict
        reason = (
            f"its proposal is {verdict.propid or 'not told (PROPID)'}, which is not entered; to take it: desdm dts propid"
            if entry is None
            else f"its proposal {entry.propid} is of programme {entry.programme}, whose exposures are not taken"
        )
        return programme, replace(verdict, reason_code=DeliveryReason.PROPID, reason=reason)

    def _compare(self, conn: Connection, delivery: Delivery, verdict: Verdict) -> tuple[Verdict, int | None]:
        """Compare a delivery with what the archive has: the verdict, and the file with the same bytes."""
        if verdict.reason_code is not None:
            return verdict, None
        twin = store.same_file(conn, self.archive.name, verdict, delivery.filename)
        if twin is not None:
            # Of a delivery that was checked the file is its own: the process was killed after the archive's commit.
            owner = store.owner_of_file(conn, twin, delivery.id)
            if delivery.state is DeliveryState.CHECKED and owner is None:
                return verdict, twin
            (file,) = files_by_id(conn, [twin])
            by = "" if owner is None else f", which delivery {owner} brought"
            reason = f"the archive has its bytes as {file.name}{by}"
            return replace(verdict, reason_code=DeliveryReason.DUPLICATE, reason=reason), twin
        if verdict.expnum is not None and verdict.filetype == "raw":
            other = store.other_frame(conn, verdict.expnum, verdict.sha256)
            if other is not None:
                reason = f"the archive has exposure {verdict.expnum} with other bytes as {other}"
                return replace(verdict, reason_code=DeliveryReason.CONFLICT, reason=reason), None
        return verdict, None

    # -- the ends

    def _check(self, delivery: Delivery, lease: Lease, verdict: Verdict, programme: str | None) -> Delivery:
        """Note that a delivery is good, before it is deposited: what the archive has from then on may be its own."""
        facts, now = _facts(verdict, programme), self.clock()
        with self.database.write() as conn:
            require(conn, lease)
            store.change(conn, delivery, DeliveryState.CHECKED, checked_at=now, **facts)
            return _existing(conn, delivery.id)

    def _ingest(self, delivery: Delivery, lease: Lease, verdict: Verdict, file: int | None) -> None:
        """Deposit a delivery, unless its file is in the archive already, and note that it is ingested."""
        if file is None:
            place = self.places.place(delivery)
            try:
                report = deposit(self.database, self.archive, [Deposit(place)], who=ROBOT)
            except DatabaseUnavailable:
                raise  # no fault of the delivery
            except (TransientError, UsageError) as err:
                # A UsageError is a place of the archive that is no directory, which an operator puts right.
                self._postpone(delivery, lease, err)
                return
            if report.refused:
                self._refused(delivery, lease, verdict, report.refused[0].error)
                return
            (record,) = [*report.registered, *report.present]
            file = record.id
        now = self.clock()
        with self.database.write() as conn:
            require(conn, lease)
            kept = store.change(
                conn,
                delivery,
                DeliveryState.INGESTED,
                desfile_id=file,
                ingested_at=now,
                next_try=None,
                reason_code=None,
                reason=None,
            )
            if kept:
                text = f"delivery {delivery.id} is in the archive: {delivery.filename}"
                record_event(conn, EventKind.DELIVERY, ROBOT, text, subject=_subject(delivery, verdict))

    def _refused(self, delivery: Delivery, lease: Lease, verdict: Verdict, error: DesdmError) -> None:
        """Treat a refusal of the archive: try again later, or quarantine."""
        if isinstance(error, TransientError):
            self._postpone(delivery, lease, error)
            return
        code = DeliveryReason.CONFLICT if isinstance(error, ConflictError) else DeliveryReason.REGISTER
        self._put_aside(delivery, lease, replace(verdict, reason_code=code, reason=str(error)))

    def _postpone(self, delivery: Delivery, lease: Lease, error: DesdmError) -> None:
        """Try a delivery again after a pause that grows; after the last try it is quarantined."""
        tries, now = delivery.tries + 1, self.clock()
        if tries >= MOST_TRIES:
            verdict = Verdict(
                delivery.md5_found or "",
                delivery.sha256 or "",
                delivery.filesize or 0,
                delivery.modified_ns,
                expnum=delivery.expnum,
                nite=delivery.nite,
                propid=delivery.propid,
                reason_code=DeliveryReason.UNREADABLE,
                reason=f"tried {tries} times: {error}",
            )
            self._put_aside(replace(delivery, tries=tries), lease, verdict)
            return
        _LOG.warning("delivery %d, try %d of %d: %s", delivery.id, tries, MOST_TRIES, error)
        pause = timedelta(seconds=PAUSES[min(tries, len(PAUSES)) - 1])
        with self.database.write() as conn:
            require(conn, lease)
            store.change(conn, delivery, tries=tries, next_try=now + pause, reason=str(error))

    def _put_aside(
        self,
        delivery: Delivery,
        lease: Lease,
        verdict: Verdict,
        programme: str | None = None,
        twin: int | None = None,
    ) -> None:
        """Move the file of a delivery aside and note why: quarantined, with a problem, or a duplicate."""
        code = verdict.reason_code
        duplicate = code is DeliveryReason.DUPLICATE
        state = DeliveryState.DUPLICATE if duplicate else DeliveryState.QUARANTINED
        try:
            # Before its row is written: a killed process finds the file again by its number.
            self.places.put_aside(delivery, state)
        except (TransientError, UsageError) as err:
            if delivery.tries + 1 < MOST_TRIES:
                self._postpone(delivery, lease, err)
                return
            _LOG.warning("delivery %d stays where it lies: %s", delivery.id, err)
        facts = _facts(verdict, programme) if verdict.sha256 else {}
        words = f"{'' if code is None else code.value}: {verdict.reason}"
        values: dict[str, object] = {
            "reason_code": None if code is None else code.value,
            "reason": verdict.reason,
            "checked_at": self.clock(),
            "next_try": None,
            "tries": delivery.tries,
            "desfile_id": twin,
            **facts,
        }
        with self.database.write() as conn:
            require(conn, lease)
            if not store.change(conn, delivery, state, **values):
                return
            if not duplicate:
                store.change(
                    conn, replace(delivery, state=state), problem_id=open_trouble(conn, delivery, words)
                )
            text = f"delivery {delivery.id} is {'a duplicate' if duplicate else 'quarantined'}: {words}"
            record_event(conn, EventKind.DELIVERY, ROBOT, text, subject=_subject(delivery, verdict))

    def acknowledge(self, delivery: Delivery) -> None:
        """Acknowledge a delivery whose bytes are in the archive; what cannot be written is logged, and tried again."""
        if delivery.state not in (DeliveryState.INGESTED, DeliveryState.DUPLICATE):
            return
        with self.database.read() as conn:
            files = [] if delivery.desfile_id is None else files_by_id(conn, [delivery.desfile_id])
        try:
            path = self.places.write_ack(delivery, files[0].name if files else "")
        except DesdmError as err:
            _LOG.warning("delivery %d is not acknowledged: %s", delivery.id, err)
            return
        if path is not None:
            with self.database.write() as conn:
                store.acknowledge(conn, delivery.id, self.clock())


def _notice(path: Path, md5: str | None) -> Notice:
    """Return what is known of a file before it is read."""
    try:
        status = path.lstat()
    except OSError:
        return Notice(path_text(path), stored_name(path), None, None, md5)
    return Notice(path_text(path), stored_name(path), status.st_size, status.st_mtime_ns, md5)


def _existing(conn: Connection, number: int) -> Delivery:
    """Return a delivery that was entered."""
    delivery = store.find_delivery(conn, number)
    assert delivery is not None  # rows are never deleted
    return delivery


def _facts(verdict: Verdict, programme: str | None) -> dict[str, str | int | None]:
    """Return the columns that a look at the file fills."""
    return {
        "md5_found": verdict.md5,
        "sha256": verdict.sha256,
        "filesize": verdict.filesize,
        "modified_ns": verdict.modified_ns,
        "expnum": verdict.expnum,
        "nite": verdict.nite,
        "propid": verdict.propid,
        "programme": programme,
    }


def _subject(delivery: Delivery, verdict: Verdict) -> str:
    """Return the subject of an event: the exposure, or the file where that is not known."""
    return delivery.filename if verdict.expnum is None else exposure_name(verdict.expnum)
