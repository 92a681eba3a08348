"""Events of the archive: each refused delivery, each tagged attempt, epochs; found by subject, kind, person and time."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from desdm.archive import calibrations, tags
from desdm.archive.archive import Archive
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.errors import DatabaseUnavailable
from desdm.schema import event
from desdm.schema.database import Database
from desdm.schema.states import EventKind
from desdm.schema.store import Act, Event, find_events, record_event, record_events
from tests.archive.test_find import attempt


def events(database: Database, kind: EventKind, **asked: str) -> list[Event]:
    with database.read() as conn:
        return find_events(conn, kind=kind, **asked)  # type: ignore[arg-type]


def test_each_refused_delivery_is_an_event(database: Database, archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    good, other, bad = tmp_path / "a.dat", tmp_path / "other" / "a.dat", tmp_path / "raw.fits"
    good.write_bytes(b"a" * 9)
    other.write_bytes(b"b" * 9)
    bad.write_bytes(b"not FITS")
    deposit(database, archive, [Deposit(good, "misc")], who="me")
    # Nothing is taken of this delivery, and nothing is left to register: the refusals stay all the same.
    items = [Deposit(bad, "raw"), Deposit(tmp_path / "absent.dat", "misc")]
    report = deposit(database, archive, items, who="ann")
    assert len(report.refused) == 2
    found = events(database, EventKind.REFUSAL)
    assert [(e.subject, e.who, e.reason) for e in found] == [
        (Path(r.path).name, "ann", r.reason) for r in report.refused
    ]
    # Other bytes under a name that stands: refused by the registration.
    report = deposit(database, archive, [Deposit(other, "misc")], who="bob")
    [refused] = events(database, EventKind.REFUSAL, subject="a.dat")
    assert (refused.who, refused.reason) == ("bob", report.refused[0].reason)
    assert "other bytes" in refused.reason


def test_refusals_stay_on_record_when_the_registration_fails(
    database: Database, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.dat").write_bytes(b"a")

    def fail(*args: object, **more: object) -> None:
        raise DatabaseUnavailable("the database went away")

    monkeypatch.setattr("desdm.archive.deposit.register", fail)
    items = [Deposit(tmp_path / "a.dat", "misc"), Deposit(tmp_path / "absent.dat", "misc")]
    with pytest.raises(DatabaseUnavailable):
        deposit(database, archive, items, who="ann")
    assert [e.subject for e in events(database, EventKind.REFUSAL)] == ["absent.dat"]


def test_a_tag_is_one_event_for_each_attempt_and_one_for_all_files(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    (tmp_path / "a.dat").write_bytes(b"a")
    deposit(database, archive, [Deposit(tmp_path / "a.dat", "misc")], who="me")
    with database.write() as conn:
        attempt(conn, 1)
        attempt(conn, 2, att=2)
        tags.tag(conn, "Y1", ["a.dat"], ["D00000001_r1p01", "D00000001_r1p02"], who="ann")
        tags.untag(conn, "Y1", [], ["D00000001_r1p02"], who="bob")
    found = events(database, EventKind.TAG, subject="Y1")
    assert [(e.who, e.run) for e in found] == [
        ("ann", "D00000001_r1p01"), ("ann", "D00000001_r1p02"), ("ann", ""), ("bob", "D00000001_r1p02"),
    ]  # fmt: skip


def test_an_epoch_is_an_event_when_it_is_defined_and_when_calibrations_serve_in_it(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    (tmp_path / "mini_bf.dat").write_bytes(b"a")
    deposit(database, archive, [Deposit(tmp_path / "mini_bf.dat", "misc")], who="me")
    with database.write() as conn:
        calibrations.define_epoch(conn, "Y1E1", 1, 9, "first light", who="ann")
        calibrations.assign(conn, "Y1E1", "misc", filepat="mini_%", who="bob")
    first, second = events(database, EventKind.EPOCH, subject="Y1E1")
    assert (first.who, first.reason, second.who) == ("ann", "first light", "bob")
    assert "mini_%" in second.text


def test_events_are_found_by_person_and_time_range_and_the_newest_first_by_limit(database: Database) -> None:
    day = datetime(2026, 11, 28, 12)
    with database.write() as conn:
        record_events(conn, EventKind.AUDIT, "w" * 40, [Act(f"f{i}", "x") for i in range(3)])
        record_event(conn, EventKind.VERDICT, "ann", "x", subject="D00150012", reason="clouds")
        ids = [e.id for e in find_events(conn)]
        for i, number in enumerate(ids):
            time = day + timedelta(days=i)
            conn.execute(update(event).where(event.c.id == number).values(event_time=time))
        assert [e.subject for e in find_events(conn, who="w" * 40)] == ["f0", "f1", "f2"]
        assert [e.subject for e in find_events(conn, since=day + timedelta(days=1), until=day + timedelta(days=2))] == [
            "f1", "f2",
        ]  # fmt: skip
        assert [e.subject for e in find_events(conn, limit=2)] == ["f2", "D00150012"]
        assert find_events(conn, subject="150012") == find_events(conn, subject="d00150012")[:1]
        assert find_events(conn, subject="150012")[0].reason == "clouds"
