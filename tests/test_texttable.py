"""Tables of plain text: one row a line, nothing broken, as much as the terminal has room for."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desdm.texttable import cell_width, number_texts, size_text, table_lines, without_codes

RUN = "DES0159-0500_r3p01"
ROWS = [
    (RUN, "coadd", datetime(2026, 11, 28, 8, 48, 35, 123456), "its submitter went away; next: desdm resume " + RUN, 0.5),
    ("D00150033_r2p01", "firstcut", datetime(2026, 11, 28, 8, 47, 37), None, 12.25),
]  # fmt: skip
HEADS = ("RUN", "PIPELINE", "SUBMITTED", "WHY", "WALL s")


def test_a_pipe_gets_one_whole_line_a_row() -> None:
    lines = table_lines(HEADS, ROWS)
    assert len(lines) == 1 + len(ROWS)
    assert lines[0].split("  ")[0] == "RUN"
    assert "SUBMITTED (UTC)" in lines[0]
    assert "2026-11-28 08:48:35  its submitter went away; next: desdm resume " + RUN in lines[1]
    assert ".123456" not in lines[1]
    assert all(line == line.rstrip() for line in lines)


@given(st.integers(20, 200))
def test_a_terminal_gets_lines_that_fit_and_whole_names(width: int) -> None:
    lines = table_lines(HEADS, ROWS, width=width, expendable=("PIPELINE",))
    assert all(len(line) <= width for line in lines)
    assert lines[1].split()[0] == RUN
    # A number or time is whole or not there.
    assert ("2026-11-28 08:48:35" in lines[1]) == ("SUBMITTED" in lines[0])
    assert lines[1].endswith(" 0.50") == ("WALL s" in lines[0])
    if "WHY" not in lines[0] or "PIPELINE" not in lines[0]:
        assert "left out" in lines[-1]


def test_expendable_columns_go_before_free_text_is_cut_short() -> None:
    lines = table_lines(HEADS, ROWS, width=80, expendable=("PIPELINE", "WALL s"))
    assert "PIPELINE" not in lines[0]
    assert "its submitter went away;" in lines[1]
    assert "…" in lines[1]


def test_text_that_would_move_the_cursor_stays_in_its_cell() -> None:
    assert len(table_lines(("A", "B"), [("x\ny\x1b[2J", "z")])) == 2
    assert "\x1b" not in "".join(table_lines(("A",), [("\x1b[31mred",)]))


def test_wide_letters_keep_their_columns() -> None:
    lines = table_lines(("A", "B"), [("天文", "x"), ("abcd", "y")])
    assert {cell_width(line) for line in lines[1:]} == {7}


def test_numbers_of_a_column_have_the_same_decimals() -> None:
    # As a reader sets a column: 4.566 mas beside −0.0004584 mas is 0.000, not -0.0004584.
    assert number_texts([4.566, -0.0004584, None]) == ["4.566", "0.000", ""]
    assert number_texts([1288.0, 3.0]) == ["1288", "3"]
    assert number_texts([2e-9, 3e7]) == ["2e-09", "3e+07"]
    assert number_texts([float("nan"), 1.5]) == ["nan", "1.500"]


def test_sizes_are_powers_of_a_thousand() -> None:
    sizes = {
        0: "0 B",
        999: "999 B",
        1000: "1.0 kB",
        15_300: "15 kB",
        9_940: "9.9 kB",
        3_400_000_000: "3.4 GB",
    }
    assert {n: size_text(n) for n in sizes} == sizes


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        # ECMA-48: 8.3.32 DL, 8.3.22 CUU, 8.3.117 SGR, 5.6 OSC; C0 and C1 of 8.2.
        ("\x1b[1M> read\n\x1b[1A\x1b[7mbold\x1b[0m", "> read\nbold"), ("\x1b]0;title\x07text", "text"), ("a\x9b31mb", "ab"),
        ("a\tb\nc\rd\x00\x7f", "a\tb\ncd"), ("\x1b(Bé σ ″", "é σ ″"),
    ],
)  # fmt: skip
def test_codes_of_a_terminal_are_left_out(text: str, plain: str) -> None:
    assert without_codes(text) == plain
