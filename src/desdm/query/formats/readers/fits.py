"""Reads FITS binary tables that a caller sent."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pyarrow as pa

from desdm.errors import UsageError
from desdm.query.formats.readers import fitscells
from desdm.query.formats.readers.model import Limits, Table, described, table_of
from desdm.release.model import ReleaseColumn

__all__ = ["read"]


def read(data: bytes, limits: Limits) -> Table:
    """The first binary table of a FITS file.

    Null are integers that are stored as TNULL, logicals that are neither T nor F, and text without a character.

    Raises
    ------
    UsageError
        If there is none, or it is cut off or damaged.
    LimitExceeded
        If it has too many rows.
    """
    from astropy.io import fits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with fits.open(
                io.BytesIO(data), memmap=False, lazy_load_hdus=True, disable_image_compression=True
            ) as file:
                for hdu in file:
                    if isinstance(hdu, fits.BinTableHDU):
                        _sound(hdu.header, len(data), limits)
                        return _table(hdu, data)
        except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as err:
            raise UsageError("not a FITS file that can be read; was the upload cut off?") from err
    raise UsageError("the FITS file has no binary table")


def _sound(header: object, size: int, limits: Limits) -> None:
    """Raise if a header promises more rows or bytes than the file and the limits allow."""
    # A header may claim anything: believe it only as far as there are bytes.
    width, count = int(header["NAXIS1"]), int(header["NAXIS2"])  # type: ignore[index]
    if "ZTABLE" in header:  # type: ignore[operator]
        raise UsageError("compressed FITS tables cannot be uploaded; send it uncompressed (funpack)")
    limits.check_rows(count)
    if width * count > size:
        raise UsageError("the FITS file is shorter than its header says; was it cut off on its way?")


def _table(hdu: object, data: bytes) -> Table:
    """Return the table of a binary table HDU."""
    header, start = hdu.header, int(hdu.fileinfo()["datLoc"])  # type: ignore[attr-defined]
    width, count = int(header["NAXIS1"]), int(header["NAXIS2"])
    stored = fitscells.stored_columns(header)
    rows = np.frombuffer(data, np.uint8, width * count, start).reshape(count, width)
    heap_at = int(header.get("THEAP", width * count))
    heap = data[start + heap_at : start + width * count + int(header.get("PCOUNT", 0))]
    columns: list[ReleaseColumn] = []
    arrays = []
    for n, column in enumerate(stored, 1):
        array = fitscells.column(column, rows, heap)
        if array is None:
            continue
        about = {
            "unit": str(header.get(f"TUNIT{n}", "")),
            "ucd": str(header.get(f"TUCD{n}", "")),
            "description": str(header.get(f"TCOMM{n}", "")),
        }
        arrays.append(pa.chunked_array([array]))
        columns.append(described(column.name, arrays[-1], about))
    return table_of(tuple(columns), arrays)
