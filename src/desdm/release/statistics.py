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
class _Seen:
    low: float = np.inf
    high: float = -np.inf
    without: int = 0
    wide: bool = False


@dataclass(slots=True)
class Statistics:
    """What was seen of each column."""

    seen: dict[str, _Seen] = field(default_factory=dict)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch."""
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            seen = self.seen.setdefault(name, _Seen())
            seen.without += values.null_count
            if pa.types.is_string(values.type):
                seen.wide = seen.wide or not pc.all(pc.string_is_ascii(values), min_count=0).as_py()
            elif pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
                self._number(seen, values)

    @staticmethod
    def _number(seen: _Seen, values: pa.Array) -> None:
        there = values.drop_null() if values.null_count else values
        numbers = there.to_numpy(zero_copy_only=False)
        if pa.types.is_floating(values.type):
            seen.without += int(np.count_nonzero(np.isnan(numbers)))
            numbers = numbers[np.isfinite(numbers)]
        if len(numbers):
            seen.low = min(seen.low, float(numbers.min()))
            seen.high = max(seen.high, float(numbers.max()))

    def onto(self, columns: Sequence[ReleaseColumn]) -> tuple[ReleaseColumn, ...]:
        """The columns with what was seen: minimum, maximum, rows without a value, char or unicodeChar."""
        return tuple(self._one(column) for column in columns)

    def _one(self, column: ReleaseColumn) -> ReleaseColumn:
        seen = self.seen.get(column.name, _Seen())
        known = seen.low <= seen.high
        return replace(
            column,
            minimum=seen.low if known else None,
            maximum=seen.high if known else None,
            null_count=seen.without,
            datatype="unicodeChar" if column.datatype == "char" and seen.wide else column.datatype,
        )
