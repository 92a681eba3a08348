"""Read and write an image of the survey, its three planes SCI, MSK and WGT, plain or compressed, fast.

A compressed file keeps SCI in steps of a quarter of the noise, which gain and read noise tell (it need not be
estimated anew from the pixels, two thirds of what fpack spends); MSK exactly; WGT in steps of 1 % of
each row's least weight. The dither makes the error of each weight at most 0.5 % and without bias, and
keeps zero exactly zero; storing it anew from sky and flat would need both files wherever an image is read.
"""

from __future__ import annotations

import gzip
import math
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import fitsio
import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.errors import FileTypeError
from desdm.survey import packed
from desdm.survey.cards import HDU, read_hdus
from desdm.survey.fitsbytes import (
    Bytes,
    Pool,
    hdu_header,
    is_structure,
    plain_image,
    pool,
    sealed,
    word_sum,
    write,
)
from desdm.survey.headers import copy_wcs, footprint, merged

__all__ = ["LEVEL", "Planes", "mapped", "pixels", "read_planes", "threads_here", "write_planes"]

#: The step of SCI is the noise divided by this; fpack's -q 4. It adds 0.5 % to the variance.
LEVEL = 4.0
_SPAN = 9973  # a prime below the 10 000 seeds of the dither


@dataclass(slots=True)
class Planes:
    """Three planes of one shape (ny, nx), and their header.

    ``sci`` in the image's own units (counts or electrons), ``msk`` in survey bits, ``wgt`` inverse variance in
    that unit to the power -2 (0: no information).
    """

    sci: npt.NDArray[np.float32]
    msk: npt.NDArray[np.int32]
    wgt: npt.NDArray[np.float32]
    header: fits.Header = field(default_factory=fits.Header)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) in pixels."""
        return int(self.sci.shape[0]), int(self.sci.shape[1])


def threads_here() -> int:
    """Threads that this process may run at once."""
    return len(os.sched_getaffinity(0))


@contextmanager
def mapped(path: Path) -> Iterator[bytes]:
    """The bytes of a file, mapped; a gzipped one is unzipped into memory.

    Raises
    ------
    FileTypeError
        The file is empty or its gzip stream is damaged.
    """
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            file.seek(0)
            try:
                yield gzip.decompress(file.read())
            except (OSError, EOFError) as err:
                raise FileTypeError(f"{path.name}: its gzip stream is damaged ({err})") from err
            return
        try:
            view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as err:
            raise FileTypeError(f"{path.name}: the file is empty") from err
        # Arrays that still look at the map keep it open; it goes when they do.
        yield cast(bytes, view)


def pixels(path: Path, buffer: bytes, hdus: tuple[HDU, ...], number: int, run: Pool) -> npt.NDArray[Any]:
    """The pixels of one image HDU in native byte order, by the fastest way that its form allows.

    Parameters
    ----------
    path, buffer, hdus
        The file, its bytes and its HDUs (`cards.read_hdus`).
    number
        Which HDU, from 0.
    run
        Where bands of rows are worked on.

    Raises
    ------
    FileTypeError
        The pixels are damaged; file and HDU are named.
    """
    hdu = hdus[number]
    where = f"{path.name} HDU {number}" + (f" ({hdu.name})" if hdu.name else "")
    scaled = bool({"BZERO", "BSCALE"} & set(hdu.header.keys()))
    if hdu.compressed and packed.readable(hdu):
        unpacked = packed.unpack(buffer, hdu, run, where)
        if unpacked is not None:
            return unpacked
    if not hdu.compressed and hdu.bitpix in (32, -32) and not scaled:
        kind = np.dtype(">i4" if hdu.bitpix == 32 else ">f4")
        raw = np.frombuffer(buffer, kind, hdu.data_bytes // 4, hdu.data_start).reshape(hdu.shape)
        return raw.astype(kind.newbyteorder("="))
    try:
        with fitsio.FITS(str(path)) as file:
            return np.ascontiguousarray(file[number].read())
    except OSError as err:
        raise FileTypeError(f"{where}: cfitsio cannot read it: {err}") from err


def read_planes(path: Path, threads: int | None = None) -> Planes:
    """Read a DESDM 3-plane file (HDUs SCI, MSK, WGT in any order, plain or compressed by anyone).

    Parameters
    ----------
    path
        The file.
    threads
        Threads that decompress; all that the process may run if None.

    Raises
    ------
    FileTypeError
        A plane is missing or damaged, or the planes differ in shape.
    """
    with mapped(path) as buffer, pool(threads_here() if threads is None else threads) as run:
        try:
            hdus = read_hdus(buffer, len(buffer))
        except FileTypeError as err:
            raise FileTypeError(f"{path.name}: {err}") from err
        at = {name: _find(hdus, name, path) for name in ("SCI", "MSK", "WGT")}
        sci, msk, wgt = (pixels(path, buffer, hdus, at[name], run) for name in ("SCI", "MSK", "WGT"))
        # A compressed file has an empty primary HDU that may hold keywords of its own.
        used = [hdus[0], hdus[at["SCI"]]] if at["SCI"] else [hdus[0]]
        header = merged(_Headed(hdu_header(bytes(buffer[h.start : h.data_start]))) for h in used)
    if not sci.shape == msk.shape == wgt.shape:
        raise FileTypeError(f"{path.name}: planes SCI, MSK, WGT differ in shape")
    return Planes(
        sci.astype(np.float32, copy=False), msk.astype(np.int32, copy=False), wgt.astype(np.float32, copy=False),
        header,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Headed:
    header: fits.Header


def _find(hdus: tuple[HDU, ...], name: str, path: Path) -> int:
    for i, hdu in enumerate(hdus):
        if hdu.name == name and hdu.kind == "image" and len(hdu.shape) == 2:
            return i
    raise FileTypeError(f"{path.name}: no two-dimensional image HDU {name}")


def write_planes(path: Path, planes: Planes, step: float | None = None, threads: int | None = None) -> None:
    """Write SCI, MSK and WGT, each with the WCS, EXTNAME and checksums; compressed if the name ends in ``.fz``.

    The header goes to SCI as it stands, apart from structural keywords and a footprint made anew. Plain files
    keep SCI in the primary HDU, where every program looks; compressed ones in the first extension.

    Parameters
    ----------
    path
        Where to write; an old file there is replaced.
    planes
        The image.
    step
        Quantisation step of SCI in its own unit (compressed files only). None: a quarter of the noise that the
        median weight tells.
    threads
        Threads that compress; all that the process may run if None.
    """
    sci = _sci_header(planes)
    texts = (
        ("SCI", "calibrated image"),
        ("MSK", "mask bits of the survey"),
        ("WGT", "inverse variance, 0 masked"),
    )
    arrays = (planes.sci, planes.msk, planes.wgt)
    small = path.name.endswith(".fz")
    parts: list[bytes | Bytes] = []
    with pool(threads_here() if threads is None else threads) as run:
        if small:
            empty = fits.Header(
                [("SIMPLE", True, ""), ("BITPIX", 8, ""), ("NAXIS", 0, ""), ("EXTEND", True, "")]
            )
            parts.append(sealed(empty, 0))
        for (name, text), data in zip(texts, arrays, strict=True):
            data = np.ascontiguousarray(data, np.int32 if name == "MSK" else np.float32)
            if small:
                header, unit = packed.pack(data, _steps(name, planes, step), run)
                total = word_sum(unit)
            else:
                header = _plain_layout(data, name == "SCI")
                unit, total = plain_image(data, run)
            header["EXTNAME"] = (name, text)
            if name == "SCI":
                header.extend(sci, strip=False, bottom=True)
            else:
                copy_wcs(planes.header, header)
            parts += [sealed(header, total), unit]
        write(path, parts)


def _sci_header(planes: Planes) -> fits.Header:
    head = fits.Header()
    for card in planes.header.cards:
        if card.keyword and not is_structure(card.keyword):
            head.append(card, bottom=True)
    if str(head.get("CTYPE1", "")).strip():
        for key, value, comment in footprint(planes.header, planes.shape).cards():
            head[key] = (value, comment)
    return head


def _plain_layout(data: npt.NDArray[Any], primary: bool) -> fits.Header:
    kind = ("SIMPLE", True, "FITS 4.0") if primary else ("XTENSION", "IMAGE", "image")
    cards: list[tuple[str, Any, str]] = [
        kind, ("BITPIX", -32 if data.dtype == np.float32 else 32, ""), ("NAXIS", 2, ""),
        ("NAXIS1", data.shape[1], ""), ("NAXIS2", data.shape[0], ""),
    ]  # fmt: skip
    cards += [("EXTEND", True, "")] if primary else [("PCOUNT", 0, ""), ("GCOUNT", 1, "")]
    return fits.Header(cards)


def _steps(name: str, planes: Planes, step: float | None) -> packed.Steps | None:
    if name == "MSK":
        return None
    # Each image has its own dither, so that no pattern of it adds up in a coadd; the same at every rerun.
    number = 64 * _integer(planes.header.get("EXPNUM")) + _integer(planes.header.get("CCDNUM"))
    seed = 1 + number % _SPAN
    if name == "WGT":
        return packed.Steps(0.0, 0.01, seed)
    return packed.Steps(_noise(planes) / LEVEL if step is None else step, 0.01, seed)


def _integer(value: object) -> int:
    return int(value) if isinstance(value, (int, float)) else 0


def _noise(planes: Planes) -> float:
    sample = planes.wgt[::3, ::5]
    good = sample[sample > 0]
    if good.size:
        return 1.0 / math.sqrt(float(np.median(good)))
    # No weight at all: the scatter between neighbours, by its quartiles.
    steps = np.abs(np.diff(planes.sci[::3], axis=1))
    scatter = float(np.nanmedian(steps)) if steps.size else 0.0
    return scatter / 0.954 if np.isfinite(scatter) and scatter > 0 else 1.0
