"""Conversion of tables (astropy Table, pandas DataFrame, Arrow, files) to uploads and from answers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from desdm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from astropy.table import Table
    from astropy.units import UnitBase
    from pandas import DataFrame

__all__ = ["FORMATS", "WRITERS", "UploadSource", "as_format", "as_upload", "format_of", "read_parquet"]

#: Formats of the result of `Client.query`.
FORMATS = ("table", "dataframe", "arrow")

#: Ending of a file → format of the service; ``h5`` is written by the client.
WRITERS = {
    ".csv": "csv",
    ".tab": "tsv",
    ".tsv": "tsv",
    ".fits": "fits",
    ".fit": "fits",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".vot": "votable",
    ".xml": "votable",
    ".votable": "votable",
    ".h5": "h5",
    ".hdf5": "h5",
}


@runtime_checkable
class AstropyTable(Protocol):
    """An astropy Table: named columns."""

    colnames: list[str]

    def __getitem__(self, name: str, /) -> AstropyColumn:
        """Return a column."""


class AstropyColumn(Protocol):
    """A column of an astropy Table."""

    dtype: np.dtype[np.generic]
    ndim: int


@runtime_checkable
class PandasFrame(Protocol):
    """A pandas DataFrame."""

    def to_parquet(self) -> object:
        """Return the table as Parquet."""


#: A table to send: a file, an astropy Table, a pandas DataFrame, an Arrow table, or columns by name.
UploadSource: TypeAlias = (
    "str | Path | pa.Table | AstropyTable | PandasFrame | Mapping[str, Sequence[str | float | int | None]]"
)


def format_of(path: Path) -> str:
    """Return the format of a file's ending.

    Raises
    ------
    UsageError
        If no format has this ending.
    """
    form = WRITERS.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"{path}: no format ends so; there are: {' '.join(WRITERS)}")
    return form


def read_parquet(file: io.IOBase | Path) -> tuple[pa.Table, bool]:
    """Return the rows of a Parquet answer, and whether the server cut them at a limit."""
    file_reader = pq.ParquetFile(file)
    metadata = file_reader.metadata.metadata or {}
    return file_reader.read(), metadata.get(b"QUERY_STATUS") == b"OVERFLOW"


def as_format(rows: pa.Table, form: str) -> Table | DataFrame | pa.Table:
    """Return Arrow rows as an astropy Table, a pandas DataFrame, or unchanged.

    Raises
    ------
    UsageError
        If there is no such form, or pandas is not installed.
    """
    if form == "arrow":
        return rows
    if form == "table":
        return _table(rows)
    if form == "dataframe":
        try:
            import pandas  # noqa: F401 - Arrow needs it for what follows
        except ImportError as err:
            raise UsageError(
                "pandas is not installed; install it, or choose format='table' or 'arrow'"
            ) from err
        return rows.to_pandas()
    raise UsageError(f"format={form!r} is not known; there are: {', '.join(FORMATS)}")


def _table(rows: pa.Table) -> Table:
    """Convert Arrow rows to an astropy Table."""
    from astropy.table import Column, MaskedColumn, Table

    table = Table()
    for field, chunked in zip(rows.schema, rows.columns, strict=True):
        texts = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
        cells, mask = _cells(chunked)
        kind = Column if mask is None else MaskedColumn
        more = {} if mask is None else {"mask": mask}
        column = kind(cells, name=field.name, description=texts.get("description"), **more)
        if texts.get("unit"):
            # A unit that astropy does not know stays as it is written.
            column.unit = _unit(texts["unit"])
        if texts.get("ucd"):
            column.meta["ucd"] = texts["ucd"]
        table.add_column(column)
    return table


def _unit(text: str) -> UnitBase:
    """Parse a unit; an unknown one is preserved as text."""
    from astropy.units import Unit

    return Unit(text, parse_strict="silent")


def _cells(chunked: pa.ChunkedArray) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.bool_] | None]:
    """Return the values of a column, and the mask of its nulls."""
    array = chunked.combine_chunks()
    mask = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        text = array.fill_null("") if mask is not None else array
        return np.array(text.to_pylist(), dtype=str), mask
    if pa.types.is_list(array.type) or pa.types.is_fixed_size_list(array.type):
        lists = [np.array([]) if cell is None else np.asarray(cell) for cell in array.to_pylist()]
        cells = np.empty(len(lists), object)
        cells[:] = lists
        return cells, mask
    if mask is not None:
        blank = (
            False
            if pa.types.is_boolean(array.type)
            else float("nan")
            if pa.types.is_floating(array.type)
            else 0
        )
        array = array.fill_null(pa.scalar(blank, array.type))
    return array.to_numpy(zero_copy_only=False), mask


def as_upload(source: object) -> tuple[bytes, str]:
    """Return bytes and media type of a table to send.

    Parameters
    ----------
    source
        A file's path (VOTable, CSV, TSV, FITS, Parquet: as it is), an astropy Table, a pandas DataFrame, an Arrow
        table, or a mapping from names to columns.
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        try:
            body = path.read_bytes()
        except OSError as err:
            raise UsageError(f"{path} cannot be read: {err.strerror}") from err
        mimes = {"tsv": "text/tab-separated-values", "csv": "text/csv"}
        return body, mimes.get(WRITERS.get(path.suffix.lower(), ""), "application/octet-stream")
    if isinstance(source, pa.Table):
        rows = source
    elif isinstance(source, AstropyTable):
        rows = _from_astropy(source)
    elif isinstance(source, PandasFrame):
        rows = pa.Table.from_pandas(source, preserve_index=False)
    elif isinstance(source, dict):
        rows = pa.table(source)
    else:
        raise UsageError(
            f"a {type(source).__name__} cannot be uploaded; send a Table, DataFrame, Arrow table or file"
        )
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    return sink.getvalue(), "application/vnd.apache.parquet"


def _from_astropy(table: AstropyTable) -> pa.Table:
    """Convert an astropy Table to Arrow, with units and descriptions."""
    fields, arrays = [], []
    for name in table.colnames:
        column = table[name]
        # SkyCoord and Time columns have no plain values.
        if not hasattr(column, "dtype") or column.ndim > 1:
            raise UsageError(f"column {name} cannot be uploaded; turn it into columns of plain values first")
        mask = np.ma.getmaskarray(np.ma.asarray(column)) if hasattr(column, "mask") else None
        plain = np.asarray(column)
        plain = plain.astype(plain.dtype.newbyteorder("="))
        array = pa.array(plain.astype(str).tolist() if plain.dtype.kind in "SU" else plain, mask=mask)
        unit = getattr(column, "unit", None)
        about = {"unit": str(unit or ""), "description": str(getattr(column, "description", None) or "")}
        fields.append(pa.field(name, array.type, metadata={k: v for k, v in about.items() if v}))
        arrays.append(array)
    return pa.table(arrays, schema=pa.schema(fields))
