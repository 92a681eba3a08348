"""The survey table follows verdicts, exclusions and data states; its figures are reckoned by hand here."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from astropy.table import Table

from desdm.errors import UsageError
from desdm.framework.mark import mark
from desdm.operations.acceptance import exclude_exposure, lift_exclusion, set_verdict, withdraw_verdict
from desdm.operations.surveytable.coverage import assign, coverage
from desdm.operations.surveytable.export import write_table
from desdm.operations.surveytable.model import Coverage, Field, FieldStatus, Pointing
from desdm.operations.surveytable.plan import import_fields, read_fields
from desdm.quality.qa.verdict import record, verdict_words, verdicts
from desdm.schema.database import Database
from desdm.schema.states import DataState, EventKind, Verdict
from desdm.schema.store import find_events
from tests.archive.test_find import attempt, put
from tests.operations.test_acceptance import NITE, PRODUCTION

PLAN = """hex, tiling, filter, RA, dec, exptime, t_eff_goal, priority
10-483, 1, r, 10.0, -48.3, 90, 0.6, 2
10-483, 2, r, 10.4, -48.3, 90, 0.6, 2
0-1, 1, r, 0.0, -1.0, 90, 0.5, 1
10-483, 1, g, 10.0, -48.3, 90, 0.6, 3
"""


def expose(
    conn: Any, expnum: int, title: str, ra: float, dec: float, t_eff: float | None, accepted: str = "True"
) -> None:
    """A raw exposure in r, its First Cut, and the verdict on it."""
    put(
        conn, expnum, f"raw{expnum}.fits", filetype="raw", expnum=expnum, band="r", nite=NITE, obstype="object",
        object=title, ra_cent=ra, dec_cent=dec, exptime=90.0,
    )  # fmt: skip
    attempt(conn, expnum, unit=f"D{expnum:08d}", req=1, pipeline="firstcut")
    row = {
        "exposurename": f"D{expnum:08d}",
        "expnum": expnum,
        "nite": NITE,
        "band": "r",
        "accepted": accepted,
        "t_eff": t_eff,
        "reason": "",
    }
    record(conn, "firstcut", row, expnum)


@pytest.fixture
def observed(database: Database, tmp_path: Path) -> Database:
    """A plan of four fields; 1 and 2 are of the first, 3 of the third across right ascension 0, 4 rejected, 5 elsewhere."""
    plan = tmp_path / "plan.csv"
    plan.write_text(PLAN)
    with database.write() as conn:
        import_fields(conn, plan, who="mary", reason="year 1")
        # The title names the field although the pointing is off.
        expose(conn, 1, "DES survey hex 10-483 tiling 1", 10.9, -48.3, 0.4)
        expose(conn, 2, "", 10.05, -48.35, 0.25)
        expose(conn, 3, "", 359.95, -1.0, 0.3)
        expose(conn, 4, "", 10.4, -48.3, 0.1, "False")
        expose(conn, 5, "DES survey hex 99-9 tiling 1", 200.0, 5.0, 0.9)
        put(
            conn,
            9,
            "flat.fits",
            filetype="raw",
            expnum=9,
            band="r",
            nite=NITE,
            obstype="dome flat",
            ra_cent=10.0,
            dec_cent=-48.3,
        )
    return database


def table(database: Database) -> Coverage:
    with database.read() as conn:
        return coverage(conn, PRODUCTION)


def row(database: Database, name: str) -> FieldStatus:
    return next(s for s in table(database).fields if s.field.name == name)


def test_fields_stand_by_priority_with_what_is_accepted_and_owed(observed: Database) -> None:
    seen = table(observed)
    assert [s.field.name for s in seen.fields] == ["0-1/1/r", "10-483/1/r", "10-483/2/r", "10-483/1/g"]
    first, second, third, fourth = seen.fields
    assert (second.accepted, second.t_eff, second.done, second.last_nite) == (
        (1, 2),
        pytest.approx(0.65),
        True,
        NITE,
    )
    assert (first.accepted, first.owed, first.done) == ((3,), pytest.approx(0.2), False)
    assert (third.accepted, third.rejected, third.owed) == ((), 1, pytest.approx(0.6))
    assert (fourth.accepted, fourth.rejected, fourth.undecided) == ((), 0, 0)
    assert [e.expnum for e in seen.elsewhere] == [5]


def test_verdict_exclusion_and_data_state_change_it_at_once(observed: Database) -> None:
    with observed.write() as conn:
        set_verdict(conn, "firstcut", 2, Verdict.REJECTED, reason="trail", who="mary", scope=PRODUCTION)
    assert (row(observed, "10-483/1/r").accepted, row(observed, "10-483/1/r").rejected) == ((1,), 1)
    with observed.write() as conn:
        exclude_exposure(conn, 1, 0, reason="lamp", who="mary", scope=PRODUCTION)
    assert row(observed, "10-483/1/r").accepted == ()
    with observed.write() as conn:
        lift_exclusion(conn, 1, 0, reason="it was off", who="mary", scope=PRODUCTION)
    assert row(observed, "10-483/1/r").accepted == (1,)
    with observed.write() as conn:
        mark(conn, "D00000001_r1p01", DataState.JUNK, who="mary", reason="bad flat")
    assert (row(observed, "10-483/1/r").accepted, row(observed, "10-483/1/r").undecided) == ((), 1)


def test_one_excluded_ccd_does_not_take_the_exposure(observed: Database) -> None:
    with observed.write() as conn:
        exclude_exposure(conn, 1, 31, reason="dead", who="mary", scope=PRODUCTION)
    assert row(observed, "10-483/1/r").accepted == (1, 2)


def test_an_accepted_exposure_without_t_eff_is_undecided_not_good(database: Database) -> None:
    field = Field("a", 1, "r", 0.0, 0.0, 90.0, 0.5)
    exposure = Pointing(1, NITE, "r", "", 0.0, 0.0, 90.0, Verdict.ACCEPTED, None, False)
    by_field, _ = assign([field], [exposure])
    assert (by_field["a/1/r"], exposure.counts) == ([exposure], False)


def test_an_exposure_is_of_the_nearest_field_within_the_radius_only() -> None:
    # A tenth of a degree apart on the sky is a fifth in right ascension at declination 60.
    fields = [Field("a", 1, "r", 100.0, 60.0, 90.0, 1.0), Field("b", 1, "r", 100.2, 60.0, 90.0, 1.0)]
    places = ((1, 100.09), (2, 100.11), (3, 99.6))
    near = [Pointing(n, NITE, "r", "", ra, 60.0, 90.0, Verdict.ACCEPTED, 1.0, False) for n, ra in places]
    by_field, elsewhere = assign(fields, near)
    assert {name: [e.expnum for e in those] for name, those in by_field.items()} == {
        "a/1/r": [1],
        "b/1/r": [2],
    }
    assert [e.expnum for e in elsewhere] == [3]


def test_an_exposure_of_many_files_across_right_ascension_zero_has_its_middle_there(
    database: Database,
) -> None:
    with database.write() as conn:
        for number, ra in ((1, 359.9), (2, 0.1)):
            put(
                conn, number, f"c{number}.fits", filetype="raw", expnum=7, ccdnum=number, band="r", nite=NITE,
                obstype="object", ra_cent=ra, dec_cent=0.0,
            )  # fmt: skip
        (exposure,) = coverage(conn, PRODUCTION).elsewhere
    assert exposure.ra is not None
    assert min(exposure.ra, 360 - exposure.ra) == pytest.approx(0, abs=1e-9)


def test_the_plan_is_replaced_as_a_whole_with_author_and_reason(observed: Database, tmp_path: Path) -> None:
    plan = tmp_path / "next.csv"
    plan.write_text(PLAN.splitlines()[0] + "\n7-7,1,i,5,5,90,1,1\n")
    with observed.write() as conn:
        assert import_fields(conn, plan, who="john", reason="year 2") == 1
        last = find_events(conn, kind=EventKind.SURVEY)[-1]
    assert [s.field.name for s in table(observed).fields] == ["7-7/1/i"]
    assert (last.who, last.reason, last.text) == (
        "john",
        "year 2",
        "survey plan of 1 fields in the place of 4: next.csv",
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("10-483, 1, q, 10, -48, 90, 0.6, 2", "line 2: band 'q'"),
        ("10-483, 1, r, 360.5, -48, 90, 0.6, 2", "line 2: ra '360.5'"),
        ("10-483, 1, r, 10, -91, 90, 0.6, 2", "line 2: dec '-91'"),
        ("10-483, 1.5, r, 10, -48, 90, 0.6, 2", "line 2: tiling '1.5'"),
        ("10-483, 1, r, 10, -48, nan, 0.6, 2", "line 2: exptime 'nan'"),
        ("10-483, 1, r, 10, -48, 90, , 2", "line 2: t_eff_goal ''"),
        (", 1, r, 10, -48, 90, 0.6, 2", "line 2: hex ''"),
        ("a, 1, r, 10, -48, 90, 0.6, 2\na, 1, r, 10, -48, 90, 0.6, 2", "line 3: a/1/r stands in line 2"),
        ("", "no field"),
    ],
)
def test_a_plan_with_a_fault_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    plan = tmp_path / "plan.csv"
    plan.write_text(PLAN.splitlines()[0] + "\n" + line + "\n")
    with pytest.raises(UsageError, match=message):
        read_fields(plan)


def test_a_plan_without_a_column_is_refused(tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    plan.write_text("hex,tiling,ra,dec,exptime,t_eff_goal\n")
    with pytest.raises(UsageError, match="no column band"):
        read_fields(plan)


def test_exports_say_the_same(observed: Database, tmp_path: Path) -> None:
    fields = table(observed).fields
    for name in ("t.csv", "t.fits"):
        write_table(tmp_path / name, fields)
    with (tmp_path / "t.csv").open() as lines:
        text = list(csv.DictReader(lines))
    binary = Table.read(tmp_path / "t.fits")
    assert [r["hex"] for r in text] == [h.strip() for h in binary["hex"].astype(str)]
    assert [float(r["t_eff"]) for r in text] == binary["t_eff"].tolist() == [0.3, 0.65, 0.0, 0.0]
    assert str(binary["ra"].unit) == "deg"
    # No half-written file stays.
    assert sorted(p.name for p in tmp_path.glob("*t.*")) == ["t.csv", "t.fits"]
    with pytest.raises(UsageError, match=r"give \.csv"):
        write_table(tmp_path / "t.txt", fields)


def test_words_of_all_exposures_are_those_of_their_verdicts(observed: Database) -> None:
    """The short way to verdict and t_eff agrees with the long one: persons, withdrawals, JUNK runs, other cuts."""

    def agree() -> None:
        with observed.read() as conn:
            long = {
                r["expnum"]: (Verdict(r["accepted"]), r["t_eff"])
                for r in verdicts(conn, "firstcut", None, PRODUCTION)
            }
            assert verdict_words(conn, "firstcut", PRODUCTION) == long and long

    agree()
    with observed.write() as conn:
        set_verdict(conn, "firstcut", 2, Verdict.REJECTED, reason="trail", who="mary", scope=PRODUCTION)
        set_verdict(conn, "firstcut", 4, Verdict.ACCEPTED, reason="good", who="mary", scope=PRODUCTION)
        record(conn, "firstcut", {"exposurename": "D00000077", "expnum": 77, "nite": NITE, "band": "r",
                                  "accepted": "False", "t_eff": None, "reason": "title"})  # fmt: skip
    agree()
    with observed.write() as conn:
        withdraw_verdict(conn, "firstcut", 2, reason="no trail", who="mary", scope=PRODUCTION)
        mark(conn, "D00000003_r1p01", DataState.JUNK, who="mary", reason="bad flat")
        attempt(conn, 50, unit="D00000005", req=5, pipeline="finalcut")
        conn.exec_driver_sql("UPDATE pfw_request SET campaign = 'C1'")
        row = {
            "exposurename": "D00000005",
            "expnum": 5,
            "nite": NITE,
            "band": "r",
            "accepted": "True",
            "reason": "",
        }
        record(conn, "finalcut", {**row, "t_eff": 0.7}, 50)
        set_verdict(conn, "finalcut", 5, Verdict.REJECTED, reason="ghost", who="mary", scope=PRODUCTION)
    agree()
    with observed.read() as conn:
        assert verdict_words(conn, "firstcut", PRODUCTION)[5] == (Verdict.REJECTED, 0.9)
