"""The bytes of a small FITS file: cards, image extensions and their checksums, written without a detour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from desdm.pixels.fitsbytes import BLOCK, padded, stamped, word_sum

__all__ = ["Card", "card", "image_hdu", "primary_hdu"]

Card = tuple[str, Any, str]
_BITPIX = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}


def card(key: str, value: Any, comment: str = "") -> bytes:
    """One card, or several with CONTINUE if the text is long (FITS 4.0 section 4.2.1.2).

    Parameters
    ----------
    value
        Text, bool, int or finite float.
    """
    if isinstance(value, str):
        return _text(key, value.encode("ascii", "replace").decode().replace("'", "''"), comment)
    if isinstance(value, bool):
        shown = "T" if value else "F"
    elif isinstance(value, float):
        shown = repr(value).upper()
        if "." not in shown and "E" not in shown:
            shown += ".0"
    else:
        shown = str(value)
    return _line(f"{key:<8}= {shown:>20}", comment)


def _line(line: str, comment: str) -> bytes:
    # A comment that has no room is left out, not cut off.
    whole = f"{line} / {comment}"
    return (whole if comment and len(whole) <= 80 else line).ljust(80).encode("ascii")


def _text(key: str, value: str, comment: str) -> bytes:
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


def _sealed(cards: bytes, datasum: int) -> bytes:
    end = (
        cards
        + card("DATASUM", str(datasum), "data unit checksum")
        + card("CHECKSUM", "0" * 16, "HDU checksum")
    )
    end += b"END".ljust(80)
    return stamped(bytearray(end.ljust(padded(len(end)))), datasum)


def primary_hdu(cards: Iterable[Card], copied: bytes = b"") -> bytes:
    """An empty primary HDU with some cards, after cards that stand in another header already."""
    first: Sequence[Card] = (
        ("SIMPLE", True, "FITS 4.0"), ("BITPIX", 8, ""), ("NAXIS", 0, ""), ("EXTEND", True, ""),
    )  # fmt: skip
    return _sealed(b"".join(card(*c) for c in first) + copied + b"".join(card(*c) for c in cards), 0)


def image_hdu(
    data: npt.NDArray[Any], name: str, copied: bytes, cards: Iterable[Card]
) -> list[bytes | memoryview]:
    """An image extension in pieces: header, pixels, padding.

    Parameters
    ----------
    data
        (ny, nx) of a type that FITS has; in native byte order, turned in place (it is not to be used any more).
    copied
        Cards that stand in another header already, as they are.
    cards
        Cards of its own, after those.
    """
    kind = data.dtype.str[1:]
    first: Sequence[Card] = (
        ("XTENSION", "IMAGE", "image"), ("BITPIX", _BITPIX[kind], ""), ("NAXIS", 2, ""),
        ("NAXIS1", data.shape[1], ""), ("NAXIS2", data.shape[0], ""), ("PCOUNT", 0, ""), ("GCOUNT", 1, ""),
        ("EXTNAME", name, ""),
    )  # fmt: skip
    raw = np.ascontiguousarray(data).byteswap(inplace=True).reshape(-1).view(np.uint8)
    whole = raw.size // BLOCK * BLOCK
    tail = bytes(raw[whole:]).ljust(padded(raw.size) - whole, b"\0")
    total = word_sum(raw[:whole]) + (word_sum(np.frombuffer(tail, np.uint8)) if tail else 0)
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    header = _sealed(b"".join(card(*c) for c in first) + copied + b"".join(card(*c) for c in cards), total)
    return [header, raw[:whole].data, tail]
