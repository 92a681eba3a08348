"""Reader of uploaded VOTables, without DTD and entities and with limited nesting."""

from __future__ import annotations

import binascii
from dataclasses import replace
from typing import Any
from xml.parsers import expat

import pyarrow as pa
import pyarrow.compute as pc

from desdm.errors import UsageError
from desdm.numbers import whole_number
from desdm.query.formats.binary2 import elements
from desdm.query.formats.readers import binary
from desdm.query.formats.readers.model import MOST_COLUMNS, Limits, Table, finite_unless_inf, table_of
from desdm.query.formats.rows import TEXT, arrow_type, is_array, size_of
from desdm.release.model import ReleaseColumn

__all__ = ["read"]

_DEEPEST = 40
_KNOWN = ("boolean", "bit", "unsignedByte", "short", "int", "long", "float", "double", "char", "unicodeChar")
#: Truth values of VOTable 1.4, section 6; "?" and blank are null.
_TRUTH = {
    "t": True,
    "true": True,
    "1": True,
    "f": False,
    "false": False,
    "0": False,
    "?": None,
    "": None,
}


def read(data: bytes, limits: Limits) -> Table:
    """Read the first table of a VOTable in TABLEDATA, BINARY or BINARY2.

    Raises
    ------
    UsageError
        The XML is not well-formed (the message names the line), has a DTD or entities, or the table is invalid.
    LimitExceeded
        It has too many rows.
    """
    return _Reader(limits).read(data)


class _Reader:
    """Handler of the elements of a document; collects fields and cells of the first table."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.columns: list[ReleaseColumn] = []
        self.nulls: list[str | None] = []
        self.sizes: list[int | None] = []
        self.rows: list[list[str]] = []
        self.row: list[str] = []
        self.text: list[str] = []
        self.path: list[str] = []
        self.stream: str | None = None
        self.kind = ""
        self.in_table = self.done = False

    def read(self, data: bytes) -> Table:
        """Parse a document and return its first table."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.buffer_size = 1 << 16
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self.text.append
        parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _refuse
        try:
            parser.Parse(data, True)
        except expat.ExpatError as err:
            where = f"line {err.lineno}, column {err.offset + 1}"
            raise UsageError(
                f"the VOTable is not well-formed: {where}: {expat.errors.messages[err.code]}"
            ) from err
        if not self.in_table:
            raise UsageError("the document has no TABLE")
        arrays = self._cells() if self.kind in ("", "TABLEDATA") else self._binary()
        columns = tuple(replace(c, datatype="boolean") if c.datatype == "bit" else c for c in self.columns)
        return table_of(columns, [pa.chunked_array([a]) for a in arrays])

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        name = tag.rpartition(":")[2]
        if not self.path and name != "VOTABLE":
            raise UsageError(f"not a VOTable: its root is {name[:40]}")
        self.path.append(name)
        if len(self.path) > _DEEPEST:
            raise UsageError(f"the VOTable is nested deeper than {_DEEPEST} elements")
        if name == "INFO" and attributes.get("name") == "QUERY_STATUS":
            self._query_status(attributes.get("value", ""))
        if self.done:
            return
        if name == "TD":
            self.text.clear()
        elif name == "TABLE":
            self.in_table = True
        elif name == "FIELD":
            self._field(attributes)
        elif name == "VALUES" and len(self.path) > 1 and self.path[-2] == "FIELD" and self.nulls:
            self.nulls[-1] = attributes.get("null")
        elif name in ("TABLEDATA", "BINARY", "BINARY2", "FITS"):
            self.kind = name
        elif name == "STREAM":
            if "href" in attributes:
                raise UsageError("the table's data must be in the document, not referenced by href")
            if attributes.get("encoding", "base64") != "base64":
                raise UsageError("a STREAM's encoding must be base64")
            self.text.clear()

    def _end(self, tag: str) -> None:
        """Handle the end of an element."""
        name = tag.rpartition(":")[2]
        self.path.pop()
        if self.done:
            return
        if name == "TD":
            self.row.append("".join(self.text))
            self.text.clear()
        elif name == "TR":
            if len(self.row) != len(self.columns):
                raise UsageError(
                    f"row {len(self.rows) + 1} has {len(self.row)} cells, the table {len(self.columns)} fields"
                )
            self.rows.append(self.row)
            self.row = []
            self.limits.check_rows(len(self.rows))
        elif name == "STREAM":
            self.stream = "".join(self.text)
        elif name == "TABLE":
            self.done = True
            self.text.clear()

    def _query_status(self, value: str) -> None:
        """Raise for the result of a query that failed, which is incomplete (DALI 1.1, section 4.4.1)."""
        if value.upper() == "ERROR":
            raise UsageError(
                "the table is the incomplete result of a query that failed (QUERY_STATUS ERROR); run that query again"
            )

    def _field(self, attributes: dict[str, str]) -> None:
        """Add the column of a FIELD."""
        name, datatype = attributes.get("name") or attributes.get("ID", ""), attributes.get("datatype", "")
        arraysize = attributes.get("arraysize") or None
        if datatype not in _KNOWN:
            raise UsageError(
                f"column {name}: datatype {datatype!r} cannot be uploaded; there are: {', '.join(_KNOWN)}"
            )
        if len(self.columns) >= MOST_COLUMNS:
            raise UsageError(f"a table may have {MOST_COLUMNS} columns at most")
        if arraysize and ("x" in arraysize or datatype == "bit"):
            raise UsageError(f"column {name}: arrays of several dimensions, or of bits, cannot be uploaded")
        bare = arraysize.rstrip("*") if arraysize else ""
        if bare and not (bare.isascii() and bare.isdigit() and len(bare) < 8 and int(bare) < 1 << 20):
            raise UsageError(f"column {name}: arraysize {arraysize!r} is not valid")
        text = datatype in TEXT
        if arraysize is None or (not text and arraysize == "1"):
            self.sizes.append(1)
        else:
            self.sizes.append(None if arraysize.endswith("*") else int(arraysize))
        self.nulls.append(None)
        self.columns.append(
            ReleaseColumn(
                name,
                datatype,
                "*" if text else None if arraysize == "1" else arraysize,
                attributes.get("xtype"),
                attributes.get("unit", ""),
                attributes.get("ucd", ""),
            )
        )

    def _binary(self) -> list[pa.Array]:
        """Return the columns of a BINARY or BINARY2 stream."""
        if self.kind == "FITS":
            raise UsageError("VOTables with FITS inside cannot be uploaded; send the FITS file itself")
        try:
            data = binascii.a2b_base64(self.stream or "")
        except (binascii.Error, ValueError) as err:
            raise UsageError("the table's stream is not base64") from err
        arrays = binary.columns_of(data, self.columns, self.sizes, self.limits, masked=self.kind == "BINARY2")
        described = zip(arrays, self.columns, self.nulls, strict=True)
        columns = [_with_nulls(array, column, null) for array, column, null in described]
        if self.kind == "BINARY":
            # BINARY has no mask of nulls: empty text is null, as in TABLEDATA.
            columns = [
                pc.if_else(pc.equal(a, ""), pa.scalar(None, a.type), a) if pa.types.is_string(a.type) else a
                for a in columns
            ]
        return columns

    def _cells(self) -> list[pa.Array]:
        """Return the columns of TABLEDATA."""
        cells = list(zip(*self.rows, strict=True)) or [()] * len(self.columns)
        columns = []
        for column, null, texts in zip(self.columns, self.nulls, cells, strict=True):
            try:
                if column.datatype in TEXT:
                    # VOTable 1.4, 6.1: an empty cell of TABLEDATA is null, whatever the type.
                    values = [t if t and t != null else None for t in texts]
                else:
                    values = [_value(t.strip(), column, null) for t in texts]
                columns.append(
                    pa.array(values, pa.bool_() if column.datatype == "bit" else arrow_type(column))
                )
            except (ValueError, OverflowError, pa.ArrowException) as err:
                raise UsageError(
                    f"column {column.name}: a cell is not of type {column.datatype}: {err}"
                ) from err
        return columns


def _refuse(*_: object) -> None:
    """Raise for documents with a DTD or entities, which can expand without limit."""
    raise UsageError("the document has a DTD or declares entities; remove them, VOTables need neither")


def _value(text: str, column: ReleaseColumn, null: str | None) -> Any:
    """Return the value of a cell of TABLEDATA, None for null."""
    if is_array(column):
        plain = ReleaseColumn(column.name, column.datatype)
        value = [_value(part, plain, null) for part in text.split()] if text else None
        size = size_of(column)
        if value is not None and size is not None and len(value) != size:
            raise ValueError(f"{len(value)} elements instead of {size}")
        return value
    if not text or text == null:
        return None
    value = _scalar(text, column)
    # The same number may have another form: -99 and -99.0, 255 and 0xff.
    return None if null and value is not None and value == _scalar(null.strip(), column) else value


def _scalar(text: str, column: ReleaseColumn) -> Any:
    """Parse one element."""
    if column.datatype in ("boolean", "bit"):
        if text.lower() not in _TRUTH:
            raise ValueError(f"{text[:40]!r}; write T or F, or nothing for null")
        return _TRUTH[text.lower()]
    if column.datatype in ("float", "double"):
        return finite_unless_inf(text, column.datatype)
    return whole_number(text, 16 if text[:2].lower() == "0x" else 10)


def _with_nulls(array: pa.Array, column: ReleaseColumn, null: str | None) -> pa.Array:
    """Return a column with null for the null value of VALUES, also in arrays."""
    if not null or column.datatype == "bit":
        return array
    if pa.types.is_fixed_size_list(array.type):
        flat = _with_nulls(elements(array), ReleaseColumn(column.name, column.datatype), null)
        return pa.FixedSizeListArray.from_arrays(flat, array.type.list_size, mask=array.is_null())
    if pa.types.is_list(array.type):
        flat = _with_nulls(array.values, ReleaseColumn(column.name, column.datatype), null)
        return pa.ListArray.from_arrays(array.offsets, flat, mask=array.is_null())
    try:
        value = null if column.datatype in TEXT else _scalar(null.strip(), column)
        return pc.if_else(pc.equal(array, pa.scalar(value, array.type)), pa.scalar(None, array.type), array)
    except (ValueError, pa.ArrowException) as err:
        raise UsageError(
            f"column {column.name}: VALUES null={null[:40]!r} is not a value of type {column.datatype}"
        ) from err
