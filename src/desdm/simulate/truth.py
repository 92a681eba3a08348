"""Writes what is true: the objects and planes of each CCD, the camera's constants and maps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desdm.simulate.conditions import magzero
from desdm.simulate.instrument import CCD, GRID, Camera
from desdm.simulate.newfits import new_fits
from desdm.simulate.rawfile import card
from desdm.simulate.render import Charge, Renderer
from desdm.simulate.response import Response
from desdm.simulate.shots import Shot

__all__ = ["sky_plane", "variance_plane", "write_camera", "write_truth"]

Plane = npt.NDArray[np.float32]


def sky_plane(renderer: Renderer, shot: Shot, ccd: CCD) -> Plane:
    """Return all light of the calibrated image except that of objects.

    Parameters
    ----------
    renderer, shot, ccd
        The renderer, the exposure and the CCD.

    Returns
    -------
    numpy.ndarray
        Light, electrons a pixel.
    """
    camera, maps = renderer.camera, renderer.response.maps(ccd, shot.light_band)
    x, y = np.arange(camera.nx, dtype=float) + 1.0, np.arange(camera.ny, dtype=float) + 1.0
    u, v = renderer.response.place(ccd, x, x)[0], renderer.response.place(ccd, y, y)[1]
    even = 1.0 + shot.slope[0] * u[None, :] + shot.slope[1] * v[:, None]
    return np.asarray(
        shot.sky * shot.exptime * (even + shot.ghost * maps.ghost + shot.fringe * maps.fringe), np.float32
    )


def variance_plane(renderer: Renderer, shot: Shot, ccd: CCD, light: Plane, sky: Plane) -> Plane:
    """Return the variance of the calibrated pixels: photons, and the read noise through the slope of the linearity.

    Parameters
    ----------
    renderer, shot, ccd
        The renderer, the exposure and the CCD.
    light, sky
        Light of objects and sky, electrons a pixel.

    Returns
    -------
    numpy.ndarray
        Variance, electrons².
    """
    response = renderer.response.maps(ccd, shot.light_band).response.astype(float)
    photons = response * (light.astype(float) + sky)
    read = np.empty_like(photons)
    half = renderer.camera.nx // 2
    for a, amp in enumerate(ccd.amps):
        adu = photons[:, a * half : (a + 1) * half] / amp.gain
        slope = np.interp(adu, amp.linear, np.gradient(amp.linear, GRID))
        read[:, a * half : (a + 1) * half] = (amp.rdnoise * slope) ** 2
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(response > 0, (photons + read) / response**2, np.inf), np.float32)


def write_truth(path: Path, renderer: Renderer, shot: Shot, ccdnum: int, lit: Charge) -> None:
    """Write table TRUTH of one CCD, and with ``truth='full'`` the planes MSK, NOISELESS, SKY, VAR, EXTRA.

    MSK holds survey bits; NOISELESS the objects alone, SKY all other light, both in electrons of the calibrated
    image; VAR its variance; EXTRA the electrons of cosmic rays and streaks (calibrated).

    Parameters
    ----------
    path
        Output file.
    renderer, shot
        The renderer and the exposure.
    ccdnum
        The CCD.
    lit
        Its charge.
    """
    from desdm.simulate.profile import measured_fwhm

    ccd = renderer.camera[ccdnum]
    head = [card(key, value) for key, value in renderer.wcs(shot, ccd).cards().items()]
    head += [
        card(
            "MAGZERO",
            magzero(shot.band, shot.exptime, shot.airmass, shot.cloud),
            "[mag] AB magnitude of one electron",
        ),
        card("EXPNUM", shot.expnum),
        card("CCDNUM", ccdnum),
        card("BAND", shot.band),
        card("EXPTIME", shot.exptime),
        card("SKY", shot.sky * shot.exptime, "[electron] mean sky a pixel, without ghost"),
    ]
    psf = renderer.psf(shot)
    u, v = renderer.response.place(
        ccd, np.array([renderer.camera.nx / 2 + 0.5]), np.array([renderer.camera.ny / 2 + 0.5])
    )
    centre = float(psf.shape(u, v)[0, 0])
    measured = measured_fwhm(psf, float(u[0]), float(v[0]))
    head.append(card("FWHM", measured, "[pixel] of the PSF with the pixel, at the centre"))
    with new_fits(path) as out:
        out.write(_rows(renderer, shot, ccd, lit, measured / centre), extname="TRUTH", header=head)
        if lit.light is not None and lit.extra is not None:
            sky = sky_plane(renderer, shot, ccd)
            planes: dict[str, npt.NDArray[np.float32]] = {
                "NOISELESS": lit.light,
                "SKY": sky,
                "VAR": variance_plane(renderer, shot, ccd, lit.light, sky),
                "EXTRA": lit.extra,
            }
            out.write(lit.bits, extname="MSK", compress="RICE")
            for name, plane in planes.items():
                out.write(plane, extname=name)


def _rows(renderer: Renderer, shot: Shot, ccd: CCD, lit: Charge, widening: float) -> npt.NDArray[np.void]:
    """Return the rows of table TRUTH."""
    objects, sky = lit.objects, renderer.sky
    names = ["id", "ra", "dec", "x", "y", "mag", "flux", "kind", "fwhm_pix", "radius", "blend", "isolation"]
    formats = ["i8", "f8", "f8", "f8", "f8", "f8", "f8", "S9", "f4", "f4", "?", "f4"]
    layout = np.dtype(list(zip(names, formats, strict=True)))
    if objects is None:
        return np.zeros(0, layout)
    nx, ny = renderer.camera.nx, renderer.camera.ny
    inside = (objects.x >= -0.5) & (objects.y >= -0.5) & (objects.x < nx - 0.5) & (objects.y < ny - 0.5)
    index = objects.index[inside]
    rows = np.zeros(index.size, layout)
    rows["ra"], rows["dec"], rows["x"], rows["y"] = (
        objects.ra[inside],
        objects.dec[inside],
        objects.x[inside] + 1,
        objects.y[inside] + 1,
    )
    rows["mag"], rows["flux"] = objects.mag[inside], objects.flux[inside]
    psf = renderer.psf(shot)
    rows["fwhm_pix"] = psf.shape(*renderer.response.place(ccd, rows["x"], rows["y"]))[0] * widening
    if shot.kind == "crosstalk" or sky is None:
        rows["id"], rows["kind"], rows["isolation"] = index, b"star", 15.0
        return rows
    rows["id"], rows["kind"] = sky.ident[index], renderer.kinds[index].astype("S9")
    rows["radius"], rows["isolation"] = sky.radius[index], sky.isolation[index]
    rows["blend"] = sky.isolation[index] < 2.5 * 0.263 * rows["fwhm_pix"]
    return rows


def write_camera(folder: Path, camera: Camera, response: Response, bands: tuple[str, ...]) -> None:
    """Write ``camera.json`` and one ``truth_camera_c<ccd>.fits`` a CCD.

    Parameters
    ----------
    folder
        Output folder.
    camera, response
        The camera and its response.
    bands
        Bands.
    """
    document = {
        "camera": camera.name,
        "instrume": camera.instrume,
        "nx": camera.nx,
        "ny": camera.ny,
        "radius": camera.radius,
        "flat_norm": "median 1 over the good pixels of all CCDs",
        "ccds": [
            {
                "ccdnum": c.ccdnum,
                "detpos": c.detpos,
                "efficiency": c.efficiency,
                "amps": {
                    a.name: {
                        "gain": a.gain,
                        "rdnoise": a.rdnoise,
                        "saturate": a.saturate,
                        "level": a.level,
                        "linearity": _polynomial(a.linear),
                    }
                    for a in c.amps
                },
            }
            for c in camera.ccds
        ],
        "crosstalk": [[x.victim, x.source, x.coefficient] for x in camera.crosstalk],
    }
    (folder / "camera.json").write_text(json.dumps(document, indent=1) + "\n")
    for ccd in camera.ccds:
        path = folder / f"truth_camera_c{ccd.ccdnum:02d}.fits"
        with new_fits(path) as out:
            out.write(None, header=[card("CCDNUM", ccd.ccdnum), card("DETPOS", ccd.detpos)])
            out.write(response.bias(ccd), extname="BIAS")
            out.write(response.bad(ccd), extname="BPM", compress="RICE")
            for band in bands:
                maps = response.maps(ccd, band)
                for name, plane in (
                    ("FLAT", maps.flat),
                    ("STARFLAT", maps.starflat),
                    ("GHOST", maps.ghost),
                    ("FRINGE", maps.fringe),
                ):
                    out.write(plane, extname=f"{name}_{band}")


def _polynomial(linear: npt.NDArray[np.float64]) -> list[float]:
    """c2, c3 of linear = adu + c2 adu² + c3 adu³, fitted to the table."""
    x = GRID[1:2700]
    solution = np.linalg.lstsq(np.stack([x**2, x**3], axis=1), linear[1:2700] - x, rcond=None)[0]
    return [float(v) for v in solution]
