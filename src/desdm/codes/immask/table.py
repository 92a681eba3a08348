"""The table of streaks: one file a CCD after detection, one an exposure after they are connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.immask.streaks import Streak
from desdm.errors import FileTypeError
from desdm.survey.headers import copy_wcs, wcs_of

__all__ = [
    "FOUND",
    "PREDICTED",
    "CcdStreaks",
    "Row",
    "read_streaks",
    "rows_of",
    "write_connected",
    "write_streaks",
]

#: STATUS of a row: measured in that CCD, or expected there because other CCDs have it.
FOUND, PREDICTED = "found", "predicted"


@dataclass(frozen=True, slots=True)
class Row:
    """One streak in one CCD: ``sky`` is ra1, dec1, ra2, dec2 of its ends in degrees.

    ``number`` is that of the exposure's streak (0: none yet).
    """

    ccdnum: int
    streak: Streak
    sky: tuple[float, float, float, float]
    status: str = FOUND
    number: int = 0


@dataclass(frozen=True, slots=True)
class CcdStreaks:
    """What one CCD's file holds: its rows, and the header with WCS, EXPNUM, CCDNUM, IMNAXIS1, IMNAXIS2."""

    header: fits.Header
    rows: tuple[Row, ...]

    @property
    def ccdnum(self) -> int:
        """Number of the CCD."""
        return int(self.header["CCDNUM"])

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the image."""
        return int(self.header["IMNAXIS2"]), int(self.header["IMNAXIS1"])


_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("STREAK", "J", ""),
    ("CCDNUM", "I", ""),
    ("X1", "D", "pixel"),
    ("Y1", "D", "pixel"),
    ("X2", "D", "pixel"),
    ("Y2", "D", "pixel"),
    ("HALFWIDTH", "E", "pixel"),
    ("PEAK", "E", "electron"),
    ("SIGMA", "E", "pixel"),
    ("SNR", "E", ""),
    ("RA1", "D", "deg"),
    ("DEC1", "D", "deg"),
    ("RA2", "D", "deg"),
    ("DEC2", "D", "deg"),
    ("STATUS", "9A", ""),
)


def rows_of(header: fits.Header, streaks: Sequence[Streak]) -> tuple[Row, ...]:
    """Rows of streaks detected in the image of that header; without a WCS their sky positions are NaN."""
    if "CRVAL1" not in header:
        none = (float("nan"),) * 4
        return tuple(Row(int(header.get("CCDNUM", 0)), s, none) for s in streaks)
    wcs = wcs_of(header)
    out = []
    for s in streaks:
        ra, dec = wcs.all_pix2world([s.x1, s.x2], [s.y1, s.y2], 0)
        sky = (float(ra[0]), float(dec[0]), float(ra[1]), float(dec[1]))
        out.append(Row(int(header.get("CCDNUM", 0)), s, sky))
    return tuple(out)


def _hdu(rows: Sequence[Row]) -> fits.BinTableHDU:
    """Return the binary table STREAKS of the rows."""

    def values(row: Row) -> tuple[object, ...]:
        s = row.streak
        return (
            row.number,
            row.ccdnum,
            s.x1 + 1,
            s.y1 + 1,
            s.x2 + 1,
            s.y2 + 1,
            s.half,
            s.peak,
            s.sigma,
            s.snr,
            *row.sky,
            row.status,
        )

    listed = list(zip(*map(values, rows), strict=True)) if rows else [()] * len(_COLUMNS)
    columns = [
        fits.Column(name=name, format=form, unit=unit or None, array=np.asarray(column))
        for (name, form, unit), column in zip(_COLUMNS, listed, strict=True)
    ]
    return fits.BinTableHDU.from_columns(columns, name="STREAKS")


def write_streaks(path: Path, streaks: CcdStreaks) -> None:
    """Write one CCD's file: HDU STREAKS, pixel coordinates from 1, sky coordinates ICRS."""
    primary = fits.PrimaryHDU(header=streaks.header)
    fits.HDUList([primary, _hdu(streaks.rows)]).writeto(path, overwrite=True, checksum=True)


def write_connected(path: Path, header: fits.Header, rows: Sequence[Row]) -> None:
    """Write the exposure's file: all CCDs' rows, with the exposure's keywords but no WCS.

    Parameters
    ----------
    path
        File to write.
    header
        Cards of the primary header.
    rows
        Rows of all CCDs.
    """
    fits.HDUList([fits.PrimaryHDU(header=header), _hdu(rows)]).writeto(path, overwrite=True, checksum=True)


def read_streaks(path: Path) -> CcdStreaks:
    """Read a file of `write_streaks` or `write_connected`.

    Raises
    ------
    FileTypeError
        There is no HDU STREAKS, or a column is missing.
    """
    with fits.open(path, memmap=False) as hdus:
        header = hdus[0].header.copy()
        if "STREAKS" not in [hdu.name for hdu in hdus]:
            raise FileTypeError(f"{path.name}: no HDU STREAKS; is it a table of immask?")
        data = hdus["STREAKS"].data
        missing = [name for name, _, _ in _COLUMNS if name not in (data.names or [])]
        if missing:
            raise FileTypeError(f"{path.name}: HDU STREAKS lacks {', '.join(missing)}")
        columns: dict[str, npt.NDArray[np.float64]] = {name: np.array(data[name]) for name, _, _ in _COLUMNS}
    rows = []
    for k in range(len(columns["X1"])):
        c = {name: columns[name][k] for name, _, _ in _COLUMNS}
        streak = Streak(
            float(c["X1"]) - 1,
            float(c["Y1"]) - 1,
            float(c["X2"]) - 1,
            float(c["Y2"]) - 1,
            float(c["HALFWIDTH"]),
            float(c["PEAK"]),
            float(c["SIGMA"]),
            float(c["SNR"]),
        )
        sky = (float(c["RA1"]), float(c["DEC1"]), float(c["RA2"]), float(c["DEC2"]))
        rows.append(Row(int(c["CCDNUM"]), streak, sky, str(c["STATUS"]).strip(), int(c["STREAK"])))
    return CcdStreaks(header, tuple(rows))


def ccd_streaks(header: fits.Header, shape: tuple[int, int], streaks: Sequence[Streak]) -> CcdStreaks:
    """What one CCD's file shall hold, from its image's header.

    Parameters
    ----------
    header
        Header of the CCD's image, with its WCS.
    shape
        (ny, nx) of the image.
    streaks
        Streaks detected in it.

    Returns
    -------
    CcdStreaks
        Content of the CCD's file.
    """
    head = fits.Header()
    for key in ("EXPNUM", "CCDNUM", "BAND", "NITE", "DETPOS", "INSTRUME"):
        if key in header:
            head[key] = header[key]
    head.setdefault("CCDNUM", 0)
    head["IMNAXIS1"] = (shape[1], "[pixel] width of the image")
    head["IMNAXIS2"] = (shape[0], "[pixel] height of the image")
    if "CRVAL1" in header:
        copy_wcs(header, head)
        # These keywords describe the image, not this table's HDU, which has no pixels.
        del head["WCSAXES"]
    return CcdStreaks(head, rows_of(header, streaks))


def numbered(row: Row, number: int) -> Row:
    """The row with the exposure's number of its streak."""
    return replace(row, number=number)
