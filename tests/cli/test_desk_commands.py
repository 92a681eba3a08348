"""The desk of quality assessment as people type it: marks, lists, problems, review, thresholds, dispatches."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from desdm.cli.main import desdm as group
from desdm.errors import DesdmError
from desdm.facility import Facility, initialise
from desdm.quality.qa.review import put_up_after_run
from desdm.release.problems import Proposal, propose_problem
from desdm.schema import pfw_request
from desdm.schema.operationstates import Severity
from tests.archive.test_find import attempt
from tests.operations.test_acceptance import image, judge
from tests.quality.qa.test_review_queue import numbers

NOW = datetime(2026, 11, 29, 12, 0)
Run = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Three exposures of two CCDs with First Cut runs; that of exposure 2 is flagged."""
    initialise(tmp_path / "home")
    facility = Facility.open(tmp_path / "home")
    with facility.database.write() as conn:
        for expnum, state in ((1, "done"), (2, "flagged"), (3, "done")):
            attempt(conn, expnum, unit=f"D{expnum:08d}", pipeline="firstcut", state=state)
            for ccdnum in (1, 2):
                image(conn, expnum * 10 + ccdnum, expnum, ccdnum, expnum)
            judge(conn, expnum, "True", expnum)
            numbers(conn, expnum, sky_c1=100.0, sky_c2=200.0)
        conn.execute(update(pfw_request).values(campaign=facility.config.campaign))
        put_up_after_run(conn, 2, NOW)
        proposal = Proposal("exposure", "D00000003", "clouds", "0.6 mag", Severity.BLOCK, "cloud:3")
        propose_problem(conn, proposal, who="queue", now=NOW)
    facility.close()
    return tmp_path / "home"


@pytest.fixture
def desk(home: Path) -> Run:
    def run(*words: str, fails: str = "") -> Any:
        done = CliRunner().invoke(group, ["--home", str(home), *words])
        if fails:
            assert isinstance(done.exception, DesdmError), done.output
            assert fails in str(done.exception)
            return None
        assert done.exception is None, (words, done.output, done.exception)
        return json.loads(done.output) if "--json" in words else done.output

    return run


def test_a_mark_of_each_kind(desk: Run) -> None:
    seen = desk("mark", "1", "--json")
    assert (seen["subject"], seen["marks"], seen["blockers"]) == ("D00000001", [], [])
    dry = desk("mark", "1", "blessed", "--reason", "sharp", "--dry-run", "--json")
    assert dry["dry_run"] and desk("mark", "1", "--json")["seen"] == seen["seen"]
    done = desk("mark", "1", "blessed", "--reason", "sharp", "--seen", seen["seen"], "--json")
    assert (done["verdict"], done["data_state"], done["before"], done["run"]) == (
        "blessed", "ACTIVE", "NEW", "D00000001_r1p01",
    )  # fmt: skip
    desk(
        "mark",
        "1",
        "defective",
        "--reason",
        "x",
        "--seen",
        seen["seen"],
        fails="has changed since you saw it",
    )
    ccd = desk("mark", "D00000001_c02", "defective", "--reason", "ring", "--code", "ring", "--json")
    assert ccd["files"] == ["im12.fits"]
    assert "mark" in desk("mark", "im11.fits", "defective", "--reason", "trail")
    assert "is JUNK, was ACTIVE" in desk("mark", "D00000001_r1p01", "junk", "--reason", "all of it")
    assert "NEW" not in desk("mark", "D00000001_r1p01", "withdrawn", "--reason", "no")
    text = desk("mark", "D00000001")
    assert "exclusions:" in text and "blessed by" in text and "seen: " in text
    desk("mark", "3", "blessed", "--reason", "x", fails="problem 1 of exposure D00000003: clouds")
    desk("mark", "1", "blessed", fails="--reason")
    desk("mark", "--list", "/dev/null", "blessed", fails="names nothing")


def test_a_list_is_dry_until_it_is_told_to_go(desk: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text("1 clouds\nD00000002\n")
    words = ("mark", "--list", str(path), "defective", "--reason", "seeing")
    assert "2 would be marked; to do it add --go" in desk(*words)
    assert desk("mark", "1", "--json")["marks"] == []
    done = desk(*words, "--go", "--json")
    assert [(d["subject"], d["data_state"]) for d in done] == [("D00000001", "JUNK"), ("D00000002", "JUNK")]
    assert desk("mark", "1", "--json")["marks"][0]["reason"] == "clouds"
    path.write_text("1\n777\n")
    desk(
        "mark",
        "--list",
        str(path),
        "withdrawn",
        "--reason",
        "x",
        "--go",
        fails="D00000777 is not in the archive",
    )
    assert len(desk("mark", "1", "--json")["marks"]) == 1, "all or none"


def test_the_problem_list(desk: Run) -> None:
    (listed,) = desk("problem", "list", "--json")
    assert (listed["state"], listed["severity"], listed["blocks"]) == ("new", "block", True)
    for words in (("confirm", "1", "--reason", "so"), ("take", "1"), ("fix", "1", "--reason", "done")):
        desk("problem", *words)
    desk("problem", "note", "1", "half of the night", "--impression")
    desk("problem", "evidence", "1", "page", "https://example.org/sky")
    desk("problem", "close", "1", "gone", fails="when a test or run shows")
    assert desk("problem", "close", "1", "gone", "--evidence", "run:D00000003_r1p01", "--json")["shown"]
    text = desk("problem", "show", "1")
    assert (
        "impression: half of the night" in text
        and "fixed to closed" in text
        and "resolution: gone (fixed)" in text
    )
    assert desk("problem", "reopen", "1", "--reason", "again", "--json")["id"] == 2
    assert desk("problem", "severity", "2", "watch", "--reason", "once", "--json")["blocks"] is False
    assert desk("problem", "open", "ccd", "D00000001_c01", "ring", "--severity", "degrade", "--json") == {
        "problem": 3
    }
    desk("problem", "reject", "3", "--reason", "as built")
    assert [p["id"] for p in desk("problem", "list", "--json")] == [2]
    assert [p["id"] for p in desk("problem", "list", "--state", "rejected", "--json")] == [3]


def test_the_review_queue(desk: Run) -> None:
    assert "waiting: 1 flagged" in desk("review", "list")
    assert desk("review", "next", "--json")["subject"] == "D00000002"
    assert "kept for you until" in desk("review", "take", "1")
    desk("review", "ask", "3", "--reason", "clouds?")
    assert desk("review", "sample", "5", "--seed", "1", "--reason", "weekly", "--json") == {
        "subjects": ["D00000001"]
    }
    desk("mark", "2", "blessed", "--reason", "fine", "--own")
    assert [e["subject"] for e in desk("review", "list", "--json")] == ["D00000003", "D00000001"]


def test_thresholds_and_numbers(desk: Run, tmp_path: Path) -> None:
    assert desk("qa", "threshold", "set", "sky", "--high-bad", "150", "--reason", "moon", "--json") == {
        "threshold": 1
    }
    assert [o["text"] for o in desk("qa", "outliers", "--run", "D00000001_r1p01", "--json")] == [
        "sky of CCD 2 = 200 e, above 150"
    ]
    desk("qa", "threshold", "end", "1", "--reason", "no moon")
    assert desk("qa", "threshold", "list").startswith("no threshold")
    assert [n["value"] for n in desk("qa", "trend", "sky", "--ccd", "2", "--json")] == [200.0, 200.0, 200.0]
    svg = tmp_path / "sky.svg"
    assert "written to" in desk("qa", "focalplane", "sky", "D00000001_r1p01", "--svg", str(svg))
    assert svg.read_text().startswith("<svg")


def test_a_dispatch(desk: Run) -> None:
    due = f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}"
    desk("account", "add", "wendy")
    desk("account", "office", "wendy", "wg_member", "--group", "WL", "--reason", "season 1")
    desk("dispatch", "open", "WL", "1", "PSF?", "--criteria", "residuals", "--due", due)
    assert desk("dispatch", "list", "--json")[0]["late"] is False
    desk("dispatch", "accept", "1")
    desk("dispatch", "answer", "1", "valid", "--reason", "good")
    assert "valid: good" in desk("dispatch", "show", "1")
    desk("dispatch", "withdraw", "1", "--reason", "x", fails="is answered")
    assert "no dispatch is overdue" in desk("dispatch", "expire")
