"""What the instrument team and the reference surveys hand over before the first night."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from desdm.simulate.field import Field
from desdm.simulate.instrument import GRID, Camera
from desdm.simulate.newfits import new_fits
from desdm.simulate.rawfile import Card, card
from desdm.simulate.response import Response
from desdm.simulate.sky import generator

__all__ = ["write_instrument", "write_refcat"]


def write_instrument(folder: Path, camera: Camera, response: Response, bands: tuple[str, ...]) -> list[Path]:
    """Write crosstalk, linearity, brighter-fatter kernels, bad pixels and star flats, all exact.

    Parameters
    ----------
    folder
        Output folder.
    camera, response
        The camera and its response.
    bands
        Bands of the star flats.

    Returns
    -------
    list of Path
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = ["# crosstalk of the simulated camera: victim amplifier, source amplifier, coefficient"]
    text += [f"{x.victim:10s} {x.source:10s} {x.coefficient:.8e}" for x in camera.crosstalk]
    paths = [
        folder / f"{camera.name}_xtalk.txt",
        folder / f"{camera.name}_lintable.fits",
        folder / f"{camera.name}_bf.fits",
    ]
    paths[0].write_text("\n".join(text) + "\n")
    base = [card("INSTRUME", camera.instrume, "camera"), card("CAMERA", camera.name)]
    _lintable(paths[1], camera, base)
    _kernels(paths[2], camera, base)
    for ccd in camera.ccds:
        path = folder / f"{camera.name}_bpm_c{ccd.ccdnum:02d}.fits"
        _image(
            path,
            "MSK",
            response.bad(ccd),
            [*base, card("FILETYPE", "cal_bpm"), card("CCDNUM", ccd.ccdnum)],
            True,
        )
        paths.append(path)
        for band in bands:
            path = folder / f"{camera.name}_starflat_{band}_c{ccd.ccdnum:02d}.fits"
            head = [*base, card("FILETYPE", "cal_starflat"), card("CCDNUM", ccd.ccdnum), card("BAND", band)]
            _image(path, "SCI", response.maps(ccd, band).starflat, head, False)
            paths.append(path)
    return paths


def _image(path: Path, name: str, data: object, head: list[Card], compress: bool) -> None:
    """Write one image with its header."""
    with new_fits(path) as out:
        out.write(None, header=head)
        out.write(data, extname=name, header=head, compress="RICE" if compress else None)


def _lintable(path: Path, camera: Camera, base: list[Card]) -> None:
    """Write the linearity table of every CCD."""
    with new_fits(path) as out:
        out.write(None, header=[*base, card("FILETYPE", "cal_lintable")])
        for ccd in camera.ccds:
            rows = np.zeros(GRID.size, [("ADU", "f8"), ("ADU_LINEAR_A", "f8"), ("ADU_LINEAR_B", "f8")])
            rows["ADU"], rows["ADU_LINEAR_A"], rows["ADU_LINEAR_B"] = (
                GRID,
                ccd.amps[0].linear,
                ccd.amps[1].linear,
            )
            out.write(
                rows, extname=f"CCD{ccd.ccdnum:02d}", header=[card("CCDNUM", ccd.ccdnum)], units=["adu"] * 3
            )


def _kernels(path: Path, camera: Camera, base: list[Card]) -> None:
    """Write the brighter-fatter kernels."""
    half = camera.ar.shape[0] // 2
    head = [
        *base,
        card("FILETYPE", "cal_bf"),
        card("BUNIT", "pixel/electron"),
        card(
            "COMMENT", f"element [{half}+dy, {half}+dx] times the charge at (x+dx, y+dy) moves the right (AR)"
        ),
        card("COMMENT", "or top (AT) boundary of the pixel (x, y) outward; even light moves nothing"),
    ]
    with new_fits(path) as out:
        out.write(None, header=head)
        out.write(camera.ar, extname="AR")
        out.write(camera.at, extname="AT")


def write_refcat(path: Path, sky: Field, seed: int, faintest: float = 21.5) -> int:
    """Write the stars brighter than ``faintest`` (r) as a survey such as Gaia has them: errors of 1 mas and 5 mmag.

    Parameters
    ----------
    path
        Output file.
    sky
        The objects.
    seed
        Seed of the errors.
    faintest
        Magnitude limit in r.

    Returns
    -------
    int
        Stars written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    key = sky.mags["r"] if "r" in sky.mags else next(iter(sky.mags.values()))
    keep = np.flatnonzero(sky.star & (key < faintest))
    rng, n = generator(seed, 410), keep.size
    error = 1.0 / 3.6e6
    columns = {
        "source_id": sky.ident[keep],
        "ra": (sky.ra[keep] + rng.normal(scale=error, size=n) / np.cos(np.radians(sky.dec[keep]))) % 360.0,
        "dec": sky.dec[keep] + rng.normal(scale=error, size=n),
        "ra_error": np.full(n, 1.0),
        "dec_error": np.full(n, 1.0),
        "pmra": sky.pmra[keep] + rng.normal(scale=0.05, size=n),
        "pmdec": sky.pmdec[keep] + rng.normal(scale=0.05, size=n),
        "ref_epoch": np.full(n, sky.epoch),
    }
    units = ["", "deg", "deg", "mas", "mas", "mas/yr", "mas/yr", "yr"]
    for band, mags in sky.mags.items():
        columns[f"mag_{band}"] = mags[keep] + rng.normal(scale=0.005, size=n)
        columns[f"magerr_{band}"] = np.full(n, 0.005)
        units += ["mag", "mag"]
    rows = np.zeros(n, [(name, value.dtype) for name, value in columns.items()])
    for name, value in columns.items():
        rows[name] = value
    with new_fits(path) as out:
        out.write(rows, extname="REFCAT", units=units, header=[card("FILETYPE", "refcat_star")])
    return n
