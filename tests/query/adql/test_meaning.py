"""What a translated query says of itself: columns, tables, TOP; and that geometry holds anywhere on the sky."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desdm.query.catalogue import Catalogue, Entry, Visible, own_entry
from tests.query.adql.conftest import NOTES, Bench, Row, separation

T = "T1.objects"


def test_columns_carry_unit_ucd_and_text_through_names_and_sums(duck: Bench) -> None:
    query = duck.query(
        f"SELECT ra AS alpha, mag_g - mag_r AS colour, MAX(dec) AS highest, COUNT(*) AS n, IN_UNIT(ra, 'rad') AS r, name FROM {T} "  # noqa: E501
        "GROUP BY ra, mag_g, mag_r, name"
    )
    told = [(c.name, c.datatype, c.unit, c.ucd) for c in query.columns]
    assert told == [
        ("alpha", "double", "deg", "pos.eq.ra;meta.main"), ("colour", "float", "mag", ""),
        ("highest", "double", "deg", "pos.eq.dec;meta.main"), ("n", "long", "", "meta.number"),
        ("r", "double", "rad", "pos.eq.ra;meta.main"), ("name", "unicodeChar", "", "meta.id"),
    ]  # fmt: skip
    assert query.columns[0].text == "right ascension (ICRS)"
    assert query.tables == {("T1", "objects")}


def test_geometry_and_times_go_out_as_dali_writes_them(duck: Bench) -> None:
    query = duck.query(
        'SELECT POINT(1, 2) AS p, CIRCLE(1, 2, 3) AS c, BOX(0, 0, 1, 1) AS b, "when" FROM ivoa.notes'
    )
    assert [(c.datatype, c.arraysize, c.xtype) for c in query.columns] == [
        ("double", "2", "point"), ("double", "3", "circle"), ("double", "*", "polygon"), ("char", "*", "timestamp"),
    ]  # fmt: skip


def test_text_beyond_ascii_is_told_as_such(duck: Bench) -> None:
    query = duck.query(
        f"SELECT UPPER(name) AS a, name || 'x' AS b, 'é' AS c, 'e' AS d, LOWER('E') AS e FROM {T}"
    )
    assert [c.datatype for c in query.columns] == [
        "unicodeChar",
        "unicodeChar",
        "unicodeChar",
        "char",
        "char",
    ]


def test_the_schema_of_the_rows_is_the_one_that_was_told(bench: Bench) -> None:
    wanted = {"short": "int16", "int": "int32", "long": "int64", "float": "float", "double": "double", "boolean": "bool",
              "unicodeChar": "string", "char": "string"}  # fmt: skip
    query = bench.query(
        f"SELECT o.*, SUM(flag) AS a, AVG(mag_g) AS b, COUNT(*) AS c, 1 AS d, nexp + 1 AS e, flag / 2 AS f, mag_g * 2 AS g FROM {T} AS o "  # noqa: E501
        "GROUP BY id, ra, dec, mag_g, mag_r, nexp, flag, good, name, hpix29"
    )
    with bench.engine.execute(query) as batches:
        schema = next(iter(batches)).schema
    assert schema.names == [c.name for c in query.columns]
    assert [str(t) for t in schema.types] == [wanted[c.datatype] for c in query.columns]


def test_names_that_come_twice_are_told_apart(duck: Bench) -> None:
    query = duck.query(
        f"SELECT a.id, b.id, a.ra AS ID, COUNT(*), COUNT(*), 1+1 FROM {T} a JOIN {T} b USING (flag) GROUP BY a.id, b.id, a.ra"  # noqa: E501
    )
    assert [c.name for c in query.columns] == ["id", "id_2", "ID_3", "count", "count_2", "col6"]


def test_one_row_more_than_maxrec_is_asked_for_and_top_is_told(bench: Bench) -> None:
    assert len(bench.ask(f"SELECT id FROM {T}", maxrec=10)) == 11
    assert len(bench.ask(f"SELECT TOP 10 id FROM {T}", maxrec=10)) == 10
    assert len(bench.ask(f"SELECT TOP 20 id FROM {T}", maxrec=10)) == 11
    assert len(bench.ask(f"SELECT id FROM {T} UNION SELECT id FROM {T}", maxrec=10)) == 11
    assert bench.query(f"SELECT TOP 20 id FROM {T}").top == 20
    assert bench.query(f"SELECT id FROM {T}").top is None


def test_rows_of_what_one_may_not_see_stay_away(bench: Bench) -> None:
    shown = Catalogue(
        [Entry("ivoa", "notes", NOTES, ("ivoa", "notes"), row_filter=("name", frozenset({"a", "c"})))]
    )
    limited = Bench(bench.engine, shown, bench.upload)
    assert limited.ask("SELECT name FROM ivoa.notes ORDER BY name") == [("a",), ("c",)]
    assert limited.ask("SELECT COUNT(*) FROM ivoa.notes n1 JOIN ivoa.notes n2 ON n1.name = n2.name") == [(2,)]
    nothing = Catalogue([Entry("ivoa", "notes", NOTES, ("ivoa", "notes"), row_filter=("name", frozenset()))])
    assert Bench(bench.engine, nothing, bench.upload).ask("SELECT COUNT(*) FROM ivoa.notes") == [(0,)]


def test_the_services_own_tables_are_filtered_by_what_is_visible() -> None:
    from desdm.release.model import ReleaseColumn

    columns = (ReleaseColumn("table_name", "char", "*"), ReleaseColumn("schema_name", "char", "*"))
    entry = own_entry("tap_schema", "tables", columns, Visible(frozenset({"T1.objects"}), frozenset()))
    assert entry.row_filter == ("table_name", frozenset({"T1.objects"}))
    assert own_entry("tap_schema", "tables", columns, None).row_filter is None


@settings(max_examples=60)
@given(
    st.floats(0, 360), st.floats(-90, 90),
    st.one_of(st.floats(0, 1), st.floats(0, 180), st.sampled_from([0.0, 90.0, 180.0])),
)  # fmt: skip
def test_cones_anywhere_hold_what_is_near(
    duck: Bench, rows: list[Row], ra: float, dec: float, radius: float
) -> None:
    apart = separation([r["ra"] for r in rows], [r["dec"] for r in rows], ra, dec)
    # What lies on the border to the last bit may fall to either side.
    sure = {r["id"] for r, d in zip(rows, apart, strict=True) if d < radius - 1e-7}
    possible = {r["id"] for r, d in zip(rows, apart, strict=True) if d <= radius + 1e-7}
    found = {
        i
        for (i,) in duck.ask(
            f"SELECT id FROM {T} WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE({ra!r}, {dec!r}, {radius!r}))"
        )
    }
    assert sure <= found <= possible


@settings(max_examples=15)
@given(st.floats(0, 360), st.floats(-88, 88), st.floats(0.5, 30), st.integers(3, 7))
def test_polygons_about_a_place_hold_what_all_their_sides_hold(
    duck: Bench, rows: list[Row], ra: float, dec: float, size: float, corners: int
) -> None:
    centre = np.radians([ra, dec])
    c = np.array(
        [np.cos(centre[1]) * np.cos(centre[0]), np.cos(centre[1]) * np.sin(centre[0]), np.sin(centre[1])]
    )
    east = np.array([-np.sin(centre[0]), np.cos(centre[0]), 0])
    north = np.cross(c, east)
    turns = 2 * np.pi * np.arange(corners) / corners + 0.1
    shape = [
        c * np.cos(np.radians(size)) + np.sin(np.radians(size)) * (np.cos(t) * east + np.sin(t) * north)
        for t in turns
    ]
    places = [(np.degrees(np.arctan2(v[1], v[0])) % 360, np.degrees(np.arcsin(v[2]))) for v in shape]
    a, d = np.radians([r["ra"] for r in rows]), np.radians([r["dec"] for r in rows])
    points = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=1)
    sides = np.array([points @ np.cross(u, v) for u, v in zip(shape, [*shape[1:], shape[0]], strict=True)])
    text = ", ".join(f"{p[0]!r}, {p[1]!r}" for p in ((float(x), float(y)) for x, y in places))
    found = {i for (i,) in duck.ask(f"SELECT id FROM {T} WHERE 1=CONTAINS(POINT(ra, dec), POLYGON({text}))")}
    sure = {r["id"] for r, s in zip(rows, sides.T, strict=True) if (s > 1e-9).all()}
    possible = {r["id"] for r, s in zip(rows, sides.T, strict=True) if (s > -1e-9).all()}
    assert sure <= found <= possible


@pytest.mark.parametrize("order", [0, 3, 12, 29])
def test_healpix_cells_are_those_of_another_library(bench: Bench, rows: list[Row], order: int) -> None:
    from astropy import units
    from astropy_healpix import HEALPix

    grid = HEALPix(2**order, order="nested")
    wanted = grid.lonlat_to_healpix([r["ra"] for r in rows] * units.deg, [r["dec"] for r in rows] * units.deg)
    found = bench.ask(
        f"SELECT id, ivo_healpix_index({order}, ra, dec), ivo_healpix_index({order}, POINT(ra + 0, dec)) FROM {T} ORDER BY id"  # noqa: E501
    )
    assert [f[1] for f in found] == list(wanted)
    # The first rows lie on borders of cells, where rounding may fall to either side.
    assert all(f[2] == w for f, w in list(zip(found, wanted, strict=True))[14:])
    cells = sorted({f[1] for f in found})[:5]
    for cell in cells:
        ra, dec = grid.healpix_to_lonlat(cell)
        place = bench.ask(f"SELECT TOP 1 ivo_healpix_center({order}, {cell}) FROM {T}")[0][0]
        assert separation(place[0], place[1], ra.deg, dec.deg) < 1e-9
