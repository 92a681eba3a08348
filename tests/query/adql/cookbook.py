"""Queries as clients and cookbooks send them (TOPCAT, pyvo, taplint, ObsCore), with answers computed from the rows."""

# ruff: noqa: E501  (a query stands on one line)

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from tests.query.adql.conftest import Expected, Row, separation
from tests.query.adql.corpus import T, _count, _matches, _near, _pairs, _polygon, _top, _values, _where

__all__ = ["COOKBOOK"]

RA0 = [(359.0, -3.0), (1.0, -3.0), (1.0, 3.0), (359.0, 3.0)]
SOUTH = [(0.0, -60.0), (90.0, -60.0), (180.0, -60.0), (270.0, -60.0)]
FIELD = [(29.0, -6.0), (31.0, -6.0), (31.0, -4.0), (29.0, -4.0)]
CASE = "CASE WHEN mag_g IS NULL THEN 'none' WHEN mag_g < 22 THEN 'bright' ELSE 'faint' END"


def _is(*answer: tuple[Any, ...]) -> Expected:
    return lambda rows: list(answer)


def _far(ra: float, dec: float, radius: float) -> Expected:
    return lambda rows: [(r["id"],) for r in rows if separation(r["ra"], r["dec"], ra, dec) > radius]


def _tens(rows: list[Row]) -> list[tuple[float, int]]:
    found = Counter(float(math.floor(r["ra"] / 10) * 10) for r in rows)
    return sorted((k, n) for k, n in found.items() if n > 20)


def _kinds(rows: list[Row]) -> list[tuple[str, int]]:
    return list(
        Counter(
            "none" if r["mag_g"] is None else "bright" if r["mag_g"] < 22 else "faint" for r in rows
        ).items()
    )


def _triples(rows: list[Row]) -> list[tuple[int, int, int]]:
    pairs = _pairs(rows, 0.02)
    return [
        (i, j, n)
        for n, i in _matches(rows, 0.02)
        for a, b in pairs
        for j in (({a, b} - {i}) if i in (a, b) else ())
    ]


def _twice(rows: list[Row]) -> list[tuple[int | None, ...]]:
    near = _matches(rows, 0.01)
    found: list[tuple[int | None, ...]] = []
    for n in range(8):
        ids = [i for k, i in near if k == n]
        found += [(n, i, j) for i in ids for j in ids] if ids else [(n, None, None)]
    return found


def _brightest(rows: list[Row]) -> list[tuple[Any, ...]]:
    return [
        (min((r for r in rows if r["flag"] == f and r["mag_r"] is not None), key=lambda r: r["mag_r"])["id"],)
        for f in range(8)
    ]


def _about(number: int, radius: float, shift: float = 0.0) -> Expected:
    return lambda rows: _near(rows[number]["ra"] + shift, rows[number]["dec"], radius)(rows)


NAMES: list[tuple[str, Expected]] = [
    (f"SELECT COUNT(*) AS nrow FROM {T} WHERE CONTAINS(POINT('ICRS',{T}.ra,{T}.dec), CIRCLE('ICRS',30,-5,0.2))=1",
     lambda rows: [(len(_near(30, -5, 0.2)(rows)),)]),
    (f"SELECT T1.objects.id FROM {T} WHERE T1.objects.flag = 3", _where(lambda r: r["flag"] == 3, "id")),
    ('SELECT "T1"."objects"."id" FROM "T1"."objects" WHERE T1.OBJECTS.FLAG = 3', _where(lambda r: r["flag"] == 3, "id")),
    (f"SELECT objects.id FROM {T} WHERE t1.OBJECTS.FLAG = 4", _where(lambda r: r["flag"] == 4, "id")),
    (f'SELECT TOP 10 id AS "Id", ra AS "RA J2000" FROM {T} ORDER BY "RA J2000", "Id"',
     lambda rows: [(r["id"], r["ra"]) for r in sorted(rows, key=lambda r: (r["ra"], r["id"]))[:10]]),
    (f"SELECT id AS flag, flag AS id FROM {T} WHERE id = 10000000003", lambda rows: [(rows[1]["id"], rows[1]["flag"])]),
    (f"SELECT TOP 4 -ra AS ra FROM {T} ORDER BY ra", lambda rows: [(v,) for v in sorted(-r["ra"] for r in rows)[:4]]),
    ("SELECT level, \"Rank\" FROM ivoa.notes WHERE rank > 10 AND Rank < 40 ORDER BY RANK", _is((2, 20), (3, 30))),
    ("SELECT n.\"Rank\" AS \"select\" FROM ivoa.notes AS n WHERE n.\"Rank\" = 10", _is((10,))),
    ('SELECT "name" AS "a b""c", level AS size FROM ivoa.notes WHERE "Rank" = 10', _is(("a", 1))),
    (f"SELECT id AS distance, ra AS point, dec area FROM {T} WHERE id=10000000003",
     lambda rows: [(rows[1]["id"], rows[1]["ra"], rows[1]["dec"])]),
    (f"SELECT count FROM (SELECT COUNT(*) FROM {T}) AS q", lambda rows: [(len(rows),)]),
    ("SeLeCt tOp 2 ID fRoM t1.ObJeCtS wHeRe FLAG iS nOt NuLl oRdEr bY iD aSc", lambda rows: [(r["id"],) for r in rows[:2]]),
    (f"--first\nSELECT--x\nCOUNT(*)--y\nFROM--z 'quote\n{T}--end", lambda rows: [(len(rows),)]),
    (f"SELECT COUNT(*) FROM {T};; -- done", lambda rows: [(len(rows),)]),
    ("SELECT 1, 'a' AS b", _is((1, "a"))),
]  # fmt: skip

GROUPS: list[tuple[str, Expected]] = [
    (f"SELECT flag, COUNT(*) AS n FROM {T} GROUP BY 1 ORDER BY n DESC, flag",
     lambda rows: sorted(Counter(r["flag"] for r in rows).items(), key=lambda p: (-p[1], p[0]))),
    (f"SELECT MOD(flag, 2) AS m, COUNT(*) AS c FROM {T} GROUP BY MOD(flag, 2) ORDER BY m",
     lambda rows: sorted(Counter(r["flag"] % 2 for r in rows).items())),
    (f"SELECT FLOOR(ra/10)*10 AS bin, COUNT(*) AS n FROM {T} GROUP BY bin HAVING COUNT(*)>20 ORDER BY bin", _tens),
    (f"SELECT FLOOR(ra/10)*10 AS bin, COUNT(*) AS n FROM {T} GROUP BY bin HAVING n>20 ORDER BY bin", _tens),
    (f"SELECT COUNT(*), SUM(flag), AVG(flag), MIN(ra), MAX(name) FROM {T} WHERE id < 0", _is((0, None, None, None, None))),
    (f"SELECT flag, COUNT(*) FROM {T} WHERE id < 0 GROUP BY flag", _is()),
    (f"SELECT COUNT(DISTINCT mag_r), COUNT(DISTINCT name) FROM {T}",
     lambda rows: [(len(set(_values(rows, "mag_r"))), len(set(_values(rows, "name"))))]),
    (f"SELECT COUNT(DISTINCT flag*10+nexp) FROM {T}",
     lambda rows: [(len({r["flag"] * 10 + r["nexp"] for r in rows if r["nexp"] is not None}),)]),
    (f"SELECT MAX(ra) FROM {T} HAVING MAX(ra) > 1", lambda rows: [(max(_values(rows, "ra")),)]),
    (f"SELECT 'yes' FROM {T} HAVING COUNT(*) > 5", _is(("yes",))),
    (f"SELECT {CASE} AS c, COUNT(*) FROM {T} GROUP BY {CASE}", _kinds),
    (f"SELECT {CASE} AS c, COUNT(*) FROM {T} GROUP BY c", _kinds),
    (f"SELECT MAX(c) FROM (SELECT COUNT(*) AS c FROM {T} GROUP BY flag) AS q",
     lambda rows: [(max(Counter(r["flag"] for r in rows).values()),)]),
    (f"SELECT f, COUNT(*) FROM (SELECT flag AS f FROM {T}) GROUP BY f", lambda rows: list(Counter(r["flag"] for r in rows).items())),
    (f"SELECT DISTINCT TOP 3 flag FROM {T} ORDER BY flag", _is((0,), (1,), (2,))),
    (f"SELECT mag_g FROM {T} WHERE id<10000000040 ORDER BY mag_g DESC",
     lambda rows: [(v,) for v in sorted(_values(rows[:14], "mag_g"), reverse=True)] + [(None,)] * (14 - len(_values(rows[:14], "mag_g")))),
    (f"SELECT nexp FROM {T} WHERE id<10000000040 ORDER BY nexp",
     lambda rows: [(v,) for v in sorted(_values(rows[:14], "nexp"))] + [(None,)] * (14 - len(_values(rows[:14], "nexp")))),
    (f"SELECT COUNT(*) FROM {T} WHERE mag_g NOT IN (20, 21) AND mag_g = mag_g", lambda rows: [(len(_values(rows, "mag_g")),)]),
    (f"SELECT id FROM {T} ORDER BY id OFFSET 5000", _is()),
    (f"SELECT COUNT(*) FROM {T} WHERE id IN ({', '.join(str(10**10 + i) for i in range(5000))})",
     _count(lambda r: r["id"] < 10**10 + 5000)),
]  # fmt: skip

QUERIES_WITHIN: list[tuple[str, Expected]] = [
    (f"SELECT id FROM {T} WHERE flag=1 AND nexp=1 UNION ALL SELECT id FROM {T} WHERE flag=1 AND nexp=1 ORDER BY id",
     lambda rows: [(r["id"],) for r in rows if r["flag"] == 1 and r["nexp"] == 1 for _ in "ab"]),
    (f"SELECT flag FROM {T} INTERSECT ALL SELECT n FROM TAP_UPLOAD.u", _is(*((n,) for n in range(8)))),
    (f"SELECT n FROM TAP_UPLOAD.u EXCEPT ALL SELECT flag FROM {T}", _is()),
    (f"SELECT ra FROM {T} WHERE id=10000000003 UNION SELECT flag FROM {T} WHERE flag=1", lambda rows: [(rows[1]["ra"],), (1.0,)]),
    (f"SELECT NULL AS x FROM {T} WHERE id=10000000003 UNION SELECT flag FROM {T} WHERE flag=1", _is((None,), (1,))),
    (f"WITH b AS (SELECT * FROM {T} WHERE flag=1) SELECT x.id FROM b AS x JOIN b AS y ON x.id=y.id WHERE x.nexp=1",
     _where(lambda r: r["flag"] == 1 and r["nexp"] == 1, "id")),
    (f"WITH objects AS (SELECT flag FROM {T} WHERE flag=5) SELECT COUNT(*) FROM objects", _count(lambda r: r["flag"] == 5)),
    (f"SELECT a.id FROM {T} a WHERE a.mag_r = (SELECT MIN(b.mag_r) FROM {T} b WHERE b.flag=a.flag)", _brightest),
    (f"SELECT a.flag, (SELECT COUNT(*) FROM TAP_UPLOAD.u x WHERE x.n <= a.flag) AS k FROM {T} a WHERE a.nexp=3",
     lambda rows: [(r["flag"], r["flag"] + 1) for r in rows if r["nexp"] == 3]),
    (f"SELECT TOP 3 q.id FROM (SELECT TOP 10 id FROM {T} ORDER BY id) AS q ORDER BY q.id DESC",
     lambda rows: [(r["id"],) for r in rows[9:6:-1]]),
]  # fmt: skip

VALUES: list[tuple[str, Expected]] = [
    (f"SELECT name || '-' || flag FROM {T} WHERE id=10000000003", lambda rows: [(f"{rows[1]['name']}-{rows[1]['flag']}",)]),
    (f"SELECT UPPER(name), LOWER(name) FROM {T} WHERE name = 'DES J000003 Ä'", _is(("DES J000003 Ä", "des j000003 ä"))),
    (_top("'ß' || '日本' || '😀', UPPER('é')"), _is(("ß日本😀", "É"))),
    (f"SELECT COUNT(*) FROM {T} WHERE name ILIKE '%ä'", _count(lambda r: (r["name"] or "").endswith("Ä"))),
    (_top("MOD(-7, 3), MOD(7, -3), MOD(-7.5, 2), MOD(5.5, -2)"), _is((-1, 1, -1.5, 1.5))),
    (_top("ROUND(-1234.567, -2), ROUND(1250, -2), ROUND(2.5), ROUND(-2.5), ROUND(0.125, 2)"), _is((-1200.0, 1300.0, 3.0, -3.0, 0.13))),
    (_top("TRUNCATE(-1299.9, -2), TRUNCATE(1.999, 1)"), _is((-1200.0, 1.9))),
    (_top("POWER(-2, 3), POWER(4, 0.5), POWER(-2, -1), POWER(0, 0), EXP(NULL)"), _is((-8.0, 2.0, -0.5, 1.0, None))),
    (_top("0x1F, 0Xff, 0xFFFFFFFF & 0xF0"), _is((31, 255, 240))),
    (_top("1E3, 1.5e-3, 1.E2, .5E+1, 5."), _is((1000.0, 0.0015, 100.0, 5.0, 5.0))),
    (_top("CAST(' 12 ' AS INTEGER), CAST('1e3' AS DOUBLE), CAST('-1.5' AS BIGINT), CAST('7' AS SMALLINT)"), _is((12, 1000.0, -2, 7))),
    (_top("CAST(1.5 AS VARCHAR), CAST(2.0 AS VARCHAR), CAST(1e20 AS VARCHAR), 2.0 || 'x'"), _is(("1.5", "2.0", "1e+20", "2.0x"))),
    ("SELECT \"when\" || 'Z' FROM ivoa.notes WHERE name = 'b'", _is(("2026-11-22T00:00:00.000Z",))),
    ("SELECT MIN(\"when\"), MAX(\"when\") FROM ivoa.notes", _is(("1999-12-31T23:59:59.000", "2026-11-22T00:00:00.000"))),
    (f"SELECT COUNT(*) FROM {T} WHERE COALESCE(RAND(5), 2) <= 1", lambda rows: [(len(rows),)]),
]  # fmt: skip

SKY: list[tuple[str, Expected]] = [
    (f"SELECT id FROM {T} WHERE DISTANCE(ra,dec,30,-5)*3600 < 600", _near(30, -5, 600 / 3600)),
    (f"SELECT id FROM {T} WHERE NOT CONTAINS(POINT(ra,dec), CIRCLE(30,-5,100))=1", _far(30, -5, 100)),
    (f"SELECT id FROM {T} WHERE CONTAINS(POINT(ra,dec), CIRCLE(30,-5,100))<>1", _far(30, -5, 100)),
    (f"SELECT id FROM {T} WHERE CONTAINS(POINT(ra,dec), CIRCLE(30,-5,0.6))>0", _near(30, -5, 0.6)),
    (f"SELECT id FROM {T} WHERE 1=CONTAINS(POINT(ra,dec), CIRCLE(30,-5,.1)) OR 1=CONTAINS(POINT(ra,dec), CIRCLE(0,90,5))",
     lambda rows: [*_near(30, -5, 0.1)(rows), *_near(0, 90, 5)(rows)]),
    (f"SELECT id FROM {T} WHERE CONTAINS(POINT(ra,dec), CIRCLE(-10,10,20))=1", _near(350, 10, 20)),
    (f"SELECT id FROM {T} WHERE CONTAINS(POINT(ra-360,dec), CIRCLE(370,10,20))=1", _near(10, 10, 20)),
    (f"SELECT COUNT(*) FROM {T} WHERE CONTAINS(POINT(ra,dec), CIRCLE(10,10,270))=1", lambda rows: [(len(rows),)]),
    (f"SELECT id FROM {T} WHERE 1=CONTAINS(POINT(ra,dec), POLYGON('ICRS', 359,-3, 361,-3, 361,3, 359,3))", _polygon(RA0)),
    (f"SELECT id FROM {T} WHERE 1=CONTAINS(POINT(ra,dec), POLYGON(-1,-3, 1,-3, 1,3, -1,3, -1,-3))", _polygon(RA0)),
    (f"SELECT id FROM {T} WHERE 1=CONTAINS(POINT(ra,dec), POLYGON(0,-60,90,-60,180,-60,270,-60))", _polygon(SOUTH)),
    (f"SELECT id FROM {T} WHERE 1=CONTAINS(POINT(ra,dec), REGION('Polygon ICRS 29 -6 31 -6 31.0 -4. 29 -4e0'))", _polygon(FIELD)),
    (_top("DISTANCE(0,90,100,90), DISTANCE(0,0,180,0), DISTANCE(359.5,0,0.5,0), DISTANCE(10,10,10,10)"), _is((0.0, 180.0, 1.0, 0.0))),
    (_top("COORDSYS(CIRCLE(1,2,3)), COORD1(CENTROID(BOX(10,20,1,1))), CENTROID(POLYGON(359,-1,1,-1,1,1,359,1))"),
     _is(("ICRS", 10.0, [0.0, 0.0]))),
    (_top("CONTAINS(BOX(0,0,1,1), BOX(0,0,2,2)), CONTAINS(CIRCLE(0,0,.1), POLYGON(-1,-1,1,-1,1,1,-1,1)), CONTAINS(CIRCLE(0,0,3), BOX(0,0,2,2))"),
     _is((1, 1, 0))),
    (_top("INTERSECTS(POINT(0,0), BOX(0,0,1,1)), INTERSECTS(BOX(0,0,1,1), BOX(1.05,0,1.2,1)), INTERSECTS(BOX(0,0,1,1), CIRCLE(3,0,1))"),
     _is((1, 1, 0))),
    (f"SELECT COORD1(q.p), COORD2(q.p) FROM (SELECT POINT(ra,dec) AS p FROM {T} WHERE id=10000000045) q",
     lambda rows: [(rows[15]["ra"], rows[15]["dec"])]),
    (f"WITH q AS (SELECT id, POINT(ra,dec) AS p FROM {T}) SELECT id FROM q WHERE DISTANCE(p, POINT(30,-5)) < .2", _near(30, -5, 0.2)),
    (f"SELECT o.id FROM {T} o, {T} c WHERE c.id=10000004500 AND 1=CONTAINS(POINT(o.ra,o.dec),CIRCLE(c.ra,c.dec,.2))", _about(1500, 0.2)),
    (f"SELECT o.id FROM {T} o WHERE 1=CONTAINS(POINT(o.ra,o.dec), CIRCLE((SELECT x.ra FROM TAP_UPLOAD.u x WHERE x.n=4), "
     "(SELECT x.dec FROM TAP_UPLOAD.u x WHERE x.n=4), 0.2))", _about(1500, 0.2, 0.0002)),
    (f"SELECT u.n FROM TAP_UPLOAD.u u LEFT JOIN {T} o ON DISTANCE(u.ra,u.dec,o.ra,o.dec)<0.01 WHERE o.id IS NULL", _is((7,))),
    (f"SELECT u.n FROM TAP_UPLOAD.u u WHERE NOT EXISTS (SELECT 1 FROM {T} o WHERE DISTANCE(u.ra,u.dec,o.ra,o.dec)<0.01)", _is((7,))),
    (f"SELECT u.n, (SELECT COUNT(*) FROM {T} o WHERE 1=CONTAINS(POINT(o.ra,o.dec),CIRCLE(u.ra,u.dec,0.1))) AS k FROM TAP_UPLOAD.u u",
     lambda rows: [(n, sum(m == n for m, _ in _matches(rows, 0.1))) for n in range(8)]),
    (f"SELECT a.id, b.id FROM {T} a, {T} b WHERE a.id < b.id AND 1=CONTAINS(POINT(a.ra,a.dec),CIRCLE(b.ra,b.dec,0.02))",
     lambda rows: _pairs(rows, 0.02)),
    (f"SELECT u.n, o.id FROM TAP_UPLOAD.u u CROSS JOIN {T} o WHERE DISTANCE(u.ra,u.dec,o.ra,o.dec)<0.01", lambda rows: _matches(rows, 0.01)),
    (f"SELECT u.n, o.id FROM TAP_UPLOAD.u u FULL JOIN {T} o ON DISTANCE(u.ra,u.dec,o.ra,o.dec)<0.01 WHERE u.n IS NOT NULL",
     lambda rows: [*_matches(rows, 0.01), (7, None)]),
    (f"SELECT a.id, b.id, u.n FROM TAP_UPLOAD.u u JOIN {T} a ON DISTANCE(a.ra,a.dec,u.ra,u.dec)<.02 "
     f"JOIN {T} b ON DISTANCE(a.ra,a.dec,b.ra,b.dec)<.02 AND a.id<>b.id", _triples),
    (f"SELECT a.id, b.id, u.n FROM {T} a, {T} b, TAP_UPLOAD.u u WHERE DISTANCE(a.ra,a.dec,b.ra,b.dec)<.02 AND a.id<>b.id "
     "AND DISTANCE(a.ra,a.dec,u.ra,u.dec)<.02", _triples),
    (f"SELECT u.n, a.id, b.id FROM TAP_UPLOAD.u u LEFT JOIN {T} a ON DISTANCE(u.ra,u.dec,a.ra,a.dec)<.01 "
     f"LEFT JOIN {T} b ON DISTANCE(u.ra,u.dec,b.ra,b.dec)<.01", _twice),
    (f"SELECT u.n, a.id, b.id FROM {T} b RIGHT JOIN (TAP_UPLOAD.u u LEFT JOIN {T} a ON DISTANCE(u.ra,u.dec,a.ra,a.dec)<.01) "
     "ON DISTANCE(u.ra,u.dec,b.ra,b.dec)<.01", _twice),
]  # fmt: skip

REGIONS: list[tuple[str, Expected]] = [
    ("SELECT name FROM ivoa.notes WHERE INTERSECTS(area, CIRCLE('ICRS', 10, 20, 0.1)) = 1", _is(("b",))),
    ("SELECT name FROM ivoa.notes WHERE NOT CONTAINS(POINT(30, -5), area) = 1", _is(("b",), (None,))),
    ("SELECT name FROM ivoa.notes WHERE 1=INTERSECTS(area, POLYGON(29.5,-5.5,30.5,-5.5,30.5,-4.5))", _is(("a",))),
    ("SELECT name FROM ivoa.notes WHERE 1=INTERSECTS(area, POLYGON(20,-10,40,-10,40,10,20,10))", _is(("a",))),
    ("SELECT name FROM ivoa.notes WHERE 1=INTERSECTS(BOX('ICRS',10.8,20,1,5), area)", _is(("b",))),
    ("SELECT name FROM ivoa.notes WHERE 1=INTERSECTS(area, BOX(30,-5,10,0.1))", _is(("a",))),
    ("SELECT name FROM ivoa.notes WHERE 1=CONTAINS(area, CIRCLE(30,-5,5))", _is(("a",))),
    ("SELECT name FROM ivoa.notes WHERE 1=CONTAINS(area, CIRCLE(10,20,0.6))", _is(("b",))),
    ("SELECT name FROM ivoa.notes WHERE 1=CONTAINS(area, CIRCLE(10,20,0.4))", _is()),
    ("SELECT name FROM ivoa.notes WHERE 1=CONTAINS(CIRCLE(30,-5,0.5), area)", _is(("a",))),
    ("SELECT name FROM ivoa.notes WHERE 1=CONTAINS(CIRCLE(30,-5,1.5), area)", _is()),
    ("SELECT name FROM ivoa.notes WHERE 1=CONTAINS(area, POLYGON(20,-10,40,-10,40,10,20,10))", _is(("a",))),
    ("SELECT name FROM ivoa.notes WHERE 1=CONTAINS(POLYGON(29.5,-5.5,30.5,-5.5,30.5,-4.5), area)", _is(("a",))),
    (f"SELECT o.id FROM {T} o JOIN ivoa.notes n ON 1=CONTAINS(POINT(o.ra,o.dec), n.area) WHERE n.name='a'", _polygon(FIELD)),
    ("SELECT COUNT(area) FROM ivoa.notes WHERE area LIKE 'POLYGON%'", _is((2,))),
    ("SELECT q.k FROM (SELECT POLYGON(29,-6,31,-6,31,-4,29,-4) AS p, n AS k FROM TAP_UPLOAD.u) AS q "
     "WHERE 1=CONTAINS(POINT(30,-5), q.p) AND 1=INTERSECTS(q.p, BOX(30,-5,9,9)) AND q.k=3", _is((3,))),
    (f"SELECT o.id FROM {T} o, (SELECT CIRCLE(30,-5,.2) AS c FROM TAP_UPLOAD.u WHERE n=1) AS q WHERE 1=CONTAINS(POINT(o.ra,o.dec), q.c)",
     _near(30, -5, 0.2)),
]  # fmt: skip

#: Every fourth row from the 15th to the 100th lies in a cell of the footprint of F1.
MAPPED = range(14, 100, 4)
DEPTHS: list[tuple[str, Expected]] = [
    (f"SELECT id, desdm_depth('F1', 'g', ra, dec), desdm_nexp('F1', 'g', ra, dec), desdm_fraction('F1', 'g', ra, dec) FROM {T} "
     "WHERE id < 10000000300 AND 1 = desdm_in_footprint('F1', 'g', ra, dec)",
     lambda rows: [(rows[i]["id"], 23.5 + k / 8, k, 0.5) for k, i in enumerate(MAPPED)]),
    (f"SELECT COUNT(*) FROM {T} WHERE id < 10000000300 AND desdm_depth('F1', 'g', ra, dec) IS NULL", _is((100 - len(MAPPED),))),
    (f"SELECT SUM(desdm_in_footprint('F1', 'r', POINT(ra, dec))) FROM {T}", _is((0,))),
    ("SELECT COUNT(*) FROM F1.footprint WHERE ivo_healpix_index(12, ivo_healpix_center(12, hpix)) = hpix", _is((len(MAPPED),))),
]  # fmt: skip

COOKBOOK = [*NAMES, *GROUPS, *QUERIES_WITHIN, *VALUES, *SKY, *REGIONS, *DEPTHS]
