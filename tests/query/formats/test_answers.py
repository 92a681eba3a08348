"""One table with every kind of trouble in it goes out in each format and is read back by clients of others."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits, votable
from astropy.table import Table

from desdm.errors import DatabaseUnavailable, UsageError
from desdm.query.formats import FORMATS, Format, choose, stream
from desdm.query.formats.votable import error_document, small_table
from desdm.release.model import ReleaseColumn

NAN, INF = float("nan"), float("inf")

#: Description, Arrow type, and three cells of each column; the last row is all nulls.
TRUTH: tuple[tuple[ReleaseColumn, pa.DataType, list[Any]], ...] = (
    (
        ReleaseColumn("id", "long", ucd="meta.id;meta.main", text="Number, 1 < n & so on"),
        pa.int64(),
        [2**62, -1, None],
    ),
    (
        ReleaseColumn("ra", "double", unit="deg", ucd="pos.eq.ra"),
        pa.float64(),
        [1 / 3, 359.99999999999994, None],
    ),
    (ReleaseColumn("mag", "float", unit="mag"), pa.float32(), [NAN, INF, None]),
    (ReleaseColumn("slope", "double"), pa.float64(), [-INF, 1e-300, None]),
    (ReleaseColumn("flag", "int"), pa.int32(), [-(2**31) + 1, 2**31 - 1, None]),
    (ReleaseColumn("nexp", "short"), pa.int16(), [-7, 32767, None]),
    (ReleaseColumn("bits", "unsignedByte"), pa.uint8(), [0, 255, None]),
    (ReleaseColumn("good", "boolean"), pa.bool_(), [True, False, None]),
    (ReleaseColumn("name", "char", "*"), pa.string(), ['say "hi", <b>&\r\n]]>', "x" * 3000, None]),
    (ReleaseColumn("sign", "unicodeChar", "*"), pa.large_string(), ["Ωé😀", "plain", None]),
    (ReleaseColumn("outline", "double", "*"), pa.list_(pa.float64()), [[1.5, 2.5], [], None]),
    (ReleaseColumn("offset", "float", "2"), pa.list_(pa.float32()), [[1, 2], [3, 4], None]),
    (ReleaseColumn("Name", "char", "*", "timestamp"), pa.string(), ["2013-08-31T01:02:03.5", "", None]),
)
COLUMNS = [column for column, _, _ in TRUTH]
NAMES = [*(column.name for column in COLUMNS[:-1]), "Name_2"]


def batches(*, gap: bool = True) -> Iterator[pa.RecordBatch]:
    """The truth in two batches with an empty one between; slices, so that offsets are not 0."""
    whole = pa.RecordBatch.from_arrays(
        [pa.array(v, t) for _, t, v in TRUTH], names=[f"c{i}" for i in range(13)]
    )
    yield whole.slice(0, 1)
    if gap:
        yield whole.slice(0, 0)
    yield whole.slice(1)


def answer(name: str, columns: list[ReleaseColumn] = COLUMNS, rows: Any = None, **more: Any) -> bytes:
    return b"".join(stream(choose(name), columns, batches() if rows is None else rows, **more))


def lint(tmp_path: Path, document: bytes) -> str:
    path = tmp_path / "answer.vot"
    path.write_bytes(document)
    done = subprocess.run(
        ["stilts", "votlint", f"votable={path}"], capture_output=True, text=True, errors="replace"
    )
    return done.stdout + done.stderr


def same(found: Any, truth: Any) -> bool:
    if isinstance(truth, list):
        return len(found) == len(truth) and all(same(f, t) for f, t in zip(found, truth, strict=True))
    if isinstance(truth, float) and truth != truth:
        return bool(np.isnan(found))
    return bool(found == truth)


@pytest.mark.parametrize("name", ["votable", "votable/td"])
def test_a_votable_is_read_by_astropy_and_votlint_as_it_was_meant(name: str, tmp_path: Path) -> None:
    document = answer(name, title="Trouble & <more>", infos=[("standardID", "ivo://x", "a note")])
    assert lint(tmp_path, document) == ""
    parsed = votable.parse(io.BytesIO(document), verify="exception")
    table = parsed.get_first_table()
    assert [f.name for f in table.fields] == NAMES
    assert [str(f.unit or "") for f in table.fields][:3] == ["", "deg", "mag"]
    assert [f.ucd for f in table.fields][:2] == ["meta.id;meta.main", "pos.eq.ra"]
    assert table.fields[0].description == "Number, 1 < n & so on"
    assert table.description == "Trouble & <more>"
    assert [(i.name, i.value) for i in parsed.resources[0].infos] == [
        ("QUERY_STATUS", "OK"),
        ("standardID", "ivo://x"),
    ]
    for j, (column, kind, cells) in enumerate(TRUTH):
        found = table.array[table.fields[j].ID]
        for i, truth in enumerate(cells):
            if truth is None:
                if column.datatype not in ("char", "unicodeChar") and column.arraysize is None:
                    assert np.all(np.ma.getmaskarray(found)[i]), column.name
                continue
            if truth == "" or truth == []:
                assert len(found[i]) == 0
            elif pa.types.is_float32(kind):
                assert same(float(found.data[i]), float(np.float32(truth)))  # astropy masks each NaN
            else:
                assert same(list(found[i]) if isinstance(truth, list) else found[i], truth), column.name


@pytest.mark.parametrize("name", [form.name for form in FORMATS])
def test_no_rows_are_an_answer_too(name: str, tmp_path: Path) -> None:
    document = answer(name, rows=iter(()))
    if choose(name).extension == "vot":
        assert lint(tmp_path, document) == ""
        assert len(votable.parse_single_table(io.BytesIO(document)).array) == 0
    elif name == "fits":
        with fits.open(io.BytesIO(document)) as file:
            assert (file[1].header["NAXIS2"], [c.name for c in file[1].columns]) == (0, NAMES)
    elif name == "parquet":
        assert pq.read_table(io.BytesIO(document)).num_rows == 0
    else:
        assert document.decode().strip() == ("," if name == "csv" else "\t").join(NAMES)


def test_csv_is_rfc_4180_and_a_null_or_nan_is_an_empty_cell() -> None:
    lines = list(csv.reader(io.StringIO(answer("csv").decode(), newline="")))
    assert lines[0] == NAMES
    assert lines[1] == [
        str(2**62), "0.3333333333333333", "", "-Infinity", "-2147483647", "-7", "0", "true",
        'say "hi", <b>&\r\n]]>', "Ωé😀", "1.5 2.5", "1 2", "2013-08-31T01:02:03.5",
    ]  # fmt: skip
    assert lines[2][1:4] == ["359.99999999999994", "Infinity", "1e-300"]
    assert lines[3] == [""] * 13


def test_an_empty_cell_in_csv_of_one_column_is_no_empty_line() -> None:
    column = [ReleaseColumn("a,b", "int")]
    document = answer("csv", column, [pa.record_batch([pa.array([1, None, 3], pa.int32())], names=["x"])])
    assert document == b'"a,b"\r\n1\r\n""\r\n3\r\n'


def test_tsv_has_one_line_a_row_whatever_the_text_holds() -> None:
    lines = answer("tsv").decode().split("\n")
    assert len(lines) == 5
    assert all(line.count("\t") == 12 for line in lines[:4])
    assert lines[1].split("\t")[8] == 'say "hi", <b>&  ]]>'


def test_fits_passes_fitsverify_and_keeps_nulls_long_text_and_arrays(tmp_path: Path) -> None:
    path = tmp_path / "answer.fits"
    path.write_bytes(answer("fits", title="Trouble", infos=[("note", "v", "text")]))
    said = subprocess.run(["fitsverify", path], capture_output=True, text=True).stdout
    # The two names differ only by a number; what remains is that a text column holds 3,000 characters.
    assert "and 0 error(s)" in said
    assert "0 warning(s)" in said
    with fits.open(path) as file:
        table = file[1]
        assert table.columns["ra"].unit == "deg"
        assert table.header["TUCD2"] == "pos.eq.ra"
        assert list(table.data["id"][:2]) == [2**62, -1]
        assert table.data["id"][2] == table.columns["id"].null
        assert list(table.data["bits"]) == [0, 255, table.columns["bits"].null]
        assert list(table.data["nexp"]) == [-7, 32767, table.columns["nexp"].null]
        assert list(table.data["ra"][:2]) == [1 / 3, 359.99999999999994]
        assert (
            np.isnan(table.data["ra"][2])
            and np.isnan(table.data["mag"][0])
            and np.isinf(table.data["mag"][1])
        )
        # astropy hands variable text on as single characters, without blanks.
        assert ["".join(cell) for cell in table.data["name"]] == ['say"hi",<b>&??]]>', "x" * 3000, ""]
        assert list(table.data["sign"]) == ["???", "plain", ""]
        assert [list(v) for v in table.data["outline"]] == [[1.5, 2.5], [], []]
        assert table.data["offset"][1].tolist() == [3, 4]


def test_parquet_keeps_types_nulls_units_and_ucds() -> None:
    table = pq.read_table(io.BytesIO(answer("parquet", title="Trouble")))
    assert table.column_names == NAMES
    assert table.schema.field("ra").metadata == {b"unit": b"deg", b"ucd": b"pos.eq.ra"}
    for name, (_, _, cells) in zip(NAMES, TRUTH, strict=True):
        assert all(
            found is None if truth is None else same(found, truth)
            for found, truth in zip(table[name].to_pylist(), cells, strict=True)
        ), name


@pytest.mark.parametrize(
    ("maxrec", "rows", "overflow"), [(1, 1, True), (2, 2, True), (3, 3, False), (0, 0, True)]
)
def test_overflow_is_said_only_when_more_rows_came(
    maxrec: int, rows: int, overflow: bool, tmp_path: Path
) -> None:
    for name in ("votable", "votable/td"):
        document = answer(name, maxrec=maxrec)
        assert len(votable.parse_single_table(io.BytesIO(document)).array) == rows
        assert (b'<INFO name="QUERY_STATUS" value="OVERFLOW"' in document) is overflow
        assert document.index(b'"OK"') < document.index(b"<TABLE>")
        if overflow:
            assert document.index(b"</TABLE>") < document.index(b'"OVERFLOW"')
    assert answer("csv", maxrec=maxrec).count(b"\r\n") == 1 + rows + (rows > 0)  # one cell holds a line end
    with fits.open(io.BytesIO(answer("fits", maxrec=maxrec))) as file:
        assert file[1].header["QSTATUS"] == ("OVERFLOW" if overflow else "OK")
        assert file[1].header["NAXIS2"] == rows
    footer = pq.ParquetFile(io.BytesIO(answer("parquet", maxrec=maxrec))).metadata
    assert footer.num_rows == rows
    assert footer.metadata[b"QUERY_STATUS"] == (b"OVERFLOW" if overflow else b"OK")


class _Gone:
    """Rows of a database that goes away in their middle."""

    def __init__(self) -> None:
        self.asked = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in batches(gap=False):
            self.asked += 1
            yield batch
        raise DatabaseUnavailable("postgresql://user@inside went away")


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_what_broke_off_is_never_taken_for_the_whole(form: Format) -> None:
    rows, got = _Gone(), b""
    pieces = stream(form, COLUMNS, rows)
    with pytest.raises(DatabaseUnavailable, match="went away"):
        for piece in pieces:
            got += piece
    if form.extension == "vot":
        assert b"</TABLE>" in got and b'value="ERROR">the table is incomplete' in got
        assert b"inside" not in got
        # DALI 1.1, 4.4.1: an error after the first rows is an INFO after the TABLE, in a document that is valid.
        found = votable.parse(io.BytesIO(got))
        statuses = [info.value for info in found.resources[0].infos if info.name == "QUERY_STATUS"]
        assert statuses == ["OK", "ERROR"] and len(found.get_first_table().array) == 3
    if form.name == "parquet":
        with pytest.raises(pa.ArrowInvalid):
            pq.ParquetFile(io.BytesIO(got))
    if form.name == "fits":
        assert got == b""


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_an_error_before_the_first_row_is_raised_when_the_answer_begins(form: Format) -> None:
    def none() -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_arrays([pa.array(v[:0], t) for _, t, v in TRUTH], names=NAMES)
        raise UsageError("division by zero")

    with pytest.raises(UsageError, match="division by zero"):
        stream(form, COLUMNS, none()).begin()


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize(("maxrec", "cut"), [(0, True), (1, True), (2, True), (3, False), (9, False)])
def test_a_cut_answer_is_known_before_its_first_byte_where_its_rows_are_few(
    form: Format, maxrec: int, *, cut: bool
) -> None:
    answer = stream(form, COLUMNS, batches(), maxrec=maxrec).begin()
    if not form.reports_cuts:
        assert answer.headers.get("X-Query-Status") == ("OVERFLOW" if cut else None)
    assert answer.headers["X-Maxrec"] == str(maxrec)
    body = b"".join(answer)
    assert answer.overflow is cut
    if form.extension in ("vot", "fits", "parquet"):
        assert (b"OVERFLOW'" in body if form.name == "fits" else b"OVERFLOW" in body) is cut


@pytest.mark.parametrize("name", ["votable", "votable/td", "csv", "tsv", "parquet"])
def test_the_first_bytes_come_before_the_first_row_is_asked_for(name: str) -> None:
    rows = _Gone()
    assert next(stream(choose(name), COLUMNS, rows))
    assert rows.asked == 0


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_the_same_rows_in_other_batches_are_the_same_table(form: Format) -> None:
    rng = np.random.default_rng(4)
    columns = [ReleaseColumn("n", "long"), ReleaseColumn("x", "double"), ReleaseColumn("t", "char", "*")]
    n = 70_001
    whole = pa.record_batch(
        [
            pa.array(np.arange(n)),
            pa.array(rng.normal(size=n)),
            pa.array([str(i) * (i % 4) for i in range(n)]),
        ],
        names=["n", "x", "t"],
    )
    found = [
        b"".join(stream(form, columns, (whole.slice(i, step) for i in range(0, n, step))))
        for step in (n, 4999)
    ]
    if form.extension == "vot":
        tables = [votable.parse_single_table(io.BytesIO(f)).array for f in found]
        assert all(np.array_equal(t["x"], whole["x"].to_numpy()) for t in tables)
        assert all(list(t["t"][-5:]) == whole["t"].to_pylist()[-5:] for t in tables)
    elif form.name == "parquet":
        assert all(pq.read_table(io.BytesIO(f)).to_batches()[0].num_rows for f in found)
        assert pq.read_table(io.BytesIO(found[0])).equals(pq.read_table(io.BytesIO(found[1])))
    else:
        assert found[0] == found[1]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (None, "votable"), ("", "votable"), ("VOTable", "votable"), ("application/x-votable+xml", "votable"),
        ("application/x-votable+xml; serialization=BINARY2", "votable"), ("votable/td", "votable/td"),
        ("application/x-votable+xml;serialization=tabledata", "votable/td"), ("text/xml", "votable/td"),
        ("text/csv", "csv"), ("CSV", "csv"), ("text/csv;header=present", "csv"), ("text/csv; charset=utf-8", "csv"),
        ("tsv", "tsv"), ("text/tab-separated-values", "tsv"), ("application/fits", "fits"), ("Parquet", "parquet"),
        ("application/vnd.apache.parquet", "parquet"),
    ],
)  # fmt: skip
def test_a_format_has_many_names(asked: str | None, name: str) -> None:
    assert choose(asked).name == name


@pytest.mark.parametrize(
    "asked", ["docx", "application/x-votable+xml;serialization=BINARY9", "application/json"]
)
def test_an_unknown_format_is_refused_with_a_list_of_what_there_is(asked: str) -> None:
    with pytest.raises(UsageError, match=r"votable .*csv .*tsv .*fits .*parquet"):
        choose(asked)


def test_an_error_is_a_document_of_its_own(tmp_path: Path) -> None:
    document = error_document("line 1: <nothing> & \x07")
    assert lint(tmp_path, document) == ""
    info = votable.parse(io.BytesIO(document)).resources[0].infos[0]
    assert (info.name, info.value, info.content) == ("QUERY_STATUS", "ERROR", "line 1: <nothing> & \ufffd")


def test_a_small_table_takes_python_rows_and_further_xml(tmp_path: Path) -> None:
    columns = [
        ReleaseColumn("ID", "char", "*", ucd="meta.id;meta.main"),
        ReleaseColumn("content_length", "long"),
    ]
    extra = (
        '<RESOURCE type="meta" utype="adhoc:service"><PARAM name="a" datatype="int" value="1"/></RESOURCE>\n'
    )
    document = small_table(columns, [("a&b", 5), (None, None)], [("v", "1", "")], extra=extra, overflow=True)
    assert lint(tmp_path, document) == ""
    parsed = votable.parse(io.BytesIO(document))
    assert parsed.resources[1].type == "meta"
    table = parsed.get_first_table().array
    assert table["ID"][0] == "a&b" and np.ma.is_masked(table["content_length"][1])
    assert b'value="OVERFLOW"' in document
    assert len(votable.parse_single_table(io.BytesIO(small_table(columns, []))).array) == 0


@pytest.mark.parametrize(
    ("kind", "datatype", "cells"),
    [
        (pa.int16(), "short", [[None, -(2**15)], [5]]),
        (pa.int16(), "short", [[-(2**15), 2**15 - 1], [None, -(2**15) + 1]]),
        (pa.int16(), "short", [[-(2**15)], [7]]),
        (pa.int32(), "int", [[-(2**31), None]]),
        (pa.int64(), "long", [[-(2**63), None], [2**63 - 1]]),
        (pa.int16(), "short", [[None], [None]]),
    ],
)
def test_the_null_of_a_fits_column_is_none_of_its_values(
    kind: Any, datatype: str, cells: list[list[Any]]
) -> None:
    """FITS 4.0, section 7.3.2; astropy reads it."""
    made = [pa.RecordBatch.from_arrays([pa.array(part, kind)], names=["c0"]) for part in cells]
    document = answer("fits", [ReleaseColumn("n", datatype)], iter(made))
    column = Table.read(io.BytesIO(document), format="fits", hdu=1)["n"]
    mask = np.broadcast_to(np.ma.getmaskarray(column), len(column))
    found = [None if hidden else int(value) for value, hidden in zip(np.asarray(column), mask, strict=True)]
    assert found == [value for part in cells for value in part]


def test_a_column_with_all_values_of_its_type_and_nulls_is_refused() -> None:
    whole = pa.array([None, *range(-(2**15), 2**15)], pa.int16())
    made = [pa.RecordBatch.from_arrays([whole], names=["c0"])]
    with pytest.raises(UsageError, match="n: every value from -32768 to 32767 occurs"):
        answer("fits", [ReleaseColumn("n", "short")], iter(made))
