"""Record of a user's own table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from desdm.release.model import ReleaseColumn

__all__ = ["UserTable"]


@dataclass(frozen=True, slots=True)
class UserTable:
    """A table of a user's own, ``mydb.<name>`` in queries; ``size`` is in bytes."""

    owner: str
    name: str
    row_count: int
    size: int
    columns: tuple[ReleaseColumn, ...]
    text: str
    created_at: datetime
