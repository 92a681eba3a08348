"""Texts as timestamps in queries: the form of DALI 1.1 (section 3.3.3), in UTC, on both engines; astropy reads the same."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from desdm.errors import QueryError
from desdm.query.engines.model import Upload
from desdm.release.model import ReleaseColumn
from desdm.timestamps import parse_timestamp
from tests.query.adql.conftest import Bench

TEXTS = [
    "2026-11-22",
    "2026-11-22T03:04",
    "2026-11-22T03:04:05",
    "2026-11-22 03:04:05",
    "2026-11-22T03:04:05Z",
    "2026-11-22T03:04:05.678",
    "2026-11-22T03:04:05.678Z",
    "2024-02-29T23:59:59.999",
    "1000-01-01",
    "9999-12-31T23:59:59.999",
]
OFFSETS = [
    "2012-11-21T03:00:00+02:00",
    "2012-11-21T03:00:00-0530",
    "2012-11-21T03:00:00.25+02",
    "2012-12-31T23:30:00-01:00",
    "2012-01-01T00:30:00+05:45",
]
OTHERS = [
    "01/02/2026", "22/11/2026", "now", "today", "epoch", "infinity", "-infinity", "J2451187", "Jan 2 2026",
    "20261122", "2026.123", "2026-1-2", "0044-03-15 BC", "0000-01-01", "2026-11-22T03:04:05 Europe/Berlin",
    "2026-11-22T03:04:05 CET", "2026-11-22T24:00:00", "2026-11-22T03:04:60", "2016-12-31T23:59:60",
    "2026-02-30", "2026-13-01", "2026-11-22T03:04:05+25:00", "2026-11-22T03:04:05+02:0", "2026-11-22T03:04:05.",
    "2026-11-22T", "2026-11-22Z", "+02026-11-22", "12026-11-22", "2026-11-22T03:04:05ZZ", "allballs", "abc", "",
    "0001-01-01T00:30:00+01:00", "9999-12-31T23:30:00-01:00", "2026-11-22T03:04:05\u06f0",
]  # fmt: skip


def milliseconds(time: datetime) -> str:
    """A time as the answers of queries write it."""
    return time.replace(tzinfo=None).isoformat(timespec="milliseconds")


def expected(text: str) -> str:
    """The time of a text in UTC, read by astropy and by Python's own reader of ISO 8601."""
    if text in OFFSETS:
        return milliseconds(datetime.fromisoformat(text).astimezone(UTC))
    from astropy.time import Time

    # ERFA warns of years far from ours, where UTC is not defined; the digits are the same.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(Time(text.rstrip("Z").replace("T", " "), format="iso", scale="utc", precision=3).isot)


def texts_in(bench: Bench, texts: list[str]) -> Bench:
    """The engine with the texts in a column of an uploaded table."""
    columns = (ReleaseColumn("n", "int"), ReleaseColumn("s", "char", "*"))
    rows = pa.table({"n": pa.array(range(len(texts)), pa.int32()), "s": texts})
    return replace(bench, upload=Upload("u", columns, rows))


@pytest.mark.parametrize("text", [*TEXTS, *OFFSETS])
def test_a_literal_is_the_time_in_utc(bench: Bench, text: str) -> None:
    values = ", ".join([f"TIMESTAMP('{text}')", f"CAST('{text}' AS TIMESTAMP)"])
    assert bench.ask(f"SELECT TOP 1 {values} FROM T1.objects") == [(expected(text),) * 2]


def test_texts_in_a_column_are_read_as_literals_are(bench: Bench) -> None:
    texts = [*TEXTS, *OFFSETS, " 2026-11-22T03:04:05.123456789 "]
    wanted = [(expected(t),) for t in texts[:-1]] + [("2026-11-22T03:04:05.123",)]
    many = texts_in(bench, texts)
    for value in ("TIMESTAMP(s)", "CAST(s AS TIMESTAMP)", "TIMESTAMP(s || '')"):
        assert [r[1:] for r in many.ask(f"SELECT n, {value} FROM TAP_UPLOAD.u ORDER BY n")] == wanted
    assert many.ask("SELECT n FROM TAP_UPLOAD.u WHERE TIMESTAMP(s) = '2026-11-22T03:04:05.123456'") == [(15,)]
    assert many.ask("SELECT n FROM TAP_UPLOAD.u WHERE TIMESTAMP('2012-11-21T01:00:00') = s") == [(10,)]


@pytest.mark.parametrize("text", OTHERS)
def test_other_texts_are_refused_in_literals_and_in_columns(bench: Bench, text: str) -> None:
    with pytest.raises(ValueError, match="is not a timestamp"):
        parse_timestamp(text)
    for sql in (
        f"SELECT TIMESTAMP('{text}') FROM T1.objects",
        f"SELECT CAST('{text}' AS TIMESTAMP) FROM T1.objects",
        f"SELECT name FROM ivoa.notes WHERE \"when\" > '{text}'",
        f"SELECT name FROM ivoa.notes WHERE \"when\" IN ('{text}')",
    ):
        with pytest.raises(QueryError, match="is not a timestamp") as caught:
            bench.ask(sql)
        assert caught.value.line == 1
    with pytest.raises(
        QueryError,
        match="while the query ran: a text cannot be converted to a timestamp: it must be YYYY-MM-DD",
    ):
        texts_in(bench, [text]).ask("SELECT TIMESTAMP(s) FROM TAP_UPLOAD.u")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00.000", "9999-12-31T23:59:59.999"])
def test_the_first_and_the_last_time(bench: Bench, text: str) -> None:
    found = texts_in(bench, [text]).ask(f"SELECT TIMESTAMP('{text}'), TIMESTAMP(s) FROM TAP_UPLOAD.u")
    assert found == [(text, text)]


def test_comparisons_with_a_time_elsewhere(bench: Bench) -> None:
    """The row a is at 2026-01-02T03:04:05.5."""
    found = [
        bench.ask(f"SELECT name FROM ivoa.notes WHERE \"when\" > '{text}' ORDER BY name")
        for text in ("2026-01-02T05:04:05+02:00", "2026-01-02T05:04:06+02:00", "2026-01-01T22:04:05-05:00")
    ]
    assert found == [[("a",), ("b",)], [("b",)], [("a",), ("b",)]]
    between = "\"when\" BETWEEN '2026-01-02T04:04:05+01:00' AND '2026-01-02T04:04:06+01:00'"
    assert bench.ask(f"SELECT name FROM ivoa.notes WHERE {between}") == [("a",)]
    assert bench.ask('SELECT name FROM ivoa.notes WHERE "when" > TIMESTAMP(NULL)') == []
