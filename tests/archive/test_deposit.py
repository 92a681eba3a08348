"""Deposits: once, whole, under a name that nothing overwrites."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from sqlalchemy import func, select

from desdm.archive import catalog, provenance, store
from desdm.archive.archive import Archive
from desdm.archive.deposit import deposit, register, stage
from desdm.archive.model import Deposit
from desdm.errors import ConflictError, FileTypeError, NotFoundError
from desdm.schema import CopyState, desfile, event, file_archive_info, miscfile
from desdm.schema.database import Database


def write(folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    return path


def everything(archive: Archive) -> list[str]:
    """Files of the archive, hidden places included, but for the file whose bytes are locks."""
    found = [str(p.relative_to(archive.root)) for p in archive.root.rglob("*") if p.is_file()]
    return sorted(p for p in found if p != ".stage/flights")


def events(database: Database) -> list[str]:
    with database.read() as conn:
        return list(conn.execute(select(event.c.text).order_by(event.c.id)).scalars())


def test_a_file_gets_its_row_its_digests_and_its_place(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    data = b"some bytes\n" * 100
    path = write(tmp_path / "in", "a.dat", data)
    item = Deposit(path, "misc", directory="here/and/there", metadata={"expnum": "229686", "band": "g"})
    report = deposit(database, archive, [item], who="me")
    assert [r.name for r in report.registered] == ["a.dat"]
    assert path.read_bytes() == data, "the source stays"
    with database.read() as conn:
        record = catalog.by_name(conn, "a.dat")
        row = conn.execute(select(miscfile)).one()
    assert record is not None
    assert record == report.registered[0]
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert record.md5sum == hashlib.md5(data).hexdigest()
    assert (record.filesize, record.relpath, record.band) == (len(data), "here/and/there/a.dat", "g")
    assert archive.path(record).read_bytes() == data
    assert (row.expnum, row.band) == (229686, "g")
    assert everything(archive) == ["here/and/there/a.dat"]


def test_a_repeated_deposit_finds_the_file_present(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    items = [Deposit(write(tmp_path / "in", f"{i}.dat", b"%d" % i), "misc") for i in range(5)]
    first = deposit(database, archive, items[:3], who="me")
    again = deposit(database, archive, items, who="me")
    assert len(first.registered) == 3
    assert [r.name for r in again.present] == ["0.dat", "1.dat", "2.dat"]
    assert [r.name for r in again.registered] == ["3.dat", "4.dat"]
    assert not again.refused
    assert len(everything(archive)) == 5


def test_the_same_name_with_other_bytes_is_refused_and_both_digests_are_told(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    one, two = write(tmp_path / "1", "a.dat", b"one"), write(tmp_path / "2", "a.dat", b"two")
    deposit(database, archive, [Deposit(one, "misc")], who="me")
    # Into the same directory, where the file itself stands, and into another one.
    for directory in ("", "elsewhere"):
        report = deposit(database, archive, [Deposit(two, "misc", directory=directory)], who="me")
        assert not report.registered
        (refusal,) = report.refused
        assert isinstance(refusal.error, ConflictError)
        assert hashlib.sha256(b"one").hexdigest() in refusal.reason
        assert hashlib.sha256(b"two").hexdigest() in refusal.reason
    assert everything(archive) == ["misc/a.dat"]
    assert (archive.root / "misc/a.dat").read_bytes() == b"one"


def test_rename_stores_the_newcomer_under_its_digest_and_finds_it_again(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    one, two = write(tmp_path / "1", "a.b.dat", b"one"), write(tmp_path / "2", "a.b.dat", b"two")
    name = f"a-{hashlib.sha256(b'two').hexdigest()[:8]}.b.dat"
    report = deposit(
        database, archive, [Deposit(one, "misc"), Deposit(two, "misc")], who="me", on_conflict="rename"
    )
    assert [r.name for r in report.registered] == ["a.b.dat", name]
    again = deposit(database, archive, [Deposit(two, "misc")], who="me", on_conflict="rename")
    assert [r.name for r in again.present] == [name]
    assert everything(archive) == sorted([f"misc/{name}", "misc/a.b.dat"])


def test_the_same_file_twice_in_one_deposit(database: Database, archive: Archive, tmp_path: Path) -> None:
    one, two = write(tmp_path / "1", "a.dat", b"one"), write(tmp_path / "2", "a.dat", b"one")
    other = write(tmp_path / "3", "a.dat", b"three")
    items = [Deposit(one, "misc"), Deposit(two, "misc", directory="x"), Deposit(other, "misc")]
    report = deposit(database, archive, items, who="me")
    assert [(len(report.registered), len(report.present), len(report.refused))] == [(1, 1, 1)]
    assert everything(archive) == ["misc/a.dat"]


def test_one_bad_file_does_not_keep_the_others_out(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    good = write(tmp_path, "good.dat", b"good")
    unknown = write(tmp_path, "what.xyz", b"?")
    os.mkfifo(tmp_path / "pipe.dat")
    items = [
        Deposit(good, "misc"),
        Deposit(unknown),
        Deposit(tmp_path / "absent.dat", "misc"),
        Deposit(tmp_path, "misc", filename="folder.dat"),
        Deposit(tmp_path / "pipe.dat", "misc"),
        Deposit(good, "no_such_type", filename="b.dat"),
        Deposit(good, "red_immask", filename="c.dat"),
        Deposit(good, "misc", filename="d.dat", metadata={"colour": "blue"}),
        Deposit(good, "misc", filename="e.dat", metadata={"expnum": "many"}),
        Deposit(good, "misc", filename="f.dat", parents=("nobody.fits",)),
        Deposit(good, "misc", filename="g.dat", parents=("f.dat",)),
        Deposit(good, "misc", filename="h.dat", parents=("h.dat",)),
    ]
    report = deposit(database, archive, items, who="me")
    assert [r.name for r in report.registered] == ["good.dat"]
    kinds = {r.reason.split(":")[0].split("/")[-1]: type(r.error) for r in report.refused}
    assert len(report.refused) == len(items) - 1
    assert set(kinds.values()) == {FileTypeError, NotFoundError}
    told = "\n".join(r.reason for r in report.refused)
    assert "what.xyz is of no known type" in told
    assert "'colour'" in told
    assert "parent 'nobody.fits' is not in the archive" in told
    assert everything(archive) == ["misc/good.dat"]


def test_parents_in_the_same_deposit_and_by_number(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    names = [write(tmp_path, f"{n}.dat", n.encode()) for n in "abcd"]
    first = deposit(database, archive, [Deposit(names[0], "misc")], who="me").registered[0]
    items = [
        Deposit(names[3], "misc", parents=("b.dat", "c.dat")),
        Deposit(names[1], "misc", parents=(str(first.id),)),
        Deposit(names[2], "misc", parents=("a.dat", "b.dat")),
    ]
    made = {r.name: r.id for r in deposit(database, archive, items, who="me").registered}
    with database.read() as conn:
        assert set(provenance.ancestors(conn, made["d.dat"])) == {made["b.dat"], made["c.dat"], first.id}
        assert set(provenance.descendants(conn, first.id)) == set(made.values())


def test_a_rolled_back_registration_leaves_files_that_the_next_one_adopts(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    item = Deposit(write(tmp_path, "a.dat", b"one"), "misc")
    staged, _ = stage(archive, [item])
    with pytest.raises(ZeroDivisionError), database.write() as conn:
        assert len(register(conn, archive, staged, who="me").records) == 1
        raise ZeroDivisionError
    with database.read() as conn:
        assert conn.execute(select(func.count()).select_from(desfile)).scalar_one() == 0
        assert conn.execute(select(func.count()).select_from(file_archive_info)).scalar_one() == 0
    report = deposit(database, archive, [item], who="me")
    assert len(report.registered) == 1
    assert everything(archive) == ["misc/a.dat"]


def test_an_orphan_with_other_bytes_is_moved_aside_with_an_event(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    write(archive.root / "misc", "a.dat", b"nobody's")
    item = Deposit(write(tmp_path, "a.dat", b"ours"), "misc")
    assert len(deposit(database, archive, [item], who="me").registered) == 1
    assert (archive.root / "misc/a.dat").read_bytes() == b"ours"
    (aside,) = archive.orphans.iterdir()
    assert aside.read_bytes() == b"nobody's"
    assert any(aside.name in text for text in events(database))


def test_moving_takes_the_source_and_gives_it_back_when_refused(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    path = write(tmp_path / "work", "a.dat", b"one")
    inode = path.stat().st_ino
    report = deposit(database, archive, [Deposit(path, "misc", directory="d", move=True)], who="me")
    assert archive.path(report.registered[0]).stat().st_ino == inode, "moved, not copied"
    assert not path.exists()
    # The deposit is repeated after its process died: the source is gone, the file stands.
    again = deposit(database, archive, [Deposit(path, "misc", directory="d", move=True)], who="me")
    assert [r.name for r in again.present] == ["a.dat"]
    other = write(tmp_path / "work", "a.dat", b"two")
    refused = deposit(database, archive, [Deposit(other, "misc", directory="d", move=True)], who="me")
    assert len(refused.refused) == 1
    assert other.read_bytes() == b"two"
    orphan = write(tmp_path / "work", "b.dat", b"three")
    item = Deposit(orphan, "misc", directory="d", move=True, parents=("nobody",))
    assert len(deposit(database, archive, [item], who="me").refused) == 1
    assert orphan.read_bytes() == b"three"
    assert everything(archive) == ["d/a.dat"]


@pytest.mark.parametrize("state", [CopyState.OK, CopyState.MISSING, CopyState.CORRUPT])
def test_a_new_delivery_restores_a_bad_copy(
    database: Database, archive: Archive, tmp_path: Path, state: CopyState
) -> None:
    item = Deposit(write(tmp_path, "a.dat", b"good"), "misc")
    record = deposit(database, archive, [item], who="me").registered[0]
    path = archive.path(record)
    path.unlink()
    if state is not CopyState.MISSING:
        path.write_bytes(b"evil")  # with state ok: damage that no audit has seen yet
    with database.write() as conn:
        store.set_copy_state(conn, archive.name, [record.id], state)
    report = deposit(database, archive, [item], who="me")
    assert [r.id for r in report.present] == [record.id]
    assert path.read_bytes() == b"good"
    with database.read() as conn:
        assert conn.execute(select(file_archive_info.c.state)).scalar_one() == "ok"


@pytest.mark.parametrize("move", [False, True])
def test_a_file_too_large_for_memory_goes_through_in_pieces(
    sqlite: Database,
    archive: Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    real: Path,
    move: bool,
) -> None:
    monkeypatch.setattr("desdm.archive.stage._WHOLE", 10_000)
    monkeypatch.setattr("desdm.archive.stage._PIECE", 7_001)
    data = (real / "decam-cp-stack" / "c4d_180212_083009_ooi_z_ls9.N3.fits").read_bytes()
    path = write(tmp_path / "in", "c4d_180212_083009_ooi_z_ls9.N3.fits", data)
    (record,) = deposit(sqlite, archive, [Deposit(path, move=move)], who="me").registered
    assert (record.sha256, record.md5sum) == (hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest())
    assert (record.filetype, record.band) == ("cp_image", "z")
    assert archive.path(record).read_bytes() == data
    assert path.exists() is not move


HOSTILE = [
    "../../x", "/etc/x", "a/b", "..", ".", ".hidden", "-rf", "a\0b", "a\nb", "a\x1b[31mb", "a\\b", "x" * 161 + ".fits",
    "é" * 130, "", " a", "a ", "\udcff.dat", "a\u202eb",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused_and_nothing_is_written(
    sqlite: Database, archive: Archive, tmp_path: Path, name: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    source = write(tmp_path / "in", "a.dat", b"x")
    report = deposit(sqlite, archive, [Deposit(source, "misc", filename=name or " ")], who="me")
    directory = deposit(sqlite, archive, [Deposit(source, "misc", directory=name or "a//b")], who="me")
    assert not report.registered
    assert isinstance(report.refused[0].error, FileTypeError)
    if "/" not in name or name in ("/etc/x", "../../x"):
        assert not directory.registered
        assert isinstance(directory.refused[0].error, FileTypeError)
    assert everything(archive) == ([] if not directory.registered else ["a/b/a.dat"])
    after = {p for p in tmp_path.rglob("*") if p.is_file()} - set(before)
    assert {p.relative_to(tmp_path).parts[0] for p in after} <= {
        "in",
        "archive",
        "desdm.sqlite-wal",
        "desdm.sqlite-shm",
    }


ODD = ["a'; DROP TABLE desfile; --.dat", "<script>alert(1)<|script>.dat", "ä ö.dat", "$(id).dat", "%s%n.dat"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_stored_and_told_as_text(
    database: Database, archive: Archive, tmp_path: Path, name: str
) -> None:
    deposit(database, archive, [Deposit(write(tmp_path, "a", b"x"), "misc", filename=name)], who="me")
    with database.read() as conn:
        record = catalog.by_name(conn, name)
    assert record is not None
    assert record.name == name
    assert archive.path(record).read_bytes() == b"x"


def test_every_chunk_is_a_transaction_of_its_own(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    items = [Deposit(write(tmp_path, f"{i}.dat", b"%d" % i), "misc") for i in range(7)]
    done: list[int] = []
    report = deposit(database, archive, items, who="me", chunk=3, progress=done.append)
    assert done == [3, 3, 1]
    assert len(report.registered) == 7


def test_a_file_type_newer_than_the_installation_is_entered_on_first_use(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    from sqlalchemy import delete, select

    from desdm.schema import ops_filetype

    with database.write() as conn:
        conn.execute(delete(ops_filetype).where(ops_filetype.c.filetype == "note"))
    (tmp_path / "note.md").write_text("a newer program knows notes")
    report = deposit(database, archive, [Deposit(tmp_path / "note.md", "note")], who="me")
    assert [r.name for r in report.registered] == ["note.md"]
    with database.read() as conn:
        assert "note" in conn.execute(select(ops_filetype.c.filetype)).scalars().all()
