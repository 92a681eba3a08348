"""Tables that callers send: what astropy and others write is read, what could hurt is refused with a reason."""

from __future__ import annotations

import base64
import decimal
import gzip
import io
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits, votable
from astropy.table import Table

from desdm.errors import LimitExceeded, UsageError
from desdm.query.engines.model import Upload
from desdm.query.formats import choose, stream
from desdm.query.formats.upload import read_upload

MANY, MUCH = 100_000, 10_000_000


def read(data: bytes, mime: str | None = None, rows: int = MANY, size: int = MUCH) -> Upload:
    return read_upload("mine", data, mime, max_bytes=size, max_rows=rows)


def sample() -> Table:
    """What a user has in hand: positions, a masked integer, names, truth values, a vector."""
    table = Table(
        {
            "ra": np.array([359.99999999999994, 0.0, 1 / 3]),
            "mag": np.array([21.5, np.nan, -1], "f4"),
            "n": np.ma.array([1, -5, 7], "i4", mask=[False, True, False]),
            "name": np.array(["a & <b>", "", "long name"]),
            "good": np.array([True, False, True]),
            "vector": np.arange(6.0).reshape(3, 2),
        }
    )
    table["ra"].unit, table["mag"].unit = "deg", "mag"
    return table


def check(upload: Upload, *, masked: bool = True, vector: bool = True) -> None:
    rows = upload.rows.to_pydict()
    assert rows["ra"] == [359.99999999999994, 0.0, 1 / 3]
    assert rows["mag"][0] == 21.5 and rows["mag"][2] == -1
    assert rows["mag"][1] is None or np.isnan(rows["mag"][1])
    assert rows["n"] == [1, None if masked else -5, 7]
    assert [name or "" for name in rows["name"]] == ["a & <b>", "", "long name"]
    assert rows["good"] == [True, False, True]
    if vector:
        assert rows["vector"] == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("serialisation", ["tabledata", "binary", "binary2"])
def test_a_votable_of_astropy_is_read_in_each_serialisation(serialisation: str) -> None:
    held = io.BytesIO()
    document = votable.from_table(sample())
    document.get_first_table().get_field_by_id("ra").ucd = "pos.eq.ra;meta.main"
    if serialisation == "binary":  # has no other way to say null
        document.get_first_table().get_field_by_id("n").values.null = -99
    document.to_xml(held, tabledata_format=serialisation)
    upload = read(held.getvalue())
    check(upload)
    assert [(c.name, c.datatype) for c in upload.columns[:3]] == [
        ("ra", "double"),
        ("mag", "float"),
        ("n", "int"),
    ]
    assert (upload.columns[0].unit, upload.columns[0].ucd) == ("deg", "pos.eq.ra;meta.main")


def test_fits_of_astropy_is_read() -> None:
    held = io.BytesIO()
    sample().write(held, format="fits")
    upload = read(held.getvalue())
    check(upload)
    assert upload.columns[0].unit == "deg"


def test_csv_and_tsv_are_read_and_types_found() -> None:
    table = sample()
    table.remove_column("vector")
    for delimiter, mime in ((",", "text/csv"), ("\t", None)):
        held = io.StringIO()
        table.write(held, format="ascii.csv", delimiter=delimiter)
        upload = read(b"\xef\xbb\xbf" + held.getvalue().encode(), mime)
        check(upload, vector=False)
        assert [c.datatype for c in upload.columns] == ["double", "double", "long", "char", "boolean"]


def test_quoted_cells_may_hold_the_delimiter_and_line_ends() -> None:
    upload = read(b'id,text\r\n1,"a, ""b""\r\nc"\r\n2,\r\n')
    assert upload.rows.to_pydict() == {"id": [1, 2], "text": ['a, "b"\r\nc', None]}


def test_parquet_keeps_types_and_units() -> None:
    schema = pa.schema(
        [pa.field("x", pa.float32(), metadata={"unit": "mag", "ucd": "phot.mag"}), ("u", pa.uint32())]
    )
    held = io.BytesIO()
    pq.write_table(
        pa.table([pa.array([1.5, None], pa.float32()), pa.array([2**32 - 1, 0], pa.uint32())], schema), held
    )
    upload = read(held.getvalue())
    assert upload.rows.to_pydict() == {"x": [1.5, None], "u": [2**32 - 1, 0]}
    assert [(c.datatype, c.unit, c.ucd) for c in upload.columns] == [
        ("float", "mag", "phot.mag"),
        ("long", "", ""),
    ]


def votable_of(body: str, fields: str = '<FIELD name="a" datatype="int"/>', head: str = "") -> bytes:
    return (
        (
            f'<?xml version="1.0"?>{head}<v:VOTABLE version="1.3" xmlns:v="http://www.ivoa.net/xml/VOTable/v1.3">'
            f"<v:RESOURCE><v:TABLE>{fields}<v:DATA>{body}</v:DATA></v:TABLE></v:RESOURCE></v:VOTABLE>"
        )
        .replace("<FIELD", "<v:FIELD")
        .encode()
    )


def test_prefixes_null_values_hexadecimals_and_entities_of_xml_are_understood() -> None:
    fields = '<v:FIELD name="a" datatype="int"><v:VALUES null="-99"/></v:FIELD>'
    fields += '<FIELD name="t" datatype="char" arraysize="8"/>'
    body = "<TABLEDATA><TR><TD>0x1F</TD><TD>&lt;&#65;</TD></TR><TR><TD>-99</TD><TD/></TR></TABLEDATA>"
    assert read(votable_of(body, fields)).rows.to_pydict() == {"a": [31, None], "t": ["<A", None]}


def test_values_null_is_heeded_in_numbers_written_otherwise_reals_and_arrays() -> None:
    fields = '<v:FIELD name="i" datatype="short"><v:VALUES null="255"/></v:FIELD>'
    fields += '<v:FIELD name="x" datatype="float"><v:VALUES null="-99"/></v:FIELD>'
    fields += '<v:FIELD name="v" datatype="int" arraysize="2"><v:VALUES null="-1"/></v:FIELD>'
    fields += '<v:FIELD name="w" datatype="int" arraysize="*"><v:VALUES null="-1"/></v:FIELD>'
    fields += '<v:FIELD name="b" datatype="boolean"/><v:FIELD name="t" datatype="char" arraysize="*"/>'
    cells = [("0xff", "-99.0", "1 -1", "-1", "?", ""), ("7", "NaN", "2 3", "4 -1 5", "T", "x")]
    rows = "".join("<TR>" + "".join(f"<TD>{c}</TD>" for c in row) + "</TR>" for row in cells)
    expected = {
        "i": [None, 7], "x": [None, "nan"], "v": [[1, None], [2, 3]], "w": [[None], [4, None, 5]], "b": [None, True],
        "t": [None, "x"],
    }  # fmt: skip
    found = read(votable_of(f"<TABLEDATA>{rows}</TABLEDATA>", fields)).rows.to_pydict()
    assert found["x"][1] != found["x"][1]
    assert found | {"x": [found["x"][0], "nan"]} == expected
    # The same bytes in BINARY (VOTable 1.4, 6.3): big-endian, arrays of variable length with their count.
    stream = b"".join([
        (255).to_bytes(2, "big"), np.array(-99, ">f4").tobytes(), np.array([1, -1], ">i4").tobytes(),
        np.array([1, -1], ">i4").tobytes(), b"?", (0).to_bytes(4, "big"),
        (7).to_bytes(2, "big"), np.array(np.nan, ">f4").tobytes(), np.array([2, 3], ">i4").tobytes(),
        np.array([3, 4, -1, 5], ">i4").tobytes(), b"T", (1).to_bytes(4, "big"), b"x",
    ])  # fmt: skip
    held = base64.b64encode(stream).decode()
    found = read(
        votable_of(f'<BINARY><STREAM encoding="base64">{held}</STREAM></BINARY>', fields)
    ).rows.to_pydict()
    assert found | {"x": [found["x"][0], "nan"]} == expected


#: TFORM, TNULL, TSCAL, TZERO, stored cells, and what they mean (FITS 4.0, 7.3.2-7.3.3 and table 19).
STORED: dict[str, tuple[str, int | None, float | None, float | None, np.ndarray, list[Any]]] = {
    "flag": ("L", None, None, None, np.array([b"T", b"\0", b"F"], "S1"), [True, None, False]),
    "i8": ("B", 0, 1, -128, np.array([1, 0, 255], "u1"), [-127, None, 127]),
    "u8": ("B", 255, None, None, np.array([0, 255, 254], "u1"), [0, None, 254]),
    "i16": ("I", -99, None, None, np.array([5, -99, 7], ">i2"), [5, None, 7]),
    "u16": ("I", -32768, 1, 32768, np.array([5 - 32768, -32768, 32767], ">i2"), [5, None, 65535]),
    "u32": ("J", -(2**31), 1, 2**31, np.array([5 - 2**31, -(2**31), 2**31 - 1], ">i4"), [5, None, 2**32 - 1]),
    "i64": ("K", -1, None, None, np.array([2**53 + 1, -1, -(2**62) - 1], ">i8"), [2**53 + 1, None, -(2**62) - 1]),
    "u64": ("K", -(2**63), 1, 2**63, np.array([5 - 2**63, -(2**63), 7 - 2**63], ">i8"), [5, None, 7]),
    "moved": ("J", 3, 1, 1000, np.array([1, 3, 2], ">i4"), [1001, None, 1002]),
    "scaled": ("I", -32768, 0.5, 10.0, np.array([3, -32768, -4], ">i2"), [11.5, None, 8.0]),
    "real": ("E", None, 2.0, 1.0, np.array([1.5, np.nan, 2], ">f4"), [4.0, None, 5.0]),
    "pair": ("2I", 9, None, None, np.array([[1, 9], [9, 9], [2, 3]], ">i2"), [[1, None], [None, None], [2, 3]]),
    "bits": ("3X", None, None, None, np.array([0b10100000, 0, 0b11100000], "u1"), [[True, False, True], [False] * 3, [True] * 3]),  # noqa: E501
    "name": ("5A", None, None, None, np.array([b"ab c ", b"", b"x\0yz"], "S5"), ["ab c", None, "x"]),
}  # fmt: skip


def stored_fits(heap: bytes = b"", more: dict[str, tuple[str, np.ndarray]] | None = None) -> bytes:
    """A binary table of `STORED`, written byte by byte, with further columns and a heap."""
    described = {
        n: (form, null, scale, zero, cells) for n, (form, null, scale, zero, cells, _) in STORED.items()
    }
    described |= {n: (form, None, None, None, cells) for n, (form, cells) in (more or {}).items()}
    rows = b"".join(
        cells[i : i + 1].tobytes()
        for i in range(3)
        for *_, cells in described.values()
    )  # fmt: skip
    head = fits.Header(
        [("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", len(rows) // 3), ("NAXIS2", 3)]
    )
    for card in [("PCOUNT", len(heap)), ("GCOUNT", 1), ("TFIELDS", len(described))]:
        head[card[0]] = card[1]
    for n, (name, (form, null, scale, zero, _)) in enumerate(described.items(), 1):
        head[f"TTYPE{n}"], head[f"TFORM{n}"] = name, form
        for key, value in (("TNULL", null), ("TSCAL", scale), ("TZERO", zero)):
            if value is not None:
                head[f"{key}{n}"] = value
    primary = fits.Header([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)])
    data = rows + heap
    return bytes(primary.tostring().encode() + head.tostring().encode() + data + bytes(-len(data) % 2880))


def test_the_nulls_of_a_fits_table_are_those_of_the_stored_cells() -> None:
    heap = np.array([1, 9, 2], ">i2").tobytes() + b"TF\0" + b"pq\0r"
    loose = np.array([[2, 0], [0, 0], [1, 4]], ">i4")
    flags = np.array([[3, 6], [0, 0], [1, 8]], ">i4")
    words = np.array([[4, 9], [0, 0], [2, 9]], ">i8")
    more = {"loose": ("1PI(2)", loose), "flags": ("1PL(3)", flags), "words": ("1QA(4)", words)}
    found = read(stored_fits(heap, more)).rows.to_pydict()
    for name, (*_, expected) in STORED.items():
        assert [None if v != v else v for v in found[name]] == expected, name
    assert found["loose"] == [[1, 9], [], [2]]
    assert found["flags"] == [[True, False, None], [], [None]]
    assert found["words"] == ["pq", None, "pq"]


def test_stilts_reads_the_same_nulls_of_a_fits_table(tmp_path: Path) -> None:
    (tmp_path / "in.fits").write_bytes(stored_fits())
    subprocess.run(
        ["stilts", "tpipe", f"in={tmp_path}/in.fits", f"out={tmp_path}/out.vot", "ofmt=votable"], check=True, timeout=120
    )  # fmt: skip
    theirs = votable.parse_single_table(tmp_path / "out.vot").array
    ours = read(stored_fits()).rows.to_pydict()
    for name in ("flag", "u8", "i16", "u16", "u32", "i64", "u64", "moved", "scaled"):
        masked = [
            None if m else v
            for v, m in zip(theirs[name].tolist(), np.ma.getmaskarray(theirs[name]), strict=True)
        ]
        masked = [None if v in (None, "") or v != v else v for v in masked]
        assert [v if v is None else float(v) for v in ours[name]] == [
            v if v is None else pytest.approx(float(v)) for v in masked
        ], name


def test_a_heap_that_ends_early_and_columns_that_do_not_fill_a_row_are_refused() -> None:
    behind = {"loose": ("1PI(9)", np.array([[9, 0], [0, 0], [1, 4]], ">i4"))}
    with pytest.raises(UsageError, match="loose: a cell lies beyond the end of the heap"):
        read(stored_fits(b"\0\1", behind))
    broken = stored_fits().replace(b"TFORM4  = 'I ", b"TFORM4  = 'J ")
    with pytest.raises(UsageError, match="NAXIS1"):
        read(broken)


_TEN = [f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(_TEN) + "]>"
REFUSED: dict[str, tuple[bytes, str]] = {
    "billion laughs": (votable_of("<TABLEDATA><TR><TD>&i;</TD></TR></TABLEDATA>", head=LAUGHS), "DTD"),
    "an entity from a file": (
        votable_of("<TABLEDATA><TR><TD>&x;</TD></TR></TABLEDATA>",
                   head='<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "DTD"),
    "depth": (votable_of("<GROUP>" * 500 + "</GROUP>" * 500), "nested deeper"),
    "cut off": (votable_of("<TABLEDATA><TR><TD>1</TD></TR></TABLEDATA>")[:-40], r"line 1, column \d+"),
    "too few cells": (votable_of("<TABLEDATA><TR><TD>1</TD></TR><TR></TR></TABLEDATA>"), "row 2 has 0 cells"),
    "a word for a number": (votable_of("<TABLEDATA><TR><TD>one</TD></TR></TABLEDATA>"), "column a: .* not of type int"),
    "a number too large": (votable_of("<TABLEDATA><TR><TD>3000000000</TD></TR></TABLEDATA>"), "column a: "),
    "data elsewhere": (votable_of('<BINARY2><STREAM href="http://169.254.169.254/x"/></BINARY2>'), "href"),
    "no base64": (
        votable_of('<BINARY2><STREAM encoding="base64">A</STREAM></BINARY2>'), "base64"),
    "half a row": (votable_of('<BINARY><STREAM encoding="base64">AAAB</STREAM></BINARY>'), "middle of a row"),
    "a count beyond the end": (
        votable_of('<BINARY><STREAM encoding="base64">/////w==</STREAM></BINARY>',
                   '<FIELD name="a" datatype="char" arraysize="*"/>'), "middle of a row"),
    "complex numbers": (votable_of("", '<FIELD name="z" datatype="floatComplex"/>'), "column z: datatype"),
    "same names": (votable_of("", '<FIELD name="a" datatype="int"/><FIELD name="A" datatype="int"/>'), "called a"),
    "no table": (b"<VOTABLE/>", "no TABLE"),
    "a web page": (b"<html><body>login</body></html>", "root is html"),
    "ragged CSV": (b"a,b\n1,2\n3\n", "CSV.*#3"),
    "Latin-1": ("name\nM\u00fcnchen\n".encode("latin-1"), "UTF-8|UTF8"),
    "nothing": (b"", "empty"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "neither"),
    "something packed": (gzip.compress(b"a,b\n1,2\n" * 1000), "neither"),
    "a broken Parquet": (b"PAR1" + b"\0" * 100 + b"PAR1", "Parquet"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_reason(case: str) -> None:
    data, reason = REFUSED[case]
    with pytest.raises(UsageError, match=f"(?s)upload mine: .*({reason})"):
        read(data)


def test_a_fits_file_that_claims_more_than_it_holds_is_refused() -> None:
    held = io.BytesIO()
    sample().write(held, format="fits")
    data = held.getvalue()
    with pytest.raises(LimitExceeded, match="2 rows at most"):
        read(data, rows=2)
    grown = data.replace(b"NAXIS2  =                    3", b"NAXIS2  =                99999")
    with pytest.raises(UsageError, match="shorter than its header says"):
        read(grown)
    with pytest.raises(UsageError, match="no binary table"):
        image = io.BytesIO()
        fits.PrimaryHDU(np.zeros((4, 4))).writeto(image)
        read(image.getvalue())


def _parquet(table: pa.Table) -> bytes:
    held = io.BytesIO()
    pq.write_table(table, held, compression="zstd")
    return held.getvalue()


OVERSIZED: dict[str, tuple[Any, str]] = {
    "bytes": (lambda: b"a\n" + b"1\n" * 600_000, "larger than 1000000 bytes"),
    "rows of CSV": (lambda: b"a\n" + b"1\n" * 1001, "1000 rows at most"),
    "rows of a VOTable": (
        lambda: votable_of(f"<TABLEDATA>{'<TR><TD>1</TD></TR>' * 1001}</TABLEDATA>"),
        "1000 rows",
    ),
    "rows of BINARY": (
        lambda: votable_of(f'<BINARY><STREAM encoding="base64">{"AAAAAAAAAAAAAAAA" * 334}</STREAM></BINARY>'),
        "1000 rows",
    ),
    "rows of Parquet": (lambda: _parquet(pa.table({"a": range(1001)})), "1000 rows"),
    "Parquet that grows": (lambda: _parquet(pa.table({"a": ["x" * 100_000] * 1000})), "when it is unpacked"),
}


def test_a_dictionary_of_a_small_parquet_file_does_not_grow_without_bound() -> None:
    """One text a million times takes a few bytes in the file, and in Arrow's dictionary; as a column it would be 20 GB."""
    column = pa.array(["x" * 20_000] * 10_000).dictionary_encode()
    data = _parquet(pa.table({f"c{n}": column for n in range(100)}))
    assert len(data) < 4_000_000
    with pytest.raises(LimitExceeded, match="when it is unpacked"):
        read(data, size=100_000_000)


def test_equal_values_pack_well_and_are_taken() -> None:
    column = pa.array(["a name"] * 50_000)
    table = pa.table({"a": column.dictionary_encode(), "b": column, "n": pa.array([7] * 50_000)})
    assert read(_parquet(table)).rows.to_pylist() == [{"a": "a name", "b": "a name", "n": 7}] * 50_000


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_have_a_bound_in_every_format(kind: str) -> None:
    names = [f"c{n}" for n in range(2001)]
    text = (",".join(names) + "\n" + ",".join("1" for _ in names) + "\n").encode()
    with pytest.raises(UsageError, match="2000 columns at most"):
        read(text if kind == "csv" else _parquet(pa.table({n: [1] for n in names})))


@pytest.mark.parametrize("case", OVERSIZED)
def test_what_is_too_large_is_refused_by_its_limit(case: str) -> None:
    make, reason = OVERSIZED[case]
    with pytest.raises(LimitExceeded, match=reason) as caught:
        read(make(), rows=1000, size=1_000_000)
    assert caught.value.kind == "size"


def test_a_stream_is_read_no_further_than_its_limit() -> None:
    endless = io.BytesIO(b"a\n" * 10_000)
    with pytest.raises(LimitExceeded):
        read_upload("mine", endless, None, max_bytes=100, max_rows=10)
    assert endless.tell() == 101


@pytest.mark.parametrize("name", ["", "a.b", 'a"; drop', "1a", "x" * 65, "ä"])
def test_a_name_must_be_a_plain_word(name: str) -> None:
    with pytest.raises(UsageError, match="a name has letters"):
        read_upload(name, b"a\n1\n", None, max_bytes=100, max_rows=10)


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (["1.5", "1e400"], 3),
        (["-1e309", "2"], 2),
        (['"a\nb"', "x"], 0),
        (["Inf", "-Infinity"], 0),
        (["inf", "2e308"], 3),
    ],
)
def test_a_number_too_large_for_a_double_is_refused_with_its_line(
    delimiter: str, cells: list[str], line: int
) -> None:
    """IEEE 754: the largest double is 1.8e308; what is larger would become infinity without a word."""
    data = "".join(f"{n}{delimiter}{cell}\n" for n, cell in enumerate(["mag", *cells])).encode()
    if not line:
        upload = read(data, "text/csv" if delimiter == "," else None)
        assert upload.rows.num_rows == 2
        return
    with pytest.raises(UsageError, match=rf"line {line}, column mag: .*too large for a double"):
        read(data, "text/csv" if delimiter == "," else None)


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (["12345678901234567891", "7"], 2),  # beyond 2^63 - 1
        (["1.5", "9007199254740993"], 3),  # 2^53 + 1 is no double (IEEE 754)
        (["9223372036854775807", "1"], 0),  # a column of 64-bit integers
        (["1.5", "9007199254740992"], 0),
        (["1.5", "1e30"], 0),
    ],
)
def test_a_whole_number_that_would_lose_digits_is_refused_with_its_line(cells: list[str], line: int) -> None:
    data = "".join(f"{cell}\n" for cell in ["id", *cells]).encode()
    if line:
        with pytest.raises(UsageError, match=rf"line {line}, column id: .* more digits than"):
            read(data, "text/csv")
    else:
        assert [float(v) for v in read(data, "text/csv").rows["id"].to_pylist()] == [float(c) for c in cells]


@pytest.mark.parametrize(
    ("first", "text"),
    [
        ("id;ra;dec", "is the name of one column"),
        ("# catalogue of May", "is the name of one column"),
        ("id  ra  dec", "is the name of one column"),
        ("1,30.5,-5", "begins with the names of its columns"),
        ("30.5", "begins with the names of its columns"),
    ],
)
def test_a_first_line_without_names_is_refused(first: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        read(f"{first}\n{first}\n".encode())


def test_a_line_is_counted_as_the_file_has_it() -> None:
    with pytest.raises(UsageError, match="line 5, column x"):
        read(b'name,x\n"two\nlines",1\nb,2\nc,1e999\n')


@pytest.mark.parametrize(
    ("datatype", "text", "ends"),
    [
        ("double", "1e400", True),
        ("float", "1e39", True),
        ("float", "3.4028235e38", False),
        ("double", "+Inf", False),
    ],
)
def test_a_number_too_large_for_its_type_is_refused_in_tabledata(
    datatype: str, text: str, ends: bool
) -> None:
    """3.4028235e38 is the largest float of IEEE 754 as numpy writes it."""
    document = (
        '<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>'
        f'<FIELD name="x" datatype="{datatype}"/><DATA><TABLEDATA><TR><TD>{text}</TD></TR></TABLEDATA></DATA>'
        "</TABLE></RESOURCE></VOTABLE>"
    ).encode()
    if ends:
        with pytest.raises(UsageError, match=f"column x: .*{text} is too large for a {datatype}"):
            read(document)
    else:
        assert read(document).rows.to_pydict()["x"] == [
            np.array(text.strip("+"), "f4" if datatype == "float" else "f8")
        ]


def test_null_and_nan_without_quotes_are_null_in_text_too() -> None:
    """As docs/services/formats.md says."""
    upload = read(b'id,text,x\n1,NULL,NULL\n2,"NULL",nan\n3,null,1.5\n4,Null,\n')
    assert upload.rows.to_pydict() == {
        "id": [1, 2, 3, 4], "text": [None, "NULL", None, "Null"], "x": [None, None, 1.5, None]
    }  # fmt: skip


def test_null_elements_of_integer_arrays_become_nan_and_never_zero() -> None:
    """VOTable has no null for an element of an integer array unless VALUES says one (VOTable 1.4, section 5.5)."""
    rows = pa.table({"d": pa.array([[1, 2], None, [3, None]], pa.list_(pa.int32()))})
    upload = read(_parquet(rows))
    assert upload.columns[0].datatype == "double"
    csv = b"".join(stream(choose("csv"), upload.columns, upload.rows.to_batches())).decode().split()
    assert csv[1:] == ["1", "2", '""', "3", "NaN"]
    truth = pa.table({"b": pa.array([[True, None]], pa.list_(pa.bool_()))})
    upload = read(_parquet(truth))
    answer = b"".join(stream(choose("votable/td"), upload.columns, upload.rows.to_batches()))
    assert b"<TD>true ?</TD>" in answer or b"<TD>T ?</TD>" in answer
    large = pa.table({"d": pa.array([[2**53 + 1, None]], pa.list_(pa.int64()))})
    with pytest.raises(UsageError, match=r"row 1, column d: .* more digits than a double"):
        read(_parquet(large))


def test_decimals_that_would_lose_digits_are_refused() -> None:
    value = decimal.Decimal("12345678901234567890123")
    with pytest.raises(UsageError, match="row 1: 12345678901234567890123 has more digits"):
        read(_parquet(pa.table({"d": pa.array([value], pa.decimal128(30, 0))})))
    assert read(_parquet(pa.table({"d": pa.array([decimal.Decimal("1.5")])}))).rows["d"].to_pylist() == [1.5]


def test_the_answer_of_a_query_that_failed_is_no_table() -> None:
    """DALI 1.1, section 4.4.1: QUERY_STATUS ERROR after the table says that an error came while it was written."""
    body = "<TABLEDATA><TR><TD>1</TD></TR></TABLEDATA>"
    whole = votable_of(body)
    assert read(whole).rows.num_rows == 1
    failed = whole.replace(b"</v:TABLE>", b'</v:TABLE><INFO name="QUERY_STATUS" value="ERROR">disk</INFO>')
    assert failed != whole
    with pytest.raises(UsageError, match="QUERY_STATUS ERROR"):
        read(failed)
    fine = whole.replace(b"</v:TABLE>", b'</v:TABLE><INFO name="QUERY_STATUS" value="OK"/>')
    assert read(fine).rows.num_rows == 1


@pytest.mark.parametrize(
    ("datatype", "cell", "text"),
    [
        ("boolean", "yes", "a cell is not of type boolean: 'yes'"),
        ("double", "1_0.5", "'1_0.5' is not a number"),
        ("int", "1_0", "'1_0' is not a number"),
        ("double", "\u0663", "is not a number"),
        ("int", "0x_ff", "is not a number"),
    ],
)
def test_a_cell_that_only_python_reads_is_refused(datatype: str, cell: str, text: str) -> None:
    data = votable_of(
        f"<TABLEDATA><TR><TD>{cell}</TD></TR></TABLEDATA>", f'<FIELD name="a" datatype="{datatype}"/>'
    )
    with pytest.raises(UsageError, match=re.escape(text)):
        read(data)


def _regions(xtype: str, size: str, *cells: str) -> Upload:
    rows = "".join(f"<TR><TD>{cell}</TD></TR>" for cell in cells)
    field = f'<FIELD name="p" datatype="double" arraysize="{size}" xtype="{xtype}"/>'
    return read(votable_of(f"<TABLEDATA>{rows}</TABLEDATA>", field))


@pytest.mark.parametrize(
    ("xtype", "size", "cell"),
    [("point", "2", "30 NaN"), ("circle", "3", "30 -5 NaN"), ("polygon", "*", "NaN NaN 1 1 2 2")],
)
def test_a_region_with_nan_is_null(xtype: str, size: str, cell: str) -> None:
    """NaN of uploads is null everywhere: it lies in no region and no region lies in it."""
    assert _regions(xtype, size, cell).rows["p"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("xtype", "size", "cell", "text"),
    [
        ("point", "2", "30 -95", "the declination -95 is beyond a pole"),
        ("circle", "3", "30 -5 -1", "the radius -1 of a circle"),
        ("circle", "3", "30 -5 200", "the radius 200 of a circle"),
        ("circle", "3", "30 95 1", "the declination 95"),
        ("polygon", "*", "29 -6 31 -6", "a polygon has three corners at least"),
        ("polygon", "*", "29 -6 31 -6 31 -94", "the declination -94"),
        ("point", "2", "30 Inf", "finite numbers"),
    ],
)
def test_an_impossible_region_is_refused_with_its_row(xtype: str, size: str, cell: str, text: str) -> None:
    """DALI 1.1, section 3.3: declinations from -90 to 90, radii from 0 to 180 degrees."""
    good = {"point": "390 -5", "circle": "30 -5 180", "polygon": "29 -6 31 -6 31 -4"}[xtype]
    assert _regions(xtype, size, good).rows.num_rows == 1
    with pytest.raises(UsageError, match=f"row 2, column p: .*{text}"):
        _regions(xtype, size, good, cell)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["0012", "0003"], ["0012", "0003"]),
        (["0012", "", "7"], ["0012", None, "7"]),
        (["00123456789012345678", "1"], ["00123456789012345678", "1"]),
        (["0", "10", "200"], [0, 10, 200]),
        (["-05", "05"], [-5, 5]),
        (["00.5", "1.5"], [0.5, 1.5]),
        ([" 0012", "0003 "], ["0012", "0003"]),
        (["0e3", "12"], [0.0, 12.0]),
    ],
)
def test_digits_with_zeros_in_front_are_identifiers(cells: list[str], expected: list[Any]) -> None:
    """A number has no such zeros; of a column of digits with them the zeros must come back as they were written."""
    for delimiter, mime in ((",", "text/csv"), ("\t", "text/tab-separated-values")):
        lines = [delimiter.join(("a", "b")), *(delimiter.join((cell, "1")) for cell in cells)]
        rows = read("\n".join(lines).encode(), mime).rows
        assert rows["a"].to_pylist() == expected
        assert rows["b"].to_pylist() == [1] * len(cells)


def test_durations_of_parquet_are_refused(tmp_path: Path) -> None:
    """Their unit would be lost: VOTable has no such type."""
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": pa.array([1], pa.duration("s"))}), file)
    with pytest.raises(UsageError, match=r"column a: values of type duration\[.*\] cannot be uploaded"):
        read(file.read_bytes())
