"""The problem list: states and severities, what programs propose, evidence, and the path to a problem far upstream."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.release import problems
from desdm.release.blocking import blockers_of_release, open_problems_of
from desdm.release.problems import Proposal
from desdm.schema import opm_was_derived_from, problem, problem_note
from desdm.schema.database import Database
from desdm.schema.operationstates import ProblemState, Resolution, Severity
from desdm.schema.states import EventKind
from desdm.schema.store import find_events
from tests.archive.test_find import attempt, put

NOW = datetime(2026, 11, 29, 12, 0)
KEY = "sky:D00000001_c05"


def propose(conn: Any, severity: Severity = Severity.BLOCK, key: str = KEY, now: datetime = NOW) -> int:
    proposal = Proposal("ccd", "D00000001_c05", "sky too bright", "sky 3.1 above 2.0", severity, key)
    return problems.propose_problem(conn, proposal, who="queue", now=now)


def act(conn: Any, verb: str, number: int, **more: Any) -> Any:
    return getattr(problems, verb)(conn, number, "because", who="mary", now=NOW, **more)


def test_a_program_withdraws_what_it_proposed_unless_a_person_has_confirmed_it(database: Database) -> None:
    with database.write() as conn:
        first = propose(conn)
        why = "a later run is good"
        assert problems.withdraw_proposal(conn, KEY, why, who="queue", now=NOW) == first
        withdrawn = problems.problem_file(conn, first).problem
        assert (withdrawn.state.value, withdrawn.closed_by) == ("rejected", "queue")
        assert problems.withdraw_proposal(conn, KEY, why, who="queue", now=NOW) is None
        second = propose(conn)
        act(conn, "confirm_problem", second)
        assert problems.withdraw_proposal(conn, KEY, why, who="queue", now=NOW) is None
        assert problems.problem_file(conn, second).problem.state.value == "confirmed"


def test_the_life_of_a_problem_that_a_program_proposed(database: Database) -> None:
    with database.write() as conn:
        attempt(conn, 2, att=2)
        number = propose(conn)
        for verb in ("confirm_problem", "take_problem", "fix_problem"):
            act(conn, verb, number)
        with pytest.raises(UsageError, match="when a test or run shows"):
            problems.close_problem(conn, number, "new flat", who="mary", now=NOW)
        with pytest.raises(NotFoundError, match="no run D00000001_r9p01"):
            problems.close_problem(conn, number, "new flat", who="mary", proof=("run", "D00000001_r9p01"))
        proof = ("run", "D00000001_r1p02")
        assert problems.close_problem(conn, number, "new flat", who="mary", proof=proof, now=NOW)
        file = problems.problem_file(conn, number)
        acts = [e.text for e in find_events(conn, kind=EventKind.PROBLEM)]
    states = [(n.from_state, n.to_state) for n in file.notes]
    assert states == [
        (None, "new"), ("new", "confirmed"), ("confirmed", "in_work"), ("in_work", "fixed"), ("fixed", "closed"),
    ]  # fmt: skip
    p = file.problem
    assert (p.opened_by, p.confirmed_by, p.owner, p.closed_by) == ("queue", "mary", "mary", "mary")
    assert (p.resolution, p.resolution_code) == ("new flat", Resolution.FIXED)
    assert [(e.kind, e.ref) for e in file.evidence] == [proof]
    assert len(acts) == 6 and acts[0] == "problem 1 proposed: ccd D00000001_c05, block"


def test_the_same_trouble_again_counts_until_it_is_closed(database: Database) -> None:
    with database.write() as conn:
        first = propose(conn)
        assert propose(conn, now=NOW + timedelta(hours=1)) == first
        (p,) = problems.problems(conn)
        assert (p.occurrences, p.first_seen, p.last_seen) == (2, NOW, NOW + timedelta(hours=1))
        act(conn, "reject_problem", first, code=Resolution.DUPLICATE)
        assert propose(conn) != first


@pytest.mark.parametrize(
    ("before", "verb"),
    [
        ((), "take_problem"), ((), "fix_problem"), ((), "reopen_problem"), (("confirm_problem",), "confirm_problem"),
        (("confirm_problem", "take_problem"), "reject_problem"), (("reject_problem",), "confirm_problem"),
    ],
)  # fmt: skip
def test_a_change_that_is_not_lawful_is_refused_with_the_way_on(
    database: Database, before: tuple[str, ...], verb: str
) -> None:
    with database.write() as conn:
        number = propose(conn)
        for one in before:
            act(conn, one, number)
        with pytest.raises(ConflictError, match="problem 1 is"):
            act(conn, verb, number)


def test_the_database_itself_keeps_states_and_history(database: Database) -> None:
    with database.write() as conn:
        number = propose(conn)
    for statement in (
        update(problem).where(problem.c.id == number).values(state="closed"),
        update(problem_note).values(text="x"),
        problem_note.delete(),
    ):
        with pytest.raises(Exception, match=r"unlawful change|only ever added"), database.write() as conn:
            conn.execute(statement)


def test_a_person_s_problem_may_be_closed_on_a_word_and_is_entered_anew(database: Database) -> None:
    with database.write() as conn:
        number = problems.open_problem(conn, "tile", "T1", "seam", who="ann", now=NOW)
        assert not problems.close_problem(conn, number, "redone", who="ann", now=NOW)
        assert problems.problems(conn)[0].resolution_code is None
        again = problems.reopen_problem(conn, number, "still there", who="mary", now=NOW)
        assert (again.id, again.state, again.severity) == (2, ProblemState.CONFIRMED, Severity.BLOCK)
        assert "after problem 1: still there" in again.text
        with pytest.raises(UsageError, match="test or run shows"):
            problems.close_problem(conn, 2, "gone", who="ann", code=Resolution.FIXED, now=NOW)
        with pytest.raises(UsageError, match="by a run or a test"):
            problems.close_problem(conn, 2, "gone", who="ann", proof=("page", "x"), now=NOW)
        problems.add_evidence(conn, 2, "test", "tests/test_seam.py", who="ann", now=NOW)
        assert problems.close_problem(conn, 2, "gone", who="ann", now=NOW)
        with pytest.raises(NotFoundError, match="no problem 9"):
            act(conn, "confirm_problem", 9)


def test_a_problem_in_state_fixed_is_closed_by_a_test_or_run_or_with_another_code(database: Database) -> None:
    with database.write() as conn:
        for tile in ("T1", "T2"):
            number = problems.open_problem(conn, "tile", tile, "seam", who="ann", now=NOW)
            act(conn, "fix_problem", number)
        with pytest.raises(UsageError, match="test or run shows"):
            problems.close_problem(conn, 1, "done", who="ann", now=NOW)
        assert problems.close_problem(
            conn, 1, "done", who="ann", proof=("test", "tests/test_seam.py"), now=NOW
        )
        assert not problems.close_problem(conn, 2, "it stays", who="ann", code=Resolution.WONT_FIX, now=NOW)


def test_a_new_problem_is_confirmed_before_it_is_closed(database: Database) -> None:
    with database.write() as conn:
        number = propose(conn)
        with pytest.raises(ConflictError, match="confirm it first"):
            problems.close_problem(conn, number, "gone", who="ann", proof=("test", "x"), now=NOW)


@pytest.fixture
def chain(database: Database) -> Database:
    """A coadd five steps above a CCD of an exposure; the raw file below it is of all CCDs."""
    names = [
        "DES0001_g.fits",
        "nwgint.fits",
        "scaled.fits",
        "masked.fits",
        "detrended.fits",
        "crosstalked.fits",
    ]
    with database.write() as conn:
        attempt(conn, 1, unit="D00000001", pipeline="finalcut")
        attempt(conn, 2, unit="DES0001+0001", req=2, pipeline="coadd")
        put(conn, 1, names[0], 2, filetype="coadd", tilename="DES0001+0001", band="g")
        for number, name in enumerate(names[1:], 2):
            put(conn, number, name, 1, expnum=1, ccdnum=5, band="g", nite="20121120")
        put(conn, 7, "raw.fits", filetype="raw", expnum=1, nite="20121120")
        put(conn, 8, "other.fits", 1, expnum=1, ccdnum=6, band="g", nite="20121120")
        edges = [{"child_desfile_id": n, "parent_desfile_id": n + 1} for n in range(1, 7)]
        conn.execute(insert(opm_was_derived_from), [*edges, {"child_desfile_id": 8, "parent_desfile_id": 7}])
    return database


def test_a_problem_five_steps_above_a_tile_blocks_with_the_path(chain: Database) -> None:
    def found() -> list[str]:
        with chain.read() as conn:
            return [b.subject for b in blockers_of_release(conn, "Y6", "", ["DES0001+0001"], [1])]

    with chain.write() as conn:
        number = problems.open_problem(conn, "file", "crosstalked.fits", "striped", who="ann", now=NOW)
    path = "DES0001_g.fits <- nwgint.fits <- scaled.fits <- masked.fits <- detrended.fits <- crosstalked.fits"
    assert found() == [f"file crosstalked.fits, path: {path}"]
    with chain.write() as conn:
        problems.fix_problem(conn, number, "new code", who="ann", now=NOW)
    assert found(), "what is said to be fixed still blocks"
    with chain.write() as conn:
        problems.close_problem(conn, number, "new code", who="ann", proof=("run", "D00000001_r1p01"), now=NOW)
    assert found() == []


@pytest.mark.parametrize(
    ("kind", "subject", "blocks"),
    [
        ("ccd", "D00000001_c05", True), ("ccd", "d1_c5", True), ("ccd", "D00000001_c06", False),
        ("exposure", "D00000001", True), ("nite", "20121120", True), ("nite", "20121121", False),
        ("unit", "DES0001+0001", True), ("attempt", "D00000001_r1p01", True), ("attempt", "D00000001_r1p02", False),
        ("file", "raw.fits", True), ("file", "other.fits", False), ("tile", "DES0001+0001", True),
    ],
)  # fmt: skip
def test_which_subjects_block_a_tile(chain: Database, kind: str, subject: str, blocks: bool) -> None:
    with chain.write() as conn:
        problems.open_problem(conn, kind, subject, "bad", who="ann", now=NOW)
    with chain.read() as conn:
        assert bool(blockers_of_release(conn, "Y6", "", ["DES0001+0001"], [1])) == blocks


@pytest.mark.parametrize("severity", list(Severity))
def test_severity_decides_and_a_program_s_word_blocks_a_release_once_it_is_confirmed(
    chain: Database, severity: Severity
) -> None:
    strong = severity in (Severity.STOP, Severity.BLOCK)
    with chain.write() as conn:
        number = propose(conn, severity)
        assert blockers_of_release(conn, "Y6", "", [], [1]) == []
        assert any(one.problem.blocks for one in open_problems_of(conn, [1], [])) == strong
        act(conn, "confirm_problem", number)
        assert bool(blockers_of_release(conn, "Y6", "", [], [1])) == strong
        changed = problems.set_severity(conn, number, Severity.WATCH, "seen once", who="mary", now=NOW)
        assert not changed.blocks
        assert not any(one.problem.blocks for one in open_problems_of(conn, [1], []))
