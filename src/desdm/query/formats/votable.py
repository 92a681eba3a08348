"""VOTable 1.4 documents: streamed tables, small tables and error documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa

from desdm.errors import DesdmError, TransientError, UsageError
from desdm.query.formats import binary2
from desdm.query.formats.rows import TEXT, Rows, is_array
from desdm.query.formats.text import tabledata
from desdm.release.model import ReleaseColumn

__all__ = ["Infos", "document", "error_document", "small_table"]

Infos = Sequence[tuple[str, str, str]]

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
)
_CLOSE = b"</RESOURCE>\n</VOTABLE>\n"
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def document(rows: Rows, infos: Infos, title: str, *, binary: bool) -> Iterator[bytes]:
    """Yield the pieces of a VOTable in BINARY2 or TABLEDATA.

    If the rows raise an error after the first of them, the document ends with an INFO about it (DALI 1.1, section 4.4.1)
    and the error is raised again. An error before the first row is only raised, so that the response can be an error
    document.

    Parameters
    ----------
    rows
        Rows with their columns.
    infos
        Name, value and text of each INFO.
    title
        Description of the table; may be empty.
    binary
        Whether the cells are in BINARY2, else in TABLEDATA.

    Raises
    ------
    DesdmError
        What the rows raised.
    """
    yield _opening(rows, infos, title, "results") + (
        b'<BINARY2>\n<STREAM encoding="base64">\n' if binary else b"<TABLEDATA>\n"
    )
    ending = b"</STREAM>\n</BINARY2>\n</DATA>\n</TABLE>\n" if binary else b"</TABLEDATA>\n</DATA>\n</TABLE>\n"
    letters = binary2.Base64()
    try:
        for batch in rows:
            if binary:
                yield letters.feed(binary2.rows(batch, rows.columns, letters.rest))
            else:
                yield tabledata(batch, rows.columns)
    except DesdmError as err:
        if rows.count:
            yield (
                (letters.end() if binary else b"")
                + ending
                + _error_infos(_public_text(err)).encode()
                + _CLOSE
            )
        raise
    tail = (letters.end() if binary else b"") + ending
    if rows.overflow:
        tail += _info("QUERY_STATUS", "OVERFLOW", f"cut at {rows.count} rows; there are more").encode()
    yield tail + _CLOSE


def _public_text(err: DesdmError) -> str:
    """Return the public message of an error: usage errors verbatim, internal errors without details."""
    # Internal errors are reported without details.
    if isinstance(err, UsageError):
        return str(err)
    if isinstance(err, TransientError):
        return "the table is incomplete: the database does not answer; try again later"
    return "the table is incomplete: the service failed; report it with the time"


def small_table(
    columns: Sequence[ReleaseColumn],
    rows: Sequence[Sequence[Any]],
    infos: Infos = (),
    resource_type: str = "results",
    extra: str = "",
    *,
    overflow: bool = False,
    title: str = "",
) -> bytes:
    """Return a complete VOTable in TABLEDATA, with QUERY_STATUS OK.

    Parameters
    ----------
    columns, rows
        Description, and the cells in their order; None is null.
    infos
        (name, value, text) of further INFO elements.
    resource_type
        Type of the resource that holds the table.
    extra
        XML that follows this resource: service descriptors, for instance.
    overflow
        Whether rows were left out.
    """
    layout = Rows(columns, (), None)
    cells = zip(*rows, strict=True) if rows else ((),) * len(columns)
    arrays = [pa.array(list(c), field.type) for c, field in zip(cells, layout.schema, strict=True)]
    body = tabledata(pa.RecordBatch.from_arrays(arrays, schema=layout.schema), columns) if rows else b""
    tail = "</TABLEDATA>\n</DATA>\n</TABLE>\n"
    if overflow:
        tail += _info("QUERY_STATUS", "OVERFLOW", f"cut at {len(rows)} rows; there are more")
    tail += f"</RESOURCE>\n{extra}</VOTABLE>\n"
    return _opening(layout, infos, title, resource_type) + b"<TABLEDATA>\n" + body + tail.encode()


def error_document(message: str) -> bytes:
    """Return the error document of DALI 1.1 (section 4.2).

    The INFO named Error is that of cone search (SCS 1.03, section 2.3); other clients ignore it.
    """
    return f'{_HEAD}<RESOURCE type="results">\n{_error_infos(message)}'.encode() + _CLOSE


def _error_infos(message: str) -> str:
    """Return the INFO elements of an error: that of DALI, and that of cone search."""
    return _info("QUERY_STATUS", "ERROR", message) + _info("Error", message, "")


def _opening(rows: Rows, infos: Infos, title: str, kind: str) -> bytes:
    """Return a VOTable up to the data of its table."""
    text = f"{_HEAD}<RESOURCE type={_attribute(kind)}>\n" + _info("QUERY_STATUS", "OK", "")
    text += "".join(_info(*info) for info in infos)
    text += "<TABLE>\n"
    if title:
        text += f"<DESCRIPTION>{_clean(title)}</DESCRIPTION>\n"
    described = zip(rows.columns, _idents(rows.columns), rows.utypes, strict=True)
    text += "".join(_field(column, ident, utype) for column, ident, utype in described)
    return (text + "<DATA>\n").encode()


def _field(column: ReleaseColumn, ident: str, utype: str) -> str:
    """Return the FIELD of a column."""
    size: str | None = column.arraysize if is_array(column) else None
    if column.datatype in TEXT:
        # Text has a variable length: a fixed size would truncate or pad it.
        size = column.arraysize if column.arraysize and column.arraysize.endswith("*") else "*"
    attributes = {
        "ID": ident,
        "name": column.name,
        "datatype": column.datatype,
        "arraysize": size,
        "xtype": column.xtype,
        "unit": column.unit,
        "ucd": column.ucd,
        "utype": utype,
    }
    text = " ".join(f"{name}={_attribute(value)}" for name, value in attributes.items() if value)
    if not column.text:
        return f"<FIELD {text}/>\n"
    return f"<FIELD {text}>\n<DESCRIPTION>{_clean(column.text)}</DESCRIPTION>\n</FIELD>\n"


def _idents(columns: Sequence[ReleaseColumn]) -> list[str]:
    """Return an XML ID for each column."""
    # XML wants names (letter first, few signs) that occur once in the document.
    idents: list[str] = []
    for column in columns:
        base = re.sub(r"[^A-Za-z0-9_.-]", "_", column.name) or "_"
        base = base if base[0].isalpha() or base[0] == "_" else f"_{base}"
        ident, n = base, 1
        while ident in idents:
            n += 1
            ident = f"{base}_{n}"
        idents.append(ident)
    return idents


def _info(name: str, value: str, text: str) -> str:
    """Return an INFO element."""
    head = f"<INFO name={_attribute(name)} value={_attribute(value)}"
    return f"{head}>{_clean(text)}</INFO>\n" if text else f"{head}/>\n"


def _clean(text: str) -> str:
    """Return a text escaped for XML, without unprintable characters."""
    return escape(_UNPRINTABLE.sub("\ufffd", text))


def _attribute(text: str) -> str:
    """Return a quoted XML attribute value, without unprintable characters."""
    return quoteattr(_UNPRINTABLE.sub("\ufffd", text))
