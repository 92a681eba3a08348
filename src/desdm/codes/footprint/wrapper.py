"""Wrapper of ``footprint``: the HealSparse map of a coadd, and the images that it is computed from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS

from desdm.codes.coadd.swarp import inputs_of
from desdm.codes.footprint.cells import FIELDS, Grid, cells_of, exposures
from desdm.codes.provenance import stamp
from desdm.errors import FileTypeError
from desdm.framework.wrapper import Task
from desdm.survey.headers import footprint as outline
from desdm.survey.headers import wcs_of

__all__ = ["footprint"]

#: One row an image: corners in their order on the detector, ICRS degrees.
_IMAGES = [
    ("EXPNUM", "i8"),
    ("CCDNUM", "i2"),
    ("MJD_OBS", "f8"),
    ("EXPTIME", "f4"),
    ("RAC", "f8", (4,)),
    ("DECC", "f8", (4,)),
    ("FILENAME", "U80"),
]


def footprint(task: Task) -> None:
    """Map the coadd ``image`` of the images ``nwgints``; output ``footprint`` (file type coadd_footprint).

    ``depth`` (coadd_depth) tells how much the noise of an aperture exceeds that of independent pixels.
    """
    nside = int(task.number("nside", 4096))
    msk, wgt = _planes(task.input("image"))
    head = fits.getheader(task.input("image"), 0)
    depth = json.loads(task.input("depth").read_text("utf-8"))
    grid = Grid(wcs_of(head), wgt.shape, int(task.number("block", 4)))
    rows: list[tuple[Any, ...]] = []
    count = exposures(grid, _images(_added(task, head), rows))
    cells, values = cells_of(
        grid,
        msk,
        wgt,
        count,
        zero=float(head["MAGZERO"]),
        pixscale=float(head["PIXSCALE"]),
        correlation=float(depth["correlation"]),
        nside=nside,
    )
    _write(task, head, (cells, values), rows, nside)
    area = 4 * np.pi * np.degrees(1) ** 2 / (12 * nside**2) * 3600.0
    task.metric("footprint_cells", cells.size, text="HEALPix cells with good pixels")
    task.metric("footprint_area", float(values["fraction"].sum()) * area, "arcmin2", text="their good area")


def _planes(path: Path) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Read mask and weight planes (ny, nx) of an image."""
    with fitsio.FITS(str(path)) as file:
        names = {hdu.get_extname(): i for i, hdu in enumerate(file)}
        if not {"SCI", "MSK", "WGT"} <= set(names):
            raise FileTypeError(f"{path.name}: no planes SCI, MSK and WGT")
        return file[names["MSK"]].read(), file[names["WGT"]].read()


def _added(task: Task, head: fits.Header) -> tuple[Path, ...]:
    """Those of the images ``nwgints`` that are in the coadd, which may have left some out; all if it does not tell."""
    added, paths = inputs_of(head), task.inputs.get("nwgints", ())
    if not added:
        return paths
    heads = ((path, fits.getheader(path, 0)) for path in paths)
    return tuple(p for p, h in heads if (int(h.get("EXPNUM", 0)), int(h.get("CCDNUM", 0))) in added)


def _images(paths: tuple[Path, ...], rows: list[tuple[Any, ...]]) -> Iterator[tuple[WCS, Any]]:
    """WCS and weights of each image, one at a time; what each is goes into ``rows``."""
    for path in paths:
        _, wgt = _planes(path)
        head = fits.getheader(path, 0)
        where = outline(head, wgt.shape)
        rows.append(
            (
                head.get("EXPNUM", 0),
                head.get("CCDNUM", 0),
                head.get("MJD-OBS", np.nan),
                head.get("EXPTIME", np.nan),
                where.rac,
                where.decc,
                head.get("DESFNAME", path.name),
            )
        )
        yield wcs_of(head), wgt


def _write(
    task: Task,
    head: fits.Header,
    cells: tuple[npt.NDArray[np.int64], npt.NDArray[np.void]],
    rows: list[tuple[Any, ...]],
    nside: int,
) -> None:
    """HealSparse's own format (HDUs COV and SPARSE), and a table IMAGES that its readers pass over."""
    from healsparse import HealSparseMap

    kind = np.dtype(FIELDS)
    whole = HealSparseMap.make_empty(min(32, nside), nside, kind, primary="depth")
    whole.update_values_pix(cells[0], cells[1])
    card = fits.Header()
    corners = [f"{c}{i}" for i in range(1, 5) for c in ("RAC", "DECC")]
    for key in ("TILENAME", "BAND", "NCOMBINE", "EXPTIME", "MJD-OBS", *corners):
        if key in head:
            card[key] = head[key]
    out = task.output("footprint")
    stamp(card, task.keys, task.execs, out.name)
    whole.metadata = dict(card)
    whole.write(str(out), clobber=True)
    table = np.array(sorted(rows, key=lambda row: row[:2]), _IMAGES)
    with fitsio.FITS(str(out), "rw") as file:
        file.write(table, extname="IMAGES", units=["", "", "d", "s", "deg", "deg", ""])
        for hdu in file:
            hdu.write_checksum()
