"""Looks through the headers of a delivered file for what no reader can interpret, or what readers interpret differently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from desdm.archive.content import Content
from desdm.pixels.blank import Blank, blank_of
from desdm.pixels.cards import HDU, Header
from desdm.survey.findings import Finding, Severity

__all__ = ["header_findings"]

#: Keywords that may be repeated (FITS 4.0, section 4.4.2.4), or that are no single keyword.
_REPEATED = {"COMMENT", "HISTORY", "CONTINUE", "HIERARCH", ""}


def header_findings(content: Content) -> Iterator[Finding]:
    """Findings on the cards of every HDU, one for each keyword, however many HDUs have it.

    Files that no rule required to open as FITS are left alone.
    """
    if not content.opened:
        return
    places_of: dict[tuple[str, str, Severity, str], list[tuple[int, str]]] = {}
    for number, hdu in enumerate(content.hdus):
        for each in _of(hdu):
            places_of.setdefault((each.key, each.text, each.severity, each.assumed), []).append(
                (number, each.value)
            )
    for (key, text, severity, assumed), places in places_of.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        yield Finding(severity, f"HDU {places[0][0]}{more}: {text}", key, places[0][1], assumed)


def _of(hdu: HDU) -> Iterator[Finding]:
    """Yield the findings on the header of one HDU."""
    header = hdu.header
    yield from _duplicates(header)
    if not header.ascii:
        keys = ", ".join(header.not_ascii())
        yield Finding(
            Severity.NOTE,
            "cards have characters that are not ASCII, or control characters",
            keys,
            "",
            "they are read as Latin-1; control characters are recorded as ?",
        )
    for key in header.lower_case():
        text = "keywords are in upper case (FITS 4.0, section 4.1.2.1)"
        yield Finding(Severity.WARNING, text, key, "", f"it is read as {key.upper()}")
    for key, text in header.unclosed():
        read = f"{header.get(key)!r} is read, up to the end of the card"
        yield Finding(Severity.WARNING, "the text has no closing quote", key, text, read)
    if hdu.kind == "image" and hdu.bitpix > 0:
        blank = header.get("BLANK")
        if blank is not None and not _is_value(blank_of(header, hdu.bitpix), hdu.bitpix):
            yield Finding(
                Severity.WARNING,
                f"it is not an integer of {hdu.bitpix} bits",
                "BLANK",
                repr(blank),
                "no pixel is missing",
            )
        if header.number("BSCALE") == 0:
            text = "all pixels have one value by it"
            yield Finding(Severity.WARNING, text, "BSCALE", repr(header.get("BSCALE")), "they are read so")
        for key in ("BSCALE", "BZERO"):
            if key in header and header.number(key) is None:
                default = "1" if key == "BSCALE" else "0"
                yield Finding(
                    Severity.WARNING,
                    "it is not a number",
                    key,
                    repr(header.get(key)),
                    f"it is taken as {default}",
                )


def _is_value(blank: Blank | None, bitpix: int) -> bool:
    """Whether pixels of that many bits can have the value that BLANK states."""
    low, high = (0, 255) if bitpix == 8 else (-(2 ** (bitpix - 1)), 2 ** (bitpix - 1) - 1)
    return blank is not None and low <= blank.stored <= high


def _duplicates(header: Header) -> Iterator[Finding]:
    """Keywords with several values: the first is taken, as by other readers."""
    for key, values in header.repeated(_REPEATED):
        different = Counter(map(repr, values))
        if len(different) > 1:
            yield Finding(
                Severity.WARNING,
                "the keyword occurs in the header with different values",
                key,
                ", ".join(different),
                "the first is taken",
            )
