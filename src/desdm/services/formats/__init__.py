"""Tables on the wire: how an answer goes out, and how an upload comes in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from desdm.errors import FatalError
from desdm.release.model import ReleaseColumn
from desdm.services.formats import fits, parquet, text, votable
from desdm.services.formats.model import FORMATS, Format, choose
from desdm.services.formats.rows import Rows

__all__ = ["FORMATS", "Format", "choose", "stream"]


def stream(
    form: Format,
    columns: Sequence[ReleaseColumn],
    batches: Iterable[pa.RecordBatch],
    *,
    maxrec: int | None = None,
    infos: Sequence[tuple[str, str, str]] = (),
    title: str = "",
) -> Iterator[bytes]:
    """A table as bytes, piece by piece, in bounded memory.

    The first piece comes before the first batch is asked for, except in FITS, whose header holds the number of
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
        Rows that go out at most. OVERFLOW is said only when more came.
    infos
        (name, value, text) of further INFO elements (VOTable), header cards (FITS) or key-value metadata (Parquet).
    title
        What the table is, one line.

    Raises
    ------
    DesdmError
        What ``batches`` raised, after the bytes that stood already. A VOTable says so at its end, and is not
        closed; the other formats just end.
    """
    rows = Rows(fits.widened(columns) if form.name == "fits" else columns, batches, maxrec)
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
