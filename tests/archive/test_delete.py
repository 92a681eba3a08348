"""Deletion: planned, bounded, blocked by tags and their ancestry, recoverable, and in the end for good."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from desdm.archive import catalog, delete, store, tags
from desdm.archive.archive import Archive
from desdm.archive.audit import audit
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit, FileRecord
from desdm.errors import ConflictError, CorruptFile, NotFoundError, UsageError
from desdm.schema import (
    desfile,
    file_trash,
    opm_used,
    pfw_attempt,
    pfw_block,
    pfw_job,
    pfw_wrapper,
    proctag,
    task,
)
from desdm.schema.database import Database
from tests.archive.test_find import attempt
from tests.support.submitter import submit_from_here


class House:
    """An archive with a.dat → b.dat → c.dat, and d.dat alone."""

    def __init__(self, database: Database, archive: Archive, folder: Path) -> None:
        self.database, self.archive, self.folder = database, archive, folder
        for name in "abcd":
            (folder / f"{name}.dat").write_bytes(name.encode() * 100)
        items = [
            Deposit(folder / f"{n}.dat", "misc", parents=(f"{p}.dat",) if p else ())
            for n, p in (("a", ""), ("b", "a"), ("c", "b"), ("d", ""))
        ]
        deposit(database, archive, items, who="me")

    def record(self, name: str) -> FileRecord:
        with self.database.read() as conn:
            found = catalog.by_name(conn, name)
        assert found is not None
        return found

    def plan(self, *names: str, bound: int = 100) -> delete.Plan:
        with self.database.read() as conn:
            return delete.plan(conn, self.archive, [self.record(n) for n in names], bound)

    def delete(self, *names: str, bound: int = 100, grace_days: float = 30) -> delete.Plan:
        return delete.delete(
            self.database, self.archive, [self.record(n) for n in names], who="me", reason="test", bound=bound,
            grace_days=grace_days,
        )  # fmt: skip

    def names(self) -> list[str]:
        with self.database.read() as conn:
            return [f.name for f in catalog.files(conn)]

    def tag(self, name: str, *files: str) -> None:
        with self.database.write() as conn:
            tags.tag(conn, name, files, [], who="me")


@pytest.fixture
def house(database: Database, archive: Archive, tmp_path: Path) -> House:
    return House(database, archive, tmp_path)


def test_the_plan_lists_files_and_bytes_and_touches_nothing(house: House) -> None:
    plan = house.plan("a.dat", "d.dat")
    assert [f.name for f in plan.files] == ["a.dat", "d.dat"]
    assert (plan.bytes, plan.blocked) == (200, ())
    assert len(house.names()) == 4


def test_deleted_files_are_gone_for_queries_and_come_back_whole(house: House) -> None:
    house.delete("d.dat")
    path = house.archive.root / "misc" / "d.dat"
    assert not path.exists()
    assert house.names() == ["a.dat", "b.dat", "c.dat"]
    with house.database.read() as conn:
        assert "d.dat" not in [r.filename for r in catalog.find(conn, {})]
        assert [f.name for f, _ in delete.trash(conn, house.archive)] == ["d.dat"]
        row = conn.execute(select(file_trash)).one()
    assert (row.deleted_by, row.reason) == ("me", "test")
    assert row.purge_after - row.deleted_at == timedelta(days=30)
    assert audit(house.database, house.archive, who="me").clean
    assert [f.name for f in delete.undelete(house.database, house.archive, ["d.dat"], who="me")] == ["d.dat"]
    assert path.read_bytes() == b"d" * 100
    assert house.names() == ["a.dat", "b.dat", "c.dat", "d.dat"]
    assert audit(house.database, house.archive, who="me").checked == 4


def test_tagged_files_and_all_their_ancestors_are_refused(house: House) -> None:
    house.tag("Y6A1", "c.dat")
    plan = house.plan("a.dat", "b.dat", "c.dat", "d.dat")
    assert [b.name for b in plan.blocked] == ["a.dat", "b.dat", "c.dat"]
    assert "Y6A1" in plan.blocked[0].reason
    assert "c.dat" in plan.blocked[0].reason
    with pytest.raises(ConflictError, match="nothing was deleted"):
        house.delete("a.dat", "d.dat")
    assert len(house.names()) == 4
    assert (house.archive.root / "misc/d.dat").exists()
    house.delete("d.dat")
    with house.database.write() as conn:
        tags.untag(conn, "Y6A1", ["c.dat"], [], who="me")
    house.delete("a.dat", "b.dat", "c.dat")
    assert house.names() == []


def test_files_of_a_tagged_attempt_and_files_in_use_are_refused(house: House) -> None:
    with house.database.write() as conn:
        attempt(conn, 1)
        attempt(conn, 2, att=2, state="running")
        submit_from_here(conn, 2)
        ids = {n: house.record(f"{n}.dat").id for n in "acd"}
        conn.execute(update(desfile).where(desfile.c.id == ids["c"]).values(pfw_attempt_id=1))
        store.define_tag(conn, "T", "")
        conn.execute(insert(proctag), {"tag": "T", "pfw_attempt_id": 1})
        conn.execute(insert(task), [{"id": i, "name": "x", "info_table": "x"} for i in (10, 11, 12)])
        conn.execute(
            insert(pfw_block),
            {
                "task_id": 10,
                "pfw_attempt_id": 2,
                "blknum": 1,
                "name": "b",
                "modulelist": "m",
                "numexpjobs": 1,
            },
        )
        conn.execute(
            insert(pfw_job),
            {
                "task_id": 11,
                "pfw_attempt_id": 2,
                "pfw_block_task_id": 10,
                "jobnum": 1,
                "jobkeys": "",
                "expect_num_wrap": 1,
                "state": "running",
                "tries": 1,
            },
        )
        conn.execute(
            insert(pfw_wrapper),
            {
                "task_id": 12,
                "pfw_attempt_id": 2,
                "pfw_job_task_id": 11,
                "wrapnum": 1,
                "modname": "m",
                "name": "m",
                "wrapkeys": "",
                "state": "running",
            },
        )
        conn.execute(insert(opm_used), {"task_id": 12, "desfile_id": ids["d"]})
    reasons = {b.name: b.reason for b in house.plan("a.dat", "c.dat", "d.dat").blocked}
    assert "tagged T" in reasons["c.dat"]
    assert "derived" in reasons["a.dat"]
    assert "D00000001_r1p02 is under way" in reasons["d.dat"]
    with house.database.write() as conn:
        conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == 2).values(state="done"))
    assert not house.plan("d.dat").blocked


def test_a_plan_over_its_bound_stops(house: House) -> None:
    plan = house.plan("a.dat", "b.dat", "c.dat", bound=2)
    assert "3 files" in plan.blocked[0].reason
    with pytest.raises(ConflictError, match="bound is 2"):
        house.delete("a.dat", "b.dat", "c.dat", bound=2)
    assert len(house.names()) == 4


def test_purge_waits_for_the_grace_time_and_keeps_identity_and_history(house: House) -> None:
    house.delete("b.dat")
    assert delete.purge(house.database, house.archive, who="me") == []
    house.delete("a.dat", grace_days=0)
    assert [f.name for f in delete.purge(house.database, house.archive, who="me")] == ["a.dat"]
    assert [p.name.partition("-")[2] for p in house.archive.trash.iterdir()] == ["b.dat"]
    with house.database.read() as conn:
        assert catalog.by_name(conn, "a.dat") is not None, "a name is never given again"
        assert "a.dat" not in [r.filename for r in catalog.find(conn, {})]
    with pytest.raises(NotFoundError):
        delete.undelete(house.database, house.archive, ["a.dat"], who="me")
    assert audit(house.database, house.archive, who="me").clean
    # The same bytes may come again; other bytes may not take the name.
    item = Deposit(house.folder / "a.dat", "misc")
    assert len(deposit(house.database, house.archive, [item], who="me").registered) == 1
    assert audit(house.database, house.archive, who="me").checked == 3


def test_what_is_in_the_trash_is_not_deposited_over(house: House) -> None:
    house.delete("d.dat")
    report = deposit(house.database, house.archive, [Deposit(house.folder / "d.dat", "misc")], who="me")
    assert "undelete" in report.refused[0].reason
    assert not (house.archive.root / "misc/d.dat").exists()
    delete.undelete(house.database, house.archive, ["d.dat"], who="me")
    assert audit(house.database, house.archive, who="me").checked == 4


def test_a_deletion_killed_before_its_bytes_were_moved(house: House) -> None:
    """The row says trash, the bytes still lie under their name."""
    house.delete("c.dat", "d.dat", grace_days=0)
    for name in "cd":
        (kept,) = house.archive.trash.glob(f"*-{name}.dat")
        kept.rename(house.archive.root / "misc" / f"{name}.dat")
    assert audit(house.database, house.archive, who="me").clean
    delete.undelete(house.database, house.archive, ["d.dat"], who="me")
    assert (house.archive.root / "misc/d.dat").read_bytes() == b"d" * 100
    assert [f.name for f in delete.purge(house.database, house.archive, who="me")] == ["c.dat"]
    assert not (house.archive.root / "misc/c.dat").exists()


def test_purge_does_not_take_other_bytes_under_that_name(house: House) -> None:
    house.delete("d.dat", grace_days=0)
    for kept in house.archive.trash.iterdir():
        kept.unlink()
    (house.archive.root / "misc/d.dat").write_bytes(b"somebody else's")
    delete.purge(house.database, house.archive, who="me")
    assert (house.archive.root / "misc/d.dat").read_bytes() == b"somebody else's"


def test_bytes_that_rotted_in_the_trash_do_not_come_back_as_good(house: House) -> None:
    house.delete("d.dat")
    (kept,) = house.archive.trash.iterdir()
    kept.write_bytes(b"rotten")
    with pytest.raises(CorruptFile):
        delete.undelete(house.database, house.archive, ["d.dat"], who="me")
    with house.database.read() as conn:
        assert [f.name for f, _ in delete.trash(conn, house.archive)] == ["d.dat"]


@pytest.mark.parametrize("name", ["", "a b", "x" * 33, "'; DROP TABLE proctag; --", "<b>"])
def test_tags_have_plain_names(house: House, name: str) -> None:
    with house.database.write() as conn, pytest.raises(UsageError):
        tags.tag(conn, name, ["a.dat"], [], who="me")


def test_tagging_is_all_or_none_and_is_counted(house: House) -> None:
    with house.database.write() as conn, pytest.raises(NotFoundError):
        tags.tag(conn, "T", ["a.dat", "nobody.dat"], [], who="me")
    with house.database.write() as conn:
        assert tags.tag(conn, "T", ["a.dat", "b.dat"], [], who="me", description="a trial") == 2
        assert tags.tag(conn, "T", ["b.dat", "c.dat"], [], who="me") == 1
        assert tags.list_tags(conn) == [("T", "a trial", 3, 0)]
