"""HDUs as bytes: headers with their checksums, data in the byte order of FITS, and the way back."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.pixels.compiled import compiled

__all__ = [
    "BLOCK",
    "Bytes",
    "Pool",
    "hdu_header",
    "is_structure",
    "padded",
    "plain_image",
    "pool",
    "sealed",
    "stamped",
    "word_sum",
    "write",
]

BLOCK, CARD = 2880, 80
Bytes: TypeAlias = "npt.NDArray[np.uint8]"
_STRUCTURE = re.compile(
    r"^(SIMPLE|XTENSION|BITPIX|EXTEND|PCOUNT|GCOUNT|TFIELDS|BSCALE|BZERO|BLANK|EXTNAME|EXTVER|INHERIT"
    r"|CHECKSUM|DATASUM|(T(TYPE|FORM)|Z?NAXIS|ZTILE|ZNAME|ZVAL)\d*|ZIMAGE|ZBITPIX|ZCMPTYPE|ZQUANTIZ|ZDITHER0"
    r"|ZBLANK|ZTENSION|Z[PG]COUNT|ZSIMPLE|ZEXTEND|ZBLOCKED|ZHECKSUM|ZDATASUM|ZSCALE|ZZERO|FZALGOR|FZTILE|FZQ.*)$"
)


#: What runs a function on pieces of work and gives the results in their order: ``map``, or a thread pool's.
Pool: TypeAlias = Callable[[Callable[[int], Any], Iterable[int]], Iterable[Any]]


@contextmanager
def pool(threads: int) -> Iterator[Pool]:
    """A ``map`` over ``threads`` threads; with one, the caller's own."""
    if threads <= 1:
        yield map
    else:
        with ThreadPoolExecutor(threads) as workers:
            yield workers.map


@compiled()
def _turned(v: np.uint32) -> np.uint32:
    """Reverse the byte order of a word."""
    # Each operation is cut back to 32 bits, for numba widens them.
    outer = np.uint32(v << np.uint32(24)) | np.uint32(v >> np.uint32(24))
    inner = np.uint32((v & np.uint32(0xFF00)) << np.uint32(8)) | np.uint32(
        (v >> np.uint32(8)) & np.uint32(0xFF00)
    )
    return np.uint32(outer | inner)


@compiled()
def _swap(source: npt.NDArray[np.uint32], target: npt.NDArray[np.uint32]) -> np.uint64:
    """Write byte-swapped words and return their sum for the FITS checksum."""
    total = np.uint64(0)
    for i in range(source.size):
        target[i] = _turned(source[i])
        total += np.uint64(source[i])  # what a big-endian reader sees in the target
    return total


@compiled()
def _sum(words: npt.NDArray[np.uint32]) -> np.uint64:
    """Return the sum of words in big-endian order."""
    total = np.uint64(0)
    for i in range(words.size):
        total += np.uint64(_turned(words[i]))
    return total


def _folded(total: int) -> int:
    """Fold the carries of a sum into 32 bits (FITS 4.0 appendix J)."""
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def word_sum(data: Bytes) -> int:
    """Ones' complement sum of big-endian 32-bit words; ``data`` is a multiple of 4 bytes (FITS 4.0, 4.4.2.7)."""
    return _folded(int(_sum(data.view(np.uint32))))


def padded(size: int) -> int:
    """``size`` bytes rounded up to whole FITS blocks."""
    return -(-size // BLOCK) * BLOCK


def plain_image(data: npt.NDArray[np.number], run: Pool, rows: int = 512) -> tuple[Bytes, int]:
    """An image of 4-byte pixels as the data unit of FITS, and its DATASUM.

    Parameters
    ----------
    data
        (ny, nx) float32 or int32.
    run
        Where bands of ``rows`` rows are turned.
    """
    words = np.ascontiguousarray(data).view(np.uint32)
    unit = np.empty(padded(words.size * 4), np.uint8)
    unit[words.size * 4 :] = 0
    target = unit[: words.size * 4].view(np.uint32).reshape(words.shape)
    starts = range(0, words.shape[0], rows)

    def turn(y: int) -> int:
        return int(_swap(words[y : y + rows].reshape(-1), target[y : y + rows].reshape(-1)))

    return unit, _folded(sum(run(turn, starts)))


def _encoded(total: int) -> str:
    """Encode a sum as the 16 characters of CHECKSUM (FITS 4.0 appendix J)."""
    # FITS 4.0 appendix J: each byte of the complement is spread over four letters or digits that sum to it.
    value = ~total & 0xFFFFFFFF
    excluded = {*range(0x3A, 0x41), *range(0x5B, 0x61)}
    letters = [0] * 16
    for i in range(4):
        byte = (value >> (24 - 8 * i)) & 0xFF
        quarter = byte // 4 + 0x30
        four = [quarter + byte % 4, quarter, quarter, quarter]
        while any(c in excluded for c in four):
            for a in (0, 2):
                if four[a] in excluded or four[a + 1] in excluded:
                    four[a] += 1
                    four[a + 1] -= 1
        for j in range(4):
            letters[4 * j + i] = four[j]
    return "".join(map(chr, [letters[-1], *letters[:-1]]))


def sealed(header: fits.Header, datasum: int) -> bytes:
    """The bytes of a header, with DATASUM and CHECKSUM of its HDU as its last cards.

    Parameters
    ----------
    header
        All cards but these two and END.
    datasum
        Sum of the data unit's words; 0 if there is none.
    """
    if "LONGSTRN" not in header and any(len(card.image) > CARD for card in header.cards):
        header["LONGSTRN"] = ("OGIP 1.0", "long strings go on in CONTINUE cards")
    header["DATASUM"] = (str(datasum), "data unit checksum")
    header["CHECKSUM"] = ("0" * 16, "HDU checksum")
    return stamped(bytearray(header.tostring(endcard=True, padding=True).encode("ascii")), datasum)


def stamped(text: bytearray, datasum: int) -> bytes:
    """The bytes of a whole header, padded, whose card CHECKSUM holds sixteen zeros, with the right sum in it."""
    total = _folded(word_sum(np.frombuffer(bytes(text), np.uint8)) + datasum)
    # The value's first letter is in column 12 of its card, one byte before a word begins.
    at = text.rindex(b"CHECKSUM= '") + 11
    text[at : at + 16] = _encoded(total).encode("ascii")
    return bytes(text)


def hdu_header(raw: bytes) -> fits.Header:
    """Cards of an image's header without those that only lay out its bytes, compressed or not.

    Parameters
    ----------
    raw
        The header's bytes; text beyond ASCII (real raw headers have it) becomes question marks.
    """
    text = raw.decode("ascii", "replace").replace("�", "?")
    whole = fits.Header.fromstring("".join(_standard(text[i : i + 80]) for i in range(0, len(text), 80)))
    out = fits.Header()
    for card in whole.cards:
        if card.keyword and not _STRUCTURE.match(card.keyword):
            out.append(card, bottom=True)
    return out


_COMMENTARY = ("COMMENT ", "HISTORY ", "CONTINUE", "HIERARCH", "        ", "END     ")


def _standard(card: str) -> str:
    """The card; one without value indicator is commentary (FITS 4.0 section 4.1.2.2)."""
    if card[8:10] == "= " or card[:8] in _COMMENTARY:
        return card
    return f"COMMENT {card}"[:80].ljust(80)


def is_structure(keyword: str) -> bool:
    """Whether a keyword only lays out bytes, so that it must not go from one file into another."""
    return _STRUCTURE.match(keyword) is not None


def write(path: Path, parts: Iterable[bytes | Bytes]) -> None:
    """Write the parts of a file one after another; what an old file of that name holds beyond them is cut off."""
    # Not cut off at first: a file in memory that is written anew keeps its pages (see the framework's object store).
    with io.FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666), "wb") as file:
        for part in parts:
            view = memoryview(part)  # type: ignore[arg-type]
            while view.nbytes:
                view = view[file.write(view) :]
            # Parts are often produced on demand: the next one may take the memory of this one.
            del part, view
        file.truncate()
