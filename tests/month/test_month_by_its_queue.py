"""A short month with a trouble of each kind, run by its queue alone while it is killed; `make month` plays a longer one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from desdm.simulate.cameras import camera_of
from desdm.simulate.field import Density
from desdm.simulate.month import make_month, plan_month
from desdm.simulate.troubles import TroubleKind
from tests.month.driver import Installation, Options
from tests.month.run import play


def test_the_queue_alone_runs_a_month_with_troubles_and_kills(tmp_path: Path) -> None:
    """Six nights of one band on two small CCDs: about 100 s of CPU time."""
    camera = camera_of("mini").only((1, 2))
    density = Density(stars=10.0, galaxies=4.0)
    plan = plan_month(7, 6, 15, camera, bands=("r",), exposures=3, biases=5, flats=5, density=density)
    make_month(tmp_path / "month", plan, camera, threads=2)
    options = Options(kills=5, seed=7, step=timedelta(minutes=6), joined=True)
    played = play(tmp_path / "month", Installation(tmp_path / "home"), options)
    assert played.faults == []
    assert {line.kind for line in played.judgement.lines} == set(TroubleKind)
    assert played.judgement.found == 15
    assert played.drive.killed.total() == 5
    assert played.judgement.deliveries == 79
    assert len(played.judgement.minutes) == 11
