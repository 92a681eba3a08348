"""Reader of uploaded tables in all formats, within limits."""

from __future__ import annotations

import re
from typing import BinaryIO

from desdm.errors import LimitExceeded, UsageError
from desdm.query.engines.model import Upload
from desdm.query.formats.readers import delimited, fits, parquet, votable
from desdm.query.formats.readers.model import Limits, Table

__all__ = ["read_upload"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")
#: Largest growth of a compressed file, as a factor and in bytes.
_GROWTH = 20
_MORE = 256_000_000


def read_upload(
    name: str, data: BinaryIO | bytes, mime: str | None, *, max_bytes: int, max_rows: int
) -> Upload:
    """Read an uploaded table.

    Parameters
    ----------
    name
        Name in the query, after ``TAP_UPLOAD.``.
    data
        Its bytes: VOTable (TABLEDATA, BINARY, BINARY2), CSV, TSV, FITS or Parquet. The format is
        recognised by the first bytes, CSV and TSV by ``mime`` too.
    max_bytes, max_rows
        Limits of the upload.

    Raises
    ------
    UsageError
        It cannot be read; the message has place and reason.
    LimitExceeded
        It is too large.
    """
    if not _NAME.match(name):
        raise UsageError(f"upload {name[:64]!r}: a name has letters, digits and _, and begins with a letter")
    content = data if isinstance(data, bytes) else data.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise LimitExceeded(
            f"upload {name}: the file is larger than {max_bytes} bytes, the limit of an upload"
        )
    try:
        unpacked = min(_GROWTH * max_bytes, _GROWTH * len(content) + _MORE)
        table = _read(content, (mime or "").lower(), Limits(max_rows, unpacked))
    except LimitExceeded as err:
        raise LimitExceeded(f"upload {name}: {err}", err.kind) from err
    except UsageError as err:
        raise UsageError(f"upload {name}: {err}") from err
    return Upload(name, table.columns, table.rows)


def _read(content: bytes, mime: str, limits: Limits) -> Table:
    """Return the table of an upload by the format that its first bytes show."""
    if content.startswith(b"SIMPLE  ="):
        return fits.read(content, limits)
    if content.startswith(b"PAR1"):
        return parquet.read(content, limits)
    start = content[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<") or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return votable.read(content, limits)
    if not start:
        raise UsageError("the file is empty")
    if b"\0" in content[:4096]:
        raise UsageError("the file is neither VOTable, CSV, TSV, FITS nor Parquet")
    first = content.split(b"\n", 1)[0]
    tabs = "tab-separated" in mime or "tsv" in mime or (b"\t" in first and b"," not in first)
    return delimited.read(content, "\t" if tabs else ",", limits)
