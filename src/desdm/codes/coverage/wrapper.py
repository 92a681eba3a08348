"""Wrapper of ``hpixmap``: the HEALPix cells that an exposure covers with good pixels."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.coverage.cells import Coverage, cells_of
from desdm.codes.provenance import stamp
from desdm.errors import FileTypeError, ProgramFailed
from desdm.framework.wrapper import Task
from desdm.survey.headers import identity, wcs_of

__all__ = ["hpixmap"]


def hpixmap(task: Task) -> None:
    """Map the good pixels of an exposure's ``images``; output ``map`` (file type hpix_map).

    Only masks and headers are read, one CCD at a time.
    """
    nside = int(task.number("nside", 4096))
    whole, heads = Coverage(nside), []
    for path in task.inputs_on_disk("images"):
        try:
            msk, header = _mask(path)
        except (OSError, FileTypeError) as err:
            task.finding(2, f"{path.name}: left out of the coverage map: {err}")
            continue
        whole.add(*cells_of(wcs_of(header), msk, nside, samples=int(task.number("samples", 12))))
        heads.append(header)
    if not heads:
        raise ProgramFailed(f"{task.name}: no CCD of the exposure can be mapped")
    cells, fraction = whole.result()
    _write(task, heads, cells, fraction, nside)
    area = float(fraction.sum()) * 4.0 * np.pi * (180.0 / np.pi) ** 2 / (12 * nside**2)
    task.metric("area", area, "deg2", text="sky under good pixels")
    task.metric("cells", cells.size, text="HEALPix cells touched")


def _mask(path: Path) -> tuple[npt.NDArray[np.int32], fits.Header]:
    """Read the mask plane (ny, nx) and the science header of an image."""
    with fitsio.FITS(str(path)) as file:
        names = {hdu.get_extname(): i for i, hdu in enumerate(file)}
        if not {"SCI", "MSK"} <= set(names):
            raise FileTypeError(f"{path.name}: no planes SCI and MSK")
        msk, number = file[names["MSK"]].read(), names["SCI"]
    return msk, fits.getheader(path, number)


def _write(
    task: Task,
    heads: list[fits.Header],
    cells: npt.NDArray[np.int64],
    fraction: npt.NDArray[np.float64],
    nside: int,
) -> None:
    """Write the table of cells with the share of good pixels in each."""
    card = fits.Header()
    for key, value in identity(heads[0]).items():
        if key not in ("CCDNUM", "CCDNAME"):
            card[key] = value
    card["NCCD"] = (len(heads), "CCDs that are mapped")
    stamp(card, task.keys, task.execs, task.output("map").name)
    table = fits.BinTableHDU.from_columns(
        [fits.Column("PIXEL", "K", array=cells), fits.Column("COVERAGE", "E", array=fraction)], name="HPIXMAP"
    )
    # The words by which HEALPix tables are known (HEALPix FITS format specification, sparse maps).
    for key, value, text in (
        ("PIXTYPE", "HEALPIX", "pixelisation"),
        ("ORDERING", "NESTED", "numbering of the pixels"),
        ("NSIDE", nside, "resolution"),
        ("INDXSCHM", "EXPLICIT", "pixels are named in a column"),
        ("OBJECT", "PARTIAL", "part of the sky"),
        ("COORDSYS", "C", "celestial (ICRS)"),
    ):
        table.header[key] = (value, text)
    fits.HDUList([fits.PrimaryHDU(header=card), table]).writeto(
        task.output("map"), overwrite=True, checksum=True
    )
