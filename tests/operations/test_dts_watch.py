"""The watcher of a drop directory: complete files only, one watcher at a time, and deliveries that were left open."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from desdm.accounts.clock import now
from desdm.archive import catalog
from desdm.archive.archive import Archive
from desdm.errors import LeaseHeld, LeaseLost, UsageError
from desdm.operations.dts import Delivery, watch
from desdm.operations.dts.watch import Announced
from desdm.operations.lease import acquire, current_lease
from desdm.schema.arrival import delivery
from desdm.schema.database import Database
from desdm.schema.operationstates import DeliveryReason, DeliveryState
from desdm.schema.queue import ops_lease
from desdm.schema.upgrade import upgrade
from tests.support.deliveries import md5_of, raw_frame, receiver
from tests.support.postgres import cluster
from tests.support.wait import until

NOW = datetime(2012, 11, 21, 9, 30)


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """A drop directory."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    return folder


def test_what_lies_there_is_accepted_and_hidden_or_partial_files_are_left(
    database: Database, archive: Archive, tmp_path: Path, drop: Path
) -> None:
    (drop / "20121120").mkdir()
    paths = [raw_frame(drop, 150001), raw_frame(drop / "20121120", 150002)]
    for name in (".DECam_00150003.fits.Xy12", "DECam_00150003.fits.part", "DECam_00150003.fits.tmp"):
        (drop / name).write_bytes(b"half")
    ended: list[Delivery] = []
    taker = receiver(database, archive, tmp_path / "home", NOW)
    assert watch(taker, drop, "ctio", interval=0.1, until_idle=True, told=ended.append) == 2
    assert {d.path for d in ended} == {str(p) for p in paths}
    assert {d.state for d in ended} == {DeliveryState.INGESTED}
    # Again: nothing new, also beside the acknowledgements.
    assert watch(taker, drop, "ctio", interval=0.1, until_idle=True) == 0
    with database.read() as conn:
        assert conn.execute(select(func.count()).select_from(delivery)).scalar_one() == 2
        assert conn.execute(select(func.count()).select_from(ops_lease)).scalar_one() == 0


def test_a_file_that_grows_is_left_until_it_is_complete(
    sqlite: Database, archive: Archive, tmp_path: Path, drop: Path
) -> None:
    whole = raw_frame(tmp_path / "whole.fits", 150001).read_bytes()
    path = drop / "DECam_00150001.fits"
    taker = receiver(sqlite, archive, tmp_path / "home", NOW)
    done = threading.Event()

    def send() -> None:
        with path.open("wb") as out:
            for start in range(0, len(whole), 10_000):
                out.write(whole[start : start + 10_000])
                out.flush()
                done.wait(0.05)

    sender = threading.Thread(target=send)
    sender.start()
    ended: list[Delivery] = []
    # The pause between two looks is longer than any between two pieces.
    assert watch(taker, drop, "ctio", interval=0.5, until_idle=True, told=ended.append) == 1
    sender.join()
    assert ended[0].state is DeliveryState.INGESTED
    assert ended[0].filesize == len(whole)


def test_the_md5_comes_from_a_sidecar_or_from_a_manifest(
    sqlite: Database, archive: Archive, tmp_path: Path, drop: Path
) -> None:
    good, wrong, listed = (raw_frame(drop, number) for number in (150001, 150002, 150003))
    (drop / f"{good.name}.md5").write_text(f"{md5_of(good)}  {good.name}\n")
    (drop / f"{wrong.name}.md5").write_text(f"MD5 ({wrong.name}) = {'0' * 32}\n")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"arrival,file,md5\n2012-11-21T08:00:00,incoming/{listed.name},{'1' * 32}\n")
    ended: dict[str, Delivery] = {}
    taker = receiver(sqlite, archive, tmp_path / "home", NOW)
    announced = Announced.read(manifest)
    watch(
        taker,
        drop,
        "ctio",
        interval=0.1,
        until_idle=True,
        announced=announced,
        told=lambda d: ended.__setitem__(d.filename, d),
    )
    assert ended[good.name].state is DeliveryState.INGESTED
    assert ended[good.name].md5_announced == md5_of(good)
    for name in (wrong.name, listed.name):
        assert ended[name].reason_code is DeliveryReason.CHECKSUM
    manifest.write_text("name;sum\n")
    with pytest.raises(UsageError, match="file and md5"):
        Announced.read(manifest)


def test_a_second_watcher_of_a_directory_is_refused(
    database: Database, archive: Archive, tmp_path: Path, drop: Path
) -> None:
    name = f"dts watch {hashlib.sha256(str(drop.resolve()).encode()).hexdigest()[:12]}"
    acquire(database, name, now=now(), holder="another-machine 1 1")
    taker = receiver(database, archive, tmp_path / "home", NOW)
    with pytest.raises(LeaseHeld, match="another-machine"):
        watch(taker, drop, "ctio", until_idle=True)
    (tmp_path / "other").mkdir()
    assert watch(taker, tmp_path / "other", "ctio", until_idle=True) == 0
    with pytest.raises(UsageError, match="not a directory"):
        watch(taker, tmp_path / "none", "ctio")


def test_a_delivery_that_was_left_open_is_judged(
    database: Database, archive: Archive, tmp_path: Path, drop: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    taker = receiver(database, archive, tmp_path / "home", NOW)
    (left,) = taker.note([(raw_frame(elsewhere, 150001), None)], "ctio")
    assert left.state is DeliveryState.DELIVERED
    assert watch(taker, drop, "ctio", until_idle=True) == 1
    assert taker.judge(left.id).state is DeliveryState.INGESTED


def test_accept_leaves_a_delivery_to_the_process_that_judges(
    database: Database, archive: Archive, tmp_path: Path, drop: Path
) -> None:
    acquire(database, "dts judgement", now=now(), holder="another-machine 1 1")
    taker = replace(receiver(database, archive, tmp_path / "home", NOW), patience=0.2)
    (one,) = taker.accept([(raw_frame(drop, 150001), None)], "ctio")
    assert one.state is DeliveryState.DELIVERED
    with database.read() as conn:
        assert current_lease(conn, "dts judgement") is not None


def test_a_watcher_that_lost_its_lease_ends(
    sqlite: Database, archive: Archive, tmp_path: Path, drop: Path
) -> None:
    taker = receiver(sqlite, archive, tmp_path / "home", NOW)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            watch(taker, drop, "ctio", interval=0.1)
        except LeaseLost as err:
            errors.append(err)

    watcher = threading.Thread(target=run)
    watcher.start()

    def take() -> int:
        with sqlite.write() as conn:
            return conn.execute(
                update(ops_lease).values(token="0" * 32, holder="another-machine 1 1")
            ).rowcount

    assert until(take) == 1
    watcher.join(30)
    assert "another-machine 1 1 has it" in str(errors[0])


def test_a_watcher_waits_for_a_database_that_is_cut(archive: Archive, tmp_path: Path, drop: Path) -> None:
    with cluster() as server:
        database = Database(server.url(server.database()))
        upgrade(database)
        with database.write() as conn:
            catalog.define(conn, archive)
        taker = receiver(database, archive, tmp_path / "home", NOW)
        ended: list[Delivery] = []
        first = raw_frame(drop, 150001)

        def run() -> None:
            with pytest.raises(LeaseLost):
                watch(taker, drop, "ctio", interval=0.2, told=ended.append)

        watcher = threading.Thread(target=run, daemon=True)
        watcher.start()
        until(lambda: len(ended) == 1, 30)
        server.crash()
        second = raw_frame(drop, 150002)
        watcher.join(2)
        assert watcher.is_alive()
        server.start()
        until(lambda: len(ended) == 2, 60)
        assert [(d.path, d.state, d.tries) for d in ended] == [
            (str(first), DeliveryState.INGESTED, 0),
            (str(second), DeliveryState.INGESTED, 0),
        ]
        # The watcher is ended as a killed one would be: by another's lease.
        with database.write() as conn:
            conn.execute(update(ops_lease).values(token="0" * 32))
        watcher.join(30)
        assert not watcher.is_alive()
        database.close()
