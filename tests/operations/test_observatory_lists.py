"""Lists of the observatory, and what of them is late, missing or extra."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from desdm.archive.archive import Archive
from desdm.errors import UsageError
from desdm.facility import Facility, initialise
from desdm.operations.dts import ArrivalStatus, arrival_status, import_list
from desdm.operations.dts.model import ExpectedFile
from desdm.operations.dts.observatory import read_list
from desdm.operations.nightreport import gather_night
from desdm.schema.database import Database
from desdm.schema.operationstates import DeliveryState
from tests.operations.test_acceptance import PRODUCTION
from tests.support.deliveries import NIGHT, raw_frame, receiver
from tests.support.queuenight import desdm

NOW = datetime(2012, 11, 21, 9, 30)
LIST = """filename,nite,expnum,expected_at,delivered
DECam_00150001.fits,20121120,150001,2012-11-21T02:00:00,true
DECam_00150002.fits,20121120,150002,2012-11-21T02:02:00,true
DECam_00150003.fits,20121120,150003,2012-11-21T02:04:00,
DECam_00150004.fits,20121120,150004,2012-11-21T02:06:00,true
"""


def put(database: Database, path: Path, text: str) -> None:
    path.write_text(text)
    import_list(database, path, source="ctio", who="ann", now=NOW)


def by_name(status: ArrivalStatus) -> dict[int, ExpectedFile]:
    return {e.listed.expnum: e for e in status.expected if e.listed.expnum is not None}


def test_late_missing_and_extra_are_computed(database: Database, archive: Archive, tmp_path: Path) -> None:
    put(database, tmp_path / "list.csv", LIST)
    drop = tmp_path / "drop"
    drop.mkdir()
    taker = receiver(database, archive, tmp_path / "home", datetime(2012, 11, 21, 3))
    bad = raw_frame(drop, 150002, images=3)
    # 150003 is listed and not marked as delivered; 150009 is on no list.
    files = [raw_frame(drop, 150001), bad, raw_frame(drop, 150003), raw_frame(drop, 150009)]
    taker.accept([(path, None) for path in files], "ctio")
    status = arrival_status(database, now=datetime(2012, 11, 21, 9), allowance_h=6.0)
    (night,) = status.nights
    assert (night.nite, night.expected, night.delivered) == (NIGHT, 4, 4)
    assert (night.ingested, night.quarantined, night.pending) == (3, 1, 0)
    # Marked and not in the archive: the one in quarantine, and the one that has not arrived, which alone is late.
    assert (night.missing, night.late, night.extra) == (2, 1, 1)
    found = by_name(status)
    assert [found[n].state.value for n in sorted(found)] == [
        "ingested",
        "quarantined",
        "ingested",
        "expected",
    ]
    assert [found[n].missing for n in sorted(found)] == [False, True, False, True]
    assert [found[n].late for n in sorted(found)] == [False, False, False, True]
    early = arrival_status(database, now=datetime(2012, 11, 21, 8), allowance_h=6.0)
    assert early.nights[0].late == 0
    # It arrives three nights late: no longer missing, late for good.
    late = replace(taker, clock=lambda: datetime(2012, 11, 24, 3))
    late.accept([(raw_frame(drop, 150004), None)], "ctio")
    after = by_name(arrival_status(database, now=datetime(2012, 11, 24, 9), nite=NIGHT))[150004]
    assert (after.state, after.missing, after.late) == (DeliveryState.INGESTED, False, True)


def test_a_file_that_is_listed_again_stays_marked_and_takes_the_new_time(
    database: Database, tmp_path: Path
) -> None:
    put(database, tmp_path / "one.csv", LIST)
    later = LIST.replace("02:00:00,true", "05:00:00,")
    put(database, tmp_path / "two.csv", later)
    first = by_name(arrival_status(database, now=NOW))[150001].listed
    assert (first.delivered, first.expected_at, first.listed_in) == (
        True,
        datetime(2012, 11, 21, 5),
        "two.csv",
    )
    assert arrival_status(database, now=NOW).nights[0].expected == 4


def test_the_manifest_of_a_supernova_field_lists_exposures(tmp_path: Path) -> None:
    path = tmp_path / "manifest_SN-C1_20121120.json"
    document = {
        "field": "SN-C1",
        "nite": NIGHT,
        "delivered": True,
        "exposures": [
            {"expnum": 150001, "filter": "g"},
            {"expid": 150002, "expected_at": "2012-11-21T03:00:00Z"},
        ],
    }
    path.write_text(json.dumps(document))
    one, two = read_list(path, "ctio")
    assert (one.filename, one.nite, one.expnum, one.delivered) == (
        "DECam_00150001.fits.fz",
        NIGHT,
        150001,
        True,
    )
    assert one.expected_at == datetime(2012, 11, 21, 14)
    assert (two.expnum, two.expected_at) == (150002, datetime(2012, 11, 21, 3))


def test_without_a_night_that_of_the_time_counts(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("expnum,expected_at\n150001,2012-11-21T03:00:00\n150002,2012-11-21T16:00:00\n")
    assert [f.nite for f in read_list(path, "ctio")] == ["20121120", "20121121"]


BAD = {
    "name;nite\n": "first line",
    "filename,nite\n": "names no file",
    "filename,nite\na.fits,20121350\n": "line 2: nite '20121350'",
    "filename,nite\n../a.fits,20121120\n": r"line 2: filename",
    "filename,nite,expnum\na.fits,20121120,x\n": "line 2: expnum 'x'",
    "filename,nite,expected_at\na.fits,20121120,soon\n": "line 2: expected_at",
    "filename,nite,delivered\na.fits,20121120,perhaps\n": "line 2: delivered 'perhaps'",
    '{"files": []}': "exposures",
    "[1]": "entry 1: it is not an object",
    "[": "Expecting value",
}


@pytest.mark.parametrize("text", BAD)
def test_a_list_that_cannot_be_understood_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list"
    path.write_text(text)
    with pytest.raises(UsageError, match=BAD[text]):
        read_list(path, "ctio")


def test_deliveries_come_in_pages_in_order_of_arrival_each_once(tmp_path: Path) -> None:
    home, drop = tmp_path / "home", tmp_path / "drop"
    drop.mkdir()
    initialise(home)
    facility = Facility.open(home)
    files = [(raw_frame(drop, number), None) for number in range(150001, 150006)]
    taken = receiver(facility.database, facility.archive, home, datetime(2012, 11, 21, 3)).accept(
        files, "ctio"
    )
    facility.close()
    numbers: list[int] = []
    after, pages = 0, 0
    while True:
        page = desdm(home, "dts", "status", "--nite", NIGHT, "--limit", "2", "--after", str(after))
        assert len(page["deliveries"]) <= 2 and page["nights"][0]["delivered"] == 5
        numbers += [one["id"] for one in page["deliveries"]]
        pages += 1
        if page["next"] is None:
            break
        after = page["next"]
    assert (numbers, pages) == ([one.id for one in taken], 3)
    whole = desdm(home, "dts", "status", "--nite", NIGHT)
    assert ([one["id"] for one in whole["deliveries"]], whole["next"]) == (numbers, None)


def test_the_report_on_a_night_counts_missing_files_and_problems_as_the_status_does(
    database: Database, archive: Archive, tmp_path: Path
) -> None:
    """One arrived, one is quarantined, one has no header that tells its night, one is not marked as delivered."""
    put(database, tmp_path / "list.csv", LIST)
    taker = receiver(database, archive, tmp_path / "home", NOW)
    (tmp_path / "DECam_00150004.fits").write_bytes(b"<html>404</html>")
    files = [
        raw_frame(tmp_path, 150001),
        raw_frame(tmp_path, 150002, images=3),
        tmp_path / "DECam_00150004.fits",
    ]
    taker.accept([(path, None) for path in files], "ctio")
    (night,) = arrival_status(database, now=NOW, nite=NIGHT).nights
    with database.read() as conn:
        report = gather_night(conn, NIGHT, PRODUCTION)
    assert (night.expected, night.missing) == (4, 2)
    assert (report.arrived.expected, report.arrived.missing) == (4, 2)
    assert [p.subject_kind for p in report.problems] == ["delivery", "delivery"]
