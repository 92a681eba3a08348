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
        "files", "suspect", "marks", "zeropoints",
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
    bare = pa.table({"ra": [1.0], "dec": [2.0], "mag": [21.0]})
    add_table(
        sqlite, tmp_path / "Y1", "Y1", "t", iter(bare.to_batches()), ra="ra", dec="dec", infer=True, who="me"
    )
    publish(sqlite, tmp_path / "Y1", "Y1", who="me")
    notes = (tmp_path / "Y1" / "docs" / "notes.md").read_text()
    assert "3 columns are guessed from their names" in notes
    assert "(guessed)" in (tmp_path / "Y1" / "docs" / "data.md").read_text()


def _range_faults(database: Database, root: Path, rows: pa.Table, *, infer: bool = False) -> list[str]:
    """Texts of the failed checks of ranges of a release with one table."""
    create_empty(database, root, "Y1", who="me")
    add_table(database, root, "Y1", "t", iter(rows.to_batches()), ra="ra", dec="dec", infer=infer, who="me")
    return [c.text for c in errors(validate(database, root, find(database, "Y1"))) if c.check == "ranges"]


def test_a_value_beyond_the_range_of_a_guessed_column_fails_too(sqlite: Database, tmp_path: Path) -> None:
    bare = pa.table({"ra": [1.0, 1.0], "dec": [2.0, 3.0], "mag": [99.0, 21.0]})
    (fault,) = _range_faults(sqlite, tmp_path / "Y1", bare, infer=True)
    assert "mag: 21 to 99 is beyond -50 to 60 in 1 of 2 rows" in fault
    assert "UCD phot.mag is guessed from the name" in fault
    with pytest.raises(UsageError, match="cannot be published"):
        publish(sqlite, tmp_path / "Y1", "Y1", who="me")


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
@pytest.mark.parametrize("ucd", ["phot.mag;em.opt.B", "stat.error;phot.mag", "stat.value", "phot.flux"])
def test_infinity_is_no_measurement(
    value: float, kind: pa.DataType, ucd: str, sqlite: Database, tmp_path: Path
) -> None:
    given = _described(
        id=([7, 8], "", "meta.id;meta.main"),
        x=(pa.array([value, 1.0], kind), "mag" if "mag" in ucd else "", ucd),
    )
    (fault,) = _range_faults(sqlite, tmp_path / "Y1", given)
    assert fault.startswith("x: ")
    assert f"in 1 of 2 rows, the first {value} where id = 7" in fault
    assert "a missing value must be NULL" in fault


def test_infinity_gives_a_column_no_extremes(sqlite: Database, tmp_path: Path) -> None:
    create_empty(sqlite, tmp_path / "Y1", "Y1", who="me")
    given = _described(x=([1.0, float("inf")], "mag", "phot.mag"))
    table = add_table(
        sqlite, tmp_path / "Y1", "Y1", "t", iter(given.to_batches()), ra="ra", dec="dec", who="me"
    )
    column = next(c for c in table.columns if c.name == "x")
    assert (column.minimum, column.maximum, column.null_count) == (None, None, 0)


@pytest.mark.parametrize("ra", [[-1.0, 2.0], [360.0, 2.0], [-1e-9, 2.0]])
def test_right_ascension_lies_from_0_to_below_360(ra: list[float], sqlite: Database, tmp_path: Path) -> None:
    (fault,) = _range_faults(sqlite, tmp_path / "Y1", _described(ra=(ra, "deg", "pos.eq.ra;meta.main")))
    assert f"ra: {min(ra):.10g} to {max(ra):.10g} is beyond 0 to 360 (exclusive)" in fault
    assert f"in 1 of 2 rows, the first {ra[0]:.10g}" in fault and "0 <= angle < 360" in fault


@pytest.mark.parametrize(
    ("values", "unit", "ucd", "good"),
    [
        # 20 November 2012, 12 h UTC: JD 2456252.0, MJD 56251.5 (USNO); both are "d".
        ([56251.5, 56252.0], "d", "time.epoch", True),
        ([2456252.0, 2456252.5], "d", "time.epoch", False),
        ([0.0, 56251.5], "d", "time.epoch", False),
        ([2456252.0, 2456252.5], "d", "time.start;obs.exposure", False),
        ([56251.5, 2456252.5], "d", "stat.max;time.epoch", False),
        ([0.0, 2015.5], "yr", "time.epoch", False),
        ([2000.0, 2015.5], "yr", "time.epoch", True),
        ([-0.1, 10.0], "deg", "pos.galactic.lon", False),
        ([10.0, 360.0], "deg", "pos.galactic.lon", False),
        ([0.0, 359.999], "deg", "pos.galactic.lon", True),
        ([-90.0, 90.0], "deg", "pos.galactic.lat", True),
        ([-90.0, 90.1], "deg", "pos.galactic.lat", False),
        ([0.0, 6.28], "rad", "pos.ecliptic.lon", True),
        ([0.0, 6.29], "rad", "pos.ecliptic.lon", False),
        ([0.0, 23.9], "h", "pos.eq.ra", True),
        ([0.0, 24.0], "h", "pos.eq.ra", False),
        ([-45.0, 135.0], "deg", "pos.posAng", True),
        ([-999.0, 135.0], "deg", "pos.posAng", False),
        ([-1.5, 0.5], "deg", "pos.eq.ra;arith.diff", True),
        ([-99.0, 0.5], "", "src.redshift", False),
        # SExtractor measures negative half-light radii of faint objects.
        ([-28.3, 12.6], "pixel", "phys.angSize.smajAxis", True),
        ([-99.0, 0.5], "mag", "phot.color;em.opt.B;em.opt.R", False),
    ],
)
def test_ranges_of_quantities(
    values: list[float], unit: str, ucd: str, good: bool, sqlite: Database, tmp_path: Path
) -> None:
    given = _described(mjd=(values, unit, ucd))
    faults = _range_faults(sqlite, tmp_path / "Y1", given)
    assert bool(faults) != good, faults
    assert all(f.startswith("mjd: ") and " of 2 rows, the first " in f for f in faults)


@pytest.mark.parametrize(
    ("text", "values", "good"),
    [
        ("Julian date of mid-exposure", [2456252.0, 2456252.5], True),
        ("Julian date of mid-exposure", [56251.5, 56252.0], False),
        ("modified Julian date of mid-exposure, JD - 2400000.5", [2456252.0, 2456252.5], False),
        ("BJD - 2454833", [1418.5, 1419.5], True),
    ],
)
def test_the_text_of_a_date_decides_between_jd_and_mjd(
    text: str, values: list[float], good: bool, sqlite: Database, tmp_path: Path
) -> None:
    given = _described(t=(values, "d", "time.epoch"))
    field = given.schema.field("t").with_metadata({"description": text, "unit": "d", "ucd": "time.epoch"})
    given = given.set_column(given.schema.get_field_index("t"), field, given["t"])
    assert bool(_range_faults(sqlite, tmp_path / "Y1", given)) != good


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
