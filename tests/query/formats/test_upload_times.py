"""Timestamps in uploads: one rule for all formats, that of DALI 1.1 (section 3.3.3), and numeric offsets become UTC."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import votable
from astropy.io.votable.tree import Field, Resource, TableElement, VOTableFile

from desdm.errors import UsageError
from desdm.query.formats.upload import read_upload

ZONE = timezone(timedelta(hours=2))
#: The same four times with an offset, as UTC, as a date, and no time.
TIMES = [
    datetime(2012, 11, 21, 3, 0, 0, 250000, ZONE),
    datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    datetime(2026, 1, 2, tzinfo=UTC),
    None,
]


def read(data: bytes, mime: str | None = None) -> list[str | None]:
    """Texts of the column ``a`` of an upload, which must be timestamps to queries."""
    upload = read_upload("mine", data, mime, max_bytes=1_000_000, max_rows=1000)
    assert upload.columns[0].xtype in ("timestamp", "adql:TIMESTAMP")
    return [None if v is None else str(v) for v in upload.rows["a"].to_pylist()]


def parsed(texts: list[str | None]) -> list[datetime | None]:
    """The times of texts in UTC, as Python reads ISO 8601."""
    return [None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC) for text in texts]


def votable_of(texts: list[str], form: str, xtype: str = "timestamp") -> bytes:
    """A VOTable with one column, as astropy writes it."""
    file, resource = VOTableFile(version="1.4"), Resource()
    file.resources.append(resource)
    table = TableElement(file)
    resource.tables.append(table)
    table.fields.append(Field(file, name="a", datatype="char", arraysize="*", xtype=xtype))
    table.create_arrays(len(texts))
    for row, text in enumerate(texts):
        table.array[row] = (text,)
    table.format = form
    data = io.BytesIO()
    votable.writeto(file, data)
    return data.getvalue()


@pytest.mark.parametrize("xtype", ["timestamp", "adql:TIMESTAMP"])
@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_a_votable_with_offsets_is_converted(form: str, xtype: str) -> None:
    texts = ["2012-11-21T03:00:00.25+02:00", "2026-01-02T03:04:05Z", "2026-01-02", ""]
    assert parsed(read(votable_of(texts, form, xtype))) == TIMES


def test_csv_and_parquet_give_the_same_times(tmp_path: Path) -> None:
    assert (
        parsed(
            read(
                b"a\n2012-11-21T03:00:00.25+02:00\n2026-01-02T03:04:05Z\n2026-01-02T00:00:00Z\n",
                "text/csv",
            )
        )[:3]
        == TIMES[:3]
    )
    file = tmp_path / "a.parquet"
    for unit in ("s", "ms", "us", "ns"):
        pq.write_table(pa.table({"a": pa.array(TIMES[1:], pa.timestamp(unit, "Europe/Berlin"))}), file)
        assert parsed(read(file.read_bytes())) == TIMES[1:]
    pq.write_table(pa.table({"a": [date(2026, 1, 2), None]}), file)
    assert read(file.read_bytes()) == ["2026-01-02", None]


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456"),
        (-1, "1969-12-31T23:59:59.999999"),
        (0, "1970-01-01T00:00:00"),
    ],
)
def test_nanoseconds_of_parquet_are_dropped(tmp_path: Path, nanoseconds: int, text: str) -> None:
    """They are so in releases as well; neither DALI's timestamps nor PostgreSQL have them."""
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": pa.array([nanoseconds], pa.timestamp("ns"))}), file)
    assert parsed(read(file.read_bytes())) == [datetime.fromisoformat(text).replace(tzinfo=UTC)]


@pytest.mark.parametrize(
    "text",
    ["yesterday", "01/02/2026", "2026-01-02T03:04:05 Europe/Berlin", "2026-02-30", "2016-12-31T23:59:60"],
)
def test_what_is_no_timestamp_is_refused_with_its_row(text: str) -> None:
    with pytest.raises(UsageError, match=r"upload mine: row 2, column a: .* is not a timestamp"):
        read(votable_of(["2026-01-02", text], "tabledata"))


def test_times_that_no_engine_holds_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": pa.array([0, 2**60], pa.timestamp("us"))}), file)
    with pytest.raises(UsageError, match="row 2, column a: a year from 0001 to 9999"):
        read(file.read_bytes())


def test_a_number_cannot_be_a_timestamp() -> None:
    data = votable_of(["2026-01-02"], "tabledata").replace(
        b'datatype="char" arraysize="*"', b'datatype="double"'
    )
    data = data.replace(b'arraysize="*" datatype="char"', b'datatype="double"').replace(
        b"2026-01-02<", b"2026.5<"
    )
    with pytest.raises(UsageError, match=r"column a: a timestamp .* is text"):
        read(data)
