"""Exclusions, verdicts and marks at every moment of a plan: the next plan obeys, and no act is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

from desdm.archive.archive import Archive
from desdm.facility import initialise
from desdm.schema.database import Database
from tests.support.interleave import Interleavings


def test_plans_obey_what_people_said_before_they_were_written(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    """Some of the interleavings of the family flags-interleaved of `make faults`."""
    config = initialise(tmp_path / "home")
    report = Interleavings(database, archive, config, 11).run(40)
    shutil.rmtree(config.runs, ignore_errors=True)
    assert report.faults == []
    assert report.plans == 40
    # Both orders are met, and every kind of act.
    assert report.before > 5 and report.after > 5
    assert set(report.acts) == {
        "exclude", "lift", "mark defective", "withdraw mark", "verdict False", "withdraw verdict"
    }  # fmt: skip
