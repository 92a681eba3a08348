"""Numbers at the ends of their types (IEEE 754-2019, binary32 and binary64): one answer, or one error, on both engines."""

from __future__ import annotations

import math

import pytest

from desdm.errors import QueryError
from tests.query.adql.conftest import Bench

T = "T1.objects"
BEYOND = "while the query ran: a number grows beyond what its type holds"


@pytest.mark.parametrize("value", [
    "SUM(id * 1000000)", "SUM(9223372036854775807 - flag)", "SUM(1e308 + ra)", "AVG(1e308 + ra)", "SUM(-1e308 - ra)",
    "AVG(-1e308 - ra)", "STDDEV(1e308 * dec)", "VARIANCE(1e200 * ra)", "VAR_POP(1e200 * ra)", "STDDEV_POP(1e200 * ra)",
    "MAX(1e308 * (1 + flag) * 10)", "SUM(1 / (1e308 * (10 + flag)))", "COUNT(1e308 * (10 + flag))",
])  # fmt: skip
def test_an_aggregate_that_grows_beyond_its_type_is_an_error(bench: Bench, value: str) -> None:
    with pytest.raises(QueryError, match=BEYOND):
        bench.ask(f"SELECT {value} FROM {T}")


@pytest.mark.parametrize("value", [
    "1e308 + 1e308", "1e308 * 10", "1e308 * 1e308", "1e308 * (flag + 10)", "-(1e308 * (flag + 10))",
    "1e308 / (1e-5 * (1 + flag))", "1 / (1e308 * (flag + 10))", "ra - 1e308 * 10 * (1 + flag)",
    "ABS(1e308 * (flag + 10) - ra)", "CAST(1e38 AS REAL) * CAST(1000 AS REAL)", "CAST(mag_g AS REAL) * CAST(1e38 AS REAL)",
    "mag_g * CAST(1e38 AS REAL) + ra", "CAST(1e39 * (1 + flag) AS REAL)", "CAST(1e39 + flag AS BIGINT)",
    "CAST('1e400' AS DOUBLE)", "CAST('-1e400' AS DOUBLE)", "CAST('1e39' AS REAL)", "EXP(1000 + flag)",
    "POWER(10 + flag, 400)", "POWER(0.5, -2000 - flag)", "DEGREES(1e308 * (1 + flag))", "ROUND(1e308 * (10 + flag), 2)",
    "ABS(-2147483647 - 1 - flag)", "-(-9223372036854775807 - 1)", "(-2147483647 - 1) / (-1 - flag + flag)",
    "CAST(300 AS SMALLINT) * CAST(300 AS SMALLINT)", "50000 * 50000", "COALESCE(1e308 * (10 + flag), 0)",
    "CASE WHEN 1e308 * (10 + flag) > 0 THEN 1 ELSE 0 END", "IN_UNIT(ra + 1e308, 'arcsec')",
])  # fmt: skip
def test_a_value_that_grows_beyond_its_type_is_an_error(bench: Bench, value: str) -> None:
    with pytest.raises(QueryError, match=BEYOND):
        bench.ask(f"SELECT {value} AS x FROM {T} WHERE mag_g IS NOT NULL")


@pytest.mark.parametrize(
    "value", ["1e308 * (flag + 10)", "mag_g * CAST(1e38 AS REAL)", "EXP(1000 + flag)", "POWER(9., 999)"]
)
def test_a_condition_on_such_a_value_is_an_error(bench: Bench, value: str) -> None:
    with pytest.raises(QueryError, match=BEYOND):
        bench.ask(f"SELECT COUNT(*) FROM {T} WHERE mag_g IS NOT NULL AND {value} > ra")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("SUM(1e308 - 1e308 * flag + 1e308 * flag) / COUNT(*)", None),
        ("AVG(9223372036854775807 - flag + flag)", 2.0**63),
        ("MEDIAN(0.5e308 + flag)", 0.5e308),
        ("MAX(EXP(-1000 - flag))", 0.0),
        ("MAX(EXP(-700 - flag + flag))", math.exp(-700)),
        ("MAX(POWER(10 + flag, -400))", 0.0),
        ("MIN(POWER(0 * flag, 3))", 0.0),
        ("MIN(POWER(-2 - flag + flag, 3))", -8.0),
        ("MAX(CAST(1e-60 * (1 + flag) AS REAL))", 0.0),
        ("MIN(CAST(-1e-60 * (1 + flag) AS REAL))", 0.0),
        ("MAX(MOD(-2147483647 - 1, -1 - flag + flag))", 0),
        ("MAX(MOD(-9223372036854775807 - 1, -1 - flag + flag))", 0),
        ("MAX(MOD(-7 - flag + flag, 3))", -1),
        ("MAX(ABS(-1e308 + flag - flag))", 1e308),
        ("MAX((1e308 + flag) / 2 + 0.5e308)", 1e308),
        # Infinity itself is a value, and what goes on with it as well.
        ("SUM(CAST('Infinity' AS DOUBLE) + ra)", math.inf),
        ("AVG(-CAST('Infinity' AS DOUBLE) * 2)", -math.inf),
        ("MAX(EXP(CAST('inf' AS DOUBLE)))", math.inf),
        ("MAX(POWER(2, CAST('Infinity' AS DOUBLE)))", math.inf),
        ("MAX(DEGREES(CAST('Infinity' AS DOUBLE)))", math.inf),
        ("MAX(ra / CAST('Infinity' AS DOUBLE))", 0.0),
        ("MAX(CAST('Infinity' AS DOUBLE) - CAST('Infinity' AS DOUBLE))", None),
        ("MAX(MOD(CAST('Infinity' AS DOUBLE), 2))", None),
        ("STDDEV(CAST('Infinity' AS DOUBLE))", None),
    ],
)
def test_values_near_the_ends_of_their_types(bench: Bench, value: str, expected: float | None) -> None:
    if value.startswith("SUM(1e308 - "):
        with pytest.raises(QueryError, match=BEYOND):
            bench.ask(f"SELECT {value} FROM {T}")
        return
    ((found,),) = bench.ask(f"SELECT {value} FROM {T}")
    assert found == expected or math.isclose(found, expected or 0.0, rel_tol=1e-12)


@pytest.mark.parametrize("value", ["SIN(CAST('Infinity' AS DOUBLE))", "ACOS(2 + flag)", "ASIN(2 + flag)"])
def test_what_a_function_is_not_defined_for_is_said_so(bench: Bench, value: str) -> None:
    with pytest.raises(QueryError, match="a function gets a number that it is not defined for") as caught:
        bench.ask(f"SELECT {value} FROM {T}")
    assert value.partition("(")[0] in str(caught.value)


def test_grouping_by_arithmetic_finds_the_same_arithmetic(bench: Bench) -> None:
    """The check for overflow does not hide that an expression is the one that is grouped by."""
    found = bench.ask(f"SELECT flag * 1.5, flag * 1.5 + 1, COUNT(*) FROM {T} GROUP BY flag * 1.5 ORDER BY 1")
    assert [row[:2] for row in found] == [(n * 1.5, n * 1.5 + 1) for n in range(8)]
    found = bench.ask(f"SELECT (ra + dec) / 2, COUNT(*) FROM {T} GROUP BY ra + dec")
    assert sum(row[1] for row in found) == 2000


def test_a_long_sum_stays_a_short_query(duck: Bench) -> None:
    """SQL grows with the number of terms, not with its square or worse."""
    one, many = (len(duck.query(f"SELECT {' + '.join(['ra * dec'] * n)} FROM {T}").sql) for n in (10, 100))
    assert many < 15 * one
