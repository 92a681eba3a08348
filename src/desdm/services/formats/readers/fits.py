"""Reads FITS binary tables that a caller sent."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pyarrow as pa

from desdm.errors import UsageError
from desdm.release.model import ReleaseColumn
from desdm.services.formats.readers.model import Limits, Table, described, table_of

__all__ = ["read"]


def read(data: bytes, limits: Limits) -> Table:
    """The first binary table of a FITS file; integers equal to TNULL and empty text are null.

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
                        return _table(hdu)
        except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as err:
            raise UsageError("it is no FITS file that can be read; was it cut off on its way?") from err
    raise UsageError("the FITS file has no binary table")


def _sound(header: object, size: int, limits: Limits) -> None:
    # A header may claim anything: believe it only as far as there are bytes.
    width, count = int(header["NAXIS1"]), int(header["NAXIS2"])  # type: ignore[index]
    if "ZTABLE" in header:  # type: ignore[operator]
        raise UsageError("compressed FITS tables cannot be uploaded; send it uncompressed (funpack)")
    limits.check_rows(count)
    if width * count > size:
        raise UsageError("the FITS file is shorter than its header says; was it cut off on its way?")


def _table(hdu: object) -> Table:
    columns: list[ReleaseColumn] = []
    arrays = []
    header = hdu.header  # type: ignore[attr-defined]
    for n, column in enumerate(hdu.columns, 1):  # type: ignore[attr-defined]
        found = _arrow(column.name, hdu.data.field(n - 1), column.null)  # type: ignore[attr-defined]
        about = {
            "unit": str(column.unit or ""),
            "ucd": str(header.get(f"TUCD{n}", "")),
            "description": str(header.get(f"TCOMM{n}", "")),
        }
        arrays.append(pa.chunked_array([found]))
        columns.append(described(column.name, arrays[-1], about))
    return table_of(tuple(columns), arrays)


def _arrow(name: str, cells: np.ndarray, null: int | None) -> pa.Array:
    if cells.dtype == object:  # of differing length
        return pa.array([np.asarray(cell).tolist() for cell in cells])
    if cells.ndim > 2 or cells.dtype.kind not in "biufSU":
        raise UsageError(f"column {name}: cells of {cells.dtype.kind}{cells.shape[1:]} cannot be uploaded")
    if cells.dtype.kind in "SU":
        if cells.ndim > 1:
            raise UsageError(f"column {name}: lists of text cannot be uploaded")
        text = [str(cell).rstrip() for cell in np.asarray(cells)]
        return pa.array([t or None for t in text], pa.string())
    plain = np.ascontiguousarray(cells).astype(cells.dtype.newbyteorder("="))
    gone = plain == null if null is not None and plain.dtype.kind in "iu" else None
    if cells.ndim == 2:
        flat = pa.array(plain.ravel(), mask=None if gone is None else gone.ravel())
        return pa.FixedSizeListArray.from_arrays(flat, cells.shape[1])
    return pa.array(plain, mask=gone)
