"""Lines as the programs write them, and the pattern of their code's `qc.wcl` that reports each."""

from __future__ import annotations

from pathlib import Path

import pytest

import desdm.codes
from desdm.quality.qc import Action, Matcher, Scanner, read_controls

CODES = Path(desdm.codes.__file__).parent

#: (qc.wcl, program, line of its log as it writes it, pattern that reports it or None, action).
LINES = [
    ("coadd", "swarp", "> *Error*: cannot open tile.fits", "swarp_error", Action.FLAG),
    (
        "coadd",
        "swarp",
        "> WARNING: Significant inaccuracy likely to occur in projection",
        "swarp_significant",
        Action.FLAG,
    ),
    ("coadd", "swarp", "> WARNING: File-limit reached", None, Action.NONE),
    ("compress", "fpack", "Error: out of memory", "fpack_error", Action.FLAG),
]


@pytest.mark.parametrize(("code", "program", "line", "pattern", "action"), LINES)
def test_a_line_is_reported_by_its_pattern(
    code: str, program: str, line: str, pattern: str | None, action: Action
) -> None:
    scanner = Scanner(Matcher(read_controls(CODES / code / "qc.wcl")), program)
    messages = [*scanner.feed(f"fine\n{line}\n".encode()), *scanner.close()]
    assert [(m.pattern, m.line, m.action) for m in messages] == (
        [] if pattern is None else [(pattern, 2, action)]
    )
