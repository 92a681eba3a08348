"""Formats of tables: writers of answers, readers of uploads."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Self

import pyarrow as pa
from typing_extensions import override

from desdm.errors import FatalError
from desdm.query.formats import fits, parquet, text, votable
from desdm.query.formats.model import FORMATS, Format, choose
from desdm.query.formats.rows import Rows
from desdm.release.model import ReleaseColumn

__all__ = ["FORMATS", "Format", "TableStream", "choose", "stream"]

#: Answers of at most so many rows are completed before they are sent, in formats that cannot state an OVERFLOW.
_COMPLETE_ROWS = 10_000


class TableStream(Iterator[bytes]):
    """The bytes of a table in pieces, with the state of its rows.

    Parameters
    ----------
    form
        Format of the bytes.
    rows
        Rows of the table.
    pieces
        The bytes; a generator over ``rows``.
    """

    def __init__(self, form: Format, rows: Rows, pieces: Iterator[bytes]) -> None:
        self.form = form
        self._rows, self._pieces = rows, pieces
        self._ready: list[bytes] = []

    @override
    def __next__(self) -> bytes:
        return self._ready.pop(0) if self._ready else next(self._pieces)

    def begin(self) -> Self:
        """Encode the header and the first rows now; in CSV and TSV all rows, if MAXREC is at most a few thousand.

        An error of the query before its first row is raised here, where the response can still be an error document with
        its status (DALI 1.1, section 4.2). An overflow that is known now is put into the headers.
        """
        maxrec = self._rows.maxrec
        few = not self.form.reports_cuts and maxrec is not None and maxrec <= _COMPLETE_ROWS
        while few or len(self._ready) < 2:
            # An empty piece would be taken for the end of the answer.
            piece = next((p for p in self._pieces if p), None)
            if piece is None:
                break
            self._ready.append(piece)
        return self

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the HTTP response: MAXREC and, if it is known already, OVERFLOW, which CSV and TSV cannot state."""
        limits = {} if self._rows.maxrec is None else {"X-Maxrec": str(self._rows.maxrec)}
        return limits | ({"X-Query-Status": "OVERFLOW"} if self._rows.overflow else {})

    @property
    def overflow(self) -> bool:
        """Whether rows were left out; certain after the last piece."""
        return self._rows.overflow

    @property
    def reported_error(self) -> bool:
        """Whether the bytes state the error of the rows, so that the response ends normally."""
        return self.form.reports_errors and self._rows.count > 0

    def close(self) -> None:
        """Discard the remaining pieces."""
        if isinstance(self._pieces, Generator):
            self._pieces.close()


def stream(
    form: Format,
    columns: Sequence[ReleaseColumn],
    batches: Iterable[pa.RecordBatch],
    *,
    maxrec: int | None = None,
    infos: Sequence[tuple[str, str, str]] = (),
    utypes: Mapping[str, str] | None = None,
    title: str = "",
    more: bool = False,
) -> TableStream:
    """Encode a table in pieces, in bounded memory.

    The first piece comes before the first batch is read, except in FITS, whose header holds the number of
    rows: there the rows are written to a temporary file first.

    Parameters
    ----------
    form
        Format of the bytes.
    columns
        Description of the columns, in the order of the batches' columns.
    batches
        The rows.
    maxrec
        Largest number of rows in the answer. OVERFLOW is written only if there are more.
    infos
        (name, value, text) of further INFO elements (VOTable), header cards (FITS) or key-value metadata (Parquet).
    utypes
        Column name → utype, for the columns that have one.
    title
        Title of the table, one line.
    more
        Whether rows were already left out of ``batches``, so that OVERFLOW is written.

    Raises
    ------
    DesdmError
        What ``batches`` raised. Before the first row only the header was written; after it, a VOTable ends with an INFO
        about the error, and the other formats are truncated.
    """
    rows = Rows(columns, batches, maxrec, utypes=utypes, more=more, bytes_as_short=not form.has_null_bytes)
    return TableStream(form, rows, _pieces(form, rows, infos, title))


def _pieces(form: Format, rows: Rows, infos: Sequence[tuple[str, str, str]], title: str) -> Iterator[bytes]:
    """Return the pieces of the rows in a format."""
    match form.name:
        case "votable":
            return votable.document(rows, infos, title, binary=True)
        case "votable/td":
            return votable.document(rows, infos, title, binary=False)
        case "csv":
            return text.csv(rows)
        case "tsv":
            return text.tsv(rows)
        case "fits":
            return fits.table(rows, infos, title)
        case "parquet":
            return parquet.table(rows, infos, title)
        case _:
            raise FatalError(f"there is no writer for the format {form.name}")
