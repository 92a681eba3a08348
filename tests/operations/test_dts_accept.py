"""Deliveries: a row before the judgement, one end state each, bytes in the archive once, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from desdm.archive.archive import Archive
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.operations.dts import Programme, Receiver, dismiss, release, set_programme, store
from desdm.operations.dts.accept import MOST_TRIES, PAUSES
from desdm.operations.dts.clean import clean_quarantine
from desdm.release.problems import problems
from desdm.schema import desfile
from desdm.schema.arrival import delivery
from desdm.schema.database import Database
from desdm.schema.operationstates import DeliveryReason, DeliveryState
from desdm.schema.states import EventKind
from desdm.schema.store import find_events
from tests.support.deliveries import NIGHT, md5_of, raw_frame, receiver, without_card

NOW = datetime(2012, 11, 21, 9, 30)


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """A drop directory."""
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.fixture
def taker(database: Database, archive: Archive, tmp_path: Path) -> Receiver:
    """A receiver on each engine, whose clock stands still."""
    return receiver(database, archive, tmp_path / "home", NOW)


def in_archive(taker: Receiver) -> list[str]:
    with taker.database.read() as conn:
        return sorted(conn.execute(select(desfile.c.filename + desfile.c.compression)).scalars())


def test_a_good_exposure_is_ingested_and_acknowledged(taker: Receiver, drop: Path) -> None:
    path = raw_frame(drop, 150001)
    (one,) = taker.accept([(path, md5_of(path))], "ctio")
    assert one.state is DeliveryState.INGESTED
    assert (one.source, one.filename, one.path) == ("ctio", path.name, str(path))
    assert (one.expnum, one.nite, one.propid) == (150001, NIGHT, "2012B-0001")
    assert one.md5_found == one.md5_announced == md5_of(path)
    assert one.filesize == path.stat().st_size
    assert one.noticed_at == one.checked_at == one.ingested_at == one.acknowledged_at == NOW
    assert in_archive(taker) == [path.name]
    assert path.exists()  # it is the sender's
    ack = json.loads((drop / f"{path.name}.ack").read_text())
    assert (ack["delivery"], ack["state"], ack["md5"]) == (one.id, "ingested", md5_of(path))
    with taker.database.read() as conn:
        assert [p for p in problems(conn) if p.opened_by == "dts"] == []
        texts = [e.text for e in find_events(conn, kind=EventKind.DELIVERY)]
    assert texts == [
        f"delivery {one.id} of ctio arrived: {path.name}",
        f"delivery {one.id} is in the archive: {path.name}",
    ]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3000] ^= 0x10
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, int(path.stat().st_size * 0.6))


def undate(path: Path) -> None:
    for keyword in ("DATE-OBS", "NITE"):
        without_card(path, keyword)


FAULTS: dict[str, tuple[Callable[[Path], object], DeliveryReason]] = {
    "wrong md5": (flip, DeliveryReason.CHECKSUM),
    "cut off": (cut, DeliveryReason.TRUNCATED),
    "empty": (lambda path: path.write_bytes(b""), DeliveryReason.TRUNCATED),
    "no exposure number": (lambda path: without_card(path, "EXPNUM"), DeliveryReason.KEYWORD),
    "no exposure time": (lambda path: without_card(path, "EXPTIME"), DeliveryReason.KEYWORD),
    "no type": (lambda path: without_card(path, "OBSTYPE"), DeliveryReason.KEYWORD),
    "no filter": (lambda path: without_card(path, "FILTER"), DeliveryReason.KEYWORD),
    "no date": (undate, DeliveryReason.KEYWORD),
    "three images": (lambda path: raw_frame(path, 150001, images=3), DeliveryReason.STRUCTURE),
    "five images": (lambda path: raw_frame(path, 150001, images=5), DeliveryReason.STRUCTURE),
    "one image": (lambda path: raw_frame(path, 150001, images=1), DeliveryReason.STRUCTURE),
    "no image": (lambda path: raw_frame(path, 150001, images=0), DeliveryReason.STRUCTURE),
    "not FITS": (lambda path: path.write_bytes(b"<html>404</html>"), DeliveryReason.NOT_FITS),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_quarantined_with_its_reason_and_a_problem(
    taker: Receiver, drop: Path, fault: str
) -> None:
    path = raw_frame(drop, 150001)
    announced = md5_of(path)
    damage, code = FAULTS[fault]
    damage(path)
    bytes_ = path.read_bytes()
    (one,) = taker.accept([(path, announced if fault == "wrong md5" else None)], "ctio")
    assert (one.state, one.reason_code) == (DeliveryState.QUARANTINED, code)
    assert one.reason
    assert in_archive(taker) == []
    # Nothing is lost: the bytes lie in the quarantine.
    assert not path.exists()
    aside = taker.places.aside_now(one)
    assert aside is not None
    assert aside.read_bytes() == bytes_
    assert not (drop / f"{path.name}.ack").exists()
    with taker.database.read() as conn:
        (problem,) = problems(conn)
    assert problem.id == one.problem_id
    assert (problem.opened_by, problem.blocks) == ("dts", False)
    assert f"{code.value}: {one.reason}" in problem.text
    assert (problem.subject_kind, problem.subject) == ("delivery", str(one.id))
    assert path.name in problem.text


def test_a_file_that_is_cut_off_tells_its_exposure_by_its_primary_header(taker: Receiver, drop: Path) -> None:
    path = raw_frame(drop, 150001)
    announced = md5_of(path)
    cut(path)
    (one,) = taker.accept([(path, announced)], "ctio")
    assert one.reason_code is DeliveryReason.TRUNCATED
    assert (one.expnum, one.nite) == (150001, NIGHT)
    assert "it is cut off" in (one.reason or "")
    assert announced in (one.reason or "")


def test_decam_has_62_or_70_images_where_nextend_does_not_tell(taker: Receiver, drop: Path) -> None:
    path = raw_frame(drop, 150001, NEXTEND=None, INSTRUME="DECam")
    (one,) = taker.accept([(path, None)], "ctio")
    assert one.reason_code is DeliveryReason.STRUCTURE
    assert one.reason == "it has 4 images, DECam writes 62 or 70"


def test_the_same_bytes_again_are_put_aside(taker: Receiver, drop: Path) -> None:
    path = raw_frame(drop, 150001)
    (first,) = taker.accept([(path, None)], "ctio")
    (drop / "again").mkdir()
    again = Path(shutil.copy(path, drop / "again"))
    renamed = Path(shutil.copy(path, drop / "DECam_00150777.fits"))
    second, third = taker.accept([(again, None), (renamed, None)], "ctio")
    for one in (second, third):
        assert (one.state, one.reason_code) == (DeliveryState.DUPLICATE, DeliveryReason.DUPLICATE)
        assert one.desfile_id == first.desfile_id
        assert f"delivery {first.id}" in (one.reason or "")
        aside = taker.places.aside_now(one)
        assert aside is not None
        assert "duplicates" in aside.parts
        assert md5_of(aside) == md5_of(path)
    assert not again.exists()
    assert (drop / "again" / f"{path.name}.ack").exists()  # so that the sender does not send it again
    assert in_archive(taker) == [path.name]
    with taker.database.read() as conn:
        assert problems(conn) == []


def test_other_bytes_of_an_exposure_are_a_conflict(taker: Receiver, drop: Path) -> None:
    taker.accept([(raw_frame(drop, 150001), None)], "ctio")
    changed = raw_frame(drop / "DECam_00150001.fits.new.fits", 150001, OBJECT="again")
    (one,) = taker.accept([(changed, None)], "ctio")
    assert (one.state, one.reason_code) == (DeliveryState.QUARANTINED, DeliveryReason.CONFLICT)
    assert one.reason == "the archive has exposure 150001 with other bytes as DECam_00150001.fits"
    assert in_archive(taker) == ["DECam_00150001.fits"]


def test_a_file_that_takes_the_place_of_a_delivered_one_is_another_delivery(
    taker: Receiver, drop: Path
) -> None:
    path = raw_frame(drop, 150001)
    (first,) = taker.accept([(path, None)], "ctio")
    (same,) = taker.accept([(path, None)], "ctio")
    assert same == first
    os.utime(path, ns=(1, 1))
    (again,) = taker.accept([(path, None)], "ctio")
    assert (again.id, again.state) == (first.id + 1, DeliveryState.DUPLICATE)
    # A file that was put aside, and is delivered once more with the times of before, is another one too.
    shutil.copy2(taker.places.place(again), path)
    (third,) = taker.accept([(path, None)], "ctio")
    assert (third.id, third.state) == (again.id + 1, DeliveryState.DUPLICATE)
    # The command is given again after the file was put aside.
    (told,) = taker.accept([(path, None)], "ctio")
    assert told == third


def programme(propid: str, name: str, accept: bool = True) -> Programme:
    return Programme(propid, name, "OPS", accept, "ops", NOW)


def test_deliveries_are_routed_by_proposal(taker: Receiver, drop: Path) -> None:
    database = taker.database
    (first,) = taker.accept([(raw_frame(drop, 150001, PROPID="1999A-0001"), None)], "ctio")
    assert (first.state, first.programme) == (DeliveryState.INGESTED, None)  # no proposal is entered
    set_programme(database, programme("2012B-0001", "survey"), reason="DES", now=NOW)
    set_programme(database, programme("2012B-0416", "community", False), reason="not ours", now=NOW)
    paths = [
        raw_frame(drop, 150002, PROPID="2012b-0001"),
        raw_frame(drop, 150003, PROPID="2012B-0416"),
        raw_frame(drop, 150004, PROPID="2013A-0999"),
        raw_frame(drop, 150005, PROPID=None),
    ]
    taken, refused, unknown, untold = taker.accept([(p, None) for p in paths], "ctio")
    assert (taken.state, taken.programme) == (DeliveryState.INGESTED, "survey")
    for one in (refused, unknown, untold):
        assert (one.state, one.reason_code) == (DeliveryState.QUARANTINED, DeliveryReason.PROPID)
    assert (refused.programme, unknown.programme, unknown.propid) == ("community", None, "2013A-0999")
    with pytest.raises(UsageError, match="say why"):
        set_programme(database, programme("2013A-0999", "survey"), reason=" ", now=NOW)
    with pytest.raises(UsageError, match="programme ''"):
        set_programme(database, programme("2013A-0999", ""), reason="x", now=NOW)


def test_a_person_releases_or_dismisses_what_is_quarantined(taker: Receiver, drop: Path) -> None:
    database = taker.database
    set_programme(database, programme("2012B-0001", "survey"), reason="DES", now=NOW)
    foreign, short = raw_frame(drop, 150001, PROPID="2013A-0999"), raw_frame(drop, 150002, images=3)
    one, two = taker.accept([(foreign, None), (short, None)], "ctio")
    with pytest.raises(UsageError, match="say why"):
        release(database, one.id, reason="", who="ann")
    with pytest.raises(NotFoundError):
        release(database, 999, reason="x", who="ann")
    before = release(database, one.id, reason="agreed with its PI", who="ann", dry_run=True)
    with database.read() as conn:
        assert (
            conn.execute(select(delivery.c.state).where(delivery.c.id == one.id)).scalar_one()
            == "quarantined"
        )
    assert before == one
    release(database, one.id, reason="agreed with its PI", who="ann")
    released = taker.judge(one.id)
    assert (released.state, released.reason_code, released.problem_id) == (DeliveryState.INGESTED, None, None)
    dismiss(database, two.id, reason="sent again tomorrow", who="bob", now=NOW)
    with pytest.raises(ConflictError, match="is dismissed"):
        release(database, two.id, reason="x", who="ann")
    with database.read() as conn:
        events = find_events(conn, kind=EventKind.DELIVERY, who="ann") + find_events(conn, who="bob")
        listed = problems(conn)
    assert ("agreed with its PI", "D00150001") in [(e.reason, e.subject) for e in events]
    assert [(p.closed_by, p.resolution) for p in listed] == [
        ("ann", "released: agreed with its PI"),
        ("bob", "dismissed: sent again tomorrow"),
    ]
    assert taker.places.aside_now(two) is not None  # its file stays


def test_a_release_waives_the_rule_that_refused_it_and_waivers_add_up(taker: Receiver, drop: Path) -> None:
    path = raw_frame(drop, 150001, images=3, EXPTIME=None)
    (one,) = taker.accept([(path, "0" * 32)], "ctio")
    reasons = [one.reason_code]
    for _ in range(3):
        release(taker.database, one.id, reason="it is all we have", who="ann")
        one = taker.judge(one.id)
        reasons.append(one.reason_code)
    # The rule that is broken next refuses it, until a person has waived that too.
    assert reasons == [DeliveryReason.CHECKSUM, DeliveryReason.STRUCTURE, DeliveryReason.KEYWORD, None]
    assert one.state is DeliveryState.INGESTED
    assert one.waived == set(reasons[:3])


def test_what_cannot_be_read_is_tried_five_times_with_growing_pauses(
    database: Database, archive: Archive, tmp_path: Path, drop: Path
) -> None:
    now = NOW
    taker = replace(receiver(database, archive, tmp_path / "home", NOW), clock=lambda: now)
    path = drop / "DECam_00150001.fits"
    (one,) = taker.accept([(path, None)], "ctio")  # it is not there
    pauses = []
    for tries in range(1, MOST_TRIES):
        assert (one.state, one.tries) == (DeliveryState.DELIVERED, tries)
        assert one.next_try is not None
        pauses.append((one.next_try - now).total_seconds())
        now = one.next_try
        one = taker.judge(one.id)
    assert pauses == list(PAUSES)
    assert pauses == sorted(pauses)
    assert (one.state, one.reason_code, one.tries) == (
        DeliveryState.QUARANTINED,
        DeliveryReason.UNREADABLE,
        MOST_TRIES,
    )
    # The file appears at last, and a person has it judged again.
    raw_frame(drop, 150001)
    release(database, one.id, reason="the disk is mounted again", who="ann")
    assert taker.judge(one.id).state is DeliveryState.INGESTED


def test_a_file_that_a_person_ingested_is_a_duplicate_when_it_is_delivered(
    taker: Receiver, drop: Path
) -> None:
    path = raw_frame(drop, 150001)
    deposit(taker.database, taker.archive, [Deposit(path)], who="ann")
    (one,) = taker.accept([(path, None)], "ctio")
    assert one.state is DeliveryState.DUPLICATE
    assert one.reason == "the archive has its bytes as DECam_00150001.fits"


def test_an_acknowledgement_goes_to_the_directory_that_is_named(
    database: Database, archive: Archive, tmp_path: Path, drop: Path
) -> None:
    taker = receiver(database, archive, tmp_path / "home", NOW)
    taker = replace(taker, places=replace(taker.places, acks=tmp_path / "acks"))
    path = raw_frame(drop, 150001)
    taker.accept([(path, None)], "ctio")
    assert [p.name for p in (tmp_path / "acks").iterdir()] == ["DECam_00150001.fits.ack"]
    assert [p.name for p in drop.iterdir()] == [path.name]


def test_of_two_deliveries_of_an_exposure_at_the_same_time_one_is_ingested(
    database: Database, archive: Archive, tmp_path: Path, drop: Path
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    paths = [
        raw_frame(drop / f"take{n}.fits", 150001, shade=n if n % 2 else 0, OBJECT=f"take {n % 3}")
        for n in range(6)
    ]
    takers = [receiver(database, archive, tmp_path / "home", NOW + timedelta(seconds=n)) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        ended = [
            d for many in pool.map(lambda t, p: t.accept([(p, None)], "ctio"), takers, paths) for d in many
        ]
    assert sum(d.state is DeliveryState.INGESTED for d in ended) == 1
    assert all(not d.open for d in ended)
    with database.read() as conn:
        assert conn.execute(select(func.count()).select_from(desfile)).scalar_one() == 1


def test_only_what_was_dismissed_long_ago_is_removed_from_the_quarantine(taker: Receiver, drop: Path) -> None:
    """Dismissed, dismissed today, and not decided on: three files, of which one goes; dry by default."""
    frames = [raw_frame(drop, number, images=3) for number in (150001, 150002, 150003)]
    old, new, open_one = taker.accept([(path, None) for path in frames], "ctio")
    aside = [taker.places.aside_now(one) for one in (old, new, open_one)]
    later = NOW + timedelta(days=100)
    dismiss(taker.database, old.id, reason="sent again", who="bob", now=NOW)
    dismiss(taker.database, new.id, reason="sent again", who="bob", now=later - timedelta(days=89))

    def clean(go: bool, reason: str = "") -> list[int]:
        found = clean_quarantine(
            taker.database, taker.places, days=90, reason=reason, who="bob", now=later, go=go
        )
        return [one.delivery.id for one in found]

    assert clean(go=False) == [old.id] and all(path is not None and path.exists() for path in aside)
    with pytest.raises(UsageError, match="--reason"):
        clean(go=True)
    assert clean(go=True, reason="room") == [old.id]
    assert [path is not None and path.exists() for path in aside] == [False, True, True]
    assert clean(go=True, reason="room") == []
    with taker.database.read() as conn:
        assert store.find_delivery(conn, old.id).state is DeliveryState.DISMISSED  # type: ignore[union-attr]
        assert find_events(conn, subject="quarantine")[-1].reason == "room"
