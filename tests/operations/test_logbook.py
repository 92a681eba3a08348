"""The logbook: entries and acts in one order, append-only, corrected by new entries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DatabaseError

from desdm.errors import DesdmError, NotFoundError, UsageError
from desdm.operations.logbook.model import Details, LogFilter
from desdm.operations.logbook.store import find_entries, time_lost
from desdm.operations.logbook.verbs import correct_entry, write_entry
from desdm.schema import logbook
from desdm.schema.database import Database
from desdm.schema.operationstates import LogCategory, SubjectKind, TimeLoss
from desdm.schema.states import EventKind
from desdm.schema.store import record_event
from desdm.schema.subjects import Subject, parse_subject
from desdm.schema.upgrade import upgrade


@pytest.fixture
def filled(database: Database) -> Database:
    """A logbook with an act between two entries."""
    upgrade(database)
    with database.write() as conn:
        write_entry(
            conn,
            "Clouds from 03:00 on; dome closed 04:10",
            who="jane",
            details=Details(LogCategory.WEATHER, "20121120", 5.5, TimeLoss.WEATHER),
            subjects=[parse_subject("150029"), parse_subject("D00150029_c10")],
        )
        record_event(
            conn, EventKind.EXCLUDE, "john", "D00150029 excluded", subject="D00150029", reason="100% clouded"
        )
        write_entry(conn, "Disk of the archive is 91 % full", who="john", details=Details(LogCategory.SYSTEM))
    return database


def _texts(database: Database, wanted: LogFilter, limit: int | None = None) -> list[str]:
    with database.read() as conn:
        return [e.text[:6] for e in find_entries(conn, wanted, limit)]


@pytest.mark.parametrize(
    ("wanted", "texts"),
    [
        (LogFilter(), ["Disk o", "D00150", "Clouds"]),
        (LogFilter(entries_only=True), ["Disk o", "Clouds"]),
        (LogFilter(subject="D00150029"), ["D00150", "Clouds"]),
        (LogFilter(subject="D00150029_c10"), ["Clouds"]),
        (LogFilter(nite="20121120"), ["Clouds"]),
        (LogFilter(who="john"), ["Disk o", "D00150"]),
        (LogFilter(category=LogCategory.SYSTEM), ["Disk o"]),
        (LogFilter(words=("CLOUD",)), ["D00150", "Clouds"]),
        (LogFilter(words=("cloud", "dome")), ["Clouds"]),
        # A sign of SQL's LIKE means itself.
        (LogFilter(words=("91 %",)), ["Disk o"]),
        (LogFilter(words=("1_0",)), []),
        (LogFilter(kind=EventKind.EXCLUDE), ["D00150"]),
    ],
)
def test_a_filter_selects_lines(filled: Database, wanted: LogFilter, texts: list[str]) -> None:
    assert _texts(filled, wanted) == texts


def test_jobs_that_are_done_can_be_left_out(filled: Database) -> None:
    with filled.write() as conn:
        for text in ("job 1 done", "job 2 failed"):
            record_event(conn, EventKind.JOB, "D00150029_r1p01", text)
        record_event(conn, EventKind.EXCLUDE, "john", "job 3 done")
    assert _texts(filled, LogFilter(kind=EventKind.JOB)) == ["job 2 ", "job 1 "]
    assert _texts(filled, LogFilter(without_done_jobs=True), 2) == ["job 3 ", "job 2 "]
    assert "job 1 " not in _texts(filled, LogFilter(without_done_jobs=True))


@pytest.mark.parametrize("nite", ["20120230", "20121131", "20130229"])
def test_a_night_is_a_date(filled: Database, nite: str) -> None:
    with pytest.raises(UsageError, match="is not a night"):
        parse_subject(nite)
    with pytest.raises(UsageError, match="is not a night"), filled.write() as conn:
        write_entry(conn, "text", who="jane", details=Details(LogCategory.OTHER, nite))
    assert parse_subject("20120229") == Subject(SubjectKind.NITE, "20120229")


def test_pages_follow_each_other_without_gap_or_repetition(filled: Database) -> None:
    with filled.read() as conn:
        whole = [e.id for e in find_entries(conn, LogFilter())]
        first = find_entries(conn, LogFilter(), 2)
        second = find_entries(conn, LogFilter(before=first[-1].id), 2)
    assert [e.id for e in (*first, *second)] == whole


def test_a_correction_stands_beside_the_entry_and_its_hours_alone_count(filled: Database) -> None:
    with filled.write() as conn:
        (entry,) = find_entries(conn, LogFilter(category=LogCategory.WEATHER))
        assert time_lost(conn, "20121120") == {TimeLoss.WEATHER: 5.5}
        details = Details(LogCategory.WEATHER, "20121120", 4.25, TimeLoss.WEATHER)
        number = correct_entry(conn, entry.id, "Dome closed 05:25", who="jane", details=details)
    with filled.read() as conn:
        corrected, earlier = find_entries(conn, LogFilter(category=LogCategory.WEATHER))
        assert (corrected.id, corrected.details) == (number, replace(details, corrects=entry.id))
        assert (earlier.text, earlier.corrected_by) == (entry.text, number)
        assert corrected.subjects == (
            Subject(SubjectKind.CCD, "D00150029_c10"),
            Subject(SubjectKind.EXPOSURE, "D00150029"),
        )
        assert time_lost(conn, "20121120") == {TimeLoss.WEATHER: 4.25}
    with filled.write() as conn, pytest.raises(UsageError, match=f"corrected by entry {number}"):
        correct_entry(conn, entry.id, "again", who="jane")


def test_the_database_itself_refuses_to_change_or_delete_an_entry(filled: Database) -> None:
    for statement in (update(logbook).values(time_lost_h=1.0), delete(logbook)):
        with pytest.raises((DatabaseError, DesdmError), match="only ever added to"), filled.write() as conn:
            conn.execute(statement)


@pytest.mark.parametrize(
    ("text", "details", "message"),
    [
        ("  ", Details(), "needs a text"),
        ("x" * 20_001, Details(), "at most 20000"),
        ("x", Details(time_lost=24.5), "24.5 hours"),
        ("x", Details(time_lost=float("nan")), "nan hours"),
        ("x", Details(loss=TimeLoss.FAULT), "how many hours"),
        ("x", Details(nite="20121350"), "not a night"),
    ],
)
def test_what_an_entry_cannot_be(filled: Database, text: str, details: Details, message: str) -> None:
    with pytest.raises(UsageError, match=message), filled.write() as conn:
        write_entry(conn, text, who="jane", details=details)


def test_an_act_is_not_corrected(filled: Database) -> None:
    with filled.read() as conn:
        (act,) = find_entries(conn, LogFilter(kind=EventKind.EXCLUDE))
    with filled.write() as conn, pytest.raises(NotFoundError, match="undone"):
        correct_entry(conn, act.id, "no", who="jane")


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("229686", Subject(SubjectKind.EXPOSURE, "D00229686")),
        ("d229686", Subject(SubjectKind.EXPOSURE, "D00229686")),
        ("D00229686_c7", Subject(SubjectKind.CCD, "D00229686_c07")),
        ("D00229686_r5p01", Subject(SubjectKind.ATTEMPT, "D00229686_r5p01")),
        ("20121120", Subject(SubjectKind.NITE, "20121120")),
        ("des0102-4914", Subject(SubjectKind.TILE, "DES0102-4914")),
        (
            "D00229686_r_c10_r5p01_immask.fits.fz",
            Subject(SubjectKind.FILE, "D00229686_r_c10_r5p01_immask.fits.fz"),
        ),
        ("tag:Y6A1", Subject(SubjectKind.TAG, "Y6A1")),
        ("exposure:20121120", Subject(SubjectKind.EXPOSURE, "D20121120")),
    ],
)
def test_a_name_alone_or_with_its_kind_is_one_subject(text: str, subject: Subject) -> None:
    assert parse_subject(text) == subject


@pytest.mark.parametrize(
    "text", ["", "Y6A1", "nite:20121350", "ccd:229686", "exposure:", "attempt:D1", "tile: "]
)
def test_a_text_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_subject(text)


def test_the_commands_write_as_the_person_who_acts_and_read_it_back(tmp_path: Path) -> None:
    environment = {**os.environ, "USER": "jane", "LOGNAME": "jane"}
    environment.pop("SUDO_USER", None)

    def desdm(*words: str) -> str:
        program = Path(sys.executable).with_name("desdm")
        done = subprocess.run(
            [program, "--home", tmp_path / "home", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    program = Path(sys.executable).with_name("desdm")
    subprocess.run([program, "init", tmp_path / "home"], env=environment, check=True, capture_output=True)
    about = ("--nite", "2012-11-20", "--subject", "229686", "--lost", "2", "--loss", "weather")
    written = json.loads(desdm("logbook", "add", "Dome closed", *about, "--json"))
    corrected = json.loads(desdm("logbook", "correct", str(written["entry"]), "Dome half closed", "--json"))
    newest, earlier = json.loads(desdm("logbook", "--nite", "20121120", "--json"))
    assert (newest["id"], newest["corrects"], newest["who"]) == (corrected["entry"], written["entry"], "jane")
    assert (earlier["text"], earlier["corrected_by"]) == ("Dome closed", corrected["entry"])
    assert (newest["subjects"], newest["time_lost_h"], newest["loss"]) == (
        ["exposure:D00229686"],
        2.0,
        "weather",
    )
    assert "Dome half closed" in desdm("logbook", "--subject", "D00229686", "--entries")
