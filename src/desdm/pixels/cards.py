"""Reads the headers of a FITS file from its bytes: fast, lazily, and with typed errors for every damage."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from desdm.errors import CutOffFile, FileTypeError

__all__ = ["HDU", "Buffer", "Column", "Header", "Value", "columns", "read_hdus"]

Buffer: TypeAlias = "bytes | memoryview"
Value: TypeAlias = str | int | float | bool | None

_CARD = 80
_BLOCK = 2880
_LONGEST_HEADER = 4 << 20  # no instrument comes near; a longer one is damage
_MOST_HDUS = 10_000
_END, _BLANKS = b"END", b" " * 5
#: An integer (the group), or a number with a point or an exponent.
_NUMBER = re.compile(r"([+-]?\d{1,40})\Z|[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?\Z")
_KEYWORD = re.compile(r"[A-Z0-9_-]+ *\Z")
_STRING = re.compile(r"\s*'([^']*(?:''[^']*)*)'")
#: What stands for a keyword in `Header._values` that was not asked for yet; None is a value.
_UNREAD = object()
#: Stands for the HIERARCH cards of a header that has none.
_NO_CARDS: dict[str, int] = {}
#: Keywords that a header may have many of, by the keyword as in a card.
_COMMENTARY = {key.ljust(8): key for key in ("COMMENT", "HISTORY", "CONTINUE", "HIERARCH", "")}


class Header:
    """The cards of one header; a value is parsed at its first access.

    Real headers hold latin-1 text, blank cards and cards that are no cards: all are survived; what cannot be
    read as a value is returned as text.

    Parameters
    ----------
    raw
        The cards before END, a multiple of 80 bytes.
    """

    __slots__ = ("_at", "_hierarch", "_keys", "_lower", "_names", "_text", "_values")

    def __init__(self, raw: bytes) -> None:
        self._text = text = raw.decode("latin-1")
        keys = [text[i : i + 8] for i in range(0, len(text), _CARD)]
        names = "".join(keys)
        self._lower = names != names.upper()
        if self._lower:
            keys = [self._keyword(i) for i in range(0, len(text), _CARD)]
            names = "".join(keys)
        self._keys = keys
        #: The keywords in one text, to look for some of them without a loop over all.
        self._names = names
        #: Values that were parsed already: a file's rules, record and findings ask for the same ones.
        self._values: dict[str, object] = {}
        # The first of two cards with one keyword counts, as in other readers: hence from the end.
        self._at = dict(zip(reversed(keys), range(len(text) - _CARD, -1, -_CARD), strict=True))
        #: Positions by keyword of HIERARCH cards; None until one is asked for.
        self._hierarch: dict[str, int] | None = None if "HIERARCH" in self._at else _NO_CARDS

    def __len__(self) -> int:
        return len(self._text) // _CARD

    def __contains__(self, key: str) -> bool:
        return self._find(key) is not None

    def keys(self) -> Iterator[str]:
        """Keywords in no particular order, without HIERARCH ones."""
        return (key.rstrip() for key in self._at)

    def get(self, key: str, default: Value = None) -> Value:
        """Value of a keyword: str, int, float, bool, or ``default`` if it is absent or has no value."""
        value: Any = self._values.get(key, _UNREAD)
        if value is _UNREAD:
            at = self._at.get(key.ljust(8))
            if at is None and self._hierarch is not _NO_CARDS:
                at = self._find(key)
            value = self._values[key] = None if at is None else self._value(at)
        return default if value is None else value

    def lacks(self, keys: Iterable[str]) -> bool:
        """Whether none of some keywords is in the header."""
        if self._hierarch is _NO_CARDS:
            return self._at.keys().isdisjoint(map(_padded, keys))
        return all(self._find(key) is None for key in keys)

    def number(self, key: str) -> float | None:
        """The value as a finite float; None if it is absent or no number."""
        value = self.get(key)
        if type(value) is float:
            return value if math.isfinite(value) else None
        if value is None or isinstance(value, bool | str):
            return None
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None

    def integer(self, key: str) -> int | None:
        """The value as an int of at most 31 bits; None if it is absent or none."""
        value = self.get(key)
        if type(value) is int:
            return value if abs(value) < 2**31 else None
        number = self.number(key)
        return int(number) if number is not None and number == int(number) and abs(number) < 2**31 else None

    def text(self, key: str) -> str | None:
        """The value as text without outer blanks; None if it is absent, empty or no text."""
        value = self.get(key)
        return (value.strip() or None) if isinstance(value, str) else None

    @property
    def ascii(self) -> bool:
        """Whether all characters are those of ASCII that can be printed, as FITS demands (FITS 4.0, section 3.2)."""
        return self._text.isascii() and self._text.isprintable()

    def not_ascii(self) -> list[str]:
        """Keywords of the cards that have other characters than those of ASCII that can be printed."""
        cards = (self._text[at : at + _CARD] for at in range(0, len(self._text), _CARD))
        names = (card[:8].strip() for card in cards if not (card.isascii() and card.isprintable()))
        return list(
            dict.fromkeys("".join(c if c.isascii() and c.isprintable() else "?" for c in n) for n in names)
        )

    def unclosed(self) -> list[tuple[str, str]]:
        """(keyword, text) of the cards whose string has no closing quote (FITS 4.0, section 4.2.1)."""
        unclosed_cards = []
        for at in _odd_quotes(self._text):
            card = self._text[at : at + _CARD]
            if card[8:9] == "=" and card[9:].lstrip()[:1] == "'" and not _STRING.match(card[9:]):
                unclosed_cards.append((card[:8].rstrip(), card[9:].strip()))
        return unclosed_cards

    def repeated(self, without: Container[str]) -> Iterator[tuple[str, list[Value]]]:
        """(keyword, values) of keywords that occur more than once in the header; ``without`` some."""
        keys, at = self._keys, self._at
        # Nearly always only commentary cards are repeated, which counting them tells sooner than counting all.
        more = len(keys) - len(at)
        for padded, key in _COMMENTARY.items():
            if padded in at and key in without:
                more -= keys.count(padded) - 1
        if not more:
            return
        several = [key for key, count in Counter(keys).items() if count > 1]
        for key in several:
            if key.rstrip() not in without:
                yield key.rstrip(), [self._value(at) for at in _places(keys, key)]

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
        names, keys = self._names, set[str]()
        at = names.rfind(stem)
        # From the end, as in `_at`: sums over such keywords depend on their order in the last digits.
        while at >= 0:
            key = names[at : at + 8]
            if not at % 8 and key not in keys and key[len(stem) :].rstrip().isdigit():
                keys.add(key)
                yield key.rstrip()
            at = names.rfind(stem, 0, at + len(stem) - 1)

    def _keyword(self, at: int) -> str:
        """A card's keyword; of a card with a value in upper case, as other readers take it."""
        key = self._text[at : at + 8]
        return key.upper() if self._text[at + 8 : at + 9] == "=" else key

    def _find(self, key: str) -> int | None:
        """Return the position of a keyword's card in the text; None if there is none."""
        at = self._at.get(key.ljust(8))
        if at is not None or self._hierarch is _NO_CARDS:
            return at
        if self._hierarch is None:
            self._hierarch = dict(self._hierarch_cards())
        return self._hierarch.get(key.upper())

    def _hierarch_cards(self) -> Iterator[tuple[str, int]]:
        """Yield keyword and position of each HIERARCH card."""
        for at in _places(self._keys, "HIERARCH"):
            card = self._text[at : at + _CARD]
            if card.startswith("HIERARCH") and "=" in card:
                yield card[8:].split("=", 1)[0].strip().upper(), at

    def _value(self, at: int) -> Value:
        """Parse the value of the card at a position."""
        cards = self._text
        if cards.startswith("HIERARCH", at):
            body = cards[at : at + _CARD].split("=", 1)[1].lstrip()
        elif cards[at + 8] == "=":
            body = cards[at + 9 : at + _CARD].lstrip()
        else:
            return None
        if body[:1] == "'":
            quoted = _STRING.match(body)
            if not quoted:
                return body.rstrip()[1:].rstrip()  # no closing quote: the rest of the card
            text = quoted.group(1)
            if text[-1:] == "&":
                text = self._continued(text, at + _CARD)
            return text.replace("''", "'").rstrip()
        body = body.partition("/")[0].rstrip()
        if body in ("T", "F"):
            return body == "T"
        number = _NUMBER.match(body)
        if number is None:
            return body or None
        return int(body) if number.lastindex else float(body.upper().replace("D", "E"))

    def _continued(self, value: str, at: int) -> str:
        """Append the CONTINUE cards of a long string."""
        # Long strings go on in CONTINUE cards after an ampersand (FITS 4.0, section 4.2.1.2).
        while value.endswith("&") and self._text.startswith("CONTINUE", at):
            more = _STRING.match(self._text[at + 8 : at + _CARD])
            if not more:
                break
            value = value[:-1] + more.group(1)
            at += _CARD
        return value


def _places(keys: list[str], key: str) -> Iterator[int]:
    """Yield the positions of the cards of a (padded) keyword."""
    number = -1
    for _ in range(keys.count(key)):
        number = keys.index(key, number + 1)
        yield number * _CARD


@lru_cache(maxsize=256)
def _padded(key: str) -> str:
    """Return a keyword as in a card."""
    return key.ljust(8)


def _odd_quotes(text: str) -> Iterator[int]:
    """Yield the positions of the cards that have an odd number of single quotes."""
    # From quote to quote, since most cards have none.
    at = text.find("'")
    while at >= 0:
        card = at - at % _CARD
        other = text.find("'", at + 1, card + _CARD)
        if other < 0:
            yield card
            other = card + _CARD - 1
        at = text.find("'", other + 1)


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


class Column(NamedTuple):
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
    # Without the blanks behind it, which stand everywhere in a header and would make the search slow.
    last = start + _LONGEST_HEADER - len(_BLANKS)
    at = data.find(_END, start, last)
    while at >= 0 and ((at - start) % _CARD or data[at + 3 : at + 8] != _BLANKS):
        at = data.find(_END, at + 1, last)
    if at < 0:
        if len(data) - start > _LONGEST_HEADER:
            raise FileTypeError(
                f"header of HDU {number} has no END within {_LONGEST_HEADER // _CARD} cards ({_LONGEST_HEADER >> 20} MiB), "
                "the longest header that is read: the file is damaged, or cards must be left out"
            )
        raise CutOffFile(f"header of HDU {number} has no END: the file is cut off or damaged")
    header = Header(bytes(data[start:at]))
    data_start = start + -(-(at + _CARD - start) // _BLOCK) * _BLOCK
    bitpix, axes = _structure(header, "", number)
    pcount, gcount = header.integer("PCOUNT"), header.integer("GCOUNT")
    count = 0 if not axes else math.prod(axes)
    if axes and axes[0] == 0 and header.get("GROUPS") is True:
        count = math.prod(axes[1:])
    bytes_ = abs(bitpix) // 8 * (1 if gcount is None else gcount) * ((pcount or 0) + count)
    if bytes_ < 0 or data_start + bytes_ > size:
        raise CutOffFile(
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
    header = hdu.header
    for i in range(1, (header.integer("TFIELDS") or 0) + 1):
        form = _form(str(header.get(f"TFORM{i}")))
        if form is None:
            raise FileTypeError(f"TFORM{i} is {header.get(f'TFORM{i}')!r}, which is not a table format")
        repeat, code, width = form
        name = (header.text(f"TTYPE{i}") or f"col{i}").lower()
        by_name.setdefault(name, Column(name, code, repeat, offset))
        offset += width
    return by_name


@lru_cache(maxsize=256)
def _form(text: str) -> tuple[int, str, int] | None:
    """Return repeat count, code and bytes of a TFORM; None if it is none."""
    form = _TFORM.match(text)
    if not form:
        return None
    repeat, code = int(form.group(1) or 1), form.group(2)
    return repeat, code, -(-repeat // 8) if code == "X" else repeat * _WIDTH[code]
