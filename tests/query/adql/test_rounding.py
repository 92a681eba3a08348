"""ROUND, TRUNCATE and MOD of doubles: one answer on both engines, that of Python's fractions, decimal and math.fmod."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desdm.errors import QueryError
from desdm.query.engines.model import Upload
from desdm.release.model import ReleaseColumn
from tests.query.adql.conftest import Bench

T = "T1.objects"


def columns(bench: Bench, values: str, **numbers: list[float]) -> list[tuple[float | None, ...]]:
    """Values of an uploaded table of doubles, in its order."""
    count = len(next(iter(numbers.values())))
    described = (ReleaseColumn("n", "int"), *(ReleaseColumn(name, "double") for name in numbers))
    upload = Upload("u", described, pa.table({"n": pa.array(range(count), pa.int32()), **numbers}))
    rows = replace(bench, upload=upload).ask(f"SELECT n, {values} FROM TAP_UPLOAD.u ORDER BY n")
    return [row[1:] for row in rows]


def rounded(x: float, places: int, half_up: bool) -> float:
    """The multiple of 10^-places that the documentation of the queries promises."""
    size, unit = Fraction(abs(x)), Fraction(10) ** -places
    if abs(x) >= float(2**52 * unit):
        return x
    count = math.floor(size / unit)
    count = max(k for k in (count - 1, count, count + 1) if float(k * unit) <= abs(x))
    if half_up and float(count * unit) < abs(x) and float((count + Fraction(1, 2)) * unit) <= abs(x):
        count += 1
    return math.copysign(float(count * unit), x)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ROUND(CAST(9007199254740993 AS BIGINT))", 9007199254740992.0),
        ("ROUND(1234567890123456789)", 1234567890123456768.0),
        ("TRUNCATE(0.9999999999999999)", 0.0),
        ("ROUND(0.49999999999999994)", 0.0),
        ("ROUND(0.5)", 1.0),
        ("ROUND(-2.5)", -3.0),
        ("TRUNCATE(4.35, 2)", 4.35),
        ("ROUND(1.005, 2)", 1.01),
        ("TRUNCATE(2.3, 1)", 2.3),
        ("TRUNCATE(0.29, 2)", 0.29),
        ("ROUND(2.675, 2)", 2.68),
        ("ROUND(0.15, 1)", 0.2),
        ("ROUND(-1.45, 1)", -1.5),
        ("ROUND(2459000.123456789, 8)", 2459000.12345679),
        ("ROUND(56252.1250014289, 10)", 56252.1250014289),
        ("ROUND(1e300, 2)", 1e300),
        ("ROUND(1e-300, 18)", 0.0),
        ("ROUND(1e-320, -18)", 0.0),
        ("TRUNCATE(-0.5)", 0.0),
        ("ROUND(1250, -2)", 1300.0),
        ("TRUNCATE(-1299.9, -2)", -1200.0),
        ("ROUND(CAST('-Infinity' AS DOUBLE), 3)", -math.inf),
        ("TRUNCATE(CAST('Infinity' AS DOUBLE))", math.inf),
        ("MOD(1.0, 0.1)", 0.09999999999999995),
        ("MOD(1e22, 7)", 4.0),
        ("MOD(5.5, 1e-20)", math.fmod(5.5, 1e-20)),
        ("MOD(-7.5, 2)", -1.5),
        ("MOD(2.5, CAST('Infinity' AS DOUBLE))", 2.5),
        ("MOD(1.7e308, 5e-324)", 0.0),
    ],
)
def test_values_at_which_the_engines_used_to_differ(bench: Bench, value: str, expected: float) -> None:
    assert bench.ask(f"SELECT TOP 1 {value} FROM {T}") == [(expected,)]


@pytest.mark.parametrize("value", ["ROUND(mag_g - mag_g / 0)", "MOD(ra, 0.0)", "MOD(ra, dec - dec)"])
def test_a_division_by_zero_stays_an_error(bench: Bench, value: str) -> None:
    with pytest.raises(QueryError, match="division by zero"):
        bench.ask(f"SELECT {value} FROM {T} WHERE mag_g IS NOT NULL")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-(10**15), 10**15), st.integers(-20, 17)), min_size=50, max_size=50),
    st.integers(-18, 18),
)
def test_decimals_of_fifteen_digits_are_rounded_as_decimals(
    duck: Bench, site: Bench, decimals: list[tuple[int, int]], places: int
) -> None:
    texts = [f"{digits}e{exponent}" for digits, exponent in decimals]
    unit = Decimal(1).scaleb(-places)
    expected = []
    for text in texts:
        number = Decimal(text)
        plain = number if number.adjusted() + places > 22 else None
        expected.append(
            tuple(
                float(plain if plain is not None else number.quantize(unit, how))
                for how in (ROUND_HALF_UP, ROUND_DOWN)
            )
        )
    for bench in (duck, site):
        found = columns(bench, f"ROUND(x, {places}), TRUNCATE(x, {places})", x=[float(t) for t in texts])
        assert found == expected


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=50, max_size=50),
    st.integers(-18, 18),
    st.lists(st.floats(-1e6, 1e6), min_size=50, max_size=50),
)
def test_any_doubles_are_rounded_alike(
    duck: Bench, site: Bench, wide: list[float], places: int, near: list[float]
) -> None:
    x = wide + near
    expected = [(rounded(v, places, True), rounded(v, places, False)) for v in x]
    for bench in (duck, site):
        assert columns(bench, f"ROUND(x, {places}), TRUNCATE(x, {places})", x=x) == expected


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False)
        ),
        min_size=50,
        max_size=50,
    ),
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-400, 400)), min_size=50, max_size=50),
)
def test_the_remainder_is_that_of_fmod(
    duck: Bench, site: Bench, wide: list[tuple[float, float]], near: list[tuple[float, float]]
) -> None:
    pairs = [(a, b) for a, b in wide + near if b != 0] or [(1.0, 1.0)]
    expected = [(math.fmod(a, b),) for a, b in pairs]
    for bench in (duck, site):
        assert columns(bench, "MOD(x, y)", x=[a for a, _ in pairs], y=[b for _, b in pairs]) == expected


def test_rounding_stands_wherever_a_value_does(bench: Bench) -> None:
    """In groups, aggregates, conditions, order and itself."""
    ((all_rows,),) = bench.ask(f"SELECT COUNT(*) FROM {T}")
    groups = bench.ask(
        f"SELECT ROUND(ra, -1) AS r, COUNT(*) AS c FROM {T} GROUP BY ROUND(ra, -1) ORDER BY ROUND(ra, -1) DESC"
    )
    assert sum(c for _, c in groups) == all_rows
    assert [r for r, _ in groups] == sorted({r for r, _ in groups}, reverse=True)
    assert all(r % 10 == 0 for r, _ in groups)
    ((mean,),) = bench.ask(
        f"SELECT ROUND(AVG(ROUND(ra, 1)), 2) FROM {T} WHERE TRUNCATE(ra / 2, 1) > 0 HAVING ROUND(MAX(ra), 1) > 0"
    )
    assert mean == round(mean, 2)
    nested = "ra"
    for _ in range(12):
        nested = f"ROUND({nested}, 3)"
    assert bench.ask(f"SELECT TOP 5 {nested} FROM {T} ORDER BY id") == bench.ask(
        f"SELECT TOP 5 ROUND(ra, 3) FROM {T} ORDER BY id"
    )
