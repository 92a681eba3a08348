"""Rows as text: CSV (RFC 4180), TSV, and the TABLEDATA of VOTable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from desdm.query.formats.binary2 import elements
from desdm.query.formats.rows import Rows, is_array
from desdm.release.model import ReleaseColumn

__all__ = ["csv", "tabledata", "tsv"]

Cells = Callable[[pa.Array], pa.Array]


def csv(rows: Rows) -> Iterator[bytes]:
    """Yield comma-separated values: a line of names, then the rows; null and NaN are empty cells.

    A table of one column writes ``""`` for an empty cell: most readers skip empty lines.
    """
    names = [_csv_text(pa.array([c.name]))[0].as_py() for c in rows.columns]
    yield (",".join(names) + "\r\n").encode()
    empty = '""' if len(rows.columns) == 1 else ""
    for batch in rows:
        cells = [_cells(a, c, _csv_text, nan=None) for a, c in zip(batch.columns, rows.columns, strict=True)]
        if empty:
            cells = [pc.if_else(pc.equal(cells[0].fill_null(""), ""), empty, cells[0])]
        yield _lines(cells, "", ",", "\r\n")


def tsv(rows: Rows) -> Iterator[bytes]:
    """Yield tab-separated values, as IANA's text/tab-separated-values: tabs and line ends in text become blanks."""
    names = [_tsv_text(pa.array([c.name]))[0].as_py() for c in rows.columns]
    yield ("\t".join(names) + "\n").encode()
    for batch in rows:
        cells = [_cells(a, c, _tsv_text, nan=None) for a, c in zip(batch.columns, rows.columns, strict=True)]
        yield _lines(cells, "", "\t", "\n")


def tabledata(batch: pa.RecordBatch, columns: Sequence[ReleaseColumn]) -> bytes:
    """Return rows as TABLEDATA; null is an empty cell (VOTable 1.3, 6.1), NaN is written as NaN."""
    if not batch.num_columns:
        return b"<TR></TR>\n" * int(batch.num_rows)
    cells = [
        _cells(a, c, _xml_text, nan="NaN", infinity="+Inf", minus="-Inf")
        for a, c in zip(batch.columns, columns, strict=True)
    ]
    return _lines(cells, "<TR><TD>", "</TD><TD>", "</TD></TR>\n")


def _lines(cells: list[pa.Array], before: str, between: str, after: str) -> bytes:
    """Return rows as bytes: cells joined by ``between``, each row within ``before`` and ``after``."""
    joined = pc.binary_join_element_wise(*cells, between, null_handling="replace", null_replacement="")
    whole = pc.binary_join_element_wise(before, joined, after, "")
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.combine_chunks()
    written: bytes = whole.buffers()[2].to_pybytes() if len(whole) else b""
    return written


def _cells(
    array: pa.Array,
    column: ReleaseColumn,
    text: Cells,
    *,
    nan: str | None,
    infinity: str = "Infinity",
    minus: str = "-Infinity",
) -> pa.Array:
    """Return a column as text."""
    if is_array(column):
        plain = ReleaseColumn(column.name, column.datatype)
        fixed = pa.types.is_fixed_size_list(array.type)
        inner = elements(array) if fixed else array.flatten()
        flat = _cells(inner, plain, text, nan="NaN", infinity=infinity, minus=minus)
        nulls = {"float": "NaN", "double": "NaN", "boolean": "?"}
        flat = flat.fill_null(nulls.get(column.datatype, "0"))
        sizes = [array.type.list_size] * len(array) if fixed else pc.list_value_length(array).fill_null(0)
        ends = pc.cumulative_sum(pa.array(sizes, pa.int32()))
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
        joined = pc.binary_join(pa.ListArray.from_arrays(offsets, flat), " ")
        # A null array is an empty cell; in TABLEDATA arrays of a fixed size need all their elements.
        return joined if nan else pc.if_else(array.is_valid(), joined, pa.scalar(None, pa.string()))
    if pa.types.is_string(array.type):
        return text(array)
    written = array.cast(pa.string())
    if pa.types.is_floating(array.type):
        odd = pc.invert(pc.is_finite(array))
        if pc.any(odd).as_py():
            names = {"nan": nan, "-nan": nan, "inf": infinity, "-inf": minus}
            for was, name in names.items():
                written = pc.if_else(pc.equal(written, was), pa.scalar(name, pa.string()), written)
    return written


def _csv_text(array: pa.Array) -> pa.Array:
    """Return texts with quotes where CSV needs them."""
    odd = pc.match_substring_regex(array, '[",\r\n]')
    if not pc.any(odd).as_py():
        return array
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(array, '"', '""'), '"', "")
    return pc.if_else(odd, quoted, array)


def _tsv_text(array: pa.Array) -> pa.Array:
    """Return texts with blanks for tabs and line ends."""
    return pc.replace_substring_regex(array, r"[\t\r\n]", " ")


def _xml_text(array: pa.Array) -> pa.Array:
    """Return texts with XML's special characters escaped."""
    if not pc.any(pc.match_substring_regex(array, r"[&<>\x00-\x08\x0b-\x1f]|\xEF\xBF[\xBE\xBF]")).as_py():
        return array
    # XML 1.0, 2.2 has no way to write the other control characters at all.
    array = pc.replace_substring_regex(array, "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd")
    for plain, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
        array = pc.replace_substring(array, plain, written)
    return array
