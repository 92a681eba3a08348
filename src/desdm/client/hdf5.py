"""Writes rows as HDF5, one data set a column, where h5py is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

from desdm.errors import UsageError

__all__ = ["require", "write"]


def require() -> None:
    """Say at once that it cannot be done, not after a long query.

    Raises
    ------
    UsageError
        If h5py is not installed.
    """
    if find_spec("h5py") is None:
        raise UsageError("HDF5 needs the package h5py, which is not installed; write .parquet or .fits")


def write(rows: pa.Table, path: Path) -> None:
    """Write ``/table/<column>`` with unit and description as attributes; null numbers are NaN, null text is empty."""
    import h5py

    beside = path.with_name(f".{path.name}.part")
    with h5py.File(beside, "w") as file:
        group = file.create_group("table")
        for field, column in zip(rows.schema, rows.columns, strict=True):
            if pa.types.is_string(field.type):
                cells = column.fill_null("").to_pylist()
                made = group.create_dataset(field.name, data=cells, dtype=h5py.string_dtype())
            else:
                made = group.create_dataset(
                    field.name, data=column.to_numpy(), compression="gzip", compression_opts=1
                )
            for key, value in (field.metadata or {}).items():
                made.attrs[key.decode()] = value.decode()
    beside.replace(path)
