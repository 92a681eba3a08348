"""The one file of quality controls that goes with a run, as its jobs read it; no database is needed here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from desdm.quality.qc.matcher import Matcher
from desdm.quality.qc.scan import Scanner
from desdm.quality.qc.vocabulary import read_controls

__all__ = ["WORTH_KEEPING", "compiled_beside", "matcher_from_file", "scanners_from_file"]

WORTH_KEEPING = 200
"""From so many patterns on, compiling them takes longer than reading the compiled form."""


def matcher_from_file(path: str | os.PathLike[str]) -> Matcher:
    """Build the matcher for the patterns of a file, from its compiled form where that stands beside it.

    Raises
    ------
    WCLError
        The file cannot be read, or a pattern is wrong.
    """
    controls = read_controls(path)
    compiled = None
    if len(controls.patterns) >= WORTH_KEEPING:
        try:
            compiled = compiled_beside(Path(path)).read_bytes()
        except OSError:  # it only saves time
            compiled = None
    return Matcher(controls, compiled)


def scanners_from_file(path: str | os.PathLike[str]) -> Callable[[str], Scanner]:
    """Give a factory of scanners, by the name of the program, that share one matcher for the file.

    Raises
    ------
    WCLError
        The file cannot be read, or a pattern is wrong.
    """
    matcher = matcher_from_file(path)

    def scanner(execname: str) -> Scanner:
        return Scanner(matcher, execname)

    return scanner


def compiled_beside(path: Path) -> Path:
    """Give where the compiled form of a file of controls stands."""
    return path.with_suffix(".hs")
