"""Read reference catalogues: one reader for what the archive registers and what the codes use."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desdm.errors import FileTypeError
from desdm.pixels.bintable import BinTable
from desdm.pixels.cards import HDU, read_hdus
from desdm.pixels.gunzip import GZIP, gunzip
from desdm.survey.refstars.layouts import LAYOUTS, Layout
from desdm.survey.refstars.record import Array, RefStars

__all__ = ["read_stars", "stars_of", "table_of"]

#: Which rows are wanted, by right ascension and declination in degrees.
Choice = Callable[[Array, Array], npt.NDArray[np.bool_]]


def table_of(data: Any, hdus: tuple[HDU, ...]) -> tuple[BinTable, Layout]:
    """The table of stars in a file, and its layout.

    Raises
    ------
    FileTypeError
        The file has no binary table, a compressed one, or none with positions; the text says which.
    """
    tables = []
    for hdu in hdus:
        if hdu.kind != "table":
            continue
        if hdu.header.get("ZTABLE") is True:
            raise FileTypeError("its table is tile-compressed (ZTABLE); unpack it with funpack")
        table = BinTable(data, hdu)
        for layout in LAYOUTS:
            if layout.known(table):
                return table, layout
        tables.append(f"{hdu.name or 'a table'} with {', '.join(table.names[:6]) or 'no columns'}")
    if not tables:
        raise FileTypeError("it has no binary table, so no stars")
    raise FileTypeError(
        "no table with numbers in ra and dec, coord_ra and coord_dec, or raMean and decMean; it has "
        + "; ".join(tables)
    )


def stars_of(data: Any, hdus: tuple[HDU, ...], choose: Choice | None = None) -> RefStars:
    """The stars of a file that is in memory.

    Parameters
    ----------
    data
        The file's bytes.
    hdus
        Its HDUs.
    choose
        Rows that are wanted; all if None. Rows without a position on the sphere are left out in any case.

    Raises
    ------
    FileTypeError
        The file cannot be read as a reference catalogue; the text says why.
    """
    table, layout = table_of(data, hdus)
    end = table.hdu.data_start + table.hdu.data_bytes
    if end > len(data):
        raise FileTypeError(f"its table is cut off: {len(data)} bytes of {end}")
    ra, dec = layout.positions(table)
    good = np.isfinite(ra)
    if table.rows and not good.any():
        raise FileTypeError(f"none of its {table.rows} rows has a position in {layout.ra} and {layout.dec}")
    lost = int(table.rows - good.sum())
    if choose is not None:
        good[good] = choose(ra[good], dec[good])
    keep = np.flatnonzero(good)
    stars = layout.read(table, keep, ra[keep], dec[keep])
    if lost:
        text = (
            f"{lost} of {table.rows} rows have no position in {layout.ra} and {layout.dec}: they are left out"
        )
        stars = replace(stars, findings=(text, *stars.findings))
    return stars


def read_stars(path: Path, choose: Choice | None = None) -> RefStars:
    """The stars of a file on disk, gzipped or not; only the columns that are used are read.

    Raises
    ------
    FileTypeError
        The file cannot be read as a reference catalogue; the text names it and says why.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) == GZIP:
                file.seek(0)
                return _stars(gunzip(file.read()), choose)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _stars(data, choose)
    except FileTypeError as err:
        raise FileTypeError(f"{path.name}: {err}") from err
    except ValueError as err:  # mmap of an empty file
        raise FileTypeError(f"{path.name}: the file is empty") from err


def _stars(data: Any, choose: Choice | None) -> RefStars:
    """The stars of a file's bytes; no array of the result looks into them."""
    return stars_of(data, read_hdus(data, len(data)), choose)
