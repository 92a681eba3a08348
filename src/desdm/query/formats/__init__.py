"""Tables on the wire: how an answer goes out, and how an upload comes in."""

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

#: An answer of at most so many rows in a format that has no place for OVERFLOW waits until it is complete.
_FEW = 10_000


class TableStream(Iterator[bytes]):
    """The bytes of a table, piece by piece, with what is known of its rows so far.

    Parameters
    ----------
    form
        Format of the bytes.
    rows
        Rows that the pieces hold.
    pieces
        The bytes; a generator over ``rows``.
    """

    def __init__(self, form: Format, rows: Rows, pieces: Iterator[bytes]) -> None:
        self.form = form
        self._rows, self._pieces = rows, pieces
        self._made: list[bytes] = []

    @override
    def __next__(self) -> bytes:
        return self._made.pop(0) if self._made else next(self._pieces)

    def begin(self) -> Self:
        """Make the head and the first rows now; of CSV and TSV all rows, where MAXREC allows a few thousand only.

        An error of the query that shows before its first row is raised here, where it can still be answered with a
        status and a document of its own (DALI 1.1, section 4.2). A cut that is known now can stand in the headers.
        """
        maxrec = self._rows.maxrec
        few = not self.form.reports_cuts and maxrec is not None and maxrec <= _FEW
        while few or len(self._made) < 2:
            # An empty piece would be taken for the end of the answer.
            piece = next((p for p in self._pieces if p), None)
            if piece is None:
                break
            self._made.append(piece)
        return self

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the HTTP answer: what CSV and TSV have no place for, as far as it is known now."""
        limits = {} if self._rows.maxrec is None else {"X-Maxrec": str(self._rows.maxrec)}
        return limits | ({"X-Query-Status": "OVERFLOW"} if self._rows.overflow else {})

    @property
    def overflow(self) -> bool:
        """Whether there are more rows than go out; certain when all pieces were taken."""
        return self._rows.overflow

    @property
    def reported_error(self) -> bool:
        """Whether what the rows raised stands in the bytes themselves: then the answer can be ended as usual."""
        return self.form.reports_errors and self._rows.count > 0

    def close(self) -> None:
        """End the pieces that were not taken."""
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
    """A table as bytes, piece by piece, in bounded memory.

    The first piece comes before the first batch is read, except in FITS, whose header holds the number of
    rows: there the rows wait in a temporary file.

    Parameters
    ----------
    form
        What it goes out as.
    columns
        Description of the columns, in the order of the batches' columns.
    batches
        The rows.
    maxrec
        Largest number of rows in the answer. OVERFLOW is written only when more came.
    infos
        (name, value, text) of further INFO elements (VOTable), header cards (FITS) or key-value metadata (Parquet).
    utypes
        Column name → utype, for the columns that have one.
    title
        What the table is, one line.
    more
        Whether rows were left off before already: OVERFLOW is written then as well.

    Raises
    ------
    DesdmError
        What ``batches`` raised. Before the first row nothing but the head was written; after it, a VOTable is ended
        with an INFO that says so, and the other formats just end.
    """
    rows = Rows(columns, batches, maxrec, utypes=utypes, more=more, bytes_as_short=not form.has_null_bytes)
    return TableStream(form, rows, _pieces(form, rows, infos, title))


def _pieces(form: Format, rows: Rows, infos: Sequence[tuple[str, str, str]], title: str) -> Iterator[bytes]:
    """The writer of a format over the rows."""
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
            raise FatalError(f"nothing writes the format {form.name}")
