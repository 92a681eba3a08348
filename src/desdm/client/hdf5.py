"""Write rows as HDF5, one data set a column."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from desdm.errors import storage_error

if TYPE_CHECKING:
    import h5py

__all__ = ["write"]


def write(rows: pa.Table, path: Path) -> None:
    """Write ``/table/<column>`` with unit, UCD and description as attributes, whole or not at all.

    A null is NaN in a column of reals, an empty text, an empty array; in a column of integers (or truth values, which are
    written as -1, 0, 1) it is the value that the attribute ``null_value`` tells, for no integer may be rounded.
    """
    import h5py

    beside = path.with_name(f".{path.name}.part")
    try:
        with h5py.File(beside, "w") as file:
            group = file.create_group("table")
            for field, column in zip(rows.schema, rows.columns, strict=True):
                data_set = _column(group, field, column)
                for key, value in (field.metadata or {}).items():
                    data_set.attrs[key.decode()] = value.decode()
        beside.replace(path)
    except OSError as err:
        raise storage_error(err, path) from err
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _column(group: h5py.Group, field: pa.Field, column: pa.ChunkedArray) -> h5py.Dataset:
    """Write one column as a data set."""
    import h5py

    kind = field.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_temporal(kind):
        texts = column.cast(pa.string()).fill_null("").to_pylist()
        return group.create_dataset(field.name, data=texts, dtype=h5py.string_dtype())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = np.dtype(kind.value_type.to_pandas_dtype())
        data_set = group.create_dataset(field.name, (len(column),), dtype=h5py.vlen_dtype(inner))
        for i, cell in enumerate(column.to_pylist()):
            data_set[i] = np.array(cell or (), inner)
        return data_set
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    null = None
    if pa.types.is_integer(column.type) and column.null_count:
        null = -1 if pa.types.is_boolean(kind) else int(np.iinfo(column.type.to_pandas_dtype()).min)
        column = column.fill_null(pa.scalar(null, column.type))
    data_set = group.create_dataset(
        field.name, data=column.to_numpy(), compression="gzip", compression_opts=1
    )
    if null is not None:
        data_set.attrs["null_value"] = null
    return data_set
