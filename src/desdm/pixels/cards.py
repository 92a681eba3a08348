"""Reads the headers of a FITS file from its bytes: fast, lazily, and with typed errors for every damage."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from desdm.errors import FileTypeError

__all__ = ["HDU", "Buffer", "Column", "Header", "Value", "columns", "read_hdus"]

Buffer: TypeAlias = "bytes | memoryview"
Value: TypeAlias = str | int | float | bool | None

_CARD = 80
_BLOCK = 2880
_LONGEST_HEADER = 4 << 20  # no instrument comes near; a longer one is damage
_MOST_HDUS = 10_000
_END = b"END" + b" " * 5
_INTEGER = re.compile(r"[+-]?\d{1,40}\Z")
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?\Z")
_KEYWORD = re.compile(r"[A-Z0-9_-]+ *\Z")
_STRING = re.compile(r"\s*'((?:[^']|'')*)'")


class Header:
    """The cards of one header; a value is parsed at its first access.

    Real headers hold latin-1 text, blank cards and cards that are no cards: all are survived; what cannot be
    read as a value is returned as text.

    Parameters
    ----------
    raw
        The cards before END, a multiple of 80 bytes.
    """

    __slots__ = ("_at", "_hierarch", "_keys", "_lower", "_text", "_values")

    def __init__(self, raw: bytes) -> None:
        self._text = text = raw.decode("latin-1")
        keys = [text[i : i + 8] for i in range(0, len(text), _CARD)]
        names = "".join(keys)
        self._lower = names != names.upper()
        if self._lower:
            keys = [self._keyword(i) for i in range(0, len(text), _CARD)]
        self._keys = keys
        #: Values that were parsed already: a file's rules, record and findings ask for the same ones.
        self._values: dict[str, Value] = {}
        # The first of two cards with one keyword counts, as in other readers: hence from the end.
        self._at = dict(zip(reversed(keys), range(len(text) - _CARD, -1, -_CARD), strict=True))
        self._hierarch: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self._text) // _CARD

    def __contains__(self, key: str) -> bool:
        return self._find(key) is not None

    def keys(self) -> Iterator[str]:
        """Keywords in no particular order, without HIERARCH ones."""
        return (key.rstrip() for key in self._at)

    def get(self, key: str, default: Value = None) -> Value:
        """Value of a keyword: str, int, float, bool, or ``default`` if it is absent or has no value."""
        try:
            value = self._values[key]
        except KeyError:
            at = self._find(key)
            value = self._values[key] = None if at is None else self._value(at)
        return default if value is None else value

    def number(self, key: str) -> float | None:
        """The value as a finite float; None if it is absent or no number."""
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None

    def integer(self, key: str) -> int | None:
        """The value as an int of at most 31 bits; None if it is absent or none."""
        number = self.number(key)
        return int(number) if number is not None and number == int(number) and abs(number) < 2**31 else None

    def text(self, key: str) -> str | None:
        """The value as text without outer blanks; None if it is absent, empty or no text."""
        value = self.get(key)
        return (value.strip() or None) if isinstance(value, str) else None

    @property
    def ascii(self) -> bool:
        """Whether all characters are ASCII, as FITS demands (FITS 4.0, section 3.2)."""
        return self._text.isascii()

    def not_ascii(self) -> list[str]:
        """Keywords of the cards that have other characters than ASCII."""
        cards = (self._text[at : at + _CARD] for at in range(0, len(self._text), _CARD))
        names = (card[:8].strip() for card in cards if not card.isascii())
        return list(
            dict.fromkeys("".join(c if c.isascii() and c.isprintable() else "?" for c in n) for n in names)
        )

    def unclosed(self) -> list[tuple[str, str]]:
        """(keyword, text) of the cards whose string has no closing quote (FITS 4.0, section 4.2.1)."""
        unclosed_cards = []
        for at in range(0, len(self._text), _CARD):
            card = self._text[at : at + _CARD]
            if (
                card[8:9] == "="
                and card.count("'") % 2
                and card[9:].lstrip()[:1] == "'"
                and not _STRING.match(card[9:])
            ):
                unclosed_cards.append((card[:8].rstrip(), card[9:].strip()))
        return unclosed_cards

    def repeated(self, without: Container[str]) -> Iterator[tuple[str, list[Value]]]:
        """(keyword, values) of keywords that stand in the header more than once; ``without`` some."""
        if len(self._at) == len(self):
            return
        several = [key for key, count in Counter(self._keys).items() if count > 1]
        for key in several:
            if key.rstrip() not in without:
                places = (i * _CARD for i, other in enumerate(self._keys) if other == key)
                yield key.rstrip(), [self._value(at) for at in places]

    def lower_case(self) -> list[str]:
        """Keywords of cards with a value that are not in upper case (FITS 4.0, section 4.1.2.1)."""
        if not self._lower:
            return []
        cards = (self._text[at : at + 9] for at in range(0, len(self._text), _CARD))
        return [
            c[:8].rstrip() for c in cards if c[8:] == "=" and c != c.upper() and _KEYWORD.match(c[:8].upper())
        ]

    def numbered(self, stem: str) -> Iterator[str]:
        """Keywords that are ``stem`` followed by digits, for instance PV1_."""
        for key in self._at:
            if key.startswith(stem) and key[len(stem) :].rstrip().isdigit():
                yield key.rstrip()

    def _keyword(self, at: int) -> str:
        """A card's keyword; of a card with a value in upper case, as other readers take it."""
        key = self._text[at : at + 8]
        return key.upper() if self._text[at + 8 : at + 9] == "=" else key

    def _find(self, key: str) -> int | None:
        """Return the position of a keyword's card in the text; None if there is none."""
        if len(key) <= 8:
            at = self._at.get(key.ljust(8))
            if at is not None:
                return at
        if self._hierarch is None:
            self._hierarch = dict(self._hierarch_cards()) if "HIERARCH" in self._at else {}
        return self._hierarch.get(key.upper()) if self._hierarch else None

    def _hierarch_cards(self) -> Iterator[tuple[str, int]]:
        """Yield keyword and position of each HIERARCH card."""
        for at in range(0, len(self._text), _CARD):
            card = self._text[at : at + _CARD]
            if card.startswith("HIERARCH") and "=" in card:
                yield card[8:].split("=", 1)[0].strip().upper(), at

    def _value(self, at: int) -> Value:
        """Parse the value of the card at a position."""
        card = self._text[at : at + _CARD]
        if card.startswith("HIERARCH"):
            body = card.split("=", 1)[1]
        elif card[8:9] == "=":
            body = card[9:]
        else:
            return None
        quoted = _STRING.match(body)
        if quoted:
            return self._continued(quoted.group(1), at + _CARD)
        if body.lstrip()[:1] == "'":
            return body.strip()[1:].rstrip()  # no closing quote: the rest of the card
        body = body.split("/", 1)[0].strip()
        if body in ("T", "F"):
            return body == "T"
        if _INTEGER.match(body):
            return int(body)
        if _FLOAT.match(body):
            return float(body.upper().replace("D", "E"))
        return body or None

    def _continued(self, value: str, at: int) -> str:
        """Append the CONTINUE cards of a long string."""
        # Long strings go on in CONTINUE cards after an ampersand (FITS 4.0, section 4.2.1.2).
        while value.endswith("&") and self._text.startswith("CONTINUE", at):
            more = _STRING.match(self._text[at + 8 : at + _CARD])
            if not more:
                break
            value = value[:-1] + more.group(1)
            at += _CARD
        return value.replace("''", "'").rstrip()


@dataclass(frozen=True, slots=True)
class HDU:
    """One header and data unit.

    Attributes
    ----------
    kind
        ``image``, ``table`` (binary), ``ascii`` or ``other``. A tile-compressed image is an image.
    name
        EXTNAME, upper case, or empty.
    shape
        Of an image, as numpy says it (rows, columns); of a table (rows, bytes a row).
    start, data_start, data_bytes
        Offsets in the file; ``data_bytes`` without padding.
    compressed
        Whether it is a tile-compressed image.
    """

    header: Header
    kind: str
    name: str
    shape: tuple[int, ...]
    bitpix: int
    start: int
    data_start: int
    data_bytes: int
    compressed: bool

    @property
    def end(self) -> int:
        """Offset of the next HDU."""
        return -(-(self.data_start + self.data_bytes) // _BLOCK) * _BLOCK


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a binary table: TTYPE, TFORM code and repeat count, offset in the row (bytes)."""

    name: str
    code: str
    repeat: int
    offset: int


def read_hdus(data: bytes, size: int, findings: list[str] | None = None) -> tuple[HDU, ...]:
    """Every HDU of a FITS file.

    Parameters
    ----------
    data
        The file's bytes, or an mmap of them; only headers are looked at.
    size
        Length of ``data``.
    findings
        What is odd but survived is appended here.

    Raises
    ------
    FileTypeError
        If it is not a FITS file, or a header or data unit is cut off or impossible.
    """
    if data[:9] != b"SIMPLE  =":
        raise FileTypeError("it is not a FITS file: it does not begin with SIMPLE")
    hdus: list[HDU] = []
    at = 0
    while at < size:
        if hdus and data[at : at + 8] != b"XTENSION":
            # Special records are allowed after the last HDU (FITS 4.0, section 3.5), and tape padding exists.
            if findings is not None:
                findings.append(f"{size - at} bytes after the last HDU")
            break
        hdu = _read_hdu(data, at, size, len(hdus))
        hdus.append(hdu)
        at = hdu.end
        if len(hdus) > _MOST_HDUS:
            raise FileTypeError(f"more than {_MOST_HDUS} HDUs")
    if at > size and findings is not None:
        findings.append("the last HDU is not padded to 2880 bytes")
    return tuple(hdus)


def _read_hdu(data: bytes, start: int, size: int, number: int) -> HDU:
    """Parse the HDU that begins at ``start``."""
    at = data.find(_END, start, start + _LONGEST_HEADER)
    while at >= 0 and (at - start) % _CARD:
        at = data.find(_END, at + 1, start + _LONGEST_HEADER)
    if at < 0:
        raise FileTypeError(f"header of HDU {number} has no END: the file is cut off or damaged")
    header = Header(bytes(data[start:at]))
    data_start = start + -(-(at + _CARD - start) // _BLOCK) * _BLOCK
    bitpix, axes = _structure(header, "", number)
    pcount, gcount = header.integer("PCOUNT"), header.integer("GCOUNT")
    count = 0 if not axes else math.prod(axes)
    if axes and axes[0] == 0 and header.get("GROUPS") is True:
        count = math.prod(axes[1:])
    bytes_ = abs(bitpix) // 8 * (1 if gcount is None else gcount) * ((pcount or 0) + count)
    if bytes_ < 0 or data_start + bytes_ > size:
        raise FileTypeError(
            f"data of HDU {number} should end at byte {data_start + bytes_}, the file ends at {size}: it is cut off"
        )
    word = header.text("XTENSION") or "IMAGE"
    kind = {"IMAGE": "image", "BINTABLE": "table", "A3DTABLE": "table", "TABLE": "ascii"}.get(word, "other")
    compressed = kind == "table" and header.get("ZIMAGE") is True
    if compressed:
        kind = "image"
        bitpix, axes = _structure(header, "Z", number)
    return HDU(
        header=header,
        kind=kind,
        name=(header.text("EXTNAME") or "").upper(),
        shape=tuple(reversed(axes)),
        bitpix=bitpix,
        start=start,
        data_start=data_start,
        data_bytes=bytes_,
        compressed=compressed,
    )


def _structure(header: Header, prefix: str, number: int) -> tuple[int, list[int]]:
    """Return BITPIX and the axes of a header, checked."""
    bitpix, naxis = header.integer(prefix + "BITPIX"), header.integer(prefix + "NAXIS")
    if bitpix not in (8, 16, 32, 64, -32, -64) or naxis is None or not 0 <= naxis <= 999:
        raise FileTypeError(f"HDU {number}: BITPIX {bitpix} or NAXIS {naxis} is impossible")
    axes = []
    for i in range(1, naxis + 1):
        axis = header.integer(f"{prefix}NAXIS{i}")
        if axis is None or axis < 0:
            raise FileTypeError(f"HDU {number}: {prefix}NAXIS{i} is {header.get(f'{prefix}NAXIS{i}')!r}")
        axes.append(axis)
    return bitpix, axes


_WIDTH = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
_TFORM = re.compile(r"\s*(\d*)([LXBIJKAEDCMPQ])")


def columns(hdu: HDU) -> dict[str, Column]:
    """Columns of a binary table by TTYPE in lower case; `FileTypeError` if a TFORM is impossible."""
    by_name: dict[str, Column] = {}
    offset = 0
    for i in range(1, (hdu.header.integer("TFIELDS") or 0) + 1):
        form = _TFORM.match(str(hdu.header.get(f"TFORM{i}")))
        if not form:
            raise FileTypeError(f"TFORM{i} is {hdu.header.get(f'TFORM{i}')!r}, which is not a table format")
        repeat, code = int(form.group(1) or 1), form.group(2)
        name = (hdu.header.text(f"TTYPE{i}") or f"col{i}").lower()
        by_name.setdefault(name, Column(name, code, repeat, offset))
        offset += -(-repeat // 8) if code == "X" else repeat * _WIDTH[code]
    return by_name
