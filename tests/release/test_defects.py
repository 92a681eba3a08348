"""A run or file whose newest mark says that it is defective enters no release, also if its data state was set back."""

from __future__ import annotations

import json
from datetime import datetime
from hashlib import sha256

import pytest
from sqlalchemy import update

from desdm.archive.model import Scope
from desdm.errors import NotFoundError, UsageError
from desdm.operations.qa.marks import MarkOrder, mark_subject
from desdm.release.publish import find, publish
from desdm.release.select import select
from desdm.release.validate import errors, validate
from desdm.schema import desfile, pfw_attempt, release_file
from desdm.schema import release as release_record
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


def test_a_draft_is_published_only_while_its_runs_are_blessed_where_that_is_the_rule(draft: Draft) -> None:
    run = f"{TILES[0].name}_r1p01"
    with draft.database.write() as conn:
        attempt(conn, 1, unit=TILES[0].name, pipeline="coadd")
    path = draft.root / "docs" / "selection.json"
    document = json.loads(path.read_text())

    def review(**rule: bool) -> list[tuple[str, str, str]]:
        record = find(draft.database, "D1")
        checks = validate(draft.database, draft.root, record, **rule)
        return [(c.outcome, c.subject, c.text) for c in checks if c.check == "review"]

    (delivered,) = review(blessed_only=True)
    assert delivered[0] == "error" and "were delivered without a run" in delivered[2]
    for entry in document["files"]:
        entry["run"] = run
    path.write_text(json.dumps(document))
    size, digest = path.stat().st_size, sha256(path.read_bytes()).hexdigest()
    with draft.database.write() as conn:
        mine = release_file.c.path == "docs/selection.json"
        conn.execute(update(release_file).where(mine).values(filesize=size, sha256=digest))
    assert review() == []
    [(outcome, subject, text)] = review(blessed_only=True)
    assert (outcome, subject) == ("error", f"run {run}") and f"desdm mark {run} blessed" in text
    mark(draft.database, run, Mark.BLESSED)
    assert [outcome for outcome, *_ in review(blessed_only=True)] == ["ok"]
    mark(draft.database, run, Mark.WITHDRAWN)
    with pytest.raises(UsageError, match="nobody has blessed its data, or the blessing was withdrawn"):
        publish(draft.database, draft.root, "D1", who="me", blessed_only=True)
    mark(draft.database, run, Mark.BLESSED)
    publish(draft.database, draft.root, "D1", who="me", blessed_only=True)
    notes = (draft.root / "docs" / "notes.md").read_text()
    assert "A person has blessed the data of each of these runs." in notes
    mark(draft.database, run, Mark.WITHDRAWN)
    assert [outcome for outcome, *_ in review(blessed_only=True)] == ["note"]


def test_a_selection_of_blessed_data_asks_for_a_blessing_by_itself(draft: Draft) -> None:
    with draft.database.write() as conn:
        mine = release_record.c.name == "D1"
        conn.execute(update(release_record).where(mine).values(selection="data_state=ACTIVE"))
    assert ("review", "D1") in [
        (c.check, c.subject) for c in errors(validate(draft.database, draft.root, find(draft.database, "D1")))
    ]


def test_a_release_of_blessed_data_takes_what_a_person_has_blessed_and_nothing_else(
    database: Database,
) -> None:
    with database.write() as conn:
        for number, tile in ((1, "DES0001+0001"), (2, "DES0002+0001")):
            attempt(conn, number, unit=tile, pipeline="coadd")
            put(conn, number, f"{tile}_r1p01_g_coadd.fits", number, filetype="coadd", band="g", tilename=tile)
    waiting = "2 good runs wait for a blessing: desdm mark DES0002[+]0001_r1p01 blessed"
    with database.read() as conn, pytest.raises(NotFoundError, match=waiting):
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
