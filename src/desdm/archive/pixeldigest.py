"""Digests of the pixels of a file: of samples, and of all; one whether the file is packed without loss or not.

A digest is of the content of the data unit of an uncompressed image: a file that ``fpack`` or ``gzip`` wrote and the file
that ``funpack`` or ``gunzip`` makes of it have one. Quantised numbers are taken as they are unpacked.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from desdm.archive.content import Content
from desdm.errors import FileTypeError
from desdm.pixels.cards import HDU, columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["pixel_digest", "sample_digest"]

_SAMPLE = 64 << 10  # bytes
_STEP = 8 << 20  # bytes of pixels that are digested at once
_BITS = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
#: How tiles are coded that are decoded here; others are left to astropy.
_RICE = ("RICE_1", "RICE_ONE")
_GZIP = ("GZIP_1", "GZIP_2")


class _Unit(Protocol):
    """The data unit of an image as an uncompressed file has it."""

    size: int

    def part(self, begin: int, end: int) -> bytes:
        """Return the bytes from ``begin`` to ``end``."""


def sample_digest(content: Content) -> str:
    """Digest of type, shape, and begin, middle and end of each image: noise alone makes them differ between exposures.

    Of an image that cannot be decoded the stored bytes are sampled.
    """
    sha = hashlib.sha256()
    for hdu in content.images():
        try:
            sha.update(_samples(hdu, _unit(content, hdu)))
        except FileTypeError:
            sha.update(_samples(hdu, _Plain(content, hdu)))
    return sha.hexdigest()


def _samples(hdu: HDU, unit: _Unit) -> bytes:
    """Return type, shape, and begin, middle and end of an image."""
    parts = [f"{hdu.bitpix} {hdu.shape} {unit.size};".encode()]
    for at in (0, max(0, unit.size // 2 - _SAMPLE // 2), max(0, unit.size - _SAMPLE)):
        parts.append(unit.part(at, min(at + _SAMPLE, unit.size)))
    return b"".join(parts)


def pixel_digest(content: Content) -> str:
    """Digest of type, scaling, shape and every pixel of each image."""
    sha = hashlib.sha256()
    for hdu in content.images():
        unit = _unit(content, hdu)
        scale = [hdu.header.number(key) for key in ("BZERO", "BSCALE")]
        zero, factor = (0.0 if scale[0] is None else scale[0]), (1.0 if scale[1] is None else scale[1])
        sha.update(f"{hdu.bitpix} {hdu.shape} {unit.size} {zero!r} {factor!r};".encode())
        for begin in range(0, unit.size, _STEP):
            sha.update(unit.part(begin, min(begin + _STEP, unit.size)))
    return sha.hexdigest()


def _unit(content: Content, hdu: HDU) -> _Unit:
    """Return the data unit of an image."""
    if not hdu.compressed:
        return _Plain(content, hdu)
    if _Tiles.readable(hdu):
        return _Tiles(content, hdu)
    return _Decoded(content, hdu)


class _Plain:
    """The data unit of an uncompressed image."""

    def __init__(self, content: Content, hdu: HDU) -> None:
        self._data, self._start, self.size = content.data, hdu.data_start, hdu.data_bytes

    def part(self, begin: int, end: int) -> bytes:
        """Return the bytes from ``begin`` to ``end``."""
        return self._data[self._start + begin : self._start + end]


class _Decoded:
    """The data unit of an image that is decoded whole by astropy: other codes, and numbers that were quantised."""

    def __init__(self, content: Content, hdu: HDU) -> None:
        from io import BytesIO

        from astropy.io import fits

        data = bytes(content.data[hdu.start : hdu.end])
        empty = fits.PrimaryHDU().header.tostring().encode()
        kind = _BITS[hdu.bitpix]
        try:
            with fits.open(BytesIO(empty + data), do_not_scale_image_data=True) as hdus:
                self._bytes: bytes = hdus[1].data.astype(kind).tobytes()
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, IndexError) as err:
            raise FileTypeError(f"{content.name}: image {hdu.name} cannot be decoded: {err}") from err
        self.size = len(self._bytes)

    def part(self, begin: int, end: int) -> bytes:
        """Return the bytes from ``begin`` to ``end``."""
        return self._bytes[begin:end]


class _Tiles:
    """The data unit of an image whose tiles are runs of its pixels, coded by Rice or gzip without loss."""

    def __init__(self, content: Content, hdu: HDU) -> None:
        import numpy as np

        header = hdu.header
        rows, width = header.integer("NAXIS2") or 0, header.integer("NAXIS1") or 0
        self._name, self._hdu = content.name, hdu
        self._pixels = math.prod(hdu.shape)
        self._tile = math.prod(_tile_shape(hdu))
        self._item = abs(hdu.bitpix) // 8
        self.size = self._pixels * self._item
        if rows != -(-self._pixels // self._tile):
            raise FileTypeError(f"{content.name}: {rows} tiles do not make up image {hdu.name}")
        raw = np.frombuffer(content.data, np.uint8, hdu.data_bytes, hdu.data_start)
        table = raw[: rows * width].reshape(rows, width)
        self._heap = raw[header.integer("THEAP") or rows * width :]
        self._places: dict[str, NDArray[np.int64]] = {}
        for name, column in columns(hdu).items():
            if name in ("compressed_data", "gzip_compressed_data", "uncompressed_data"):
                kind = np.dtype(">i4" if column.code == "P" else ">i8")
                cells = table[:, column.offset : column.offset + 2 * kind.itemsize]
                self._places[name] = np.ascontiguousarray(cells).view(kind).astype(np.int64)
        options = {header.text(f"ZNAME{i}"): header.integer(f"ZVAL{i}") for i in (1, 2, 3)}
        self._block, self._bytes = options.get("BLOCKSIZE") or 32, options.get("BYTEPIX") or 4
        self._code = str(header.get("ZCMPTYPE")).strip()

    @staticmethod
    def readable(hdu: HDU) -> bool:
        """Tell whether the image has no loss and tiles of whole rows in a code that is decoded here."""
        header, names = hdu.header, columns(hdu)
        code = str(header.get("ZCMPTYPE")).strip()
        real = hdu.bitpix < 0
        quantised = real and (
            code in _RICE or bool({"zscale", "zzero"} & set(names)) or header.number("ZSCALE") is not None
        )
        shape, tile = hdu.shape, _tile_shape(hdu)
        # Tiles are runs of pixels if they are whole along the inner axes and single along the outer ones.
        inner = next((i for i, n in enumerate(tile) if n != 1), len(tile) - 1)
        runs = all(tile[i] == shape[i] for i in range(inner + 1, len(tile)))
        if inner and shape[inner] % tile[inner]:
            runs = runs and math.prod(shape[:inner]) == 1
        return code in (*_RICE, *_GZIP) and hdu.bitpix in _BITS and not quantised and runs

    def part(self, begin: int, end: int) -> bytes:
        """Return the bytes from ``begin`` to ``end``."""
        size = self._tile * self._item
        first = begin // size
        data = b"".join(self._decoded(first, -(-end // size)))
        return data[begin - first * size : end - first * size]

    def _decoded(self, first: int, last: int) -> Iterator[bytes]:
        """Yield the bytes of the tiles from ``first`` to before ``last``."""
        for number in range(first, last):
            yield self._one(number, min(self._tile, self._pixels - number * self._tile))

    def _one(self, number: int, pixels: int) -> bytes:
        """Return the bytes of one tile."""
        import numpy as np

        from desdm.pixels.rice import decode_tile

        kind = _BITS[self._hdu.bitpix]
        code, name = self._stored(number)
        if name == "compressed_data" and self._code in _RICE:
            levels = np.empty(pixels, np.int32)
            if decode_tile(code, levels, self._block, self._bytes):
                return levels.astype(kind).tobytes()
        elif name:
            data = code.tobytes()
            if name != "uncompressed_data":
                try:
                    data = zlib.decompress(data, wbits=47)
                except zlib.error as err:
                    raise FileTypeError(f"{self._name}: tile {number + 1} is damaged: {err}") from err
            width = len(data) // pixels
            if width * pixels == len(data) and width in (1, 2, 4, 8):
                if name == "compressed_data" and self._code == "GZIP_2":
                    data = np.frombuffer(data, np.uint8).reshape(width, pixels).T.tobytes()
                stored = "u1" if width == 1 else f">{kind[1]}{width}"
                return np.frombuffer(data, stored).astype(kind).tobytes()
        raise FileTypeError(f"{self._name}: tile {number + 1} of image {self._hdu.name} is damaged")

    def _stored(self, number: int) -> tuple[NDArray[np.uint8], str]:
        """Return the code of a tile and the column of its bytes; an empty name if there is none."""
        import numpy as np

        for name in ("compressed_data", "gzip_compressed_data", "uncompressed_data"):
            if name in self._places:
                length, at = (int(n) for n in self._places[name][number])
                if length and 0 <= at <= at + length <= self._heap.size:
                    return self._heap[at : at + length], name
        return np.empty(0, np.uint8), ""


def _tile_shape(hdu: HDU) -> tuple[int, ...]:
    """Return the shape of a tile, as numpy says it; one row by default (FITS 4.0, section 10.1.1)."""
    axes = len(hdu.shape)
    default = (hdu.shape[-1], *[1] * (axes - 1))
    sides = [hdu.header.integer(f"ZTILE{i + 1}") or default[i] for i in range(axes)]
    return tuple(min(n, side) for n, side in zip(sides[::-1], hdu.shape, strict=True))
