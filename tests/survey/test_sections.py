"""Sections are read as instruments write them, and one that does not fit its array is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desdm.errors import FileTypeError
from desdm.survey.sections import Section, parse_section, section_of


def test_blanks_are_allowed_as_the_saao_writes_them() -> None:
    assert parse_section("[  17: 528,   1: 520]") == Section(17, 528, 1, 520)


def test_a_reversed_section_tells_the_readout_and_names_the_same_pixels() -> None:
    section = parse_section("[2048:1025,4096:1]")
    assert section is not None
    assert section.slices == (slice(0, 4096), slice(1024, 2048))
    assert section.shape == (4096, 1024)


@pytest.mark.parametrize("text", ["", "[1:2]", "[0:5,1:5]", "[a:b,1:2]", "1:2,3:4", "[1:2,3:4", "[1:2,3:4]x"])
def test_what_is_no_section_is_none(text: str) -> None:
    assert parse_section(text) is None


@given(*[st.integers(1, 5000)] * 4)
def test_text_and_slices_agree(x1: int, x2: int, y1: int, y2: int) -> None:
    section = Section(x1, x2, y1, y2)
    assert parse_section(section.text) == section
    rows, columns = section.slices
    assert (rows.stop - rows.start, columns.stop - columns.start) == section.shape
    assert section.fits((max(y1, y2), max(x1, x2)))
    assert not section.fits((max(y1, y2) - 1, max(x1, x2)))


def test_a_section_beyond_its_array_names_file_ccd_and_keyword() -> None:
    header = {"BIASSECA": "[1:4,1:2001]"}
    with pytest.raises(
        FileTypeError, match=r"raw\.fits CCD 7: BIASSECA \[1:4,1:2001\] .* 1026 columns and 2000"
    ):
        section_of(header.get, "BIASSECA", (2000, 1026), "raw.fits CCD 7")
    with pytest.raises(FileTypeError, match=r"raw\.fits CCD 7: BIASSECA 'x' is not a section"):
        section_of({"BIASSECA": "x"}.get, "BIASSECA", (2000, 1026), "raw.fits CCD 7")
    assert section_of(header.get, "TRIMSEC", (2000, 1026), "") is None


def test_slices_cut_what_the_section_says() -> None:
    array = np.arange(12).reshape(3, 4)
    assert array[Section(2, 3, 3, 3).slices].tolist() == [[9, 10]]
