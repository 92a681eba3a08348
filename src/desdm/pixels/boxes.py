"""Boxes of pixels out of image HDUs: of a compressed one only the tiles are decoded that a box touches.

A tile is decoded only down to the last row that is wanted, without the interpreter's lock. Rice tiles of any shape
and width, in steps with or without dither, and their gzipped stand-ins (FITS 4.0 section 10) are read here; every
other compression is left to cfitsio. Bytes come by ``pread``: a file cut off under a running server is an error, no
broken map.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import fitsio
import numpy as np
import numpy.typing as npt

from desdm.errors import CorruptFile, FileTypeError
from desdm.pixels.blank import blank_of, null_of, scaled, scaling_of, valued
from desdm.pixels.cards import HDU, columns
from desdm.pixels.gunzip import GZIP, gunzip
from desdm.pixels.quantize import dequantize_box, dither_table
from desdm.pixels.rice import decode_tile

__all__ = ["Blocks", "Box", "OtherPlane", "PlainPlane", "Plane", "RicePlane", "open_plane"]

_DITHER = {"SUBTRACTIVE_DITHER_1": 1, "SUBTRACTIVE_DITHER_2": 2}
_WIDTHS = {8: 1, 16: 2, 32: 4, -32: 4}
_MOST_KEPT = 256  # decoded tiles, 64 MB of the usual ones; what is pushed out is decoded again


class Box(NamedTuple):
    """A rectangle of pixels, counted from 0; ``x1`` and ``y1`` are not in it."""

    x0: int
    x1: int
    y0: int
    y1: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return max(0, self.y1 - self.y0), max(0, self.x1 - self.x0)

    @property
    def pixels(self) -> int:
        """How many pixels it holds."""
        return self.shape[0] * self.shape[1]

    def within(self, shape: tuple[int, int]) -> Box:
        """Its part within an image of (rows, columns); without pixels if there is none."""
        ny, nx = shape
        x0, y0 = min(max(self.x0, 0), nx), min(max(self.y0, 0), ny)
        return Box(x0, max(x0, min(self.x1, nx)), y0, max(y0, min(self.y1, ny)))


class _Part(NamedTuple):
    """The part of a box that one tile covers."""

    # One tile's share of a box: the tile's number and shape, the part within the tile, where it goes in the box.
    number: int
    shape: tuple[int, int]
    inside: Box
    at: tuple[int, int]


@dataclass(slots=True)
class Blocks:
    """Decoded tiles that several boxes share: decoded once, as deep as any box needs, and let go after the last."""

    _uses: Counter[tuple[int, int]] = field(default_factory=Counter)
    _depth: dict[tuple[int, int], int] = field(default_factory=dict)
    _decoded: dict[tuple[int, int], npt.NDArray[np.int32]] = field(default_factory=dict)

    def expect(self, plane: Plane, box: Box) -> None:
        """Say beforehand that a box will be read."""
        for part in plane.parts(box) if isinstance(plane, RicePlane) else ():
            key = (id(plane), part.number)
            self._uses[key] += 1
            self._depth[key] = max(self._depth.get(key, 0), part.inside.y1)

    def levels(self, plane: RicePlane, part: _Part) -> npt.NDArray[np.int32] | None:
        """The integers of a tile, decoded now or before."""
        key = (id(plane), part.number)
        values = self._decoded.pop(key, None)
        if values is None:
            values = plane.decode(part, max(self._depth.get(key, 0), part.inside.y1))
        self._uses[key] -= 1
        if self._uses[key] > 0 and values is not None:
            self._decoded[key] = values
            if len(self._decoded) > _MOST_KEPT:
                del self._decoded[next(iter(self._decoded))]
        return values

    def clear(self) -> None:
        """Forget all."""
        self._uses.clear()
        self._depth.clear()
        self._decoded.clear()


class Plane(Protocol):
    """One image HDU of an open file, from which boxes are read."""

    #: EXTNAME, (rows, columns), header and place
    name: str
    shape: tuple[int, int]
    hdu: HDU

    def read(self, box: Box, blocks: Blocks | None = None) -> npt.NDArray[Any]:
        """The pixels of a box within the image, in native byte order; a pixel without a value is NaN.

        Integers with a BLANK become floats therefor; in a mask (MSK) such a pixel is bad instead.

        Raises
        ------
        CorruptFile
            The bytes are damaged; file and HDU are named.
        """


class _Image:
    """An image HDU of an open file, whose pixels are read by boxes."""

    def __init__(self, path: Path, fd: int, number: int, hdu: HDU) -> None:
        self.name, self.hdu, self.number = hdu.name, hdu, number
        self.shape = (int(hdu.shape[0]), int(hdu.shape[1]))
        self._path, self._fd = path, fd
        self._blank = blank_of(hdu.header, hdu.bitpix)

    @property
    def where(self) -> str:
        """File and HDU, for messages."""
        return f"{self._path.name} HDU {self.number}" + (f" ({self.name})" if self.name else "")

    def _valued(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.number]:
        """Stored pixels with BSCALE and BZERO applied, and NaN, or in a mask BPM, where they have no value."""
        values = scaled(stored, *scaling_of(self.hdu.header))
        if self._blank is None:
            return values
        return valued(values, self._blank.missing(stored), mask=self.name == "MSK")

    def _bytes(self, at: int, count: int) -> bytes:
        """Read ``count`` bytes of the file at a position."""
        data = os.pread(self._fd, count, at)
        if len(data) != count:
            raise CorruptFile(f"{self.where}: the file is cut off")
        return data


class OtherPlane(_Image):
    """An image in any other form, read by cfitsio."""

    def read(self, box: Box, blocks: Blocks | None = None) -> npt.NDArray[Any]:
        """`Plane.read`."""
        try:
            with fitsio.FITS(str(self._path)) as file:
                # cfitsio's own scaling of floats is left to it.
                file[self.number].ignore_scaling = self._blank is not None
                data = file[self.number][box.y0 : box.y1, box.x0 : box.x1]
        except OSError as err:
            raise CorruptFile(f"{self.where}: cfitsio cannot read it") from err
        data = np.asarray(data)
        data = np.ascontiguousarray(data.astype(data.dtype.newbyteorder("="), copy=False)).reshape(box.shape)
        return data if self._blank is None else self._valued(data)


class PlainPlane(_Image):
    """An image that is not compressed: rows of big-endian numbers."""

    def read(self, box: Box, blocks: Blocks | None = None) -> npt.NDArray[Any]:
        """`Plane.read`."""
        kind = np.dtype({8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}[self.hdu.bitpix])
        out = np.empty(box.shape, kind.newbyteorder("="))
        row = self.shape[1] * kind.itemsize
        begin = self.hdu.data_start + box.x0 * kind.itemsize
        for y in range(box.y0, box.y1):
            out[y - box.y0] = np.frombuffer(self._bytes(begin + y * row, box.shape[1] * kind.itemsize), kind)
        return self._valued(out)


class RicePlane(_Image):
    """A tile-compressed image in Rice code; ``across`` tiles make up its width."""

    def __init__(self, path: Path, fd: int, number: int, hdu: HDU) -> None:
        super().__init__(path, fd, number, hdu)
        header, table_columns = hdu.header, columns(hdu)
        rows, width = header.integer("NAXIS2") or 0, header.integer("NAXIS1") or 0
        self._tile = (header.integer("ZTILE2") or 1, header.integer("ZTILE1") or self.shape[1])
        self.across = -(-self.shape[1] // self._tile[1])
        if rows != self.across * -(-self.shape[0] // self._tile[0]):
            raise CorruptFile(f"{self.where}: {rows} tiles do not make up the image")
        self._heap = hdu.data_start + (header.integer("THEAP") or rows * width)
        self._end = hdu.data_start + hdu.data_bytes
        table = np.frombuffer(self._bytes(hdu.data_start, rows * width), np.uint8).reshape(rows, width)

        def column(name: str) -> npt.NDArray[Any] | None:
            if name not in table_columns:
                return None
            kind = {
                "P": ">i4",
                "Q": ">i8",
                "D": ">f8",
                "E": ">f4",
                "B": "u1",
                "I": ">i2",
                "J": ">i4",
                "K": ">i8",
            }[table_columns[name].code]
            count = 2 if table_columns[name].code in "PQ" else 1
            at, size = table_columns[name].offset, np.dtype(kind).itemsize * count
            values = np.ascontiguousarray(table[:, at : at + size]).view(kind).reshape(rows, count)
            return values.astype(np.int64 if np.dtype(kind).kind in "iu" else np.float64)

        def per_tile(name: str, default: float) -> npt.NDArray[np.float64]:
            values = column(name)
            value = header.number(name.upper())
            return np.full(rows, default if value is None else value) if values is None else values[:, 0]

        options = {header.text(f"ZNAME{i}"): header.integer(f"ZVAL{i}") for i in (1, 2, 3)}
        self._block = options.get("BLOCKSIZE") or 32
        self._width = options.get("BYTEPIX") or _WIDTHS[hdu.bitpix]
        self._real = hdu.bitpix < 0
        self._places = {
            name: column(name) for name in ("compressed_data", "gzip_compressed_data", "uncompressed_data")
        }
        self._scales, self._zeros = per_tile("zscale", 1.0), per_tile("zzero", 0.0)
        self._blanks = per_tile("zblank", float(null_of(header))).astype(np.int64)
        self._method = _DITHER.get(header.text("ZQUANTIZ") or "", 0)
        self._seed = (header.integer("ZDITHER0") or 1) - 1

    def parts(self, box: Box) -> Iterator[_Part]:
        """The compressed tiles that a box touches."""
        th, tw = self._tile
        if not box.pixels:
            return
        for ty in range(box.y0 // th, (box.y1 - 1) // th + 1):
            for tx in range(box.x0 // tw, (box.x1 - 1) // tw + 1):
                top, left = ty * th, tx * tw
                shape = min(th, self.shape[0] - top), min(tw, self.shape[1] - left)
                inside = Box(box.x0 - left, box.x1 - left, box.y0 - top, box.y1 - top).within(shape)
                at = (top + inside.y0 - box.y0, left + inside.x0 - box.x0)
                yield _Part(ty * self.across + tx, shape, inside, at)

    def decode(self, part: _Part, rows: int) -> npt.NDArray[np.int32] | None:
        """The integers of a tile, down to ``rows``; None if they are stored otherwise."""
        code = self._code(part.number, "compressed_data", 1)
        if code is None:
            return None
        levels = np.empty((min(rows, part.shape[0]), part.shape[1]), np.int32)
        if not decode_tile(np.frombuffer(code, np.uint8), levels.reshape(-1), self._block, self._width):
            raise CorruptFile(f"{self.where}: tile {part.number + 1} of the compressed image is damaged")
        return levels

    def read(self, box: Box, blocks: Blocks | None = None) -> npt.NDArray[Any]:
        """`Plane.read`."""
        kind = np.float32 if self._real else {8: np.uint8, 16: np.int16, 32: np.int32}[self.hdu.bitpix]
        out: npt.NDArray[Any] = np.empty(box.shape, kind)
        for part in self.parts(box):
            inside, (y, x) = part.inside, part.at
            target = out[y : y + inside.shape[0], x : x + inside.shape[1]]
            levels = self.decode(part, inside.y1) if blocks is None else blocks.levels(self, part)
            if levels is None:
                target[...] = self._otherwise(part)[inside.y0 : inside.y1, inside.x0 : inside.x1]
            elif self._real:
                n = part.number
                dequantize_box(
                    levels,
                    n + self._seed,
                    self._scales[n],
                    self._zeros[n],
                    self._method,
                    self._blanks[n],
                    dither_table(),
                    inside.y0,
                    inside.x0,
                    target,
                )
            else:
                target[...] = levels[inside.y0 : inside.y1, inside.x0 : inside.x1]
        return self._valued(out)

    def _code(self, number: int, column: str, size: int) -> bytes | None:
        """Return the compressed bytes of a tile in a column; None if they are in another one."""
        place = self._places[column]
        if place is None or place[number, 0] <= 0:
            return None
        count, start = int(place[number, 0]) * size, int(place[number, 1])
        if start < 0 or self._heap + start + count > self._end:
            raise CorruptFile(f"{self.where}: tile {number + 1} lies outside its HDU")
        return self._bytes(self._heap + start, count)

    def _otherwise(self, part: _Part) -> npt.NDArray[Any]:
        """Decode a tile that is not in Rice code: gzip or uncompressed."""
        # A tile whose noise cannot be measured stays as it is, gzipped (FITS 4.0 section 10.1.3).
        kind = np.dtype(">f4") if self._real else np.dtype({8: "u1", 16: ">i2", 32: ">i4"}[self.hdu.bitpix])
        size = part.shape[0] * part.shape[1] * kind.itemsize
        code = self._code(part.number, "gzip_compressed_data", 1)
        try:
            if code is not None:
                raw = gunzip(code, size) if code[:2] == GZIP else zlib.decompressobj().decompress(code, size)
            else:
                raw = self._code(part.number, "uncompressed_data", kind.itemsize) or b""
        except (zlib.error, FileTypeError) as err:
            raise CorruptFile(f"{self.where}: tile {part.number + 1} cannot be unzipped") from err
        if len(raw) != size:
            raise CorruptFile(f"{self.where}: tile {part.number + 1} is cut off")
        return np.frombuffer(raw, kind).reshape(part.shape)


def open_plane(path: Path, fd: int, number: int, hdu: HDU) -> Plane:
    """The plane of a two-dimensional image HDU, by the fastest way that its form allows.

    Parameters
    ----------
    path, fd
        The file, and a descriptor of it that stays open as long as the plane is used.
    number, hdu
        Which HDU (from 0), and it.
    """
    header = hdu.header
    if not hdu.compressed:
        return PlainPlane(path, fd, number, hdu)
    if scaling_of(header) != (1.0, 0.0):
        return OtherPlane(path, fd, number, hdu)
    table_columns = columns(hdu)
    data = table_columns.get("compressed_data")
    stepped = all(name in table_columns or name.upper() in header for name in ("zscale", "zzero"))
    width = {header.text(f"ZNAME{i}"): header.integer(f"ZVAL{i}") for i in (1, 2, 3)}.get("BYTEPIX", 4)
    known = (
        header.text("ZCMPTYPE") in ("RICE_1", "RICE_ONE")
        and hdu.bitpix in _WIDTHS
        and width in (1, 2, 4)
        and data is not None
        and data.code in "PQ"
        and "ZMASKCMP" not in header
        and (stepped if hdu.bitpix < 0 else not stepped)
        and (header.text("ZQUANTIZ") or "NO_DITHER") in ("NO_DITHER", "NONE", *_DITHER)
        and table_columns.get("zscale", data).code in "DEPQ"
        and (table_columns["zblank"].code in "BIJK" if "zblank" in table_columns else True)
    )
    return (RicePlane if known else OtherPlane)(path, fd, number, hdu)
