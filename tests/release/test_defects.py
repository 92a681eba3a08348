"""A run or file whose newest mark says that it is defective enters no release, also if its data state was set back."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import update

from desdm.archive.model import Scope
from desdm.errors import NotFoundError, UsageError
from desdm.operations.qa.marks import MarkOrder, mark_subject
from desdm.release.publish import publish
from desdm.release.select import select
from desdm.schema import desfile, pfw_attempt
from desdm.schema.database import Database
from desdm.schema.operationstates import Mark
from tests.archive.test_find import attempt, put
from tests.release.test_validate import Draft, draft, template
from tests.support.tiles import TILES

__all__ = ["draft", "template"]

ANY = Scope("", "")
NOW = datetime(2026, 11, 29, 12, 0)


def mark(database: Database, name: str, verdict: Mark) -> None:
    with database.write() as conn:
        mark_subject(conn, name, MarkOrder(verdict, "ghost"), who="mary", scope=ANY, now=NOW)


def test_the_newest_mark_decides_what_is_selected(database: Database) -> None:
    with database.write() as conn:
        attempt(conn, 1, unit="DES0001+0001", pipeline="coadd")
        for number, band in ((1, "g"), (2, "r")):
            put(conn, number, f"DES0001+0001_r1p01_{band}_coadd.fits", 1, filetype="coadd", band=band,
                tilename="DES0001+0001")  # fmt: skip
    mark(database, "DES0001+0001_r1p01_g_coadd.fits", Mark.DEFECTIVE)
    with database.read() as conn:
        selection = select(conn, {})
    assert [f.band for f in selection.files] == ["r"]
    assert ("DES0001+0001_r1p01_g_coadd.fits", "marked defective by mary: ghost") in [
        (o.subject, o.reason) for o in selection.omissions
    ]
    mark(database, "DES0001+0001", Mark.DEFECTIVE)
    with database.write() as conn:
        conn.execute(update(pfw_attempt).values(data_state="ACTIVE"))
    with database.read() as conn, pytest.raises(NotFoundError, match="nothing to release"):
        select(conn, {})
    mark(database, "DES0001+0001_r1p01", Mark.BLESSED)
    with database.read() as conn:
        assert len(select(conn, {}).files) == 1


def test_a_draft_with_a_defective_file_is_refused_with_the_path(draft: Draft) -> None:
    name = f"{TILES[0].name}_r1p01_D00000110_r_c01_nwgint.fits"
    mark(draft.database, name, Mark.DEFECTIVE)
    (check, text), *_ = draft.wrong()
    assert check == "marks" and f"made from {name}, which is marked defective by mary: ghost; path: " in text
    with pytest.raises(UsageError, match="marked defective by mary"):
        publish(draft.database, draft.root, "D1", who="me")
    mark(draft.database, name, Mark.WITHDRAWN)
    assert draft.wrong() == []


def test_a_defective_run_that_was_set_active_is_refused_all_the_same(draft: Draft) -> None:
    with draft.database.write() as conn:
        attempt(conn, 1, unit="DES0001+0001", pipeline="coadd")
        conn.execute(update(desfile).where(desfile.c.filetype == "coadd").values(pfw_attempt_id=1))
    mark(draft.database, "DES0001+0001_r1p01", Mark.DEFECTIVE)
    with draft.database.write() as conn:
        conn.execute(update(pfw_attempt).values(data_state="ACTIVE"))
    assert {check for check, _ in draft.wrong()} == {"marks"}


def test_a_release_of_blessed_data_takes_what_a_person_has_blessed_and_nothing_else(
    database: Database,
) -> None:
    with database.write() as conn:
        for number, tile in ((1, "DES0001+0001"), (2, "DES0002+0001")):
            attempt(conn, number, unit=tile, pipeline="coadd")
            put(conn, number, f"{tile}_r1p01_g_coadd.fits", number, filetype="coadd", band="g", tilename=tile)
    with database.read() as conn, pytest.raises(NotFoundError, match="nothing to release"):
        select(conn, {"data_state": "ACTIVE"})
    mark(database, "DES0001+0001", Mark.BLESSED)
    with database.read() as conn:
        every = select(conn, {})
        assert len(every.files) == 2 and every.unreviewed == ("DES0002+0001_r1p01",)
        blessed = select(conn, {"data_state": "ACTIVE"})
        with pytest.raises(UsageError, match="data_state=JUNK"):
            select(conn, {"data_state": "junk"})
    assert [f.tilename for f in blessed.files] == ["DES0001+0001"] and blessed.text == "data_state=ACTIVE"
    assert blessed.unreviewed == ()
    (left,) = blessed.omissions
    assert (left.subject, left.reason) == (
        "run DES0002+0001_r1p01",
        "nobody has blessed it; see: desdm mark DES0002+0001_r1p01",
    )
    mark(database, "DES0001+0001", Mark.WITHDRAWN)
    with database.read() as conn, pytest.raises(NotFoundError, match="nothing to release"):
        select(conn, {"data_state": "ACTIVE"})
