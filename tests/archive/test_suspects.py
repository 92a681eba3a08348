"""What was made from a file that an audit finds damaged is marked along the lineage, until its good copy is back."""

from __future__ import annotations

from pathlib import Path

import pytest

from desdm.archive import catalog, store
from desdm.archive.archive import Archive
from desdm.archive.audit import audit
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.archive.suspects import lift
from desdm.errors import NotFoundError, UsageError
from desdm.schema.database import Database
from desdm.schema.states import EventKind
from desdm.schema.store import find_events


def arrive(database: Database, archive: Archive, folder: Path, name: str, *parents: str) -> Path:
    path = folder / name
    path.write_text(f"{name} " * 100)
    report = deposit(database, archive, [Deposit(path, "misc", directory="d", parents=parents)], who="me")
    assert not report.refused
    return archive.root / "d" / name


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[50] ^= 64
    path.write_bytes(data)


def marks(database: Database) -> set[tuple[str, str]]:
    """(file, cause) of every mark."""
    with database.read() as conn:
        every = [f.id for f in catalog.files(conn)]
        return {(m.filename, m.cause) for m in store.suspects_of(conn, every)}


@pytest.fixture
def family(database: Database, archive: Archive, tmp_path: Path) -> dict[str, Path]:
    """raw and flat → red → coadd; flat → bias_check; alone."""
    made = {}
    for name, parents in (
        ("raw", ()), ("flat", ()), ("red", ("raw", "flat")), ("coadd", ("red",)), ("check", ("flat",)), ("alone", ()),
    ):  # fmt: skip
        made[name] = arrive(database, archive, tmp_path, name, *parents)
    return made


def test_a_suspect_file_of_two_damaged_ancestors_is_named_once(
    sqlite: Database, archive: Archive, tmp_path: Path
) -> None:
    made = {
        n: arrive(sqlite, archive, tmp_path, n, *p) for n, p in (("a", ()), ("b", ()), ("red", ("a", "b")))
    }
    flip(made["a"])
    flip(made["b"])
    report = audit(sqlite, archive, who="me")
    assert report.suspect == ["red"]
    assert {name: sorted(causes) for name, causes in report.causes.items()} == {"red": ["a", "b"]}


def test_damage_is_marked_along_the_lineage_and_a_good_copy_lifts_it(
    database: Database, archive: Archive, family: dict[str, Path]
) -> None:
    assert marks(database) == set()
    flip(family["raw"])
    report = audit(database, archive, who="me")
    assert report.corrupt == ["raw"]
    assert sorted(report.suspect) == ["coadd", "red"]
    assert marks(database) == {("raw", "raw"), ("red", "raw"), ("coadd", "raw")}
    with database.read() as conn:
        told = find_events(conn, subject="coadd", kind=EventKind.MARK)
    assert [(e.who, e.reason) for e in told] == [("audit", "an audit found raw corrupt")]
    assert report.causes == {"red": ["raw"], "coadd": ["raw"]}
    # A second audit adds nothing, other damage adds its own marks.
    flip(family["flat"])
    report = audit(database, archive, who="me")
    assert sorted(report.suspect) == ["check", "coadd", "red"]
    flip(family["raw"])
    audit(database, archive, who="me")
    assert marks(database) == {(n, "flat") for n in ("flat", "red", "coadd", "check")}
    flip(family["flat"])
    assert audit(database, archive, who="me").clean
    assert marks(database) == set()
    with database.read() as conn:
        assert len(find_events(conn, subject="coadd", kind=EventKind.MARK)) == 4


def test_a_missing_file_puts_nothing_in_doubt(
    database: Database, archive: Archive, family: dict[str, Path]
) -> None:
    family["raw"].unlink()
    assert audit(database, archive, who="me").missing == ["raw"]
    assert marks(database) == set()


def test_what_is_made_from_a_suspect_file_is_suspect(
    database: Database, archive: Archive, family: dict[str, Path], tmp_path: Path
) -> None:
    flip(family["raw"])
    audit(database, archive, who="me")
    arrive(database, archive, tmp_path, "catalogue", "coadd")
    arrive(database, archive, tmp_path, "other", "alone")
    assert ("catalogue", "raw") in marks(database)
    assert not {name for name, _ in marks(database)} & {"other", "alone", "flat"}


def test_a_person_lifts_marks_with_a_reason(
    database: Database, archive: Archive, family: dict[str, Path]
) -> None:
    flip(family["raw"])
    audit(database, archive, who="me")
    with pytest.raises(UsageError, match="say why"), database.write() as conn:
        lift(conn, "coadd", who="ann", reason=" ")
    with pytest.raises(NotFoundError, match="alone is not suspect"), database.write() as conn:
        lift(conn, "alone", who="ann", reason="looked at")
    with database.write() as conn:
        lift(conn, "coadd", who="ann", reason="made before the damage")
    assert marks(database) == {("raw", "raw"), ("red", "raw")}
    with database.write() as conn:
        lift(conn, "raw", who="ann", reason="all of it was made before the damage")
    assert marks(database) == set()


def test_a_folder_in_the_place_of_a_file_is_named_as_such(
    database: Database, archive: Archive, family: dict[str, Path]
) -> None:
    family["alone"].unlink()
    family["alone"].mkdir()
    report = audit(database, archive, who="me")
    assert (report.misplaced, report.truncated, report.missing) == (["alone"], [], [])
