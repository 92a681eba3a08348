"""NaN of a release, of uploads and of users' tables is NULL on both engines, whatever the statistics of a file say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from desdm.config import load
from desdm.facility import Facility
from desdm.query.adql.translate import translate
from desdm.query.catalogue import Catalogue, release_entry
from desdm.query.engines.model import Engine, Query, Upload
from desdm.query.engines.open import open_engine
from desdm.release import store
from desdm.release.model import ReleaseColumn
from tests.support.postgres import Cluster
from tests.support.release import objects, small_release

ROWS = 300
TRUTH = objects(ROWS)
#: mag_g without what is none: NaN at each 7th row.
MAG = [None if math.isnan(v) else v for v in TRUTH["mag_g"].to_pylist()]
THERE = [v for v in MAG if v is not None]


def nan_for_null(path: Path) -> None:
    """Write a Parquet file as other programs do: NaN for no value, and finite statistics."""
    table = pq.read_table(path)
    for n, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            table = table.set_column(n, field, table[field.name].fill_null(float("nan")))
    pq.write_table(table, path)
    statistics = (
        pq.ParquetFile(path).metadata.row_group(0).column(table.schema.names.index("mag_g")).statistics
    )
    assert statistics.null_count == 0 and math.isfinite(statistics.max)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = small_release(tmp_path_factory.mktemp("nan") / "home", rows=ROWS)
    for path in (made / "releases" / "T1").rglob("*.parquet"):
        if "dataset" in path.parts and path.name != "data_thumbnail.parquet":
            nan_for_null(path)
    return made


@pytest.fixture(scope="module", params=["duckdb", "postgresql"])
def engine(request: pytest.FixtureRequest, home: Path) -> Iterator[Engine]:
    if request.param == "duckdb":
        made = open_engine(load(home), "")
        yield made
        made.close()
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    name = cluster.database()
    made = open_engine(load(home), cluster.url(name).render_as_string(hide_password=False))
    yield made
    made.close()
    cluster.drop(name)


@pytest.fixture(scope="module")
def catalogue(engine: Engine, home: Path) -> Catalogue:
    facility = Facility.open(home)
    try:
        with facility.database.read() as conn:
            tables = store.tables(conn, "T1")
        engine.attach("T1", tables, facility.config.releases / "T1")
    finally:
        facility.close()
    return Catalogue([release_entry(table) for table in tables])


UPLOAD = Upload(
    "u", (ReleaseColumn("n", "int"), ReleaseColumn("x", "double"), ReleaseColumn("y", "float")),
    pa.table({
        "n": pa.array([1, 2, 3, 4], pa.int32()), "x": [1.0, math.nan, math.inf, None],
        "y": pa.array([math.nan, 2.0, math.inf, -math.inf], pa.float32()),
    }),
)  # fmt: skip


def ask(engine: Engine, catalogue: Catalogue, text: str) -> list[tuple[Any, ...]]:
    uploads = {"u": UPLOAD}
    query: Query = translate(text, catalogue, engine.dialect, uploads=uploads)  # type: ignore[arg-type]
    with engine.execute(query, uploads=uploads) as batches:
        return [tuple(c[i].as_py() for c in b.columns) for b in batches for i in range(b.num_rows)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT COUNT(*) FROM T1.objects WHERE mag_g > 22", sum(v > 22 for v in THERE)),
        ("SELECT COUNT(*) FROM T1.objects WHERE mag_g > 90", 0),
        ("SELECT COUNT(*) FROM T1.objects WHERE NOT (mag_g < 22)", sum(not v < 22 for v in THERE)),
        ("SELECT COUNT(*) FROM T1.objects WHERE mag_g BETWEEN 0 AND 1e30", len(THERE)),
        ("SELECT COUNT(*) FROM T1.objects WHERE mag_g <> 22", len(THERE)),
        ("SELECT COUNT(*) FROM T1.objects WHERE mag_g IS NULL", ROWS - len(THERE)),
        ("SELECT COUNT(*) FROM T1.objects WHERE mag_g IS NOT NULL", len(THERE)),
        ("SELECT COUNT(mag_g) FROM T1.objects", len(THERE)),
        ("SELECT COUNT(DISTINCT mag_g) FROM T1.objects", len(set(THERE))),
        ("SELECT MAX(mag_g) FROM T1.objects", max(THERE)),
        ("SELECT AVG(mag_g) FROM T1.objects", pytest.approx(float(np.mean(np.array(THERE))), rel=1e-6)),
        ("SELECT COUNT(*) FROM T1.objects WHERE mag_g - mag_r > -1e30", sum(
            a is not None and b is not None for a, b in zip(MAG, TRUTH["mag_r"].to_pylist(), strict=True))),
        ("SELECT COUNT(*) FROM T1.objects AS a JOIN T1.objects AS b ON a.mag_g = b.mag_g",
         sum(THERE.count(v) for v in THERE)),
        ("SELECT COUNT(*) FROM (SELECT mag_g FROM T1.objects GROUP BY mag_g) AS q", len(set(THERE)) + 1),
        ("SELECT COUNT(*) FROM T1.objects WHERE COALESCE(mag_g, -1) = -1", ROWS - len(THERE)),
        ("SELECT COUNT(*) FROM T1.objects WHERE ABS(mag_g) > 0", len(THERE)),
    ],
)  # fmt: skip
def test_a_value_that_is_none_passes_no_cut_and_counts_nowhere(
    engine: Engine, catalogue: Catalogue, text: str, expected: Any
) -> None:
    assert ask(engine, catalogue, text) == [(expected,)]


def test_a_value_that_is_none_is_not_the_largest(engine: Engine, catalogue: Catalogue) -> None:
    found = ask(
        engine, catalogue, "SELECT TOP 1 mag_g FROM T1.objects WHERE mag_g IS NOT NULL ORDER BY mag_g DESC"
    )
    assert found == [(max(THERE),)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT COUNT(x), COUNT(y) FROM TAP_UPLOAD.u", (2, 3)),
        ("SELECT COUNT(*), COUNT(*) FROM TAP_UPLOAD.u WHERE x > 5", (1, 1)),
        # Infinity is a value; what it makes with itself is none.
        ("SELECT COUNT(x - y), COUNT(x / y) FROM TAP_UPLOAD.u", (0, 0)),
        ("SELECT COUNT(*), SUM(y) FROM TAP_UPLOAD.u WHERE x - y > 0", (0, None)),
        ("SELECT COUNT(*), AVG(y) FROM TAP_UPLOAD.u", (4, None)),
        ("SELECT COUNT(CAST('NaN' AS DOUBLE)), COUNT(*) FROM TAP_UPLOAD.u", (0, 4)),
    ],
)
def test_nan_of_uploads_and_of_arithmetic_is_null(
    engine: Engine, catalogue: Catalogue, text: str, expected: tuple[Any, ...]
) -> None:
    assert ask(engine, catalogue, text) == [expected]


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, 0.0, 90.0, 200.0])
def test_a_radius_from_a_column_is_a_radius_or_none(
    engine: Engine, catalogue: Catalogue, value: float
) -> None:
    """A circle is as a literal's would be; a radius below 0 or beyond all numbers is none (a literal is refused)."""
    upload = Upload("r", (ReleaseColumn("r", "double"),), pa.table({"r": [value]}))
    text = "SELECT AREA(CIRCLE(0, 0, r)), CONTAINS(POINT(0, 80), CIRCLE(0, 0, r)) FROM TAP_UPLOAD.r"
    query: Query = translate(text, catalogue, engine.dialect, uploads={"r": upload})  # type: ignore[arg-type]
    with engine.execute(query, uploads={"r": upload}) as batches:
        ((area, inside),) = [tuple(c[0].as_py() for c in b.columns) for b in batches if b.num_rows]
    if not 0 <= value < math.inf:
        assert area is None and not inside
    else:
        true = 2 * math.pi * (1 - math.cos(math.radians(min(value, 180)))) * math.degrees(1) ** 2
        assert area == pytest.approx(true)
        assert inside == (value >= 80)


def test_a_column_may_have_any_name(engine: Engine, catalogue: Catalogue) -> None:
    """Names of PostgreSQL's system columns, and names that agree in its 63 bytes."""
    long = "a" * 70
    names = ["xmin", "CTID", "tableoid", f"{long}1", f"{long}2", "ü" * 40]
    upload = Upload(
        "n", tuple(ReleaseColumn(name, "int") for name in names),
        pa.table({name: pa.array([i], pa.int32()) for i, name in enumerate(names)}),
    )  # fmt: skip
    quoted = ", ".join(f'"{name}"' for name in names)
    for text in (
        "SELECT * FROM TAP_UPLOAD.n",
        f"SELECT {quoted} FROM (SELECT {quoted} FROM TAP_UPLOAD.n) AS q",
    ):
        query: Query = translate(text, catalogue, engine.dialect, uploads={"n": upload})  # type: ignore[arg-type]
        assert [c.name for c in query.columns] == names
        with engine.execute(query, uploads={"n": upload}) as batches:
            assert [tuple(c[0].as_py() for c in b.columns) for b in batches if b.num_rows] == [
                tuple(range(6))
            ]
    engine.save("ada", "odd", upload.columns, iter(upload.rows.to_batches()))
    engine.drop("ada", "odd")


def test_nan_in_a_table_of_a_user_is_null(engine: Engine) -> None:
    engine.save("ada", "mine", UPLOAD.columns, iter(UPLOAD.rows.to_batches()))
    engine.save("ada", "mine", UPLOAD.columns, iter(UPLOAD.rows.to_batches()), append=True)
    where = '"mydb_ada"."mine"'
    query = Query(
        f"SELECT count(x), count(y) FROM {where}",
        (),
        (ReleaseColumn("a", "long"), ReleaseColumn("b", "long")),
        frozenset(),
    )
    with engine.execute(query, owner="ada") as batches:
        assert [tuple(c[0].as_py() for c in b.columns) for b in batches] == [(4, 6)]
    engine.drop("ada", "mine")
