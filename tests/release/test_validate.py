"""Validation: a release that is as it should be passes, and each thing that is wrong with one holds it back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import update

from desdm.archive.audit import audit
from desdm.errors import NotFoundError, UsageError
from desdm.facility import Facility, initialise
from desdm.framework.mark import mark
from desdm.release import problems
from desdm.release.addtable import add_table
from desdm.release.create import create, create_empty
from desdm.release.hats import parts
from desdm.release.publish import find, publish
from desdm.release.validate import errors, validate
from desdm.schema import desfile, release_file, release_table
from desdm.schema.database import Database
from desdm.schema.states import DataState
from tests.archive.test_find import attempt
from tests.support.release import objects
from tests.support.tiles import QUICK, TILES, deposit_tiles


class Draft:
    """A draft of the two tiles."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.facility = Facility.open(home)
        self.database: Database = self.facility.database
        self.root = self.facility.config.releases / "D1"

    def wrong(self) -> list[tuple[str, str]]:
        """Checks that fail: which, and what they say."""
        found = errors(validate(self.database, self.root, find(self.database, "D1")))
        return [(c.check, c.text) for c in found]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("draft") / "home"
    initialise(home)
    draft = Draft(home)
    deposit_tiles(draft.database, draft.facility.archive, home / "incoming")
    create(
        draft.database, draft.facility.archive, draft.root, "D1", {"tag": "BLESSED"}, who="me", steps=QUICK
    )
    draft.facility.close()
    return home


@pytest.fixture
def draft(template: Path, tmp_path: Path) -> Iterator[Draft]:
    shutil.copytree(template, tmp_path / "home", ignore=shutil.ignore_patterns("incoming", "archive"))
    one = Draft(tmp_path / "home")
    yield one
    one.facility.close()


def test_a_good_draft_passes_every_check(draft: Draft) -> None:
    found = validate(draft.database, draft.root, find(draft.database, "D1"))
    assert {c.outcome for c in found} == {"ok"}
    assert {c.check for c in found} == {
        "selection", "problems", "exposures", "rows", "texts", "units", "ranges", "keys", "order", "census", "images",
        "files", "suspect", "marks",
    }  # fmt: skip


@pytest.mark.parametrize("filetype", ["coadd", "coadd_objects"])
def test_a_product_of_a_junk_run_holds_the_release_back(draft: Draft, filetype: str) -> None:
    """Also where only rows of the file are in the release, and the draft was made before the mark."""
    with draft.database.write() as conn:
        attempt(conn, 1, unit="DES0001+0001", pipeline="coadd")
        conn.execute(update(desfile).where(desfile.c.filetype == filetype).values(pfw_attempt_id=1))
        mark(conn, "DES0001+0001_r1p01", DataState.JUNK, who="mary", reason="wrong zero points")
    assert {check for check, _ in draft.wrong()} == {"marks"}
    with pytest.raises(
        UsageError, match=r"DES0001\+0001_r1p01 is JUNK, marked by mary: wrong zero points; path: "
    ):
        publish(draft.database, draft.root, "D1", who="me")
    assert find(draft.database, "D1").state == "draft"


def _image(draft: Draft) -> Path:
    return draft.root / "images" / TILES[0].name / f"{TILES[0].name}_g.fits.fz"


def _flip(draft: Draft) -> None:
    data = bytearray(_image(draft).read_bytes())
    data[len(data) // 2] ^= 4
    _image(draft).write_bytes(data)


def _rewrite(draft: Draft, change: Callable[[pa.Table], pa.Table]) -> None:
    for path in parts(draft.root / "tables" / "objects"):
        pq.write_table(change(pq.read_table(path, partitioning=None)), path)


def _moved(table: pa.Table) -> pa.Table:
    return table.set_column(
        table.schema.get_field_index("ra"), "ra", pa.array(table["ra"].to_numpy() + 0.001)
    )


def _twice(table: pa.Table) -> pa.Table:
    ids = table["coadd_object_id"].to_numpy().copy()
    ids[1] = ids[0]
    return table.set_column(table.schema.get_field_index("coadd_object_id"), "coadd_object_id", pa.array(ids))


def _counted_otherwise(draft: Draft) -> None:
    path = draft.root / "docs" / "selection.json"
    document = json.loads(path.read_text())
    census = {"file": "x_cat.fits", "sha256": "0" * 64, "filetype": "coadd_cat", "tilename": TILES[0].name, "band": "g",
              "run": "", "objects": 1}  # fmt: skip
    document["files"].append(census)
    path.write_text(json.dumps(document))


def _tile_of_nobody(table: pa.Table) -> pa.Table:
    names = table["tilename"].to_pylist()
    return table.set_column(
        table.schema.get_field_index("tilename"), "tilename", pa.array(["DES9999+9999", *names[1:]])
    )


def _unfinished(draft: Draft) -> None:
    # As a build that was killed after its tables leaves it.
    shutil.rmtree(draft.root / "images")
    with draft.database.write() as conn:
        conn.execute(release_file.delete().where(release_file.c.path.startswith("images/")))


def _row_count(draft: Draft) -> None:
    with draft.database.write() as conn:
        conn.execute(update(release_table).values(row_count=159))


@pytest.mark.parametrize(
    ("harm", "check", "told"),
    [
        (_flip, "files", "holds other bytes"),
        (lambda d: _image(d).unlink(), "files", "it is gone"),
        (lambda d: (d.root / "images" / "extra.fits").write_text("x"), "files", "is in no list"),
        (lambda d: _rewrite(d, lambda t: t.slice(1)), "rows", "159 rows lie on disk, 160 were added"),
        (_row_count, "rows", "160 rows lie on disk, 159 were added"),
        (lambda d: _rewrite(d, lambda t: t.drop_columns(["star"])), "rows", "other columns than were added"),
        (lambda d: _rewrite(d, lambda t: t.take(list(range(159, -1, -1)))), "order", "not sorted by hpix29"),
        (lambda d: _rewrite(d, _moved), "order", "is not the cell of the position"),
        (lambda d: _rewrite(d, _twice), "keys", "1 rows repeat the name of another row"),
        (lambda d: _rewrite(d, _tile_of_nobody), "census", "of a tile that was not selected"),
        (_counted_otherwise, "census", "x_cat.fits has 1"),
        (_unfinished, "selection", "not in it: DES0200-0457_r1p01_g_coadd.fits"),
        (lambda d: shutil.rmtree(d.root / "docs"), "selection", "discard it and create it again"),
    ],
)
def test_each_harm_is_found_and_holds_the_release_back(
    harm: Callable[[Draft], Any], check: str, told: str, draft: Draft
) -> None:
    harm(draft)
    assert any(c == check and told in text for c, text in draft.wrong()), draft.wrong()
    with pytest.raises(UsageError, match="D1 cannot be published"):
        publish(draft.database, draft.root, "D1", who="me")
    assert find(draft.database, "D1").state == "draft"


def test_what_was_made_from_a_damaged_file_is_named_with_its_path_and_holds_the_release_back(
    template: Path, tmp_path: Path
) -> None:
    shutil.copytree(template, tmp_path / "home", ignore=shutil.ignore_patterns("incoming"))
    draft = Draft(tmp_path / "home")
    archive = draft.facility.archive
    cause = f"{TILES[0].name}_r1p01_D00000110_r_c01_nwgint.fits"
    (path,) = archive.root.rglob(cause)
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert audit(draft.database, archive, who="me").corrupt == [cause]
    said = [text for check, text in draft.wrong() if check == "suspect"]
    assert said and all(f"an audit found {cause} corrupt" in text for text in said), draft.wrong()
    assert all("put back the good copy" in text and cause in text.split("path: ")[1] for text in said)
    with pytest.raises(UsageError, match="D1 cannot be published"):
        publish(draft.database, draft.root, "D1", who="me")
    path.write_bytes(whole)
    audit(draft.database, archive, who="me")
    assert [text for check, text in draft.wrong() if check == "suspect"] == []
    draft.facility.close()


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("release", "D1"), ("tag", "BLESSED"), ("tile", TILES[0].name), ("exposure", "D00000110"), ("exposure", "110"),
        ("file", f"{TILES[0].name}_r1p01_D00000110_r_c01_nwgint.fits"), ("file", f"{TILES[0].name}_r1p01_g_coadd.fits"),
    ],
)  # fmt: skip
def test_an_open_problem_of_what_it_holds_or_comes_from_blocks_it_until_it_is_closed(
    kind: str, subject: str, draft: Draft
) -> None:
    with draft.database.write() as conn:
        number = problems.open_problem(conn, kind, subject, "scattered light", who="me")
    assert draft.wrong() == [("problems", f"problem {number} is open: scattered light")]
    with draft.database.write() as conn:
        problems.close_problem(conn, number, "masked", who="me")
    assert draft.wrong() == []


def test_problems_of_other_things_and_notes_block_nothing(draft: Draft) -> None:
    with draft.database.write() as conn:
        for kind, subject in (
            ("release", "D2"),
            ("tile", "DES9999+0000"),
            ("exposure", "999"),
            ("attempt", "x_r1p01"),
        ):
            problems.open_problem(conn, kind, subject, "bad", who="me")
        problems.open_problem(conn, "release", "D1", "worth knowing", blocks=False, who="me")
    assert draft.wrong() == []


def test_a_problem_is_closed_once_and_with_a_word(database: Database) -> None:
    with database.write() as conn:
        number = problems.open_problem(conn, "tile", "DES0001+0001", "bad seeing", who="me")
        with pytest.raises(UsageError, match="how it was resolved"):
            problems.close_problem(conn, number, " ", who="me")
        problems.close_problem(conn, number, "redone", who="you")
        with pytest.raises(NotFoundError, match=f"no open problem {number}"):
            problems.close_problem(conn, number, "again", who="me")
        with pytest.raises(UsageError, match="one of release, tag"):
            problems.open_problem(conn, "star", "x", "bad", who="me")
        (found,) = problems.problems(conn)
    assert (found.opened_by, found.closed_by, found.resolution) == ("me", "you", "redone")


def _described(**columns: tuple[Any, str, str]) -> pa.Table:
    values = {"ra": ([1.0, 2.0], "deg", "pos.eq.ra"), "dec": ([0.0, 1.0], "deg", "pos.eq.dec"), **columns}
    fields = [
        pa.field(n, pa.array(v).type, metadata={"description": "what it is", "unit": unit, "ucd": ucd})
        for n, (v, unit, ucd) in values.items()
    ]
    return pa.table([pa.array(v) for v, *_ in values.values()], schema=pa.schema(fields))


@pytest.mark.parametrize(
    ("column", "check", "told"),
    [
        (([22.0, 99.0], "mag", "phot.mag"), "ranges", "22 to 99 is beyond -50 to 60"),
        (([0.1, -1.0], "mag", "stat.error;phot.mag"), "ranges", "-1 to 0.1"),
        (([1.0, 2.0], "magnitudes", "phot.mag"), "units", "'magnitudes' is not a VOUnit"),
        (([1.0, 2.0], "mag", "phot.brightness"), "units", "'phot.brightness' is not a UCD1+"),
        (([7, 7], "", "meta.id;meta.main"), "keys", "1 rows repeat the name of another row"),
        (([7, None], "", "meta.id;meta.main"), "keys", "1 rows have no x"),
        ((["a", "a"], "", "meta.id;meta.main"), "keys", "1 rows repeat the name of another row"),
    ],
)
def test_what_a_column_says_and_holds_is_checked(
    column: tuple[Any, str, str], check: str, told: str, sqlite: Database, tmp_path: Path
) -> None:
    create_empty(sqlite, tmp_path / "Y1", "Y1", who="me")
    given = _described(x=column)
    add_table(sqlite, tmp_path / "Y1", "Y1", "t", iter(given.to_batches()), ra="ra", dec="dec", who="me")
    wrong = errors(validate(sqlite, tmp_path / "Y1", find(sqlite, "Y1")))
    assert [c.check for c in wrong] == [check]
    assert told in wrong[0].text


def test_an_empty_release_cannot_be_published(database: Database, tmp_path: Path) -> None:
    create_empty(database, tmp_path / "Y1", "Y1", who="me")
    with pytest.raises(UsageError, match="it is empty; add data"):
        publish(database, tmp_path / "Y1", "Y1", who="me")


def test_guessed_columns_do_not_hold_a_release_back_but_are_told(sqlite: Database, tmp_path: Path) -> None:
    create_empty(sqlite, tmp_path / "Y1", "Y1", who="me")
    bare = pa.table({"ra": [1.0], "dec": [2.0], "mag": [99.0]})
    add_table(
        sqlite, tmp_path / "Y1", "Y1", "t", iter(bare.to_batches()), ra="ra", dec="dec", infer=True, who="me"
    )
    publish(sqlite, tmp_path / "Y1", "Y1", who="me")
    notes = (tmp_path / "Y1" / "docs" / "notes.md").read_text()
    assert "3 columns are guessed from their names" in notes
    assert "mag: 99 to 99 is beyond" in notes
    assert "(guessed)" in (tmp_path / "Y1" / "docs" / "data.md").read_text()


def test_keys_are_compared_in_passes_with_the_same_answer(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from desdm.release import checktable

    create_empty(sqlite, tmp_path / "Y1", "Y1", who="me")
    given = objects(1000)
    ids = given["id"].to_numpy().copy()
    ids[500:520] = ids[100:120]
    given = given.set_column(0, given.schema.field("id"), pa.array(ids))
    made = add_table(
        sqlite, tmp_path / "Y1", "Y1", "t", iter(given.to_batches()), ra="ra", dec="dec", who="me"
    )
    monkeypatch.setattr(checktable, "_KEYS", 70)
    found = [c.text for c in checktable.check_table(tmp_path / "Y1", made) if c.check == "keys"]
    assert found == ["id is to name a row, and 20 rows repeat the name of another row"]
    assert len(np.unique(ids)) == 980
