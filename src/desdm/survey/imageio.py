"""Read and write an image of the survey, its three planes SCI, MSK and WGT, plain or compressed, fast.

A compressed file keeps SCI in steps of a quarter of the noise, which gain and read noise tell (it need not be
estimated anew from the pixels, two thirds of what fpack spends); MSK exactly; WGT in steps of 1 % of
each row's least weight. The dither makes the error of each weight at most 0.5 % and without bias, and
keeps zero exactly zero; storing it anew from sky and flat would need both files wherever an image is read.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import fitsio
import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.errors import FileTypeError
from desdm.pixels import packed
from desdm.pixels.blank import blank_of, scaled, scaling_of, valued
from desdm.pixels.cards import HDU, read_hdus
from desdm.pixels.fitsbytes import (
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
from desdm.pixels.gunzip import GZIP, gunzip
from desdm.sky.projection import complaint
from desdm.survey.headers import copy_wcs, footprint, merged, settle_wcs

__all__ = [
    "LEVEL",
    "Pixels",
    "Planes",
    "mapped",
    "pixels",
    "read_image",
    "read_image_and_mask",
    "read_planes",
    "threads_here",
    "write_planes",
]

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
        if file.read(2) == GZIP:
            file.seek(0)
            try:
                plain = gunzip(file.read())
            except FileTypeError as err:
                raise FileTypeError(f"{path.name}: {err}") from err
            yield plain
            return
        try:
            view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as err:
            raise FileTypeError(f"{path.name}: the file is empty") from err
        # Arrays that still look at the map keep it open; it goes when they do.
        yield cast(bytes, view)


@dataclass(frozen=True, slots=True)
class Pixels:
    """The pixels of an image HDU: values in native byte order, and where an image of integers has none (else None).

    In an image of floats a pixel without a value is NaN.
    """

    values: npt.NDArray[Any]
    missing: npt.NDArray[np.bool_] | None

    def valued(self, *, mask: bool = False) -> npt.NDArray[Any]:
        """The values alone, with NaN (in a mask: BPM) where there is none."""
        return self.values if self.missing is None else valued(self.values, self.missing, mask=mask)


def pixels(path: Path, buffer: bytes, hdus: tuple[HDU, ...], number: int, run: Pool) -> Pixels:
    """The pixels of one image HDU, by the fastest way that its form allows.

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
    blank = blank_of(hdu.header, hdu.bitpix)
    if blank is None:
        values = _stored(path, buffer, hdu, number, run, scale=True)
        return Pixels(values if hdu.compressed else scaled(values, *scaling_of(hdu.header)), None)
    stored = _stored(path, buffer, hdu, number, run, scale=False)
    missing = blank.missing(stored)
    return Pixels(scaled(stored, *scaling_of(hdu.header)), missing if missing.any() else None)


def _stored(path: Path, buffer: bytes, hdu: HDU, number: int, run: Pool, *, scale: bool) -> npt.NDArray[Any]:
    """Pixels as they are stored; of a compressed image, on request, with BSCALE and BZERO applied."""
    where = f"{path.name} HDU {number}" + (f" ({hdu.name})" if hdu.name else "")
    if hdu.compressed:
        unpacked = packed.unpack(buffer, hdu, run, where) if packed.readable(hdu) else None
        return _by_cfitsio(path, buffer, number, where, scale=scale) if unpacked is None else unpacked
    kind = np.dtype({8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}[hdu.bitpix])
    raw = np.frombuffer(buffer, kind, math.prod(hdu.shape), hdu.data_start).reshape(hdu.shape)
    return raw.astype(kind.newbyteorder("="))


def _by_cfitsio(path: Path, buffer: bytes, number: int, where: str, *, scale: bool) -> npt.NDArray[Any]:
    """Pixels in a compression that only cfitsio knows, with BSCALE and BZERO applied or as they are stored."""
    with ExitStack() as stack:
        name = str(path)
        if isinstance(buffer, bytes):
            # It was gzipped; cfitsio reads only the first member of such a file.
            plain = stack.enter_context(tempfile.NamedTemporaryFile(suffix=".fits"))
            plain.write(buffer)
            plain.flush()
            name = plain.name
        try:
            with fitsio.FITS(name) as file:
                file[number].ignore_scaling = not scale
                return np.ascontiguousarray(file[number].read())
        except OSError as err:
            raise FileTypeError(f"{where}: cfitsio cannot read it: {err}") from err


def read_image(
    path: Path, extname: str = "", *, dimensions: int = 0, mask: bool | None = None
) -> tuple[npt.NDArray[Any], fits.Header]:
    """Read one image of a file, and its header (with the primary keywords).

    Parameters
    ----------
    path
        The file, plain, gzipped or tile-compressed.
    extname
        EXTNAME of the HDU; empty: the first image that has pixels.
    dimensions
        How many it must have; 0: any number.
    mask
        Whether it is a mask; None: it is if it is called MSK.

    Returns
    -------
    numpy.ndarray, astropy.io.fits.Header
        Values with NaN where there is none (in a mask: 1, which is BPM in the survey's bits and the Community Pipeline's
        codes alike).

    Raises
    ------
    FileTypeError
        There is no such HDU, or it is damaged.
    """
    if not path.is_file():
        raise FileTypeError(f"{path.name}: there is no such file in {path.parent}")
    with mapped(path) as buffer, pool(1) as run:
        hdus = _hdus(path, buffer)
        fitting = [
            i
            for i, h in enumerate(hdus)
            if h.kind == "image"
            and all(h.shape)
            and h.shape
            and (h.name == extname or not extname)
            and len(h.shape) == (dimensions or len(h.shape))
        ]
        if not fitting:
            what = f"{dimensions}-dimensional image" if dimensions else "image"
            where = f"no HDU {extname} that holds an image" if extname else f"no {what}"
            raise FileTypeError(f"{path.name}: there is {where}")
        number = fitting[0]
        data = pixels(path, buffer, hdus, number, run).valued(
            mask=hdus[number].name == "MSK" if mask is None else mask
        )
        return data, _header(buffer, hdus, number)


def _hdus(path: Path, buffer: bytes) -> tuple[HDU, ...]:
    """Parse the HDUs of a file; an error names the file."""
    try:
        return read_hdus(buffer, len(buffer))
    except FileTypeError as err:
        raise FileTypeError(f"{path.name}: {err}") from err


def _header(buffer: bytes, hdus: tuple[HDU, ...], number: int) -> fits.Header:
    """Keywords of an HDU over those of the primary one, which may hold keywords of its own."""
    used = [hdus[i] for i in dict.fromkeys((0, number))]
    return merged(_Headed(hdu_header(bytes(buffer[h.start : h.data_start]))) for h in used)


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
    (sci, msk, wgt), header = _read(path, ("SCI", "MSK", "WGT"), threads)
    wgt = wgt.astype(np.float32, copy=False)
    if wgt.size and math.isnan(float(wgt.min())):
        # No weight is no information, as zero is.
        wgt = np.nan_to_num(wgt, copy=False)
    return Planes(sci.astype(np.float32, copy=False), msk.astype(np.int32, copy=False), wgt, header)


def read_image_and_mask(
    path: Path, threads: int | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], fits.Header]:
    """SCI, MSK and the header of a DESDM 3-plane file, as `read_planes` gives them, without the cost of the weights.

    Raises
    ------
    FileTypeError
        A plane is missing or damaged, or the planes differ in shape.
    """
    (sci, msk), header = _read(path, ("SCI", "MSK"), threads)
    return sci.astype(np.float32, copy=False), msk.astype(np.int32, copy=False), header


def _read(
    path: Path, names: Sequence[str], threads: int | None
) -> tuple[list[npt.NDArray[Any]], fits.Header]:
    """Planes of a file by name, all of one shape, and the header of the first."""
    with mapped(path) as buffer, pool(threads_here() if threads is None else threads) as run:
        hdus = _hdus(path, buffer)
        at = [_find(hdus, name, path) for name in names]
        planes = [
            pixels(path, buffer, hdus, number, run).valued(mask=name == "MSK")
            for name, number in zip(names, at, strict=True)
        ]
        header = _header(buffer, hdus, at[0])
    if len({plane.shape for plane in planes}) > 1:
        raise FileTypeError(f"{path.name}: planes {', '.join(names)} differ in shape")
    return planes, header


@dataclass(frozen=True, slots=True)
class _Headed:
    """An object with a header, as the readers of tiles take it."""

    header: fits.Header


def _find(hdus: tuple[HDU, ...], name: str, path: Path) -> int:
    """Return the number of the two-dimensional image HDU with a name."""
    for i, hdu in enumerate(hdus):
        if hdu.name == name and hdu.kind == "image" and len(hdu.shape) == 2:
            return i
    raise FileTypeError(f"{path.name}: no two-dimensional image HDU {name}")


def write_planes(
    path: Path,
    planes: Planes,
    step: float | None = None,
    threads: int | None = None,
    *,
    as_stored: bool = False,
) -> None:
    """Write SCI, MSK and WGT, each with the WCS, EXTNAME and checksums; compressed if the name ends in ``.fz``.

    The header goes to SCI as it stands, apart from structural keywords and a footprint computed anew. Plain files
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
    as_stored
        Let ``planes`` hold the quantised values afterwards, as a reader of the file gets them, so that who goes on with
        the image in memory sees what others see in the file.
    """
    if as_stored:
        planes.sci, planes.wgt = (np.require(p, np.float32, ["C", "W"]) for p in (planes.sci, planes.wgt))
    with pool(threads_here() if threads is None else threads) as run:
        write(path, _parts(planes, path.name.endswith(".fz"), step, run, as_stored))


def _parts(
    planes: Planes, small: bool, step: float | None, run: Pool, as_stored: bool
) -> Iterator[bytes | Bytes]:
    """The file's headers and data units, one after another: the memory of one plane serves for the next."""
    sci, world = _sci_header(planes), fits.Header()
    copy_wcs(planes.header, world)
    texts = (
        ("SCI", "calibrated image"),
        ("MSK", "mask bits of the survey"),
        ("WGT", "inverse variance, 0 masked"),
    )
    if small:
        empty = fits.Header([("SIMPLE", True, ""), ("BITPIX", 8, ""), ("NAXIS", 0, ""), ("EXTEND", True, "")])
        yield sealed(empty, 0)
    stored = {"SCI": planes.sci, "WGT": planes.wgt} if as_stored else {}
    for (name, text), data in zip(texts, (planes.sci, planes.msk, planes.wgt), strict=True):
        data = np.ascontiguousarray(data, np.int32 if name == "MSK" else np.float32)
        if small:
            steps = _steps(name, planes, step)
            header, unit = packed.pack(data, steps, run, stored.get(name))
            total = word_sum(unit)
        else:
            header = _plain_layout(data, name == "SCI")
            unit, total = plain_image(data, run)
        header["EXTNAME"] = (name, text)
        header.extend(sci if name == "SCI" else world, strip=False, bottom=True)
        yield sealed(header, total)
        yield unit
        del unit


def _sci_header(planes: Planes) -> fits.Header:
    """Return the header of the SCI plane, with normalised WCS and footprint."""
    head = fits.Header()
    for card in planes.header.cards:
        if card.keyword and not is_structure(card.keyword):
            head.append(card, bottom=True)
    settle_wcs(head)
    if str(head.get("CTYPE1", "")).strip() and not complaint(head):
        for key, value, comment in footprint(planes.header, planes.shape).cards():
            head[key] = (value, comment)
    return head


def _plain_layout(data: npt.NDArray[Any], primary: bool) -> fits.Header:
    """Return the structural keywords of an uncompressed image."""
    kind = ("SIMPLE", True, "FITS 4.0") if primary else ("XTENSION", "IMAGE", "image")
    cards: list[tuple[str, Any, str]] = [
        kind,
        ("BITPIX", -32 if data.dtype == np.float32 else 32, ""),
        ("NAXIS", 2, ""),
        ("NAXIS1", data.shape[1], ""),
        ("NAXIS2", data.shape[0], ""),
    ]
    cards += [("EXTEND", True, "")] if primary else [("PCOUNT", 0, ""), ("GCOUNT", 1, "")]
    return fits.Header(cards)


def _steps(name: str, planes: Planes, step: float | None) -> packed.Steps | None:
    """Return quantisation step and dither seed of a plane; None for masks, which are stored exactly."""
    if name == "MSK":
        return None
    # Each image has its own dither, so that no pattern of it adds up in a coadd; the same at every rerun.
    number = 64 * _integer(planes.header.get("EXPNUM")) + _integer(planes.header.get("CCDNUM"))
    seed = 1 + number % _SPAN
    if name == "WGT":
        return packed.Steps(0.0, 0.01, seed)
    return packed.Steps(_noise(planes) / LEVEL if step is None else step, 0.01, seed)


def _integer(value: object) -> int:
    """Return a number as an integer, 0 for anything else."""
    return int(value) if isinstance(value, (int, float)) else 0


def _noise(planes: Planes) -> float:
    """Estimate the noise of a background pixel, from the weights or the scatter of the pixels."""
    sample = planes.wgt[::3, ::5]
    good = sample[sample > 0]
    if good.size:
        return 1.0 / math.sqrt(float(np.median(good)))
    # No weight at all: the scatter between neighbours, by its quartiles.
    steps = np.abs(np.diff(planes.sci[::3], axis=1))
    scatter = float(np.nanmedian(steps)) if steps.size else 0.0
    return scatter / 0.954 if np.isfinite(scatter) and scatter > 0 else 1.0
