"""Headers read from bytes: as astropy reads them, and with typed errors where a file is damaged."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from desdm.errors import FileTypeError
from desdm.pixels.cards import Header, columns, read_hdus


def cards(*lines: str) -> bytes:
    text = "".join(line.ljust(80) for line in (*lines, "END"))
    return text.encode("latin-1").ljust(-(-len(text) // 2880) * 2880)


def read(data: bytes) -> Header:
    return read_hdus(data, len(data))[0].header


def test_every_real_header_reads_as_astropy_reads_it(real: Path) -> None:
    values = 0
    for path in sorted(real.rglob("*.fits")):
        data = path.read_bytes()
        found = read_hdus(data, len(data))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(path, disable_image_compression=True) as hdus:
                assert len(found) == len(hdus), path.name
                for ours, theirs in zip(found, hdus, strict=True):
                    assert (ours.start, ours.data_start) == (theirs._header_offset, theirs._data_offset)
                    for key in set(theirs.header) - {"HISTORY", "COMMENT", ""}:
                        try:
                            expected = theirs.header[key]
                        except fits.VerifyError:
                            continue
                        if not theirs.header.cards[key].image[8:].startswith(("= ", " ")):
                            continue  # no value by the standard, whatever a generous reader makes of it
                        if isinstance(expected, fits.card.Undefined):
                            expected = None
                        if isinstance(expected, str):
                            expected = expected.rstrip() or None
                        got = ours.header.get(key)
                        got = (got.rstrip() or None) if isinstance(got, str) else got
                        assert got == expected, f"{path.name} {key}"
                        values += 1
    assert values > 20_000


def test_values_of_every_kind() -> None:
    header = read(cards(
        "SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0",
        "INT     =                  -42 / text", "REAL    =              1.5D+03", "DOT     =                   .5",
        "NO      =                    F", "TEXT    = 'it''s / fine  '   / text", "EMPTY   = ''", "NOTHING =",
        "LONG    = 'one &'", "CONTINUE  'two &'", "CONTINUE  'three' / text", "HIERARCH time_recorded = 7",
        "HIERARCH ESO DET NAME = 'ccd50'", "COMMENT no value", "BADCARD whatever = 9", "TWICE   = 1", "TWICE   = 2",
        "NAN     =                  NaN", "HUGE    =              1.0E999", "BIG     = 12345678901234567890",
    ))  # fmt: skip
    assert header.get("INT") == -42
    assert header.get("REAL") == 1500.0
    assert header.get("DOT") == 0.5
    assert header.get("NO") is False
    assert header.get("TEXT") == "it's / fine"
    assert header.text("EMPTY") is None
    assert header.get("NOTHING", "default") == "default"
    assert header.get("LONG") == "one two three"
    assert header.get("time_recorded") == 7
    assert header.text("ESO DET NAME") == "ccd50"
    assert header.get("BADCARD") is None
    assert header.get("TWICE") == 1
    assert header.number("NAN") is None
    assert header.number("HUGE") is None
    assert header.integer("BIG") is None
    assert header.number("NO") is None
    assert "ABSENT" not in header


def test_a_compressed_image_reads_as_the_image() -> None:
    file = io.BytesIO()
    pixels = np.arange(600, dtype="f4").reshape(20, 30)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, name="sci")]).writeto(file)
    data = file.getvalue()
    hdu = read_hdus(data, len(data))[1]
    assert (hdu.kind, hdu.shape, hdu.bitpix, hdu.name, hdu.compressed) == (
        "image",
        (20, 30),
        -32,
        "SCI",
        True,
    )


def test_columns_of_a_table_lie_where_numpy_finds_them() -> None:
    rows = np.zeros(3, [("A", ">i4"), ("name", "S7"), ("V", ">f8", 2), ("flag", "?"), ("z", ">f4")])
    rows["z"] = [1, 2, 3]
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(rows)]).writeto(file)
    data = file.getvalue()
    hdu = read_hdus(data, len(data))[1]
    found = columns(hdu)
    assert [(c.name, c.offset, c.repeat) for c in found.values()] == [
        ("a", 0, 1), ("name", 4, 7), ("v", 11, 2), ("flag", 27, 1), ("z", 28, 1),
    ]  # fmt: skip
    assert hdu.shape == (3, rows.dtype.itemsize)


GOOD = ("SIMPLE  =                    T", "BITPIX  =                   16", "NAXIS   =                    2")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "not a FITS"),
        (b"#!/bin/sh\n", "not a FITS"),
        (cards(*GOOD)[:-2880], "not a FITS"),
        (b"".join(line.encode().ljust(80) for line in GOOD), "no END"),
        (cards(*GOOD), "NAXIS1"),
        (cards(*GOOD, "NAXIS1  =   -5", "NAXIS2  =    5"), "NAXIS1"),
        (cards(*GOOD, "NAXIS1  =  100", "NAXIS2  =  100"), "cut off"),
        (cards(*GOOD, "NAXIS1  = 2000000000", "NAXIS2  = 2000000000"), "cut off"),
        (cards(GOOD[0], "BITPIX  = 7", "NAXIS   = 0"), "BITPIX"),
        (cards(GOOD[0], "BITPIX  = 8", "NAXIS   = 1000"), "NAXIS"),
        (cards(GOOD[0], "NAXIS   = 0"), "BITPIX"),
        (cards(*GOOD, "NAXIS1  = 10", "NAXIS2  = 1", "GCOUNT  = -1"), "cut off"),
    ],
)
def test_damage_is_a_typed_error(data: bytes, told: str) -> None:
    with pytest.raises(FileTypeError, match=told):
        read_hdus(data, len(data))


def test_what_follows_the_last_hdu_is_survived_and_told() -> None:
    findings: list[str] = []
    data = cards("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0") + b"\0" * 100
    assert len(read_hdus(data, len(data), findings)) == 1
    assert findings == ["100 bytes after the last HDU"]


@given(st.binary(max_size=400), st.integers(0, 2880))
def test_no_bytes_break_the_reader(junk: bytes, at: int) -> None:
    data = bytearray(cards(*GOOD, "NAXIS1  = 4", "NAXIS2  = 5", "OBJECT  = 'x'") + b"\1" * 2880)
    data[at : at + len(junk)] = junk
    try:
        for hdu in read_hdus(bytes(data), len(data)):
            for key in list(hdu.header.keys()):
                hdu.header.get(key)
                hdu.header.number(key)
            columns(hdu)
    except FileTypeError:
        pass


def of_cards(*lines: str) -> Header:
    """The header of some cards, structure or not."""
    return Header("".join(line.ljust(80) for line in lines).encode("latin-1"))


def test_texts_without_a_closing_quote_are_told_whatever_quotes_stand_beside() -> None:
    """FITS 4.0, section 4.2.1: a string is closed by a single quote; two of them are one in the text."""
    header = of_cards(
        "SIMPLE  =                    T / it's the first",
        "COMMENT this one's quote and that of the next card",
        "COMMENT aren't a pair",
        "GOOD    = 'closed  '           / the observer's word",
        "DOUBLED = 'it''s   '",
        "HISTORY 'quoted'",
        "LAST    = '" + "x" * 68 + "'",
        "FREE    ='no end",
        "OPEN    = '" + "x" * 69,
    )
    assert header.unclosed() == [("FREE", "'no end"), ("OPEN", "'" + "x" * 69)]
    assert header.get("DOUBLED") == "it's"


def test_keywords_that_stand_twice_are_told_beside_comments() -> None:
    header = of_cards(
        "SIMPLE  =                    T",
        "COMMENT one",
        "GAIN    =                  1.5",
        "COMMENT two",
        "",
        "",
        "GAIN    =                  2.5",
    )
    assert list(header.repeated({"COMMENT", ""})) == [("GAIN", [1.5, 2.5])]
    assert list(header.repeated({"COMMENT", "", "GAIN"})) == []
    assert [key for key, _ in header.repeated(set())] == ["COMMENT", "GAIN", ""]


def test_numbered_keywords_are_those_that_end_in_digits() -> None:
    header = of_cards(
        "SIMPLE  =                    T",
        "PV1_1   =                  1.0",
        "PV1_A   =                  1.0",
        "PV1_10  =                  1.0",
        "XPV1_1  =                  1.0",
        "PV1_1   =                  2.0",
        "COMMENT PV1_3",
    )
    assert sorted(header.numbered("PV1_")) == ["PV1_1", "PV1_10"]
    assert header.lacks(["PV1_2", "A_ORDER"])
    assert not header.lacks(["A_ORDER", "PV1_10"])


def test_a_keyword_of_a_hierarch_card_is_not_lacking() -> None:
    header = of_cards("SIMPLE  =                    T", "HIERARCH A_ORDER_LONG = 3")
    assert not header.lacks(["A_ORDER_LONG"])
    assert header.lacks(["A_ORDER"])
