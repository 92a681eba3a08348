"""The cadence of a night against the survey's plan, and ages of calibrations; all figures are worked out by hand here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert

from desdm.errors import UsageError
from desdm.operations.acceptance import set_verdict
from desdm.operations.nightreport import gather_night, render_night
from desdm.operations.nightreport.cadence import Cadences, cadence
from desdm.operations.nightreport.model import BandCadence, CalibrationUse, Pace
from desdm.operations.surveytable.current import current_table, known_table
from desdm.operations.surveytable.model import Field, FieldStatus, Pointing
from desdm.operations.surveytable.plan import import_fields, read_fields
from desdm.schema import pfw_calibration
from desdm.schema.database import Database
from desdm.schema.states import Verdict
from tests.archive.test_find import attempt, put
from tests.operations.test_acceptance import NITE, PRODUCTION
from tests.operations.test_surveytable import expose


def status(
    name: str,
    goal: float,
    *taken: tuple[str, float],
    band: str = "r",
    season: str = "Y1",
    nights: str = "20121111 20121120",
) -> FieldStatus:
    """A field of a season of ten nights, with the exposures that count for it: night and t_eff."""
    begin, _, end = nights.partition(" ")
    exposures = tuple(
        Pointing(n, nite, band, "", 0.0, 0.0, 90.0, Verdict.ACCEPTED, t_eff, False)
        for n, (nite, t_eff) in enumerate(taken)
    )
    return FieldStatus(Field(name, 1, band, 0.0, 0.0, 90.0, goal, 0, season, begin, end), counting=exposures)


def near(row: BandCadence, **values: float) -> None:
    """Hold attributes of a row against values."""
    assert {name: getattr(row, name) for name in values} == pytest.approx(values)


def test_the_sums_of_a_night_and_the_even_rate() -> None:
    # Goals are 1 + 2 + 2 = 5, owed over ten nights: 0.5 a night. After the fourth, the 14th, 3.0 is owed at the even rate.
    fields = [
        # Done by the night, 0.3 beyond its goal: 0.4 was missing and is gained.
        status("A", 1.0, ("20121112", 0.6), ("20121114", 0.7)),
        # 0.5 before; 0.25 that night; a later night does not count.
        status("B", 2.0, ("20121111", 0.5), ("20121114", 0.25), ("20121115", 1.0)),
        status("C", 2.0),
    ]
    (row,) = cadence(fields, "20121114")
    assert (row.season, row.band, row.fields, row.exposures) == ("Y1", "r", 3, 2)
    assert (row.finished, row.done, row.owed) == (1, 1, 2)
    near(row, gain=0.65, t_eff_owed=1.25 + 2.0)
    assert row.pace is not None
    assert (row.pace.night, row.pace.nights) == (4, 10)
    assert (row.pace.owed_even, row.pace.ahead, row.pace.ahead_nights) == pytest.approx((3.0, -0.25, -0.5))
    assert row.pace.text == "0.250 behind, 0.5 nights"

    (later,) = cadence(fields, "20121115")
    near(later, gain=1.0, t_eff_owed=0.25 + 2.0, finished=0, done=1)
    # 2.5 is owed at the even rate after the fifth night.
    assert later.pace is not None and later.pace.text == "0.250 ahead, 0.5 nights"


def test_what_was_done_before_the_season_is_not_owed_in_it() -> None:
    # 1 of 4 was there before: 3 are owed over 10 nights. After the first night, with nothing, it is one night behind.
    (row,) = cadence([status("A", 4.0, ("20120101", 1.0))], "20121111")
    near(row, gain=0.0, t_eff_owed=3.0, exposures=0)
    assert row.pace is not None and row.pace.text == "0.300 behind, 1.0 nights"
    # Nothing was owed: there is no rate.
    (row,) = cadence([status("A", 1.0, ("20120101", 1.0))], "20121111")
    assert (row.done, row.owed, row.pace) == (1, 0, None)


def test_the_last_night_owes_nothing_and_an_even_season_is_called_so() -> None:
    (row,) = cadence([status("A", 1.0, ("20121113", 1.0))], "20121120")
    assert row.pace is not None and row.pace.owed_even == pytest.approx(0)
    assert row.pace.text == "at the even rate"


def test_bands_and_seasons_stand_apart_and_those_that_are_not_due_are_left_out() -> None:
    fields = [
        status("A", 1.0, band="z"),
        status("A", 1.0, band="g"),
        status("B", 1.0, season="Y2", nights="20131111 20131120"),
        status("C", 1.0, ("20121112", 0.5), season="Y0", nights="20111111 20111120"),
        status("D", 1.0, season="", nights=""),
    ]
    rows = cadence(fields, "20121112")
    told = [(row.season, row.band, row.exposures, row.pace is not None) for row in rows]
    # Y0 is over, but an exposure of the night counts for it; the fields without nights are always due, without a rate.
    assert told == [("", "r", 0, False), ("Y0", "r", 1, False), ("Y1", "g", 0, True), ("Y1", "z", 0, True)]
    assert [row.season for row in cadence(fields, "20121113")] == ["", "Y1", "Y1"]
    assert cadence([], "20121112") == ()


def test_rows_of_a_table_are_kept_until_there_is_another() -> None:
    cadences = Cadences()
    fields = (status("A", 1.0, ("20121112", 0.5)),)
    first = cadences.of(fields, "20121112")
    assert first == cadence(fields, "20121112") and cadences.of(fields, "20121112") is first
    assert cadences.of(fields, "20121113") == cadence(fields, "20121113")
    other = (status("A", 1.0, ("20121112", 0.25)),)
    assert cadences.of(other, "20121112")[0].gain == 0.25
    assert cadences.of((), "20121112") == ()


def test_a_page_does_not_wait_for_the_table_and_a_reader_of_now_gets_it_anew(
    database: Database, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.csv"
    plan.write_text(PLAN)
    later: list[Callable[[], object]] = []
    assert known_table(database, PRODUCTION, later.append) is None
    later.pop()()
    known = known_table(database, PRODUCTION, later.append)
    assert known is not None and known.table.fields == () and not later
    assert current_table(database, PRODUCTION) is known
    with database.write() as conn:
        import_fields(conn, plan, who="mary", reason="year 1")
    # The last table stands for a minute; who asks for that of now waits for it.
    assert known_table(database, PRODUCTION, later.append) is known and not later
    assert len(current_table(database, PRODUCTION).table.fields) == 2
    again = known_table(database, PRODUCTION, later.append)
    assert again is not None and len(again.table.fields) == 2


PLAN = """hex,tiling,band,ra,dec,exptime,t_eff_goal,season,season_begin,season_end
10-483,1,r,10.0,-48.3,90,0.6,Y1,2012-11-19,20121122
20-483,1,r,20.0,-48.3,90,0.6,Y1,20121119,20121122
"""


def test_the_report_reads_plan_verdicts_and_ages_from_the_record(database: Database, tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    plan.write_text(PLAN)
    with database.write() as conn:
        expose(conn, 1, "DES survey hex 10-483 tiling 1", 10.0, -48.3, 0.4)
        expose(conn, 2, "DES survey hex 10-483 tiling 1", 10.0, -48.3, 0.4)
        for number, nite in ((90, "20121117"), (91, NITE), (92, "20121121"), (93, None)):
            attempt_id = None if nite is None else number
            if nite is not None:
                attempt(conn, number, unit=f"{nite}c", req=number, pipeline="precal")
            put(conn, number, f"bias{number}.fits", attempt_id, filetype="cal_biascor", ccdnum=1, nite=nite)
            conn.execute(insert(pfw_calibration), {
                "pfw_attempt_id": 1, "desfile_id": number, "filetype": "cal_biascor", "ccdnum": 1,
                "how": "nite", "reason": "",
            })  # fmt: skip
        without = gather_night(conn, NITE, PRODUCTION)
        import_fields(conn, plan, who="mary", reason="year 1")
        report = gather_night(conn, NITE, PRODUCTION)
        set_verdict(conn, "firstcut", 2, Verdict.REJECTED, reason="trail", who="mary", scope=PRODUCTION)
        rejected = gather_night(conn, NITE, PRODUCTION)
    assert without.cadence == () and "Survey plan" not in render_night(without)
    # 1.2 owed over four nights, 0.6 after the second; 0.8 came, of which 0.6 is needed: it stands at the even rate.
    (row,) = report.cadence
    assert (row.exposures, row.finished, row.done, row.owed) == (2, 1, 1, 1)
    near(row, gain=0.6, t_eff_owed=0.6)
    assert row.pace is not None and (row.pace.text, row.pace.night, row.pace.nights) == (
        "at the even rate",
        2,
        4,
    )
    assert "at the even rate; night 2 of 4" in render_night(report)
    (row,) = rejected.cadence
    assert row.pace is not None and row.pace.text == "0.200 behind, 0.7 nights"
    ages = sorted(((c.age_text, c.age) for c in report.calibrations), key=lambda one: str(one[1]))
    assert ages == [("1 night later", -1), ("same night", 0), ("3 nights", 3), ("–", None)]
    assert "<td>3 nights</td>" in render_night(report)


@pytest.mark.parametrize(
    ("nights", "word"),
    [
        ("20121119,", "give both, or none"),
        ("20121122,20121119", "give both, or none"),
        ("20121131,20121201", "season_begin '20121131' is not a night"),
        ("20121119,20121123", "line 3: season 'Y1' is from 20121119 to 20121123, but in line 2 from 20121119 to 20121122"),
    ],
)  # fmt: skip
def test_nights_of_a_season_that_cannot_be_are_refused(tmp_path: Path, nights: str, word: str) -> None:
    plan = tmp_path / "plan.csv"
    lines = PLAN.splitlines()
    plan.write_text("\n".join([lines[0], lines[1], "20-483,1,r,20.0,-48.3,90,0.6,Y1," + nights]))
    with pytest.raises(UsageError, match=word):
        read_fields(plan)


def test_an_age_is_told_in_nights() -> None:
    def text(age: int | None) -> str:
        return CalibrationUse("cal_bf", "", "", "", age, 1, 1).age_text

    assert [text(age) for age in (None, 0, 1, 12, -1, -2)] == [
        "–",
        "same night",
        "1 night",
        "12 nights",
        "1 night later",
        "2 nights later",
    ]
    assert Pace(1, 2, 1.0, 0.0, 0.0).text == "at the even rate"
