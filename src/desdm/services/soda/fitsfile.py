"""The bytes of a small FITS file: cards, image extensions and their checksums, written directly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from desdm.pixels.fitsbytes import BLOCK, padded, stamped, word_sum

__all__ = ["Card", "card", "image_hdu", "primary_hdu"]

#: Value of a card: text, boolean, integer or finite float.
Value = str | bool | int | float
Card = tuple[str, Value, str]
_BITPIX = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}


def card(key: str, value: Value, comment: str = "") -> bytes:
    """Encode one card, or several with CONTINUE if the text is long (FITS 4.0 section 4.2.1.2).

    Parameters
    ----------
    key
        Keyword.
    value
        Text, boolean, integer or finite float.
    comment
        Comment; omitted if it does not fit.
    """
    if isinstance(value, str):
        return _text_card(key, value.encode("ascii", "replace").decode().replace("'", "''"), comment)
    if isinstance(value, bool):
        text = "T" if value else "F"
    elif isinstance(value, float):
        text = repr(value).upper()
        if "." not in text and "E" not in text:
            text += ".0"
    else:
        text = str(value)
    return _line(f"{key:<8}= {text:>20}", comment)


def _line(line: str, comment: str) -> bytes:
    """Encode one card; a comment that does not fit is omitted, not cut."""
    whole = f"{line} / {comment}"
    return (whole if comment and len(whole) <= 80 else line).ljust(80).encode("ascii")


def _text_card(key: str, value: str, comment: str) -> bytes:
    """Encode a text value, over several cards if it is long."""
    if len(value) <= 68:
        quoted = f"'{value:<8}'"
        # Readers that check sums write the card anew, with the comment after column 30.
        return _line(f"{key:<8}= {quoted:<20}", comment)
    pieces, at = [], 0
    while at < len(value):
        size = 67
        # A doubled quote stays in one card.
        while value[at : at + size].count("'") % 2 and size > 1:
            size -= 1
        pieces.append(value[at : at + size])
        at += size
    lines = [f"{key:<8}= '{pieces[0]}&'"]
    lines += [
        f"CONTINUE  '{piece}{'&' if i < len(pieces) - 2 else ''}'" for i, piece in enumerate(pieces[1:])
    ]
    return b"".join(line.ljust(80).encode("ascii") for line in lines)


def _with_checksums(cards: bytes, datasum: int) -> bytes:
    """Complete a header with DATASUM, CHECKSUM and END."""
    end = (
        cards
        + card("DATASUM", str(datasum), "data unit checksum")
        + card("CHECKSUM", "0" * 16, "HDU checksum")
    )
    end += b"END".ljust(80)
    return stamped(bytearray(end.ljust(padded(len(end)))), datasum)


def primary_hdu(cards: Iterable[Card], copied: bytes = b"") -> bytes:
    """Encode an empty primary HDU with encoded cards of another header, then new cards."""
    first: Sequence[Card] = (
        ("SIMPLE", True, "FITS 4.0"),
        ("BITPIX", 8, ""),
        ("NAXIS", 0, ""),
        ("EXTEND", True, ""),
    )
    return _with_checksums(b"".join(card(*c) for c in first) + copied + b"".join(card(*c) for c in cards), 0)


def image_hdu(
    data: npt.NDArray[np.floating | np.integer], name: str, copied: bytes, cards: Iterable[Card]
) -> list[bytes | memoryview]:
    """Encode an image extension in pieces: header, pixels, padding.

    Parameters
    ----------
    data
        (ny, nx) of a type that FITS has; in native byte order, byte-swapped in place (it cannot be used afterwards).
    name
        EXTNAME.
    copied
        Encoded cards of another header.
    cards
        New cards, after those.
    """
    kind = data.dtype.str[1:]
    first: Sequence[Card] = (
        ("XTENSION", "IMAGE", "image"),
        ("BITPIX", _BITPIX[kind], ""),
        ("NAXIS", 2, ""),
        ("NAXIS1", data.shape[1], ""),
        ("NAXIS2", data.shape[0], ""),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
        ("EXTNAME", name, ""),
    )
    raw = np.ascontiguousarray(data).byteswap(inplace=True).reshape(-1).view(np.uint8)
    whole = raw.size // BLOCK * BLOCK
    tail = bytes(raw[whole:]).ljust(padded(raw.size) - whole, b"\0")
    total = word_sum(raw[:whole]) + (word_sum(np.frombuffer(tail, np.uint8)) if tail else 0)
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    header = _with_checksums(
        b"".join(card(*c) for c in first) + copied + b"".join(card(*c) for c in cards), total
    )
    return [header, raw[:whole].data, tail]
