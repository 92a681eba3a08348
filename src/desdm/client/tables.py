"""Tables as users hold them (astropy Table, pandas DataFrame, Arrow, files), to the service and back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from desdm.errors import UsageError

__all__ = ["FORMATS", "WRITERS", "as_format", "as_upload", "format_of", "read_parquet"]

#: What `Client.query` can hand back.
FORMATS = ("table", "dataframe", "arrow")

#: Ending of a file → what the service is asked for; ``h5`` is made here.
WRITERS = {
    ".csv": "csv", ".tab": "tsv", ".tsv": "tsv", ".fits": "fits", ".fit": "fits", ".parquet": "parquet", ".pq": "parquet",
    ".vot": "votable", ".xml": "votable", ".votable": "votable", ".h5": "h5", ".hdf5": "h5",
}  # fmt: skip


def format_of(path: Path) -> str:
    """What a file's ending asks for.

    Raises
    ------
    UsageError
        If no format has this ending.
    """
    found = WRITERS.get(path.suffix.lower())
    if found is None:
        raise UsageError(f"{path}: no format ends so; there are: {' '.join(WRITERS)}")
    return found


def read_parquet(file: io.IOBase | Path | Any) -> tuple[pa.Table, bool]:
    """Rows of a Parquet answer, and whether the server cut them at a limit."""
    held = pq.ParquetFile(file)
    metadata = held.metadata.metadata or {}
    return held.read(), metadata.get(b"QUERY_STATUS") == b"OVERFLOW"


def as_format(rows: pa.Table, form: str) -> Any:
    """Arrow rows as an astropy Table, a pandas DataFrame, or as they are.

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
                "pandas is not installed; install it, or ask for format='table' or 'arrow'"
            ) from err
        return rows.to_pandas()
    raise UsageError(f"format={form!r} is not known; there are: {', '.join(FORMATS)}")


def _table(rows: pa.Table) -> Any:
    from astropy.table import Column, MaskedColumn, Table

    table = Table()
    for field, chunked in zip(rows.schema, rows.columns, strict=True):
        about = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
        cells, mask = _cells(chunked)
        kind = Column if mask is None else MaskedColumn
        more = {} if mask is None else {"mask": mask}
        column = kind(cells, name=field.name, description=about.get("description"), **more)
        if about.get("unit"):
            # A unit that astropy does not know is kept as it is written.
            column.unit = _unit(about["unit"])
        if about.get("ucd"):
            column.meta["ucd"] = about["ucd"]
        table.add_column(column)
    return table


def _unit(text: str) -> Any:
    from astropy.units import Unit

    return Unit(text, parse_strict="silent")


def _cells(chunked: pa.ChunkedArray) -> tuple[Any, Any]:
    array = chunked.combine_chunks()
    gone = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        text = array.fill_null("") if gone is not None else array
        return np.array(text.to_pylist(), dtype=str), gone
    if pa.types.is_list(array.type) or pa.types.is_fixed_size_list(array.type):
        lists = [np.array([]) if cell is None else np.asarray(cell) for cell in array.to_pylist()]
        held = np.empty(len(lists), object)
        held[:] = lists
        return held, gone
    if gone is not None:
        blank = (
            False
            if pa.types.is_boolean(array.type)
            else float("nan")
            if pa.types.is_floating(array.type)
            else 0
        )
        array = array.fill_null(pa.scalar(blank, array.type))
    return array.to_numpy(zero_copy_only=False), gone


def as_upload(source: Any) -> tuple[bytes, str]:
    """Bytes and media type of a table that goes to the service.

    Parameters
    ----------
    source
        A file's path (VOTable, CSV, TSV, FITS, Parquet: as it is), an astropy Table, a pandas DataFrame, an Arrow
        table, or a mapping from names to columns.
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        try:
            held = path.read_bytes()
        except OSError as err:
            raise UsageError(f"{path} cannot be read: {err.strerror}") from err
        mimes = {"tsv": "text/tab-separated-values", "csv": "text/csv"}
        return held, mimes.get(WRITERS.get(path.suffix.lower(), ""), "application/octet-stream")
    if isinstance(source, pa.Table):
        rows = source
    elif hasattr(source, "colnames"):
        rows = _from_astropy(source)
    elif hasattr(source, "to_parquet"):
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


def _from_astropy(table: Any) -> pa.Table:
    fields, arrays = [], []
    for name in table.colnames:
        column = table[name]
        # SkyCoord and Time columns have no plain values.
        if not hasattr(column, "dtype") or column.ndim > 1:
            raise UsageError(f"column {name} cannot be uploaded; turn it into columns of plain values first")
        mask = np.ma.getmaskarray(column) if hasattr(column, "mask") else None
        plain = np.asarray(column)
        plain = plain.astype(plain.dtype.newbyteorder("="))
        array = pa.array(plain.astype(str).tolist() if plain.dtype.kind in "SU" else plain, mask=mask)
        unit = getattr(column, "unit", None)
        about = {"unit": str(unit or ""), "description": str(getattr(column, "description", None) or "")}
        fields.append(pa.field(name, array.type, metadata={k: v for k, v in about.items() if v}))
        arrays.append(array)
    return pa.table(arrays, schema=pa.schema(fields))
