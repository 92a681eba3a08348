"""Queries with their answers, computed from the rows in Python: no engine and no translator has a part in them."""

# ruff: noqa: E501  (a query stands on one line)

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from typing import Any

import numpy as np

from tests.query.adql.conftest import Expected, Row, separation

__all__ = ["QUERIES"]

T = "T1.objects"


def _where(test: Any, *names: str) -> Expected:
    return lambda rows: [tuple(r[n] for n in names) for r in rows if test(r)]


def _near(ra: float, dec: float, radius: float) -> Expected:
    return lambda rows: [(r["id"],) for r in rows if separation(r["ra"], r["dec"], ra, dec) <= radius + 1e-12]


def _values(rows: list[Row], name: str) -> list[Any]:
    return [r[name] for r in rows if r[name] is not None]


def _count(test: Any) -> Expected:
    return lambda rows: [(sum(1 for r in rows if test(r)),)]


def _one(value: Any) -> Expected:
    return lambda rows: [(value,)]


def _top(value: str) -> str:
    return f"SELECT TOP 1 {value} FROM {T}"


def _groups(rows: list[Row], key: str, value: str) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = defaultdict(list)
    for r in rows:
        found[r[key]].append(r[value])
    return found


def _mean(values: list[Any]) -> float | None:
    kept = [float(v) for v in values if v is not None]
    return sum(kept) / len(kept) if kept else None


def _ordered(rows: list[Row], name: str, down: bool = False) -> list[Row]:
    have = [r for r in rows if r[name] is not None]
    return sorted(sorted(have, key=lambda r: r["id"]), key=lambda r: r[name], reverse=down)


def _polygon(corners: list[tuple[float, float]]) -> Expected:
    """By the angle that the corners go around each point, which is ±360° within and 0 without."""

    def inside(rows: list[Row]) -> list[tuple[Any, ...]]:
        def unit(ra: float, dec: float) -> Any:
            a, d = math.radians(ra), math.radians(dec)
            return np.array([math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)])

        shape, found = [unit(*c) for c in corners], []
        middle = np.mean(shape, axis=0)
        for r in rows:
            p = unit(r["ra"], r["dec"])
            if p @ middle <= 0:
                continue
            total = 0.0
            for a, b in zip(shape, [*shape[1:], shape[0]], strict=True):
                u, v = a - (a @ p) * p, b - (b @ p) * p
                total += math.atan2(p @ np.cross(u, v), u @ v)
            if abs(total) > math.pi:
                found.append((r["id"],))
        return found

    return inside


def _matches(rows: list[Row], radius: float) -> list[tuple[int, int]]:
    picked = [0, 5, 6, 8, 1500, 1501, 1502]
    places = [(rows[i]["ra"] + 0.0002, rows[i]["dec"]) for i in picked] + [(200.0, -60.0)]
    ra, dec = np.array([r["ra"] for r in rows]), np.array([r["dec"] for r in rows])
    found = []
    for n, (a, d) in enumerate(places):
        found += [(n, rows[i]["id"]) for i in np.flatnonzero(separation(ra, dec, a, d) < radius)]
    return found


def _pairs(rows: list[Row], radius: float) -> list[tuple[int, int]]:
    ra, dec = np.array([r["ra"] for r in rows]), np.array([r["dec"] for r in rows])
    found = []
    for i, r in enumerate(rows):
        near = np.flatnonzero(separation(ra[i + 1 :], dec[i + 1 :], r["ra"], r["dec"]) < radius) + i + 1
        found += [(r["id"], rows[j]["id"]) for j in near]
    return found


def _cone(ra: float, dec: float, radius: float) -> str:
    return (
        f"SELECT id FROM {T} WHERE 1=CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', {ra}, {dec}, {radius}))"
    )


def _cut(r: Row, name: str, test: Any) -> bool:
    return r[name] is not None and test(r[name])


FIELD = [(29.5, -5.5), (30.4, -5.6), (30.6, -4.7), (29.7, -4.4)]
DENT = [(29.2, -5.8), (30.8, -5.8), (30.8, -4.2), (30.0, -5.2), (29.2, -4.2)]


def _text(corners: list[tuple[float, float]]) -> str:
    return ", ".join(f"{a}, {d}" for a, d in corners)


PLAIN: list[tuple[str, Expected]] = [
    (f"SELECT COUNT(*) FROM {T}", lambda rows: [(len(rows),)]),
    (f"select count(*) as n from {T.lower()}", lambda rows: [(len(rows),)]),
    ("SELECT COUNT(*) FROM objects", lambda rows: [(len(rows),)]),
    ('SELECT COUNT("id") FROM "T1"."objects"', lambda rows: [(len(rows),)]),
    (f"SELECT COUNT(mag_g), COUNT(mag_r), COUNT(name) FROM {T}",
     lambda rows: [tuple(len(_values(rows, n)) for n in ("mag_g", "mag_r", "name"))]),
    (f"SELECT COUNT(DISTINCT flag) FROM {T}", lambda rows: [(len(set(_values(rows, "flag"))),)]),
    (f"SELECT COUNT(ALL flag) FROM {T}", lambda rows: [(len(rows),)]),
    (f"SELECT SUM(flag), MIN(flag), MAX(flag) FROM {T}",
     lambda rows: [(sum(_values(rows, "flag")), min(_values(rows, "flag")), max(_values(rows, "flag")))]),
    (f"SELECT STDDEV(mag_g), STDDEV_SAMP(mag_g), STDDEV_POP(mag_g) FROM {T}",
     lambda rows: [(statistics.stdev(v := _values(rows, "mag_g")), statistics.stdev(v), statistics.pstdev(v))]),
    (f"SELECT VARIANCE(mag_g), VAR_SAMP(mag_g), VAR_POP(mag_g) FROM {T}",
     lambda rows: [(statistics.variance(v := _values(rows, "mag_g")), statistics.variance(v), statistics.pvariance(v))]),
    (f"SELECT MEDIAN(mag_g), MEDIAN(mag_r - 1), MEDIAN(id) FROM {T}",
     lambda rows: [(statistics.median(_values(rows, "mag_g")), statistics.median(_values(rows, "mag_r")) - 1,
                    float(statistics.median(_values(rows, "id"))))]),
    (f"SELECT STDDEV(ra), MEDIAN(ra) FROM {T} WHERE id = (SELECT MIN(id) FROM {T})",
     lambda rows: [(None, min(rows, key=lambda r: r["id"])["ra"])]),
    (f"SELECT AVG(mag_g) FROM {T}", lambda rows: [(_mean(_values(rows, "mag_g")),)]),
    (f"SELECT SUM(DISTINCT nexp) FROM {T}", lambda rows: [(sum(set(_values(rows, "nexp"))),)]),
    (f"SELECT MAX(ra)-MIN(ra) AS width FROM {T}",
     lambda rows: [(max(_values(rows, "ra")) - min(_values(rows, "ra")),)]),
    (f"SELECT MIN(name), MAX(name) FROM {T}", lambda rows: [(min(_values(rows, "name")), max(_values(rows, "name")))]),
    (f"SELECT id FROM {T} WHERE mag_g < 20", _where(lambda r: _cut(r, "mag_g", lambda v: v < 20), "id")),
    (f"SELECT id FROM {T} WHERE mag_g > 25", _where(lambda r: _cut(r, "mag_g", lambda v: v > 25), "id")),
    (f"SELECT id FROM {T} WHERE NOT mag_g < 25", _where(lambda r: _cut(r, "mag_g", lambda v: v >= 25), "id")),
    (f"SELECT id FROM {T} WHERE mag_g <= 20 OR mag_r >= 24.5",
     _where(lambda r: _cut(r, "mag_g", lambda v: v <= 20) or _cut(r, "mag_r", lambda v: v >= 24.5), "id")),
    (f"SELECT id FROM {T} WHERE flag <> 3 AND flag != 4 AND nexp = 5",
     _where(lambda r: r["flag"] not in (3, 4) and r["nexp"] == 5, "id")),
    (f"SELECT id FROM {T} WHERE (flag = 1 OR flag = 2) AND NOT (nexp < 10)",
     _where(lambda r: r["flag"] in (1, 2) and _cut(r, "nexp", lambda v: v >= 10), "id")),
    (f"SELECT id FROM {T} WHERE mag_r IS NULL", _where(lambda r: r["mag_r"] is None, "id")),
    (f"SELECT id FROM {T} WHERE mag_g IS NULL", _where(lambda r: r["mag_g"] is None, "id")),
    (f"SELECT id FROM {T} WHERE nexp IS NOT NULL AND name IS NULL",
     _where(lambda r: r["nexp"] is not None and r["name"] is None, "id")),
    (f"SELECT id FROM {T} WHERE ra BETWEEN 29.5 AND 30", _where(lambda r: 29.5 <= r["ra"] <= 30, "id")),
    (f"SELECT id FROM {T} WHERE mag_g NOT BETWEEN 20 AND 24",
     _where(lambda r: _cut(r, "mag_g", lambda v: not 20 <= v <= 24), "id")),
    (f"SELECT id FROM {T} WHERE flag IN (1, 3, 5)", _where(lambda r: r["flag"] in (1, 3, 5), "id")),
    (f"SELECT id FROM {T} WHERE flag NOT IN (1, 3, 5)", _where(lambda r: r["flag"] not in (1, 3, 5), "id")),
    (f"SELECT id FROM {T} WHERE name IN ('DES J000000', 'DES J000006', 'no such')",
     _where(lambda r: r["name"] in ("DES J000000", "DES J000006"), "id")),
    (f"SELECT id FROM {T} WHERE id = 10000000003", _where(lambda r: r["id"] == 10000000003, "id")),
    (f"SELECT id FROM {T} WHERE good = 1", _where(lambda r: r["good"] is True, "id")),
    (f"SELECT id FROM {T} WHERE good = 0 AND flag = 2", _where(lambda r: r["good"] is False and r["flag"] == 2, "id")),
    (f"SELECT id FROM {T} WHERE good = 'true' AND flag = 2", _where(lambda r: r["good"] is True and r["flag"] == 2, "id")),
    (f"SELECT name FROM {T} WHERE name LIKE 'DES J00000%'", _where(lambda r: (r["name"] or "").startswith("DES J00000"), "name")),
    (f"SELECT name FROM {T} WHERE name LIKE 'DES J00001_'",
     _where(lambda r: len(r["name"] or "") == 11 and r["name"].startswith("DES J00001"), "name")),
    (f"SELECT COUNT(*) FROM {T} WHERE name LIKE 'des%'", _count(lambda r: False)),
    (f"SELECT COUNT(*) FROM {T} WHERE name ILIKE 'des j0000%'", _count(lambda r: (r["name"] or "").startswith("DES J0000"))),
    (f"SELECT COUNT(*) FROM {T} WHERE name NOT LIKE '%O''Neill'",
     _count(lambda r: r["name"] is not None and not r["name"].endswith("O'Neill"))),
    (f"SELECT COUNT(*) FROM {T} WHERE name LIKE '%\"b\"'", _count(lambda r: (r["name"] or "").endswith('"b"'))),
    (f"SELECT COUNT(*) FROM {T} WHERE name LIKE '%Ä'", _count(lambda r: (r["name"] or "").endswith("Ä"))),
    (f"SELECT COUNT(*) FROM {T} WHERE name LIKE '%\\%'", _count(lambda r: False)),
    (f"SELECT id FROM {T} WHERE -dec > 89.99 OR +dec > 89.9999", _where(lambda r: -r["dec"] > 89.99 or r["dec"] > 89.9999, "id")),
    (f"SELECT COUNT(*) FROM {T} -- a comment; DROP TABLE x\nWHERE flag = 1", _count(lambda r: r["flag"] == 1)),
    (f"SELECT /* not ADQL, but harmless */ COUNT(*) FROM {T};", lambda rows: [(len(rows),)]),
    (f"SELECT COUNT(*) FROM {T} WHERE flag * 2 + 1 = 7", _count(lambda r: r["flag"] == 3)),
    (f"SELECT COUNT(*) FROM {T} WHERE flag / 2 = 1", _count(lambda r: r["flag"] in (2, 3))),
    (f"SELECT COUNT(*) FROM {T} WHERE flag / 2. = 1", _count(lambda r: r["flag"] == 2)),
    (f"SELECT id, mag_g - mag_r AS g_r FROM {T} WHERE mag_g - mag_r > 4",
     lambda rows: [(r["id"], float(np.float32(r["mag_g"]) - np.float32(r["mag_r"]))) for r in rows
                   if r["mag_g"] is not None and r["mag_r"] is not None and np.float32(r["mag_g"]) - np.float32(r["mag_r"]) > 4]),
    (f"SELECT COUNT(*) FROM {T} WHERE 1=1 AND 'a' = 'a'", lambda rows: [(len(rows),)]),
    (f"SELECT COUNT(*) FROM {T} WHERE id IS NULL", lambda rows: [(0,)]),
]  # fmt: skip

SHAPES: list[tuple[str, Expected]] = [
    (f"SELECT TOP 5 id FROM {T} ORDER BY id", lambda rows: [(r["id"],) for r in rows[:5]]),
    (f"SELECT ALL TOP 2 id FROM {T} ORDER BY id DESC", lambda rows: [(r["id"],) for r in rows[:-3:-1]]),
    (f"SELECT TOP 3 id FROM {T} ORDER BY id OFFSET 10", lambda rows: [(r["id"],) for r in rows[10:13]]),
    (f"SELECT id FROM {T} ORDER BY 1 OFFSET 1998", lambda rows: [(r["id"],) for r in rows[1998:]]),
    (f"SELECT TOP 0 id FROM {T}", lambda rows: []),
    (f"SELECT TOP 7 id, mag_g FROM {T} WHERE mag_g IS NOT NULL ORDER BY mag_g, id",
     lambda rows: [(r["id"], r["mag_g"]) for r in _ordered(rows, "mag_g")[:7]]),
    (f"SELECT TOP 7 id FROM {T} WHERE mag_g IS NOT NULL ORDER BY mag_g DESC, id ASC",
     lambda rows: [(r["id"],) for r in _ordered(rows, "mag_g", True)[:7]]),
    (f"SELECT TOP 4 id, 2*ra AS twice FROM {T} ORDER BY twice DESC, 1",
     lambda rows: [(r["id"], 2 * r["ra"]) for r in _ordered(rows, "ra", True)[:4]]),
    (f"SELECT TOP 4 id FROM {T} ORDER BY ABS(dec + 5), id",
     lambda rows: [(r["id"],) for r in sorted(rows, key=lambda r: (abs(r["dec"] + 5), r["id"]))[:4]]),
    (f"SELECT DISTINCT flag FROM {T} ORDER BY flag DESC", lambda rows: [(f,) for f in range(7, -1, -1)]),
    (f"SELECT DISTINCT flag, good FROM {T} WHERE good IS NOT NULL",
     lambda rows: sorted({(r["flag"], r["good"]) for r in rows if r["good"] is not None})),
    (f"SELECT flag, COUNT(*) AS n FROM {T} GROUP BY flag ORDER BY flag",
     lambda rows: sorted(Counter(r["flag"] for r in rows).items())),
    (f"SELECT flag, AVG(mag_r), MIN(ra) FROM {T} GROUP BY flag",
     lambda rows: [(k, _mean(v), min(_groups(rows, "flag", "ra")[k])) for k, v in _groups(rows, "flag", "mag_r").items()]),
    (f"SELECT nexp, COUNT(*) FROM {T} GROUP BY nexp HAVING COUNT(*) > 170 ORDER BY 2 DESC, 1",
     lambda rows: sorted(((k, n) for k, n in Counter(r["nexp"] for r in rows).items() if n > 170),
                         key=lambda p: (-p[1], p[0] is None, p[0] or 0))),
    (f"SELECT FLOOR(dec / 30) AS zone, COUNT(*) FROM {T} GROUP BY FLOOR(dec / 30)",
     lambda rows: list(Counter(float(math.floor(r["dec"] / 30)) for r in rows).items())),
    (f"SELECT FLOOR(dec / 30) AS zone, COUNT(*) FROM {T} GROUP BY zone ORDER BY zone",
     lambda rows: sorted(Counter(float(math.floor(r["dec"] / 30)) for r in rows).items())),
    (f"SELECT COUNT(*) FROM {T} HAVING COUNT(*) > 1000000", lambda rows: []),
    (f"SELECT MAX(flag) + COUNT(*) FROM {T} WHERE flag < 3", lambda rows: [(2 + sum(r["flag"] < 3 for r in rows),)]),
    (f"SELECT a.id FROM {T} AS a WHERE a.ra = (SELECT MAX(b.ra) FROM {T} AS b)",
     lambda rows: [(max(rows, key=lambda r: r["ra"])["id"],)]),
    (f"SELECT id FROM {T} WHERE mag_g < (SELECT AVG(mag_g) - 3 FROM {T})",
     lambda rows: [(r["id"],) for r in rows if r["mag_g"] is not None and r["mag_g"] < _mean(_values(rows, "mag_g")) - 3]),
    (f"SELECT TOP 1 (SELECT COUNT(*) FROM {T} WHERE flag = 1) AS n FROM {T}", lambda rows: [(sum(r["flag"] == 1 for r in rows),)]),
    (f"SELECT id FROM {T} WHERE id IN (SELECT id FROM {T} WHERE flag = 7 AND nexp = 3)",
     _where(lambda r: r["flag"] == 7 and r["nexp"] == 3, "id")),
    (f"SELECT id FROM {T} WHERE id NOT IN (SELECT id FROM {T} WHERE flag < 7) AND nexp = 1",
     _where(lambda r: r["flag"] == 7 and r["nexp"] == 1, "id")),
    (f"SELECT a.id FROM {T} a WHERE EXISTS (SELECT 1 FROM {T} b WHERE b.ra = a.ra AND b.dec = a.dec AND b.id <> a.id)",
     lambda rows: [(rows[11]["id"],), (rows[12]["id"],)]),
    (f"SELECT COUNT(*) FROM {T} a WHERE NOT EXISTS (SELECT b.n FROM TAP_UPLOAD.u AS b WHERE b.n = a.flag)", _count(lambda r: r["flag"] > 7)),
    (f"SELECT q.f, q.n FROM (SELECT flag AS f, COUNT(*) AS n FROM {T} GROUP BY flag) AS q WHERE q.f > 5",
     lambda rows: [(k, n) for k, n in Counter(r["flag"] for r in rows).items() if k > 5]),
    (f"SELECT * FROM (SELECT TOP 3 id, flag FROM {T} ORDER BY id) AS q", lambda rows: [(r["id"], r["flag"]) for r in rows[:3]]),
    (f"WITH bright AS (SELECT id, mag_r FROM {T} WHERE mag_r < 19.5) SELECT COUNT(*), MIN(mag_r) FROM bright",
     lambda rows: [(len(k := [v for v in _values(rows, "mag_r") if v < 19.5]), min(k))]),
    (f"WITH a AS (SELECT id, flag FROM {T}), b AS (SELECT id FROM a WHERE flag = 4) SELECT COUNT(*) FROM b", _count(lambda r: r["flag"] == 4)),
    (f"SELECT id FROM {T} WHERE flag = 1 UNION SELECT id FROM {T} WHERE nexp = 2",
     _where(lambda r: r["flag"] == 1 or r["nexp"] == 2, "id")),
    (f"SELECT flag FROM {T} WHERE nexp = 2 UNION ALL SELECT flag FROM {T} WHERE nexp = 3",
     _where(lambda r: r["nexp"] in (2, 3), "flag")),
    (f"SELECT id FROM {T} WHERE flag = 1 INTERSECT SELECT id FROM {T} WHERE nexp = 2",
     _where(lambda r: r["flag"] == 1 and r["nexp"] == 2, "id")),
    (f"SELECT id FROM {T} WHERE flag = 1 EXCEPT SELECT id FROM {T} WHERE nexp = 2",
     _where(lambda r: r["flag"] == 1 and r["nexp"] != 2, "id")),
    (f"SELECT id FROM {T} WHERE flag = 0 UNION SELECT id FROM {T} WHERE flag = 1 INTERSECT SELECT id FROM {T} WHERE nexp = 2",
     _where(lambda r: r["flag"] == 0 or (r["flag"] == 1 and r["nexp"] == 2), "id")),
    (f"(SELECT id FROM {T} WHERE flag = 0 UNION SELECT id FROM {T} WHERE flag = 1) INTERSECT SELECT id FROM {T} WHERE nexp = 2",
     _where(lambda r: r["flag"] in (0, 1) and r["nexp"] == 2, "id")),
    (f"SELECT TOP 2 id FROM {T} WHERE id < 10000000006 UNION SELECT id FROM {T} WHERE id < 10000000012 ORDER BY id DESC OFFSET 1",
     lambda rows: [(r["id"],) for r in rows[2::-1]]),
    ("SELECT n FROM TAP_UPLOAD.u WHERE Word = 'it''s'", lambda rows: [(4,)]),
    ('SELECT n FROM TAP_UPLOAD.u WHERE "Word" = \'"q"\'', lambda rows: [(5,)]),
    ("SELECT COUNT(*) FROM TAP_UPLOAD.u WHERE Word IS NULL", lambda rows: [(1,)]),
    ("SELECT n FROM tap_upload.U WHERE word = ''", lambda rows: [(6,)]),
    (f"SELECT u.n, COUNT(o.id) FROM TAP_UPLOAD.u AS u LEFT JOIN {T} AS o ON u.n = o.flag + 4 GROUP BY u.n",
     lambda rows: [(n, sum(r["flag"] + 4 == n for r in rows)) for n in range(8)]),
    (f"SELECT u.n, COUNT(o.id) FROM {T} AS o RIGHT OUTER JOIN TAP_UPLOAD.u AS u ON u.n = o.flag + 4 GROUP BY u.n",
     lambda rows: [(n, sum(r["flag"] + 4 == n for r in rows)) for n in range(8)]),
    (f"SELECT COUNT(*) FROM TAP_UPLOAD.u AS u FULL OUTER JOIN (SELECT DISTINCT flag + 4 AS n FROM {T}) AS q ON u.n = q.n",
     lambda rows: [(12,)]),
    (f"SELECT COUNT(*) FROM {T} a JOIN {T} b USING (id)", lambda rows: [(len(rows),)]),
    (f"SELECT n, k FROM TAP_UPLOAD.u NATURAL JOIN (SELECT flag AS n, COUNT(*) AS k FROM {T} GROUP BY flag) AS q",
     lambda rows: sorted(Counter(r["flag"] for r in rows).items())),
    (f"SELECT COUNT(*) FROM {T} AS a, TAP_UPLOAD.u AS b WHERE a.flag = b.n", lambda rows: [(len(rows),)]),
    ("SELECT COUNT(*) FROM (TAP_UPLOAD.u AS a INNER JOIN TAP_UPLOAD.u AS b ON a.n < b.n)", lambda rows: [(28,)]),
    (f"SELECT a.flag, b.k FROM ((SELECT DISTINCT flag FROM {T}) AS a JOIN (SELECT n AS k FROM TAP_UPLOAD.u) AS b ON a.flag = b.k)",
     lambda rows: [(n, n) for n in range(8)]),
    ("SELECT name FROM ivoa.notes WHERE \"when\" > '2026-06-01'", lambda rows: [("b",)]),
    ("SELECT \"when\" FROM ivoa.notes WHERE \"when\" BETWEEN TIMESTAMP('1999-01-01') AND TIMESTAMP('2026-02-01T00:00:00')",
     lambda rows: [("2026-01-02T03:04:05.500",), ("1999-12-31T23:59:59.000",)]),
    ('SELECT "Rank", "level" FROM ivoa.notes WHERE "Rank" = 20', lambda rows: [(20, 2)]),
]  # fmt: skip

FUNCTIONS: list[tuple[str, Expected]] = [
    (_top("ABS(-3), ABS(-2.5)"), lambda rows: [(3, 2.5)]),
    (_top("CEILING(2.1), FLOOR(-2.1)"), lambda rows: [(3.0, -3.0)]),
    (_top("EXP(1), LOG(10), LOG10(1000), SQRT(2)"), lambda rows: [(math.e, math.log(10), 3.0, math.sqrt(2))]),
    (_top("POWER(2, 10), MOD(17, 5), MOD(-7.5, 2)"), lambda rows: [(1024.0, 2, -1.5)]),
    (_top("PI(), DEGREES(PI()), RADIANS(180)"), lambda rows: [(math.pi, 180.0, math.pi)]),
    (_top("SIN(1), COS(1), TAN(1), COT(1)"), lambda rows: [(math.sin(1), math.cos(1), math.tan(1), 1 / math.tan(1))]),
    (_top("ASIN(0.5), ACOS(0.5), ATAN(1), ATAN2(1, -1)"),
     lambda rows: [(math.asin(0.5), math.acos(0.5), math.atan(1), math.atan2(1, -1))]),
    (_top("ROUND(2.567, 2), ROUND(1234.5, -2), ROUND(2.4)"), lambda rows: [(2.57, 1200.0, 2.0)]),
    (_top("TRUNCATE(2.567, 2), TRUNCATE(-2.9)"), lambda rows: [(2.56, -2.0)]),
    (_top("UPPER('aBc'), LOWER('aBc'), 'x' || 'y' || 'z'"), lambda rows: [("ABC", "abc", "xyz")]),
    (f"SELECT COUNT(*) FROM {T} WHERE RAND() BETWEEN 0 AND 1", lambda rows: [(len(rows),)]),
    (f"SELECT id, COALESCE(mag_r, mag_g, -99) FROM {T} WHERE id < 10000000060",
     lambda rows: [(r["id"], r["mag_r"] if r["mag_r"] is not None else r["mag_g"] if r["mag_g"] is not None else -99.0) for r in rows[:20]]),
    (_top("CAST('12' AS INTEGER), CAST(3.6 AS BIGINT), CAST(2.5 AS INTEGER), CAST(7 AS DOUBLE PRECISION)"),
     lambda rows: [(12, 4, 2, 7.0)]),
    (_top("CAST('abcdef' AS VARCHAR(3)), CAST(12 AS CHAR(5)), CAST('1.5' AS REAL)"), lambda rows: [("abc", "12", 1.5)]),
    (_top("CAST(TIMESTAMP('2026-11-22T01:02:03') AS VARCHAR)"), _one("2026-11-22T01:02:03.000")),
    (_top("TIMESTAMP('2026-11-22')"), _one("2026-11-22T00:00:00.000")),
    (f"SELECT IN_UNIT(ra, 'arcsec') FROM {T} WHERE id = 10000000015", lambda rows: [(rows[5]["ra"] * 3600,)]),
    (f"SELECT IN_UNIT(dec, 'rad') FROM {T} WHERE id = 10000000033", lambda rows: [(math.radians(rows[11]["dec"]),)]),
    (_top("CASE WHEN 1 > 2 THEN 'a' ELSE 'b' END, CASE 3 WHEN 3 THEN 1 END"), lambda rows: [("b", 1)]),
    (_top("NULLIF(3, 3), COALESCE(NULL, 5)"), lambda rows: [(None, 5)]),
    (_top("6 & 3, 6 | 3, 6 ^ 3, ~5"), lambda rows: [(2, 7, 5, -6)]),
    (f"SELECT COUNT(*) FROM {T} WHERE flag & 4 = 4", _count(lambda r: r["flag"] & 4 == 4)),
    (_top("7 / 2, -7 / 2, 7. / 2, 1e3, .5, 2147483647 + 1.0"), lambda rows: [(3, -3, 3.5, 1000.0, 0.5, 2147483648.0)]),
    (_top("4 - 2 - 1, 2 * (3 + 4), 8 / 4 / 2, -(-3)"), lambda rows: [(1, 14, 1, 3)]),
    (_top("9000000000 + 1, 30./3600."), lambda rows: [(9000000001, 30 / 3600)]),
]  # fmt: skip

SKY: list[tuple[str, Expected]] = [
    *[(_cone(ra, dec, r), _near(ra, dec, r)) for ra, dec, r in (
        (0, 0, 0.001), (360, 0, 0.001), (0, 10, 0.1), (359.99, 10, 0.2), (0, 90, 0.01), (77, 90, 5), (0, -90, 0.0011), (12, -90, 40),
        (180, 0, 0), (0, 90, 0), (90, 41.8103, 0.00001), (30, -5, 0.5), (30, -5, 0.01), (30, -5, 95), (200, 30, 179.5), (200, 30, 180),
        (10, 10, 60), (30.5, -4.5, 1),
    )],
    (f"SELECT id FROM {T} WHERE CONTAINS(POINT(ra, dec), CIRCLE(POINT(30, -5), 0.25)) = 1", _near(30, -5, 0.25)),
    (f"SELECT id FROM {T} WHERE 0 = CONTAINS(POINT('', ra, dec), CIRCLE('', 30, -5, 100))",
     lambda rows: [(r["id"],) for r in rows if separation(r["ra"], r["dec"], 30, -5) > 100]),
    (f"SELECT id FROM {T} WHERE NOT (1 = CONTAINS(POINT(ra, dec), CIRCLE(30, -5, 100)))",
     lambda rows: [(r["id"],) for r in rows if separation(r["ra"], r["dec"], 30, -5) > 100]),
    (f"SELECT SUM(CONTAINS(POINT(ra, dec), CIRCLE(30, -5, 0.7))) FROM {T}",
     lambda rows: [(int(sum(separation(r["ra"], r["dec"], 30, -5) <= 0.7 for r in rows)),)]),
    (f"SELECT id FROM {T} WHERE DISTANCE(POINT(ra, dec), POINT(30, -5)) < 0.3", _near(30, -5, 0.3)),
    (f"SELECT id FROM {T} WHERE 0.3 >= DISTANCE(ra, dec, 30, -5)", _near(30, -5, 0.3)),
    (f"SELECT id FROM {T} WHERE DISTANCE(ra, dec, 30, -5) BETWEEN 0.2 AND 0.4",
     lambda rows: [(r["id"],) for r in rows if 0.2 <= separation(r["ra"], r["dec"], 30, -5) <= 0.4]),
    (f"SELECT id, DISTANCE(POINT('ICRS', ra, dec), POINT('ICRS', 200, 20)) FROM {T} WHERE flag = 1",
     lambda rows: [(r["id"], float(separation(r["ra"], r["dec"], 200, 20))) for r in rows if r["flag"] == 1]),
    (f"SELECT id FROM {T} WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(30, -5, 0.6)) AND flag = 2 OR id = 10000000000",
     lambda rows: [(r["id"],) for r in rows if (separation(r["ra"], r["dec"], 30, -5) <= 0.6 and r["flag"] == 2) or r["id"] == 10000000000]),
    (f"SELECT id FROM {T} WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON({_text(FIELD)}))", _polygon(FIELD)),
    (f"SELECT id FROM {T} WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON('ICRS', {_text(FIELD[::-1])}))", _polygon(FIELD)),
    (f"SELECT id FROM {T} WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON({_text(DENT)}))", _polygon(DENT)),
    (f"SELECT id FROM {T} WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON({', '.join(f'POINT({a}, {d})' for a, d in FIELD)}))", _polygon(FIELD)),
    (f"SELECT id FROM {T} WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON(350, -8, 12, -8, 12, 14, 350, 14))",
     _polygon([(350, -8), (12, -8), (12, 14), (350, 14)])),
    (f"SELECT id FROM {T} WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON(0, 70, 90, 70, 180, 70, 270, 70))",
     _polygon([(0, 70), (90, 70), (180, 70), (270, 70)])),
    (f"SELECT id FROM {T} WHERE 1 = CONTAINS(POINT(ra, dec), BOX(0, 0, 30, 20))",
     lambda rows: [(r["id"],) for r in rows if (x := math.cos(math.radians(r["dec"])) * math.cos(math.radians(r["ra"]))) > 0
                   and abs(math.cos(math.radians(r["dec"])) * math.sin(math.radians(r["ra"]))) <= x * math.tan(math.radians(15))
                   and abs(math.sin(math.radians(r["dec"]))) <= x * math.tan(math.radians(10))]),
    (f"SELECT id FROM {T} WHERE 1 = INTERSECTS(POINT(ra, dec), CIRCLE(30, -5, 0.1))", _near(30, -5, 0.1)),
    (f"SELECT id FROM {T} WHERE 1 = INTERSECTS(CIRCLE(ra, dec, 0.1), CIRCLE(30, -5, 0.2))", _near(30, -5, 0.3)),
    (f"SELECT id FROM {T} WHERE 1 = CONTAINS(CIRCLE(ra, dec, 0.1), CIRCLE(30, -5, 0.3))", _near(30, -5, 0.2)),
    (f"SELECT id FROM {T} WHERE 1 = CONTAINS(POINT(30, -5), CIRCLE(ra, dec, 0.15))", _near(30, -5, 0.15)),
    (f"SELECT id FROM {T} WHERE 1 = CONTAINS(POINT(30, -5), CIRCLE(ra, dec, nexp / 10.))",
     lambda rows: [(r["id"],) for r in rows if r["nexp"] is not None and separation(r["ra"], r["dec"], 30, -5) <= r["nexp"] / 10]),
    (f"SELECT id FROM {T} WHERE 1 = CONTAINS(POINT(30, -5), BOX(ra, dec, 0.4, 0.4)) AND 1 = CONTAINS(POINT(ra, dec), CIRCLE(30, -5, 0.19))",
     _near(30, -5, 0.19)),
    (f"SELECT q.id FROM (SELECT id, ra, dec, hpix29 FROM {T}) AS q WHERE 1 = CONTAINS(POINT(q.ra, q.dec), CIRCLE(30, -5, 0.2))", _near(30, -5, 0.2)),
    (f"SELECT u.n, o.id FROM TAP_UPLOAD.u AS u JOIN {T} AS o ON DISTANCE(u.ra, u.dec, o.ra, o.dec) < 0.01", lambda rows: _matches(rows, 0.01)),
    (f"SELECT u.n, o.id FROM TAP_UPLOAD.u AS u, {T} AS o WHERE 1 = CONTAINS(POINT(o.ra, o.dec), CIRCLE(u.ra, u.dec, 30./3600.))",
     lambda rows: _matches(rows, 30 / 3600)),
    (f"SELECT u.n, o.id FROM {T} AS o JOIN TAP_UPLOAD.u AS u ON 1 = CONTAINS(POINT(u.ra, u.dec), CIRCLE(POINT(o.ra, o.dec), 2))",
     lambda rows: _matches(rows, 2)),
    (f"SELECT u.n, o.id FROM TAP_UPLOAD.u AS u JOIN {T} AS o ON DISTANCE(POINT(u.ra, u.dec), POINT(o.ra, o.dec)) < 20",
     lambda rows: _matches(rows, 20)),
    (f"SELECT u.n, o.id FROM TAP_UPLOAD.u AS u LEFT JOIN {T} AS o ON DISTANCE(u.ra, u.dec, o.ra, o.dec) < 0.01",
     lambda rows: [*_matches(rows, 0.01), (7, None)]),
    (f"SELECT u.n, o.id FROM {T} AS o RIGHT JOIN TAP_UPLOAD.u AS u ON DISTANCE(u.ra, u.dec, o.ra, o.dec) < 0.01",
     lambda rows: [*_matches(rows, 0.01), (7, None)]),
    (f"SELECT a.id, b.id FROM {T} AS a JOIN {T} AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.02 WHERE a.id < b.id",
     lambda rows: _pairs(rows, 0.02)),
    (f"SELECT COUNT(*) FROM {T} AS a JOIN {T} AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.02 AND a.id < b.id AND a.flag = b.flag",
     lambda rows: [(sum(1 for i, j in _pairs(rows, 0.02)
                        if rows[(i - 10**10) // 3]["flag"] == rows[(j - 10**10) // 3]["flag"]),)]),
    (_top("AREA(CIRCLE(10, 20, 1)), AREA(POINT(1, 2))"),
     lambda rows: [(2 * math.pi * (1 - math.cos(math.radians(1))) * math.degrees(1) ** 2, 0.0)]),
    (_top("AREA(POLYGON(0, 0, 90, 0, 0, 90))"), lambda rows: [(4 * math.pi / 8 * math.degrees(1) ** 2,)]),
    (_top("COORD1(POINT(25, -19.5)), COORD2(POINT(25, -19.5)), COORDSYS(POINT(25, -19.5))"), lambda rows: [(25.0, -19.5, "ICRS")]),
    (_top("POINT(25, -19.5), CIRCLE('ICRS', 1, 2, 3), POLYGON(0, 0, 1, 0, 1, 1)"),
     lambda rows: [([25.0, -19.5], [1.0, 2.0, 3.0], [0.0, 0.0, 1.0, 0.0, 1.0, 1.0])]),
    (_top("CENTROID(CIRCLE(25, -19.5, 2)), DISTANCE(25, -19.5, 25.4, -20)"),
     lambda rows: [([25.0, -19.5], float(separation(25, -19.5, 25.4, -20)))]),
    (_top("CONTAINS(POINT(0, 0), CIRCLE(0, 0, 1)), INTERSECTS(CIRCLE(25.4, -20, 1), POLYGON(20, -15, 20, -5, 10, -5, 10, -15))"),
     lambda rows: [(1, 0)]),
    (_top("INTERSECTS(POLYGON(0, 0, 2, 0, 2, 2, 0, 2), POLYGON(1, 1, 3, 1, 3, 3, 1, 3)), INTERSECTS(CIRCLE(1, 2.05, 0.1), POLYGON(0, 0, 2, 0, 2, 2, 0, 2))"),
     lambda rows: [(1, 1)]),
    (f"SELECT TOP 5 id, POINT(ra, dec) FROM {T} ORDER BY id", lambda rows: [(r["id"], [r["ra"], r["dec"]]) for r in rows[:5]]),
]  # fmt: skip

REGIONS: list[tuple[str, Expected]] = [
    ("SELECT name FROM ivoa.notes WHERE 1 = CONTAINS(POINT(30, -5), area)", _one("a")),
    ("SELECT name FROM ivoa.notes WHERE 1 = INTERSECTS(CIRCLE(28.5, -5, 0.51), area)", _one("a")),
    ("SELECT name FROM ivoa.notes WHERE 1 = INTERSECTS(CIRCLE(28.5, -5, 0.49), area)", lambda rows: []),
    ("SELECT name FROM ivoa.notes WHERE 1 = INTERSECTS(area, CIRCLE(10, 21, 0.6))", _one("b")),
    ("SELECT \"Rank\" FROM ivoa.notes WHERE 1 = CONTAINS(POINT(359.5, 0.5), area)", _one(40)),
    ("SELECT \"Rank\" FROM ivoa.notes WHERE 0 = INTERSECTS(area, CIRCLE(30, -5, 29))", lambda rows: [(20,), (40,)]),
]  # fmt: skip

QUERIES = [*REGIONS, *PLAIN, *SHAPES, *FUNCTIONS, *SKY]
