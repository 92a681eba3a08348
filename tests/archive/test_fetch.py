"""Files that are copied out are the registered bytes, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from desdm.archive.archive import Archive
from desdm.archive.deposit import deposit
from desdm.archive.fetch import fetch
from desdm.archive.model import Deposit
from desdm.errors import ConflictError, CorruptFile, NotFoundError
from desdm.schema.database import Database


@pytest.fixture
def stored(database: Database, archive: Archive, tmp_path: Path) -> Database:
    for name in "abcd":
        (tmp_path / f"{name}.dat").write_bytes(name.encode() * 1000)
    deposit(database, archive, [Deposit(tmp_path / f"{n}.dat", "misc") for n in "abcd"], who="me")
    return database


def test_a_fetched_file_is_the_registered_bytes(stored: Database, archive: Archive, tmp_path: Path) -> None:
    out = tmp_path / "out" / "deep"
    with stored.read() as conn:
        done = fetch(conn, archive, ["a.dat", "b.dat"], out)
        again = fetch(conn, archive, ["a.dat"], out)
    assert [p.read_bytes() for _, p in done.files] == [b"a" * 1000, b"b" * 1000]
    assert not done.refused
    assert len(again.files) == 1
    assert sorted(p.name for p in out.iterdir()) == ["a.dat", "b.dat"]


def test_damaged_missing_and_unknown_files_are_refused_one_by_one(
    stored: Database, archive: Archive, tmp_path: Path
) -> None:
    (archive.root / "misc/a.dat").write_bytes(b"a" * 999 + b"b")
    (archive.root / "misc/b.dat").unlink()
    out = tmp_path / "out"
    out.mkdir()
    (out / "c.dat").write_bytes(b"somebody's own")
    with stored.read() as conn:
        done = fetch(conn, archive, ["a.dat", "b.dat", "c.dat", "nobody.dat", "d.dat"], out)
    assert [type(r.error) for r in done.refused] == [CorruptFile, NotFoundError, ConflictError, NotFoundError]
    assert [r.name for r, _ in done.files] == ["d.dat"]
    assert (out / "c.dat").read_bytes() == b"somebody's own"
    assert sorted(p.name for p in out.iterdir()) == ["c.dat", "d.dat"], "nothing half-copied stays"
