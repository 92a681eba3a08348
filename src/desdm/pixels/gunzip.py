"""Unpacks gzip: a series of members, as many programs write them (RFC 1952, section 2.2), perhaps with zeros behind."""

from __future__ import annotations

import zlib

from desdm.errors import CutOffFile, FileTypeError

__all__ = ["GZIP", "gunzip"]

#: What a gzip file begins with.
GZIP = b"\x1f\x8b"
_GZIP_HEADER = 31
_PART = 64 << 10  # what lies behind a member is copied; small parts keep that cheap


def gunzip(data: bytes, most: int | None = None) -> bytes:
    """Unpack a gzip file.

    Zeros after the last member are padding of tapes; anything else there is damage.

    Raises
    ------
    FileTypeError
        The stream is damaged or cut off, or it unpacks to more than ``most`` bytes.
    """
    pieces: list[bytes] = []
    view, at, size = memoryview(data), 0, 0
    while at < len(view):
        if view[at : at + 2] != GZIP:
            if bytes(view[at:]).strip(b"\0"):
                raise FileTypeError(f"{len(view) - at} bytes after its gzip stream are no gzip")
            break
        machine = zlib.decompressobj(wbits=_GZIP_HEADER)
        while not machine.eof:
            part = view[at : at + _PART]
            if not part:
                raise CutOffFile("its gzip stream is cut off")
            try:
                # One byte more than there may be tells whether there are more.
                piece = machine.decompress(part, 0 if most is None else most - size + 1)
            except zlib.error as err:
                raise FileTypeError(f"its gzip stream is damaged: {err}") from err
            at += len(part) - len(machine.unused_data)
            size += len(piece)
            pieces.append(piece)
            if most is not None and size > most:
                raise FileTypeError(f"it unpacks to more than {most >> 20} MB")
    return b"".join(pieces)
