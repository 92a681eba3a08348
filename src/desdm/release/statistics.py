"""Least and largest value, rows without a value, and the reach of text of each column, while rows stream by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from desdm.release.model import ReleaseColumn

__all__ = ["Statistics"]


@dataclass(slots=True)
class _Extent:
    """Extremes, rows without a value, and non-ASCII text of one column."""

    low: float = np.inf
    high: float = -np.inf
    without: int = 0
    wide: bool = False
    infinite: bool = False


@dataclass(slots=True)
class Statistics:
    """Statistics of each column of a stream."""

    columns: dict[str, _Extent] = field(default_factory=dict)

    def add(self, batch: pa.RecordBatch) -> None:
        """Add a batch."""
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            extent = self.columns.setdefault(name, _Extent())
            extent.without += values.null_count
            if pa.types.is_string(values.type):
                extent.wide = extent.wide or not pc.all(pc.string_is_ascii(values), min_count=0).as_py()
            elif pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
                self._number(extent, values)

    @staticmethod
    def _number(extent: _Extent, values: pa.Array) -> None:
        """Add numbers to the extremes of a column."""
        present = values.drop_null() if values.null_count else values
        numbers = present.to_numpy(zero_copy_only=False)
        if pa.types.is_floating(values.type):
            extent.without += int(np.count_nonzero(np.isnan(numbers)))
            extent.infinite = extent.infinite or bool(np.isinf(numbers).any())
            numbers = numbers[np.isfinite(numbers)]
        if len(numbers):
            extent.low = min(extent.low, float(numbers.min()))
            extent.high = max(extent.high, float(numbers.max()))

    def onto(self, columns: Sequence[ReleaseColumn]) -> tuple[ReleaseColumn, ...]:
        """Return the columns with minimum, maximum, rows without a value, and char or unicodeChar."""
        return tuple(self._described(column) for column in columns)

    def _described(self, column: ReleaseColumn) -> ReleaseColumn:
        """Return a column with its statistics."""
        extent = self.columns.get(column.name, _Extent())
        # A column that reaches infinity has no extremes; the checks of the release refuse it.
        has_range = extent.low <= extent.high and not extent.infinite
        return replace(
            column,
            minimum=extent.low if has_range else None,
            maximum=extent.high if has_range else None,
            null_count=extent.without,
            datatype="unicodeChar" if column.datatype == "char" and extent.wide else column.datatype,
        )
