"""Infinity in arithmetic (IEEE 754-2019, 7.2): what is not a number is no value, on both engines."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from desdm.query.engines.model import Upload
from desdm.release.model import ReleaseColumn
from tests.query.adql.conftest import Bench

X = [1.5, None, -0.0, math.inf, -math.inf, math.nan]
UPLOAD = Upload(
    "u",
    (ReleaseColumn("n", "int"), ReleaseColumn("x", "double"), ReleaseColumn("f", "float"), ReleaseColumn("k", "int")),
    pa.table({
        "n": pa.array(range(len(X)), pa.int32()), "x": pa.array(X), "f": pa.array(X, pa.float32()),
        "k": pa.array([0] * len(X), pa.int32()),
    }),
)  # fmt: skip
ZEROS = [
    "x*0", "0*x", "x*0.0", "x*(1-1)", "(2-2)*x", "f*0", "0*f", "x*f*0", "x*(-0)", "x*1e-400", "-(x*0)", "x*0 + 1", "x*k",
    "f*k", "f*CAST(0 AS REAL)", "x*CAST(0 AS DOUBLE)", "x*CAST('0' AS DOUBLE)", "x*ABS(0)", "x*(PI()-PI())", "ABS(x*0)",
]  # fmt: skip


@pytest.fixture
def ask(bench: Bench) -> Any:
    """Rows of a query of the uploaded table."""
    return replace(bench, upload=UPLOAD).ask


@pytest.mark.parametrize("value", ZEROS)
def test_zero_times_infinity_is_no_value_wherever_it_stands(ask: Any, value: str) -> None:
    u = "FROM TAP_UPLOAD.u"
    assert ask(f"SELECT n {u} WHERE {value} > 5") == []
    assert ask(f"SELECT n {u} WHERE {value} IS NULL ORDER BY n") == [(1,), (3,), (4,), (5,)]
    ((most, count),) = ask(f"SELECT MAX({value}), COUNT({value}) {u}")
    assert (math.isfinite(most), count) == (True, 2)
    assert ask(f"SELECT n, CASE WHEN {value} > 5 THEN 1 ELSE 0 END {u} ORDER BY n") == [
        (i, 0) for i in range(6)
    ]
    assert {n for (n,) in ask(f"SELECT TOP 2 n {u} WHERE {value} IS NOT NULL ORDER BY {value} DESC")} == {
        0,
        2,
    }


@pytest.mark.parametrize(("value", "expected"), [
    ("x + 1", [2.5, None, 1.0, math.inf, -math.inf, None]), ("1 - x", [-0.5, None, 1.0, -math.inf, math.inf, None]),
    ("x * 2", [3.0, None, 0.0, math.inf, -math.inf, None]), ("x / 2", [0.75, None, 0.0, math.inf, -math.inf, None]),
    ("0 / (x + 1)", [0.0, None, 0.0, 0.0, 0.0, None]), ("x - x", [0.0, None, 0.0, None, None, None]),
    ("x / (x + 1)", [0.6, None, 0.0, None, None, None]),
])  # fmt: skip
def test_arithmetic_with_infinity(ask: Any, value: str, expected: list[float | None]) -> None:
    assert [v for _, v in ask(f"SELECT n, {value} FROM TAP_UPLOAD.u ORDER BY n")] == expected
