"""Audits find every damage in its own class, and nothing on a sound archive."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from desdm.archive.archive import Archive
from desdm.archive.audit import AuditReport, audit
from desdm.archive.deposit import deposit, register, stage
from desdm.archive.model import Deposit, FileRecord
from desdm.schema import event, file_archive_info
from desdm.schema.database import Database


@pytest.fixture
def stored(
    database: Database, archive: Archive, tmp_path: Path
) -> tuple[Database, Archive, list[FileRecord]]:
    items = []
    for i in range(12):
        path = tmp_path / f"{i:02d}.dat"
        path.write_bytes(b"%d" % i * 500)
        items.append(Deposit(path, "misc", directory=f"d{i % 3}"))
    return database, archive, deposit(database, archive, items, who="me").registered


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def states(database: Database) -> dict[int, str]:
    with database.read() as conn:
        return {
            r[0]: r[1]
            for r in conn.execute(select(file_archive_info.c.desfile_id, file_archive_info.c.state))
        }


@pytest.mark.parametrize("workers", [1, 3])
def test_each_damage_is_reported_in_its_class(
    stored: tuple[Database, Archive, list[FileRecord]], workers: int
) -> None:
    database, archive, records = stored
    assert audit(database, archive, who="me", workers=workers) == AuditReport(
        12, sum(r.filesize for r in records)
    )
    damages: list[tuple[str, Callable[[Path], object], str]] = [
        ("corrupt", flip, "corrupt"), ("truncated", truncate, "corrupt"), ("grown", grow, "corrupt"),
        ("missing", Path.unlink, "missing"),
    ]  # fmt: skip
    for record, (_, damage, _) in zip(records, damages, strict=False):
        damage(archive.path(record))
    (archive.root / "d0" / "stray.dat").write_bytes(b"?")
    (archive.root / "link.dat").symlink_to("/etc/hostname")
    report = audit(database, archive, who="me", workers=workers)
    for record, (kind, _, _) in zip(records, damages, strict=False):
        assert getattr(report, kind) == [record.name]
    assert report.orphan == ["d0/stray.dat", "link.dat"]
    assert report.checked == 12
    marks = states(database)
    assert [marks[r.id] for r in records] == [d[2] for d in damages] + ["ok"] * 8
    with database.read() as conn:
        told = " ".join(conn.execute(select(event.c.text).where(event.c.kind == "audit")).scalars())
    assert all(f"{r.name}: {kind}" in told for r, (kind, _, _) in zip(records, damages, strict=False))


def test_a_copy_that_is_well_again_is_marked_so(stored: tuple[Database, Archive, list[FileRecord]]) -> None:
    database, archive, records = stored
    path = archive.path(records[0])
    data = path.read_bytes()
    path.unlink()
    assert audit(database, archive, who="me").missing == [records[0].name]
    path.write_bytes(data)
    assert audit(database, archive, who="me").clean
    assert states(database)[records[0].id] == "ok"


def test_a_whole_directory_in_place_of_a_file_is_missing(
    stored: tuple[Database, Archive, list[FileRecord]],
) -> None:
    database, archive, records = stored
    for path in sorted((archive.root / "d1").iterdir()):
        path.unlink()
    (archive.root / "d1").rmdir()
    (archive.root / "d1").write_bytes(b"")
    report = audit(database, archive, who="me")
    assert report.missing == [r.name for r in records if r.path == "d1"]
    assert report.orphan == ["d1"]


def test_no_false_alarm_while_deposits_run(sqlite: Database, archive: Archive, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    items = []
    for i in range(1500):
        (source / f"{i}.dat").write_bytes(b"%d" % i)
        items.append(Deposit(source / f"{i}.dat", "misc"))
    depositing = threading.Thread(target=lambda: deposit(sqlite, archive, items, who="me", chunk=100))
    depositing.start()
    rounds = 0
    while depositing.is_alive() or not rounds:
        assert audit(sqlite, archive, who="me").clean
        rounds += 1
    depositing.join()
    report = audit(sqlite, archive, who="me")
    assert report.clean
    assert report.checked == 1500


def test_a_file_about_to_be_registered_is_waited_for_and_an_orphan_is_not(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    (archive.root / "old.dat").write_bytes(b"left by somebody")
    time.sleep(1.1)
    (tmp_path / "new.dat").write_bytes(b"on its way")
    staged, _ = stage(archive, [Deposit(tmp_path / "new.dat", "misc")])

    def later() -> None:
        time.sleep(0.5)
        with database.write() as conn:
            register(conn, archive, staged, who="me")
        assert staged[0].flight is not None
        staged[0].flight.close()

    registering = threading.Thread(target=later)
    registering.start()
    report = audit(database, archive, who="me")
    registering.join()
    assert report.orphan == ["old.dat"]
