"""Reader of uploaded FITS binary tables."""

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
    """Read the first binary table of a FITS file.

    Null are integers equal to TNULL, logicals other than T and F, and empty text.

    Raises
    ------
    UsageError
        There is none, or the file is truncated or damaged.
    LimitExceeded
        It has too many rows.
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
                        _check_size(hdu.header, len(data), limits)
                        return _table(hdu, data)
        except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as err:
            raise UsageError("not a readable FITS file; it may be truncated") from err
    raise UsageError("the FITS file has no binary table")


def _check_size(header: object, size: int, limits: Limits) -> None:
    """Raise if a header has more rows or bytes than the file and the limits allow."""
    # The header may be wrong: its sizes are compared with that of the file.
    width, count = int(header["NAXIS1"]), int(header["NAXIS2"])  # type: ignore[index]
    if "ZTABLE" in header:  # type: ignore[operator]
        raise UsageError("compressed FITS tables cannot be uploaded; decompress it (funpack)")
    limits.check_rows(count)
    if width * count > size:
        raise UsageError("the FITS file is shorter than its header says; it may be truncated")


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
