"""Reads any image file into one frame of screen size: picks the HDUs, puts detectors side by side, averages blocks."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import numpy.typing as npt

from desdm.errors import FileTypeError, NotFoundError
from desdm.pixels.blank import Blank, blank_of, scaled, scaling_of, valued
from desdm.pixels.gunzip import GZIP, gunzip

__all__ = ["Frame", "Layout", "Opened", "Piece", "arrange", "open_image", "read_bits", "read_mean", "section"]

_SECTION = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")
#: Pixels in memory at once while blocks are averaged: 16 MB of float32, whatever the size of the image.
_STRIP = 4 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """A rectangle of one HDU, and where its lower left pixel lies in the whole picture (pixels, from 0).

    ``level`` is the overscan's level, which is taken off for looking.
    """

    hdu: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    row: int
    column: int
    level: float = 0.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the pieces of a picture lie; ``shape`` is (ny, nx) of the whole, ``how`` says what was done."""

    pieces: tuple[Piece, ...]
    shape: tuple[int, int]
    how: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture's pixels, averaged over blocks of ``block`` × ``block``: float32, NaN where nothing is."""

    values: npt.NDArray[np.float32]
    block: int


@dataclass(slots=True)
class Opened:
    """An image file that is open: its FITS handle, and for each image HDU its number, name, shape and cards."""

    path: Path
    fits: Any
    images: list[tuple[int, str, tuple[int, int]]] = field(default_factory=list)
    blanks: dict[int, Blank | None] = field(default_factory=dict)
    scalings: dict[int, tuple[float, float]] = field(default_factory=dict)

    def header(self, number: int) -> dict[str, Any]:
        """Cards of an HDU, overlaid on those of the primary one (files with extensions inherit them)."""
        cards: dict[str, Any] = {}
        for n in dict.fromkeys((0, number)):
            for record in self.fits[n].read_header().records():
                name, value = record.get("name"), record.get("value")
                if name and name not in ("COMMENT", "HISTORY", "CONTINUE") and value is not None:
                    cards[name] = value.strip() if isinstance(value, str) else value
        return cards

    def _blank(self, number: int) -> Blank | None:
        """The integer of a pixel without a value in an HDU."""
        if number not in self.blanks:
            cards = self.fits[number].read_header()
            bitpix = cards.get("ZBITPIX") or cards.get("BITPIX")
            known = {key: cards.get(key) for key in ("BLANK", "ZBLANK", "BSCALE", "BZERO")}
            # fitsio gives an integer of more than 63 bits as text: BZERO of unsigned 64 bits.
            if known["BZERO"] == "9223372036854775808":
                known["BZERO"] = 2**63
            self.blanks[number] = blank_of(known, int(bitpix))
            self.scalings[number] = scaling_of(known)
            # cfitsio scales 64 bits into truncated integers, or not at all; plain images are taken as they are stored,
            # and so are those with a BLANK, which is a stored integer.
            self.fits[number].ignore_scaling = (
                not self.fits[number].is_compressed() or self.blanks[number] is not None
            )
        return self.blanks[number]

    def read(self, number: int, rows: slice, columns: slice, *, mask: bool = False) -> npt.NDArray[Any]:
        """Pixels of an HDU, of a cube its first plane; NaN (in a mask: 1) where there is no value.

        Parameters
        ----------
        number
            Number of the HDU.
        rows
            Rows to read, 0-based.
        columns
            Columns to read, 0-based.
        mask
            The HDU is a mask.
        """
        blank = self._blank(number)
        stored = self._stored(number, rows, columns)
        stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        if blank is None and self.fits[number].is_compressed():
            return stored
        values = scaled(stored, *self.scalings[number])
        return values if blank is None else valued(values, blank.missing(stored), mask=mask)

    def _stored(self, number: int, rows: slice, columns: slice) -> npt.NDArray[Any]:
        """Return a section of an HDU's pixels as stored; of a cube, the first plane."""
        hdu = self.fits[number]
        try:
            if len(hdu.get_dims()) > 2:
                return np.asarray(hdu[(0,) * (len(hdu.get_dims()) - 2) + (rows, columns)]).reshape(
                    rows.stop - rows.start, columns.stop - columns.start
                )
            return np.asarray(hdu[rows, columns])
        except (OSError, ValueError) as err:
            raise FileTypeError(f"{self.path}: pixels of HDU {number} cannot be read: {_first(err)}") from err


def _first(err: Exception) -> str:
    """Return the first line of an error's text."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return lines[0] if lines else type(err).__name__


#: First bytes of packed files, which cfitsio unpacks: gzip, compress, zip, bzip2.
_PACKED = (GZIP, b"\x1f\x9d", b"PK", b"BZ")


def open_image(path: Path) -> Opened:
    """Open a FITS file, plain, gzipped or tile-compressed.

    Raises
    ------
    NotFoundError
        There is no such file.
    FileTypeError
        It is not a FITS file, is damaged, or holds no image.
    """
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file")
    try:
        opened = Opened(path, _opened(path))
        others = []
        for number, hdu in enumerate(opened.fits):
            kind = hdu.get_exttype()
            dims = tuple(int(n) for n in hdu.get_dims()) if kind == "IMAGE_HDU" else ()
            if len(dims) >= 2 and min(dims) > 0:
                opened.images.append((number, hdu.get_extname().strip(), (dims[-2], dims[-1])))
            elif kind != "IMAGE_HDU":
                others.append(hdu.get_extname() or kind)
    except (OSError, ValueError) as err:
        raise FileTypeError(f"{path}: it cannot be read as FITS: {_first(err)}") from err
    if not opened.images:
        contents = f"it holds {', '.join(others)}" if others else "every HDU is empty"
        opened.fits.close()
        raise FileTypeError(f"{path}: there is no image in it; {contents}")
    return opened


def _opened(path: Path) -> Any:
    """The file by cfitsio, which reads only the first member of a gzip file: that is unpacked for it."""
    with path.open("rb") as file:
        first = file.read(9)
        if first[:2] not in _PACKED and first != b"SIMPLE  =":
            # FITS 4.0, 4.4.1.1: the first keyword of a file is SIMPLE.
            raise FileTypeError(
                f"{path}: it is not a FITS file, for it does not begin with SIMPLE; give an image"
            )
        if first[:2] != GZIP:
            return fitsio.FITS(str(path), "r")
        file.seek(0)
        try:
            plain = gunzip(file.read())
        except FileTypeError as err:
            raise FileTypeError(f"{path}: {err}") from err
    with tempfile.NamedTemporaryFile(suffix=".fits") as copy:
        copy.write(plain)
        copy.flush()
        # cfitsio holds the file open; its name is not needed any more.
        return fitsio.FITS(copy.name, "r")


def section(text: object) -> tuple[int, int, int, int] | None:
    """Parse a FITS section into 0-based half-open (x1, x2, y1, y2); None if it is not a section."""
    match = _SECTION.fullmatch(str(text).strip())
    if match is None:
        return None
    x1, x2, y1, y2 = (int(part) for part in match.groups())
    return min(x1, x2) - 1, max(x1, x2), min(y1, y2) - 1, max(y1, y2)


def arrange(opened: Opened, numbers: list[int]) -> Layout:
    """Put the images of these HDUs side by side: by DETSEC where that fits, else in a grid; one stays as it is.

    In a mosaic the overscan is cut off and its level subtracted, amplifier by amplifier, as far as the header's
    sections fit the array: raw levels differ more between amplifiers than sky and stars do.
    """
    shapes = {number: shape for number, _, shape in opened.images}
    if len(numbers) == 1:
        ny, nx = shapes[numbers[0]]
        return Layout((Piece(numbers[0], (0, ny), (0, nx), 0, 0),), (ny, nx))
    parts = {n: _parts(opened, n, shapes[n]) for n in numbers}
    sizes = {
        n: (max(p.row + _height(p) for p in ps), max(p.column + _width(p) for p in ps))
        for n, ps in parts.items()
    }
    places = _by_detsec(opened, sizes)
    how = "detectors by DETSEC" if places else "detectors in a grid"
    places = places or _grid(sizes)
    if any(p.level for ps in parts.values() for p in ps):
        how += ", overscan subtracted"
    pieces = tuple(
        Piece(p.hdu, p.rows, p.columns, p.row + places[n][0], p.column + places[n][1], p.level)
        for n, ps in parts.items()
        for p in ps
    )
    shape = (
        max(p.row + _height(p) for p in pieces),
        max(p.column + _width(p) for p in pieces),
    )
    return Layout(pieces, shape, how)


def _height(piece: Piece) -> int:
    """Return the height of a piece in pixels."""
    return piece.rows[1] - piece.rows[0]


def _width(piece: Piece) -> int:
    """Return the width of a piece in pixels."""
    return piece.columns[1] - piece.columns[0]


def _parts(opened: Opened, number: int, shape: tuple[int, int]) -> list[Piece]:
    """Return the pieces of an HDU: each amplifier's data section less its bias, or the whole image."""
    cards = opened.header(number)
    whole = [Piece(number, (0, shape[0]), (0, shape[1]), 0, 0)]
    regions: list[tuple[tuple[int, int, int, int], float]] = []
    for suffix in ("A", "B", ""):
        data, bias = section(cards.get(f"DATASEC{suffix}")), section(cards.get(f"BIASSEC{suffix}"))
        if data is None or bias is None or (regions and not suffix):
            continue
        if any(s[1] > shape[1] or s[3] > shape[0] for s in (data, bias)):
            return whole  # sections of another array, as real headers have them
        overscan = opened.read(number, slice(bias[2], bias[3]), slice(bias[0], bias[1]))
        known = overscan[np.isfinite(overscan)]
        regions.append((data, float(np.median(known)) if known.size else 0.0))
    if not regions:
        return whole
    left, low = min(d[0] for d, _ in regions), min(d[2] for d, _ in regions)
    return [Piece(number, (d[2], d[3]), (d[0], d[1]), d[2] - low, d[0] - left, level) for d, level in regions]


def _by_detsec(opened: Opened, sizes: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """Return the places of HDUs on the focal plane by DETSEC; empty if one has no usable DETSEC."""
    boxes = {}
    for number, (ny, nx) in sizes.items():
        box = section(opened.header(number).get("DETSEC"))
        # A cutout keeps the DETSEC of its whole CCD: places by it would leave a few stamps in a black field.
        if box is None or not (0.9 < ny / (box[3] - box[2]) < 1.1 and 0.9 < nx / (box[1] - box[0]) < 1.1):
            return {}
        boxes[number] = box
    left, low = min(b[0] for b in boxes.values()), min(b[2] for b in boxes.values())
    if len({(b[0], b[2]) for b in boxes.values()}) < len(boxes):
        return {}
    return {n: (b[2] - low, b[0] - left) for n, b in boxes.items()}


def _grid(sizes: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """Return the places of HDUs on a grid, in their order, for images without DETSEC."""
    ny, nx = max(s[0] for s in sizes.values()), max(s[1] for s in sizes.values())
    gap = max(2, round(0.02 * max(ny, nx)))
    across = max(1, round((len(sizes) * (ny + gap) / (nx + gap)) ** 0.5))
    down = -(-len(sizes) // across)
    return {
        n: ((down - 1 - i // across) * (ny + gap), (i % across) * (nx + gap)) for i, n in enumerate(sizes)
    }


def _strips(
    opened: Opened, piece: Piece, block: int, *, mask: bool = False
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """(first row of the picture, pixels) of a piece, cut where the picture's blocks begin."""
    step = max(block, _STRIP // max(1, _width(piece)) // block * block)
    row = piece.rows[0]
    while row < piece.rows[1]:
        here = piece.row + row - piece.rows[0]
        stop = min(piece.rows[1], row + step - here % block)
        yield here, opened.read(piece.hdu, slice(row, stop), slice(*piece.columns), mask=mask)
        row = stop


def _blocks(length: int, begin: int, block: int) -> npt.NDArray[np.intp]:
    """Where the picture's blocks begin within a run of ``length`` pixels that starts at pixel ``begin``."""
    edges = np.arange(begin // block * block, begin + length, block) - begin
    return np.asarray(np.maximum(edges, 0), np.intp)


def read_mean(opened: Opened, layout: Layout, block: int) -> Frame:
    """The picture, averaged over blocks of ``block`` × ``block`` pixels; a strip of it is in memory at a time.

    Parameters
    ----------
    opened
        Open file.
    layout
        Pieces of the picture and their places.
    block
        Side of a block in full-size pixels.
    """
    ny, nx = -(-layout.shape[0] // block), -(-layout.shape[1] // block)
    total, count = np.zeros((ny, nx), np.float64), np.zeros((ny, nx), np.int32)
    for piece in layout.pieces:
        across = _blocks(_width(piece), piece.column, block)
        x = piece.column // block
        for row, pixels in _strips(opened, piece, block):
            values = np.asarray(pixels, np.float64) - piece.level
            good = np.isfinite(values)
            if not good.all():
                values[~good] = 0.0
            down = _blocks(values.shape[0], row, block)
            y = row // block
            into = (slice(y, y + down.size), slice(x, x + across.size))
            total[into] += np.add.reduceat(np.add.reduceat(values, across, axis=1), down, axis=0)
            count[into] += np.add.reduceat(
                np.add.reduceat(good, across, axis=1, dtype=np.int32), down, axis=0
            )
    values = np.full((ny, nx), np.nan)
    np.divide(total, count, out=values, where=count > 0)
    return Frame(values.astype(np.float32), block)


def read_bits(
    opened: Opened, layout: Layout, block: int, translate: Callable[[npt.NDArray[Any]], npt.NDArray[np.int32]]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], dict[int, int]]:
    """A mask over the same blocks.

    Parameters
    ----------
    opened
        Open file.
    layout
        Pieces of the picture and their places.
    block
        Side of a block in full-size pixels.
    translate
        Function from stored mask values to mask bits.

    Returns
    -------
    bits
        All bits set anywhere in a block.
    fraction
        How much of a block is masked, 0 to 1.
    counts
        Pixels by bit, at full size.
    """
    ny, nx = -(-layout.shape[0] // block), -(-layout.shape[1] // block)
    bits, masked = np.zeros((ny, nx), np.int32), np.zeros((ny, nx), np.int64)
    counts: dict[int, int] = {}
    for piece in layout.pieces:
        across = _blocks(_width(piece), piece.column, block)
        x = piece.column // block
        for row, pixels in _strips(opened, piece, block, mask=True):
            values = translate(pixels)
            some = values[values != 0]
            for bit in range(31):
                set_ = int(np.count_nonzero(some & (1 << bit))) if some.size else 0
                if set_:
                    counts[1 << bit] = counts.get(1 << bit, 0) + set_
            down = _blocks(values.shape[0], row, block)
            y = row // block
            into = (slice(y, y + down.size), slice(x, x + across.size))
            bits[into] |= np.bitwise_or.reduceat(np.bitwise_or.reduceat(values, across, axis=1), down, axis=0)
            masked[into] += np.add.reduceat(
                np.add.reduceat(values != 0, across, axis=1, dtype=np.int64), down, axis=0
            )
    return bits, (masked / block**2).astype(np.float32), counts
