"""A run that is marked JUNK, or deleted, after the draft holds the release back: named with path, author and reason."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, update

from desdm.framework.mark import mark
from desdm.quality.qa.verdict import record, verdicts
from desdm.release.contents import Contents, contents_of
from desdm.release.document import Document
from desdm.release.exposures import check_exposures, exposure_uses
from desdm.release.findings import Check
from desdm.release.notes import _dropped, _exposures
from desdm.release.withdrawn import check_withdrawn, withdrawn_under
from desdm.schema import opm_was_derived_from, pfw_attempt
from desdm.schema.database import Database
from desdm.schema.states import DataState, EventKind
from desdm.schema.store import record_event
from tests.archive.test_find import attempt, put

PATH = "images/DES0001+0001_r.fits.fz"


@pytest.fixture
def coadd(database: Database) -> Database:
    """A coadd (100, run 3) of exposure 1 (run 1), detrended with a bias (80) of precal run 2, whose overscan file is 81.

    Exposure 4 of the same night (run 4) is in no coadd.
    """
    facts = {"expnum": 1, "ccdnum": 1, "band": "r", "nite": "20121120"}
    with database.write() as conn:
        attempt(conn, 1, unit="D00000001", req=1, pipeline="firstcut")
        attempt(conn, 2, unit="20121120", req=2, pipeline="precal")
        attempt(conn, 3, unit="DES0001+0001", req=3, pipeline="coadd")
        attempt(conn, 4, unit="D00000004", req=1, pipeline="firstcut")
        put(conn, 10, "D00000001_immask.fits", 1, **facts)
        put(conn, 80, "biascor.fits", 2, filetype="cal_biascor", ccdnum=1, nite="20121120")
        put(conn, 81, "overscan.fits", 2, filetype="cat_scamp", expnum=9)
        put(conn, 90, "D00000001_nwgint.fits", 3, filetype="coadd_nwgint", **facts)
        put(conn, 100, "coadd_r.fits", 3, filetype="coadd", band="r")
        edges = [(100, 90), (90, 10), (10, 80), (80, 81)]
        conn.execute(
            insert(opm_was_derived_from), [{"child_desfile_id": c, "parent_desfile_id": p} for c, p in edges]
        )
        for expnum in (1, 4):
            row = {"exposurename": f"D{expnum:08d}", "expnum": expnum, "nite": "20121120", "band": "r",
                   "accepted": "True", "reason": ""}  # fmt: skip
            record(conn, "firstcut", row, expnum)
    return database


def junk(database: Database, run: str, reason: str = "ghost") -> None:
    with database.write() as conn:
        mark(conn, run, DataState.JUNK, who="mary", reason=reason)


def prune(database: Database, number: int, run: str) -> None:
    """Do to the record what the deletion of a run's last file does."""
    with database.write() as conn:
        before = pfw_attempt.c.data_state
        where = pfw_attempt.c.id == number
        conn.execute(update(pfw_attempt).where(where).values(pruned_from=before, data_state="PRUNED"))
        text = f"{run} marked PRUNED, was NEW: its last file was deleted"
        record_event(conn, EventKind.MARK, "john", text, number, subject=run, reason="no room")


def contents(conn: Any) -> Contents:
    return contents_of(conn, {100: PATH})


def marks(database: Database) -> list[Check]:
    with database.read() as conn:
        found = contents(conn)
        return list(check_withdrawn(conn, "R", found, withdrawn_under(conn, found)))


def notes(database: Database) -> str:
    """Exposures in the release, and what was dropped, as the notes tell."""
    with database.read() as conn:
        uses = exposure_uses(conn, contents(conn))
    page = Document("notes")
    _exposures(page, uses)
    _dropped(page, {}, {}, uses)
    return page.markdown()


def test_products_of_good_runs_pass(coadd: Database) -> None:
    assert [c.outcome for c in marks(coadd)] == ["ok"]


def test_a_product_of_a_junk_run_is_named(coadd: Database) -> None:
    junk(coadd, "DES0001+0001_r3p01", "wrong zero points")
    (found,) = marks(coadd)
    assert (found.outcome, found.subject) == ("error", PATH)
    for words in ("DES0001+0001_r3p01 is JUNK", "marked by mary: wrong zero points", "path: coadd_r.fits;"):
        assert words in found.text


def test_a_product_of_a_deleted_run_is_named(coadd: Database) -> None:
    prune(coadd, 3, "DES0001+0001_r3p01")
    (found,) = marks(coadd)
    assert (found.outcome, found.subject) == ("error", PATH)
    assert "DES0001+0001_r3p01 is PRUNED, marked by john: no room" in found.text
    assert "--undelete" in found.text


def test_an_image_of_a_junk_run_in_a_coadd_is_named_with_its_path(coadd: Database) -> None:
    junk(coadd, "D00000001_r1p01")
    (found,) = marks(coadd)
    assert (found.outcome, found.subject) == ("error", PATH)
    assert "D00000001_r1p01 is JUNK, marked by mary: ghost" in found.text
    assert "path: coadd_r.fits <- D00000001_nwgint.fits <- D00000001_immask.fits;" in found.text
    with coadd.read() as conn:
        here = contents(conn)
        checks = check_exposures(conn, "R", here, withdrawn=withdrawn_under(conn, here))
    assert not [c.text for c in checks if "without a verdict" in c.text]


def test_notes_say_that_a_run_is_junk_and_not_that_there_is_no_verdict(coadd: Database) -> None:
    junk(coadd, "D00000001_r1p01")
    junk(coadd, "D00000004_r1p01", "trailed")
    page = notes(coadd)
    assert "run D00000001_r1p01 is JUNK, marked by mary: ghost" in page
    assert "run D00000004_r1p01 is JUNK, marked by mary: trailed" in page
    assert "no verdict" not in page
    assert "not been assessed" not in page


def test_the_words_of_a_later_verdict_stand_beside_the_junk_run(coadd: Database) -> None:
    """A newer run could not judge exposure 1, and a person left exposure 4 open."""
    junk(coadd, "D00000001_r1p01")
    junk(coadd, "D00000004_r1p01", "trailed")
    with coadd.write() as conn:
        attempt(conn, 11, unit="D00000001", req=1, att=2, pipeline="firstcut")
        for expnum, words, program, number in (
            (1, "unkn: no zero point", "assess", 11),
            (4, "open", "analyst", 4),
        ):
            row = {"exposurename": f"D{expnum:08d}", "expnum": expnum, "nite": "20121120", "band": "r",
                   "accepted": "Unknown", "reason": words, "program": program}  # fmt: skip
            record(conn, "firstcut", row, number)
    page = notes(coadd)
    assert "unkn: no zero point" in page
    assert "run D00000001_r1p01 is JUNK, marked by mary: ghost" in page
    assert "open" in page
    assert "D00000004_r1p01" not in page


def test_deleted_images_are_no_finding_unless_they_were_junk(coadd: Database) -> None:
    """First Cut's files are deleted for room once they are in a coadd; deleting a JUNK run's makes them no better."""
    prune(coadd, 1, "D00000001_r1p01")
    assert [c.outcome for c in marks(coadd)] == ["ok"]
    with coadd.read() as conn:
        assert [v["accepted"] for v in verdicts(conn, "firstcut", [1])] == ["True"]


def test_deleting_a_junk_run_does_not_clear_it(coadd: Database) -> None:
    junk(coadd, "D00000001_r1p01")
    prune(coadd, 1, "D00000001_r1p01")
    (found,) = marks(coadd)
    assert found.outcome == "error"
    assert "JUNK, and its files are deleted, marked by mary: ghost" in found.text
    with coadd.read() as conn:
        assert verdicts(conn, "firstcut", [1]) == []
    assert "marked by mary: ghost" in notes(coadd)


def test_a_product_made_with_calibrations_of_a_junk_run_is_named_with_what_helps(coadd: Database) -> None:
    junk(coadd, "20121120_r2p01", "lamp off")
    (found,) = marks(coadd)
    assert (found.outcome, found.subject) == ("error", PATH)
    assert "20121120_r2p01 is JUNK, marked by mary: lamp off" in found.text
    assert "coadd_r.fits <- D00000001_nwgint.fits <- D00000001_immask.fits <- biascor.fits" in found.text
    order = "precal of 20121120, firstcut of D00000001, coadd of DES0001+0001, the draft"
    assert f"make again, in this order: {order}; or, if the data are good: desdm mark" in found.text


def test_a_run_that_is_marked_active_again_passes(coadd: Database) -> None:
    junk(coadd, "D00000001_r1p01")
    with coadd.write() as conn:
        mark(conn, "D00000001_r1p01", DataState.ACTIVE, who="john", reason="no ghost")
    assert [c.outcome for c in marks(coadd)] == ["ok"]
