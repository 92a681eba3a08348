"""Conditions of desdm history: every form of a value that means one thing, and an error for one that there is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from desdm.facility import Facility
from tests.archive.test_find import attempt
from tests.cli.test_archive_commands import Run, document, runner


@pytest.fixture
def two_runs(tmp_path: Path) -> Run:
    """Run 1 is done, run 2 flagged."""
    run = runner(tmp_path / "home")
    facility = Facility.open(tmp_path / "home")
    with facility.database.write() as conn:
        attempt(conn, 1)
        attempt(conn, 2, att=2, state="flagged")
    facility.close()
    return run


def test_runs_are_selected_by_name_and_by_values_in_any_case(two_runs: Run) -> None:
    first, second = "D00000001_r1p01", "D00000001_r1p02"
    for condition, names in (
        (f"run={first}", [first]),
        (f"run={first},{second}", [second, first]),
        ("run=nothing", []),
        ("state=DONE", [first]),
        ("state=done,flagged", [second, first]),
        ("data_state=new", [second, first]),
        ("reqnum=1", [second, first]),
    ):
        rows = document(two_runs("history", "--where", condition, "--json"))
        assert [row["run"] for row in rows] == names, condition
    refused = two_runs("history", "--where", "state=finished", status=2).stderr
    assert "the values are" in refused and "flagged" in refused
    assert "give one of them" in two_runs("history", "--csv", "--json", status=2).stderr
