"""Tile-compressed images (FITS 4.0 section 10): one tile a row, Rice, floats in steps with a subtractive dither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.errors import FileTypeError
from desdm.pixels.blank import null_of
from desdm.pixels.cards import HDU, columns
from desdm.pixels.fitsbytes import Bytes, Pool, padded
from desdm.pixels.quantize import NULL, dequantize_rows, dither_table, quantize_rows
from desdm.pixels.rice import BLOCK, decode_rows, encode_rows, room

__all__ = ["Steps", "layout", "pack", "readable", "unpack"]

_INTEGERS = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8"}
#: SUBTRACTIVE_DITHER_2, which our writer uses.
_DITHER = 2
_BAND = 256  # rows a piece of work: its buffers stay in the cache


@dataclass(frozen=True, slots=True)
class Steps:
    """How floats become integers: a fixed ``step`` in the image's unit, or (0) a share of each row's least value > 0."""

    step: float = 0.0
    relative: float = 0.01
    seed: int = 1


@dataclass(frozen=True, slots=True)
class _Piece:
    """Compressed rows of a band: their bytes, and length, scale and zero of each row."""

    heap: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.int64]
    scales: npt.NDArray[np.float64]
    zeros: npt.NDArray[np.float64]
    missing: int


def _pack_band(
    data: npt.NDArray[Any], first: int, steps: Steps | None, stored: npt.NDArray[np.float32] | None
) -> _Piece:
    """Compress the rows that begin with number ``first``; ``stored`` receives the values that a reader will decode."""
    rows, columns_ = data.shape
    heap, lengths = np.empty(rows * room(columns_), np.uint8), np.empty(rows, np.int64)
    scales, zeros = np.empty(rows), np.empty(rows)
    missing, levels = 0, data
    if steps is not None:
        levels = np.empty(data.shape, np.int32)
        missing = quantize_rows(
            data, first + steps.seed - 1, steps.step, steps.relative, dither_table(), levels, scales, zeros
        )
        if stored is not None:
            blanks = np.full(rows, NULL, np.int64)
            dequantize_rows(
                levels, first + steps.seed - 1, scales, zeros, blanks, _DITHER, dither_table(), stored
            )
    used = encode_rows(levels, heap, lengths)
    return _Piece(heap[:used].copy(), lengths, scales, zeros, missing)


def pack(
    data: npt.NDArray[Any],
    steps: Steps | None,
    run: Pool,
    stored: npt.NDArray[np.float32] | None = None,
) -> tuple[fits.Header, Bytes]:
    """Compress an image.

    Parameters
    ----------
    data
        (ny, nx) float32 or int32.
    steps
        For float32 the quantisation; None for int32, which stays as it is.
    run
        Where bands of rows are worked on.
    stored
        (ny, nx) float32, filled with the quantised values, bit for bit as a reader of the file gets them; it may be
        ``data`` itself. Left alone where nothing is quantised.

    Returns
    -------
    astropy.io.fits.Header, numpy.ndarray
        The cards that lay out the HDU, and its data unit, padded.
    """
    ny, nx = data.shape
    starts = range(0, ny, _BAND)
    data = np.ascontiguousarray(data)

    def band(y: int) -> _Piece:
        rows = slice(y, y + _BAND)
        return _pack_band(data[rows], y, steps, None if stored is None else stored[rows])

    pieces: list[_Piece] = list(run(band, starts))
    lengths = np.concatenate([p.lengths for p in pieces])
    heap = int(lengths.sum())
    fields = [("n", ">i4"), ("at", ">i4"), *([] if steps is None else [("scale", ">f8"), ("zero", ">f8")])]
    table = np.empty(ny, fields)
    table["n"], table["at"] = lengths, np.cumsum(lengths) - lengths
    if steps is not None:
        table["scale"] = np.concatenate([p.scales for p in pieces])
        table["zero"] = np.concatenate([p.zeros for p in pieces])
    unit = np.empty(padded(table.nbytes + heap), np.uint8)
    unit[table.nbytes + heap :] = 0
    unit[: table.nbytes] = table.view(np.uint8)
    at = table.nbytes
    for piece in pieces:
        unit[at : at + piece.heap.size] = piece.heap
        at += piece.heap.size
    header = layout((ny, nx), steps, table.dtype.itemsize, heap, int(lengths.max()))
    if any(p.missing for p in pieces):
        header["ZBLANK"] = (NULL, "integer of a pixel without a value")
    return header, unit


def layout(
    shape: tuple[int, int],
    steps: Steps | None,
    width: int,
    heap: int,
    longest: int,
    tile: tuple[int, int] | None = None,
) -> fits.Header:
    """Cards that lay out the bytes of a tile-compressed image (FITS 4.0, section 10.1).

    Parameters
    ----------
    shape
        (rows, columns) of the image.
    width, heap, longest
        Bytes of a row of the table, of its heap, and of the longest tile.
    tile
        (rows, columns) of a tile; None: a tile is a row.
    """
    ny, nx = shape
    high, wide = tile or (1, nx)
    cards: list[tuple[str, str | int | float, str]] = [
        ("XTENSION", "BINTABLE", "tile-compressed image"),
        ("BITPIX", 8, ""),
        ("NAXIS", 2, ""),
        ("NAXIS1", width, "bytes a row"),
        ("NAXIS2", -(-ny // high) * -(-nx // wide), "tiles"),
        ("PCOUNT", heap, "bytes of the heap"),
        ("GCOUNT", 1, ""),
        ("TFIELDS", 1 if steps is None else 3, ""),
        ("TTYPE1", "COMPRESSED_DATA", ""),
        ("TFORM1", f"1PB({longest})", ""),
    ]
    if steps is not None:
        cards += [
            ("TTYPE2", "ZSCALE", ""),
            ("TFORM2", "1D", ""),
            ("TTYPE3", "ZZERO", ""),
            ("TFORM3", "1D", ""),
        ]
    cards += [
        ("ZIMAGE", True, "a compressed image"),
        ("ZTENSION", "IMAGE", ""),
        ("ZBITPIX", 32 if steps is None else -32, ""),
        ("ZNAXIS", 2, ""),
        ("ZNAXIS1", nx, ""),
        ("ZNAXIS2", ny, ""),
        ("ZPCOUNT", 0, ""),
        ("ZGCOUNT", 1, ""),
        ("ZTILE1", wide, "columns of a tile"),
        ("ZTILE2", high, "rows of a tile"),
        ("ZCMPTYPE", "RICE_1", "compression"),
        ("ZNAME1", "BLOCKSIZE", ""),
        ("ZVAL1", BLOCK, ""),
        ("ZNAME2", "BYTEPIX", ""),
        ("ZVAL2", 4, ""),
    ]
    if steps is not None:
        cards += [
            ("ZQUANTIZ", "SUBTRACTIVE_DITHER_2", "dither; zeros stay exact"),
            ("ZDITHER0", steps.seed, "seed"),
        ]
    return fits.Header(cards)


def readable(hdu: HDU) -> bool:
    """Whether `unpack` reads this compressed image; others are left to cfitsio."""
    get = hdu.header.get
    options = {get(f"ZNAME{i}"): get(f"ZVAL{i}") for i in (1, 2)}
    table_columns = columns(hdu)
    data = table_columns.get("compressed_data")
    return (
        str(get("ZCMPTYPE")).strip() in ("RICE_1", "RICE_ONE")
        and len(hdu.shape) == 2
        and get("ZTILE1", hdu.shape[1]) == hdu.shape[1]
        and get("ZTILE2", 1) == 1
        and options == {"BLOCKSIZE": BLOCK, "BYTEPIX": 4}
        and hdu.bitpix in (32, -32)
        and data is not None
        and data.code == "P"
        and not {"BZERO", "BSCALE", "ZSCALE", "ZZERO", "ZMASKCMP"} & set(hdu.header.keys())
        and (hdu.bitpix == 32 or {"zscale", "zzero"} <= set(table_columns))
        and ("zblank" not in table_columns or (hdu.bitpix < 0 and table_columns["zblank"].code in _INTEGERS))
    )


def unpack(buffer: bytes, hdu: HDU, run: Pool, where: str) -> npt.NDArray[Any] | None:
    """Decompress an image that is `readable`.

    Parameters
    ----------
    buffer
        The file's bytes (or a map of them).
    run
        Where bands of rows are worked on.
    where
        File and HDU, for messages.

    Returns
    -------
    numpy.ndarray
        (ny, nx) int32 or float32; a float pixel without a value is NaN. None if some rows were stored otherwise (fpack
        gzips a row whose noise it cannot measure): cfitsio must read it.

    Raises
    ------
    FileTypeError
        A row is damaged.
    """
    (ny, nx), header, table_columns = hdu.shape, hdu.header, columns(hdu)
    width = header.integer("NAXIS1") or 0
    raw = np.frombuffer(buffer, np.uint8, hdu.data_bytes, hdu.data_start)
    table = raw[: ny * width].reshape(ny, width)

    def column(name: str, kind: str, count: int = 1) -> npt.NDArray[Any]:
        at = table_columns[name].offset
        size = np.dtype(kind).itemsize * count
        return np.ascontiguousarray(table[:, at : at + size]).view(kind).reshape(ny, count)

    descriptor = column("compressed_data", ">i4", 2).astype(np.int64)
    heap = raw[header.integer("THEAP") or ny * width :]
    lengths, starts = np.ascontiguousarray(descriptor[:, 0]), np.ascontiguousarray(descriptor[:, 1])
    if not lengths.all():
        return None
    real = hdu.bitpix == -32
    kind = {"E": ">f4", "D": ">f8"}
    scales = column("zscale", kind[table_columns["zscale"].code])[:, 0].astype(float) if real else np.empty(0)
    zeros = column("zzero", kind[table_columns["zzero"].code])[:, 0].astype(float) if real else np.empty(0)
    blanks = np.full(ny, null_of(header), np.int64)
    if real and "zblank" in table_columns:
        blanks = column("zblank", _INTEGERS[table_columns["zblank"].code])[:, 0].astype(np.int64)
    method = {"SUBTRACTIVE_DITHER_1": 1, "SUBTRACTIVE_DITHER_2": 2}.get(
        str(header.get("ZQUANTIZ")).strip(), 0
    )
    seed = (header.integer("ZDITHER0") or 1) - 1
    out: npt.NDArray[Any] = np.empty((ny, nx), np.float32 if real else np.int32)

    def band(y: int) -> None:
        part = slice(y, min(y + _BAND, ny))
        levels: npt.NDArray[Any] = np.empty(out[part].shape, np.int32) if real else out[part]
        damaged = decode_rows(heap, starts[part], lengths[part], levels)
        if damaged >= 0:
            raise FileTypeError(f"{where}: row {y + damaged + 1} of the compressed image is damaged")
        if real:
            dequantize_rows(
                levels, y + seed, scales[part], zeros[part], blanks[part], method, dither_table(), out[part]
            )

    for _ in run(band, range(0, ny, _BAND)):
        pass
    return out
