"""CAST of text to numbers: digits, sign, point, exponent; on both engines as Python's decimal and numpy read them."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pyarrow as pa
import pytest

from desdm.errors import QueryError
from desdm.query.engines.model import Upload
from desdm.release.model import ReleaseColumn
from tests.query.adql.conftest import Bench

DECIMALS = [
    "0",
    "7",
    "+5",
    "-5",
    " 12 ",
    "00012",
    "1.",
    ".5",
    "1.5",
    "2.5",
    "-2.5",
    "-0.5",
    "1e3",
    "1E+2",
    "25e-1",
    "9.99e2",
    "1e-400",
    "-1e-400",
    "1e-60",
    "1e-200000",
    "0.49999999999999999999",
    "31999.4999999999999999999999",
]
BIG = ["9223372036854775807.4", "9223372036854775806.5", "-9223372036854775808", "1234567890123456789.5"]
OTHERS = [
    "0x10",
    "0x1p3",
    "0b11",
    "0o17",
    "1_000",
    "1_0.5",
    "1d3",
    "1,5",
    "1 2",
    "--1",
    "1e",
    ".",
    "",
    "true",
    "abc",
    "\u0661",
    "infin",
]


def texts_in(bench: Bench, texts: list[str]) -> Bench:
    """The engine with the texts in a column of an uploaded table."""
    columns = (ReleaseColumn("n", "int"), ReleaseColumn("s", "char", "*"))
    rows = pa.table({"n": pa.array(range(len(texts)), pa.int32()), "s": texts})
    return replace(bench, upload=Upload("u", columns, rows))


def cast(bench: Bench, texts: list[str], kind: str) -> list[float | int | None]:
    """Values of the column, which must be those of literals."""
    many = texts_in(bench, texts)
    rows = many.ask(f"SELECT n, CAST(s AS {kind}) FROM TAP_UPLOAD.u ORDER BY n")
    literals = ", ".join(f"CAST('{text}' AS {kind})" for text in texts)
    assert bench.ask(f"SELECT TOP 1 {literals} FROM T1.objects") == [tuple(row[1] for row in rows)]
    return [row[1] for row in rows]


@pytest.mark.parametrize("kind", ["SMALLINT", "INTEGER", "BIGINT"])
def test_whole_numbers_are_rounded_half_away_from_zero(bench: Bench, kind: str) -> None:
    texts = DECIMALS + (BIG if kind == "BIGINT" else [])
    assert cast(bench, texts, kind) == [
        int(Decimal(t.strip()).to_integral_value(ROUND_HALF_UP)) for t in texts
    ]


@pytest.mark.parametrize(("kind", "type_"), [("REAL", np.float32), ("DOUBLE", np.float64)])
def test_floating_point_numbers_are_the_nearest(bench: Bench, kind: str, type_: type[np.floating]) -> None:
    texts = [*DECIMALS, *BIG, "inf", "-Infinity", "+INF", "5e-324", "1.4e-45", "3.4028235e38"]
    assert cast(bench, texts, kind) == [float(type_(t)) for t in texts]
    assert cast(bench, ["nan", "NaN"], kind) == [None, None]


@pytest.mark.parametrize("kind", ["SMALLINT", "INTEGER", "BIGINT", "REAL", "DOUBLE"])
def test_other_texts_are_refused(bench: Bench, kind: str) -> None:
    for text in [*OTHERS, *([] if kind in ("REAL", "DOUBLE") else ["inf", "NaN"])]:
        with pytest.raises(
            QueryError, match="is not a number: write digits, sign, point and exponent"
        ) as caught:
            bench.ask(f"SELECT CAST('{text}' AS {kind}) FROM T1.objects")
        assert caught.value.line == 1
        with pytest.raises(QueryError, match="while the query ran: a text cannot be converted to a number"):
            texts_in(bench, [text]).ask(f"SELECT CAST(s AS {kind}) FROM TAP_UPLOAD.u")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("32768", "SMALLINT"),
        ("3000000000", "INTEGER"),
        ("9223372036854775808", "BIGINT"),
        ("9223372036854775807.5", "BIGINT"),
        ("1e400", "INTEGER"),
        ("1e39", "REAL"),
        ("1e400", "DOUBLE"),
        ("123456789012345678901234567890", "BIGINT"),
    ],
)
def test_what_is_too_large_is_said_so(bench: Bench, text: str, kind: str) -> None:
    for sql in (
        f"SELECT CAST('{text}' AS {kind}) FROM T1.objects",
        f"SELECT CAST(s AS {kind}) FROM TAP_UPLOAD.u",
    ):
        with pytest.raises(
            QueryError, match="while the query ran: a number grows beyond what its type holds"
        ):
            texts_in(bench, [text]).ask(sql)
