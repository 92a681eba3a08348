"""Raw exposures of a camera of four CCDs as a telescope delivers them, written with astropy; and faults in their bytes."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

import numpy as np
from astropy.io import fits

from desdm.archive.archive import Archive
from desdm.operations.dts import Receiver
from desdm.operations.dts.places import Places
from desdm.schema.database import Database

__all__ = ["NIGHT", "md5_of", "raw_frame", "receiver", "without_card"]

NIGHT = "20121120"


def raw_frame(
    path: Path, expnum: int, *, images: int = 4, shade: int = 0, **cards: str | int | float | None
) -> Path:
    """Write a raw exposure.

    Parameters
    ----------
    path
        File, or directory in which it gets the name that the camera gives.
    expnum
        Exposure number.
    images
        CCDs in the file; NEXTEND promises four.
    shade
        Added to the pixels: another shade is another exposure.
    cards
        Further keywords of the primary header, or other values; None leaves a keyword out.
    """
    if path.is_dir():
        path = path / f"DECam_{expnum:08d}.fits"
    primary = fits.PrimaryHDU()
    values = {
        "INSTRUME": "MINICAM",
        "PROPID": "2012B-0001",
        "EXPNUM": expnum,
        "OBSTYPE": "object",
        "OBJECT": "DES survey hex",
        "FILTER": "r DECam SDSS c0002 6415.0 1480.0",
        "EXPTIME": 90.0,
        "DATE-OBS": f"2012-11-21T0{expnum % 8}:{expnum % 60:02d}:00",
        "NITE": NIGHT,
        "NEXTEND": 4,
        "PROCTYPE": "RAW",
        **{key.replace("_", "-"): value for key, value in cards.items()},
    }
    for key, value in values.items():
        if value is not None:
            primary.header[key] = value
    hdus = [primary]
    rng = np.random.default_rng(expnum)
    for ccdnum in range(1, images + 1):
        pixels = rng.integers(900, 1100, (48, 64)).astype(np.int32) + shade
        hdu = fits.ImageHDU(pixels, name=f"CCD{ccdnum}")
        hdu.header["CCDNUM"] = ccdnum
        hdu.header["DATASEC"] = "[9:64,1:48]"
        hdu.header["BIASSEC"] = "[1:8,1:48]"
        hdu.header["GAIN"], hdu.header["SATURATE"] = 4.0, 60000.0
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


def without_card(path: Path, keyword: str) -> None:
    """Blank the card of a keyword in the primary header, byte by byte."""
    data = bytearray(path.read_bytes())
    at = data.index(keyword.ljust(8).encode() + b"=")
    assert at % 80 == 0
    data[at : at + 80] = b" " * 80
    path.write_bytes(data)


def md5_of(path: Path) -> str:
    """Return the md5 of a file."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def receiver(database: Database, archive: Archive, home: Path, now: datetime) -> Receiver:
    """Return a receiver whose clock stands still."""
    return Receiver(database, archive, Places(home), lambda: now)
