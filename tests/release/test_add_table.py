"""A table is added to a release: described columns, positions, refusals."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.release import store
from desdm.release.addtable import add_table
from desdm.release.create import create_empty
from desdm.release.hats import parts
from desdm.release.model import ReleaseTable
from desdm.release.publish import publish
from desdm.schema.database import Database
from desdm.sky.healpix import hpix29
from tests.support.release import objects


@pytest.fixture
def root(database: Database, tmp_path: Path) -> Path:
    create_empty(database, tmp_path / "Y1", "Y1", who="me")
    return tmp_path / "Y1"


def add(database: Database, root: Path, table: pa.Table, name: str = "t", **how: Any) -> ReleaseTable:
    said = {"ra": "ra", "dec": "dec", "who": "me", **how}
    return add_table(database, root, "Y1", name, iter(table.to_batches()), **said)


def rows(root: Path, table: ReleaseTable) -> pa.Table:
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in parts(root / table.path)])


def test_what_comes_in_is_what_lies_there_in_the_order_of_the_sky(database: Database, root: Path) -> None:
    given = objects(500)
    made = add(database, root, given, text="objects")
    with database.read() as conn:
        assert store.tables(conn, "Y1") == [made]
    found = rows(root, made)
    pixels = hpix29(given["ra"].to_numpy(), given["dec"].to_numpy())
    order = np.argsort(pixels, kind="stable")
    assert found["hpix29"].to_pylist() == list(pixels[order])
    expected = given.take(pa.array(order))
    for name in given.column_names:
        one, two = found[name].combine_chunks(), expected[name].combine_chunks()
        if pa.types.is_floating(two.type):
            # A value that is none is null in a release, however it came.
            two = pc.if_else(pc.is_nan(two), pa.scalar(None, two.type), two)
        assert one.equals(two), name
    assert made.id_column == "id"
    assert [c.name for c in made.columns if c.principal] == ["id", "ra", "dec"]
    assert [c.name for c in made.columns if c.indexed] == ["hpix29"]


def test_columns_keep_text_unit_and_ucd_and_learn_their_range(database: Database, root: Path) -> None:
    given = objects(500)
    by_name = {c.name: c for c in add(database, root, given).columns}
    mag = by_name["mag_g"]
    values = given["mag_g"].to_numpy()
    assert (mag.datatype, mag.unit, mag.ucd, mag.inferred) == ("float", "mag", "phot.mag;em.opt.B", False)
    assert mag.minimum == np.nanmin(values) and mag.maximum == np.nanmax(values)
    assert mag.null_count == np.isnan(values).sum()
    assert by_name["mag_r"].null_count == given["mag_r"].null_count
    kinds = {name: (c.datatype, c.arraysize) for name, c in by_name.items()}
    assert (
        kinds["id"] == ("long", None) and kinds["nexp"] == ("short", None) and kinds["flag"] == ("int", None)
    )
    assert kinds["good"] == ("boolean", None) and kinds["name"] == ("unicodeChar", "*")


def test_a_table_of_which_nobody_says_anything_is_refused_or_guessed_and_marked(
    database: Database, root: Path
) -> None:
    plain = objects(50).replace_schema_metadata(None)
    bare = pa.table({name: plain[name] for name in plain.column_names})
    with pytest.raises(UsageError, match=r"9 columns are not described: id \(text, UCD\)"):
        add(database, root, bare)
    made = add(database, root, bare, infer=True)
    guessed = {c.name: c for c in made.columns if c.inferred}
    assert set(guessed) == set(bare.column_names), "hpix29 is ours, and known"
    assert (guessed["mag_g"].unit, guessed["mag_g"].ucd) == ("mag", "phot.mag")
    assert (guessed["ra"].unit, guessed["dec"].ucd) == ("deg", "pos.eq.dec")
    assert "guessed" in guessed["flag"].text


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_schema_file_says_what_columns_are(form: str, sqlite: Database, tmp_path: Path) -> None:
    create_empty(sqlite, tmp_path / "Y1", "Y1", who="me")
    bare = pa.table({"ra": [1.0], "dec": [2.0], "zphot": [0.5]})
    columns = [
        {"name": "ra", "description": "right ascension", "unit": "deg", "ucd": "pos.eq.ra"},
        {"name": "dec", "description": "declination", "unit": "deg", "ucd": "pos.eq.dec"},
        {
            "name": "zphot",
            "description": "photometric redshift",
            "ucd": "src.redshift.phot",
            "principal": True,
        },
    ]
    path = tmp_path / f"schema.{form}"
    if form == "json":
        path.write_text(json.dumps({"description": "redshifts", "columns": columns}))
    else:
        import yaml

        path.write_text(yaml.safe_dump({"description": "redshifts", "columns": columns}))
    made = add(sqlite, tmp_path / "Y1", bare, schema=path)
    assert made.text == "redshifts"
    assert [(c.text, c.unit, c.principal) for c in made.columns][2] == ("photometric redshift", "", True)
    columns.append({"name": "mass", "description": "none", "ucd": "phys.mass"})
    path.write_text(json.dumps({"columns": columns}))
    with pytest.raises(UsageError, match="'mass' that the table does not have"):
        add(sqlite, tmp_path / "Y1", bare, "t2", schema=path)


def test_types_become_those_that_every_engine_has(sqlite: Database, tmp_path: Path) -> None:
    create_empty(sqlite, tmp_path / "Y1", "Y1", who="me")
    when = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    given = pa.table(
        {
            "ra": pa.array([2.0, 1.0]), "dec": pa.array([0.0, 0.0]), "small": pa.array([1, 2], pa.uint8()),
            "middle": pa.array([1, 65535], pa.uint16()), "large": pa.array([1, 2**32 - 1], pa.uint32()),
            "half": pa.array(np.array([0.5, 1.5], np.float16)), "when": pa.array([when, None]),
            "kind": pa.array(["star", "galaxy"]).dictionary_encode(), "big": pa.array(["x", None], pa.large_string()),
        }
    )  # fmt: skip
    made = add(sqlite, tmp_path / "Y1", given, infer=True)
    kinds = {c.name: (c.datatype, c.xtype) for c in made.columns}
    assert (
        kinds["small"] == ("short", None)
        and kinds["middle"] == ("int", None)
        and kinds["large"] == ("long", None)
    )
    assert (
        kinds["half"] == ("float", None)
        and kinds["when"] == ("char", "timestamp")
        and kinds["kind"] == ("char", None)
    )
    found = rows(tmp_path / "Y1", made)
    assert found["large"].to_pylist() == [1, 2**32 - 1]
    assert found["when"].to_pylist() == [when.replace(tzinfo=None), None]
    assert found["kind"].to_pylist() == ["star", "galaxy"]


@pytest.mark.parametrize(
    ("change", "how", "told"),
    [
        ({"ra": [np.nan, 1.0]}, {}, r"row 1 has no position on the sky: ra = nan"),
        ({"dec": [0.0, 90.5]}, {}, r"row 2 has no position on the sky: .*dec = 90.5"),
        ({"dec": pa.array([0.0, None])}, {}, r"row 2 has no position"),
        ({"a b": [1, 2]}, {}, r"column 'a b': at most 64 letters"),
        ({"RA": [1.0, 2.0]}, {}, r"'ra' occurs twice"),
        ({"list": pa.array([[1], [2]])}, {}, r"column list: values of type list"),
        ({"big": pa.array([1, 2**64 - 1], pa.uint64())}, {}, r"column big"),
        ({}, {"ra": "RAJ2000"}, r"--ra RAJ2000: the table has no such column; it has ra, dec"),
        ({}, {"dec": None}, r"both --ra and --dec"),
        ({"hpix29": [1, 2]}, {}, r"hpix29 is not the cell of its position"),
    ],
)
def test_what_cannot_be_served_is_refused_with_its_place(
    change: dict[str, Any], how: dict[str, Any], told: str, sqlite: Database, tmp_path: Path
) -> None:
    create_empty(sqlite, tmp_path / "Y1", "Y1", who="me")
    values: dict[str, Any] = {"ra": [10.0, 11.0], "dec": [0.0, 1.0]} | change
    with pytest.raises(UsageError, match=told):
        add(sqlite, tmp_path / "Y1", pa.table(values), infer=True, **how)
    assert not list((tmp_path / "Y1").rglob("*.parquet")), "nothing half-written stays"
    with sqlite.read() as conn:
        assert store.tables(conn, "Y1") == [] and store.files(conn, "Y1") == []


def test_a_table_stands_once_and_is_replaced_only_when_that_is_said(database: Database, root: Path) -> None:
    add(database, root, objects(30), "t")
    with pytest.raises(ConflictError, match="has a table T; add --replace"):
        add(database, root, objects(40), "T")
    made = add(database, root, objects(40), "t", replace_it=True)
    assert rows(root, made).num_rows == 40
    with database.read() as conn:
        assert [t.row_count for t in store.tables(conn, "Y1")] == [40]
        assert all((root / f.path).is_file() for f in store.files(conn, "Y1"))


def test_a_published_release_takes_no_table(database: Database, root: Path) -> None:
    add(database, root, objects(30), "t")
    publish(database, root, "Y1", who="me")
    with pytest.raises(ConflictError, match="published and never changes; make a point release"):
        add(database, root, objects(30), "u")
    with pytest.raises(NotFoundError, match="no release Y9"):
        add_table(database, root, "Y9", "t", iter(()), ra=None, dec=None, who="me")


def test_a_table_without_positions_is_one_file_in_its_own_order(sqlite: Database, tmp_path: Path) -> None:
    create_empty(sqlite, tmp_path / "Y1", "Y1", who="me")
    made = add(sqlite, tmp_path / "Y1", pa.table({"n": [3, 1, 2]}), ra=None, dec=None, infer=True)
    assert [c.name for c in made.columns] == ["n"]
    assert rows(tmp_path / "Y1", made)["n"].to_pylist() == [3, 1, 2]
    assert not (tmp_path / "Y1" / made.path / "properties").exists(), "it is no HATS catalogue"


def test_a_table_of_another_release_is_taken_over_as_it_is(sqlite: Database, tmp_path: Path) -> None:
    create_empty(sqlite, tmp_path / "Y1", "Y1", who="me")
    first = add(sqlite, tmp_path / "Y1", objects(200), "t")
    again = add_table(
        sqlite, tmp_path / "Y1", "Y1", "u", tmp_path / "Y1" / first.path, ra="ra", dec="dec", who="me"
    )
    assert again.columns == first.columns
    one, two = (sorted((tmp_path / "Y1" / t.path).rglob("Npix*")) for t in (first, again))
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


def test_texts_that_are_timestamps_are_stored_in_utc(sqlite: Database, tmp_path: Path) -> None:
    """An engine would drop the offset without a word (DALI 1.1, section 3.3.3, has UTC only)."""
    create_empty(sqlite, tmp_path / "Y1", "Y1", who="me")
    field = pa.field("start", pa.string(), metadata={"xtype": "timestamp"})
    texts = ["2026-01-02T03:04:05+02:00", None]
    given = pa.table(
        [pa.array([2.0, 1.0]), pa.array([0.0, 0.0]), pa.array(texts)],
        schema=pa.schema([("ra", pa.float64()), ("dec", pa.float64()), field]),
    )
    made = add(sqlite, tmp_path / "Y1", given, infer=True)
    assert set(rows(tmp_path / "Y1", made)["start"].to_pylist()) == {"2026-01-02T01:04:05", None}
    bad = given.set_column(2, field, pa.array(["02/01/2026", None]))
    with pytest.raises(UsageError, match=r"column start: '02/01/2026' is not a timestamp"):
        add(sqlite, tmp_path / "Y1", bad, "t2", infer=True)
