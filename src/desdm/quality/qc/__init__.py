"""Quality control of logs: patterns that are data, one matcher over all of them, and scanners that run live.

``docs/quality-control.md`` says how patterns are written and what becomes of a line.
"""

from __future__ import annotations

from desdm.quality.qc.matcher import Matcher
from desdm.quality.qc.patterns import Action, Controls, Filter, Ignore, Level, Pattern
from desdm.quality.qc.scan import Message, Scanner, replay
from desdm.quality.qc.store import (
    load_controls,
    matcher_from_file,
    save_controls,
    scanners_from_file,
    write_patterns,
)
from desdm.quality.qc.vocabulary import from_wcl, read_controls, to_wcl

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
