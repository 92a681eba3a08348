"""Data states: marked by a person, PRUNED by the deletion of the last file, restored by recovery; JUNK is not listed."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from desdm.archive import catalog, delete
from desdm.archive.archive import Archive
from desdm.archive.audit import audit
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.archive.withheld import unfit_reasons
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.framework.mark import mark
from desdm.schema import pfw_attempt
from desdm.schema.database import Database
from desdm.schema.states import AttemptState, DataState, EventKind
from desdm.schema.store import Event, find_events
from tests.archive.test_find import attempt
from tests.support.submitter import submit_from_here

RUN = "D00000001_r1p01"


class Runs:
    """Attempt 1 with a.dat and b.dat, attempt 2 with c.dat, and d.dat of no attempt."""

    def __init__(self, database: Database, archive: Archive, folder: Any) -> None:
        self.database, self.archive, self.folder = database, archive, folder
        with database.write() as conn:
            attempt(conn, 1)
            attempt(conn, 2, att=2)
        items = []
        for name, number in (("a", 1), ("b", 1), ("c", 2), ("d", None)):
            (folder / f"{name}.dat").write_bytes(name.encode() * 50)
            items.append(Deposit(folder / f"{name}.dat", "misc", pfw_attempt_id=number))
        deposit(database, archive, items, who="me")

    def mark(self, state: DataState, reason: str = "looked at it") -> bool:
        with self.database.write() as conn:
            return mark(conn, RUN, state, who="ann", reason=reason).changed

    def set(self, **values: str) -> None:
        with self.database.write() as conn:
            conn.execute(update(pfw_attempt).where(pfw_attempt.c.id == 1).values(**values))

    def state(self) -> tuple[str, str | None]:
        a = pfw_attempt.c
        with self.database.read() as conn:
            row = conn.execute(select(a.data_state, a.pruned_from).where(a.id == 1)).one()
        return row[0], row[1]

    def names(self, **asked: Any) -> str:
        with self.database.read() as conn:
            return " ".join(f.name[0] for f in catalog.files(conn, **asked))

    def delete(self, *names: str) -> None:
        with self.database.read() as conn:
            found = [catalog.by_name(conn, name) for name in names]
        delete.delete(
            self.database, self.archive, [f for f in found if f], who="ann", reason="no room", bound=9, grace_days=9
        )  # fmt: skip

    def undelete(self, *names: str) -> None:
        delete.undelete(self.database, self.archive, names, who="bob")

    def events(self, **asked: Any) -> list[Event]:
        with self.database.read() as conn:
            return find_events(conn, **asked)


@pytest.fixture
def runs(database: Database, archive: Archive, tmp_path: Any) -> Runs:
    return Runs(database, archive, tmp_path)


def test_a_mark_changes_the_state_and_is_an_event_with_its_reason(runs: Runs) -> None:
    assert runs.mark(DataState.JUNK, " satellite ")
    assert runs.mark(DataState.ACTIVE, "only one CCD")
    assert not runs.mark(DataState.ACTIVE, "only one CCD")
    assert runs.state() == ("ACTIVE", None)
    found = runs.events(subject=RUN, kind=EventKind.MARK)
    assert [(e.who, e.subject, e.reason, e.run) for e in found] == [
        ("ann", RUN, "satellite", RUN), ("ann", RUN, "only one CCD", RUN),
    ]  # fmt: skip
    assert ("JUNK" in found[0].text, "NEW" in found[0].text) == (True, True)


def test_another_person_or_reason_is_recorded_though_the_state_stays(runs: Runs) -> None:
    runs.mark(DataState.JUNK, "satellite")
    for who, reason, recorded in (
        ("ann", "satellite", False),
        ("bob", "satellite", True),
        ("bob", "bad flat", True),
        ("bob", " bad flat ", False),
    ):
        with runs.database.write() as conn:
            result = mark(conn, RUN, DataState.JUNK, who=who, reason=reason)
        assert (result.changed, result.recorded) == (False, recorded), (who, reason)
    events = runs.events(subject=RUN, kind=EventKind.MARK)
    assert [(e.who, e.reason) for e in events] == [
        ("ann", "satellite"),
        ("bob", "satellite"),
        ("bob", "bad flat"),
    ]


def test_a_mark_needs_a_reason_a_run_and_an_end(runs: Runs) -> None:
    with pytest.raises(UsageError, match="--reason"):
        runs.mark(DataState.JUNK, "  ")
    with pytest.raises(UsageError, match="active or junk"):
        runs.mark(DataState.PRUNED)
    with runs.database.write() as conn, pytest.raises(NotFoundError):
        mark(conn, "D00000009_r1p01", DataState.JUNK, who="ann", reason="x")
    for number, state in enumerate((AttemptState.PLANNED, AttemptState.RUNNING), 10):
        with runs.database.write() as conn:
            attempt(conn, number, unit=state.value, req=number, state=state.value)
            submit_from_here(conn, number)
            with pytest.raises(ConflictError, match=state.value):
                mark(conn, f"{state.value}_r{number}p01", DataState.JUNK, who="ann", reason="x")
    assert runs.state() == ("NEW", None)
    assert runs.events(kind=EventKind.MARK) == []


def test_junk_is_listed_only_where_it_is_asked_for(runs: Runs) -> None:
    assert runs.names() == "a b c d"
    runs.mark(DataState.JUNK)
    assert runs.names() == runs.names(filetype="misc") == "c d"
    assert runs.names(limit=1) == "c"
    assert runs.names(junk=True) == "a b c d"
    assert runs.names(attempt=RUN) == runs.names(attempt=1) == "a b"
    runs.mark(DataState.ACTIVE)
    assert runs.names() == "a b c d"


@pytest.mark.parametrize("before", [DataState.NEW, DataState.ACTIVE, DataState.JUNK])
def test_deleting_the_last_file_prunes_and_recovery_restores(runs: Runs, before: DataState) -> None:
    runs.set(data_state=before.value)
    runs.delete("a.dat")
    assert runs.state() == (before.value, None)
    runs.delete("b.dat", "d.dat")
    assert runs.state() == ("PRUNED", before.value)
    [event] = runs.events(subject=RUN, kind=EventKind.MARK)
    assert (event.who, event.reason, event.run) == ("ann", "no room", RUN)
    with pytest.raises(ConflictError, match="desdm delete --undelete"):
        runs.mark(DataState.ACTIVE)
    runs.undelete("d.dat")
    assert runs.state() == ("PRUNED", before.value)
    runs.undelete("b.dat")
    assert runs.state() == (before.value, None)
    event = runs.events(subject=RUN, kind=EventKind.MARK)[-1]
    assert (event.who, before.value in event.text) == ("bob", True)


def test_who_brings_files_back_does_not_mark_the_run(runs: Runs) -> None:
    """The mark is of the person who gave it, whoever deletes the run's files and brings them back."""
    runs.mark(DataState.JUNK, "old one bad")
    runs.delete("a.dat", "b.dat")
    with runs.database.read() as conn:
        assert unfit_reasons(conn, [1]) == {
            1: f"its run {RUN} is JUNK: marked by ann: old one bad; its files were deleted by ann: no room"
        }
    delete.undelete(runs.database, runs.archive, ["a.dat", "b.dat"], who="bob", reason="give back")
    with runs.database.read() as conn:
        assert unfit_reasons(conn, [1]) == {1: f"its run {RUN} is JUNK: marked by ann: old one bad"}
    event = runs.events(subject=RUN, kind=EventKind.MARK)[-1]
    assert (event.who, event.reason) == ("bob", "give back")


def test_a_run_whose_other_files_are_missing_is_pruned_until_one_is_found_again(runs: Runs) -> None:
    with runs.database.read() as conn:
        record = catalog.by_name(conn, "a.dat")
    assert record is not None
    path = runs.archive.path(record)
    path.rename(runs.folder / "away.dat")
    assert audit(runs.database, runs.archive, who="audit").missing == ["a.dat"]
    assert runs.state() == ("NEW", None), "what is missing was not deleted"
    runs.delete("b.dat")
    assert runs.state() == ("PRUNED", "NEW")
    audit(runs.database, runs.archive, who="audit")
    assert runs.state() == ("PRUNED", "NEW")
    (runs.folder / "away.dat").rename(path)
    audit(runs.database, runs.archive, who="audit")
    assert runs.state() == ("NEW", None)
    assert runs.events(subject=RUN, kind=EventKind.MARK)[-1].who == "audit"


@pytest.mark.parametrize("known", [True, False])
def test_a_run_is_pruned_when_a_missing_file_is_deleted(runs: Runs, known: bool) -> None:
    with runs.database.read() as conn:
        record = catalog.by_name(conn, "a.dat")
    assert record is not None
    runs.archive.path(record).unlink()
    if known:
        audit(runs.database, runs.archive, who="audit")
    runs.delete("a.dat", "b.dat")
    assert runs.state() == ("PRUNED", "NEW")


def test_a_purged_run_stays_pruned_until_its_file_is_deposited_again(runs: Runs) -> None:
    with runs.database.read() as conn:
        files = catalog.files(conn, attempt=1)
    delete.delete(runs.database, runs.archive, files, who="ann", reason="old", bound=9, grace_days=-1)
    delete.purge(runs.database, runs.archive, who="bob")
    assert runs.state() == ("PRUNED", "NEW")
    told = [(e.who, e.reason, e.run) for e in runs.events(subject="a.dat", kind=EventKind.DELETE)]
    assert told == [("ann", "old", RUN), ("bob", "", RUN)]
    deposit(runs.database, runs.archive, [Deposit(runs.folder / "a.dat", "misc")], who="cy")
    assert runs.state() == ("NEW", None)
    assert runs.events(subject=RUN, kind=EventKind.MARK)[-1].who == "cy"
