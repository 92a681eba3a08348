"""Every table once, with text, unit and UCD; the migrations; and the question whether a database is current.

Tables are loaded when the first one is asked for: a worker needs the states of this package and no database.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from desdm.schema.tables import *  # noqa: F403


def __getattr__(name: str) -> object:
    """Load all tables, and return one name of them (PEP 562)."""
    if not name.startswith("_"):
        # Not ``from desdm.schema import tables``, which asks this function first.
        tables = import_module("desdm.schema.tables")
        if name in tables.__all__:
            return getattr(tables, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
