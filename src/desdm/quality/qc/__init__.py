"""Quality control of logs: patterns that are data, one matcher over all of them, and scanners that run live.

``docs/quality-control.md`` says how patterns are written and what becomes of a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desdm.quality.qc.matcher import Matcher
from desdm.quality.qc.patterns import Action, Controls, Filter, Ignore, Level, Pattern
from desdm.quality.qc.runfile import matcher_from_file, scanners_from_file
from desdm.quality.qc.scan import Message, Scanner, replay
from desdm.quality.qc.vocabulary import from_wcl, read_controls, to_wcl

if TYPE_CHECKING:
    from desdm.quality.qc.store import load_controls, save_controls, write_patterns

__all__ = [
    "Action",
    "Controls",
    "Filter",
    "Ignore",
    "Level",
    "Matcher",
    "Message",
    "Pattern",
    "Scanner",
    "from_wcl",
    "load_controls",
    "matcher_from_file",
    "read_controls",
    "replay",
    "save_controls",
    "scanners_from_file",
    "to_wcl",
    "write_patterns",
]


def __getattr__(name: str) -> object:
    # What needs the database is imported when it is needed: a worker on a node scans logs without it.
    if name in {"load_controls", "save_controls", "write_patterns"}:
        from desdm.quality.qc import store

        return getattr(store, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
