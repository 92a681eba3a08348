"""Faults of delivered files, made in their bytes: what transfers, disks and a camera's computer do to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from desdm.pixels.cards import HDU, read_hdus

__all__ = ["blank_keyword", "cut_off", "drop_last_image", "flip_byte", "retitle"]

_CARD = 80


def flip_byte(path: Path) -> None:
    """Change one byte in the pixels of the last image: the file stays FITS, its checksum does not."""
    data = bytearray(path.read_bytes())
    last = read_hdus(bytes(data), len(data))[-1]
    data[last.data_start + last.data_bytes - 1] ^= 0x40
    path.write_bytes(data)


def cut_off(path: Path, part: float = 0.6) -> None:
    """Keep the first part of a file, cut within the data of an image."""
    data = path.read_bytes()
    hdus = read_hdus(data, len(data))
    at = int(len(data) * part)
    inside = [hdu for hdu in hdus if hdu.data_start < at < hdu.data_start + hdu.data_bytes]
    hdu = inside[0] if inside else hdus[-1]
    path.write_bytes(data[: at if inside else hdu.data_start + hdu.data_bytes // 2])


def drop_last_image(path: Path) -> None:
    """Leave the last image away; NEXTEND still promises it."""
    data = path.read_bytes()
    path.write_bytes(data[: read_hdus(data, len(data))[-1].start])


def blank_keyword(path: Path, keyword: str) -> None:
    """Blank the card of a keyword in every header."""
    data = bytearray(path.read_bytes())
    for at in _cards(data, keyword):
        data[at : at + _CARD] = b" " * _CARD
    path.write_bytes(data)


def retitle(path: Path, title: str) -> None:
    """Write another title (OBJECT) into the primary header."""
    data = bytearray(path.read_bytes())
    at = next(_cards(data, "OBJECT"))
    card = f"OBJECT  = '{title}'".encode("ascii")
    data[at : at + _CARD] = card.ljust(_CARD)
    path.write_bytes(data)


def _cards(data: bytearray, keyword: str) -> Iterator[int]:
    """Yield where the cards of a keyword begin, in the headers only."""
    start = keyword.ljust(8).encode("ascii") + b"="
    hdus: tuple[HDU, ...] = read_hdus(bytes(data), len(data))
    for hdu in hdus:
        for at in range(hdu.start, hdu.data_start, _CARD):
            if data[at : at + len(start)] == start:
                yield at
