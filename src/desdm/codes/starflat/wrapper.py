"""Wrappers of the star flat: ``starcat`` of each CCD, ``starfit`` of a band, ``mkstarflat`` of a CCD and band."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.astrometry.reference import epoch_of_header, read_reference
from desdm.codes.colourterms import terms_of
from desdm.codes.detection.sextractor import arguments, objects
from desdm.codes.provenance import stamp
from desdm.codes.starflat.fit import Net, fit_starflat
from desdm.codes.starflat.stars import Stars, good_stars, join, read_stars, write_stars
from desdm.errors import FileTypeError
from desdm.framework.wrapper import Task
from desdm.sky.spherical import angles_to
from desdm.sky.spherical import unit as direction
from desdm.survey.bands import BANDS

__all__ = ["mkstarflat", "starcat", "starfit"]

DATA = Path(__file__).parent / "data"
F8 = npt.NDArray[np.float64]
_KEPT = ("INSTRUME", "EXPNUM", "CCDNUM", "DETPOS", "BAND", "NITE", "EXPTIME", "AIRMASS", "MJD-OBS")


def starcat(task: Task) -> None:
    """Stars of one detrended ``image``, its sky still in it; output ``stars`` (file type cal_starcat)."""
    image, scratch = task.input_on_disk("image"), task.workdir / f"{task.output('stars').stem}_se.fits"
    head = fits.getheader(image, 0)
    keys = task.keywords("sextractor_keys")
    task.run("sextractor", arguments(image, scratch, DATA / "stars.param", keys, header=head))
    apertures = [float(v) for v in str(keys.get("PHOT_APERTURES", keys.get("phot_apertures", ""))).split(",")]
    band = str(head.get("BAND", "")).strip()
    stars = good_stars(
        objects(scratch),
        head,
        apertures,
        widths=task.number("widths"),
        snr=task.number("snr"),
        extinction=BANDS[band].k if band in BANDS else 0.0,
    )
    scratch.unlink()
    out = fits.Header()
    for key in _KEPT:
        if key in head:
            out[key] = (head[key], head.comments[key])
    out["IMAGEX"], out["IMAGEY"] = (head["NAXIS1"], "[pixel] width"), (head["NAXIS2"], "[pixel] height")
    stamp(out, task.keys, task.execs, task.output("stars").name)
    write_stars(task.output("stars"), stars, out)
    task.metric("starflat_stars", len(stars.x), text="stars that can serve the star flat")


def starfit(task: Task) -> None:
    """Fit the band's star flat from the ``stars`` of all exposures; output ``fit``, none if they are too few.

    ``refcat`` (optional) holds the slope across the focal plane on nights that are not photometric.
    """
    band = task.keys["band"]
    catalogues = task.read_inputs("stars", read_stars)
    exposures = {int(c.header["EXPNUM"]) for c in catalogues}
    least = int(task.number("min_exposures"))
    if len(exposures) < least:
        task.finding(
            1, f"band {band}: {len(exposures)} star flats, {least} are needed: there is no star flat"
        )
        return
    measured, numbers = join(catalogues, _reference(task, catalogues, band))
    head = catalogues[0].header
    shape = (int(head["IMAGEY"]), int(head["IMAGEX"]))
    fit = fit_starflat(
        measured,
        Net(shape, shape[1] / task.number("cells")),
        zeropoint_prior=task.number("zeropoint_prior"),
        curvature=task.number("curvature"),
        floor=task.number("floor"),
    )
    out = fits.Header()
    for key in ("INSTRUME", "BAND"):
        if key in head:
            out[key] = head[key]
    nites = sorted(str(c.header["NITE"]) for c in catalogues if "NITE" in c.header)
    if nites:
        out["NITE"], out["NITEMIN"], out["NITEMAX"] = nites[-1], nites[0], nites[-1]
    out["NEXP"] = (len(numbers), "exposures used")
    out["STARRMS"] = (fit.rms, "[mag] scatter about the fit")
    out["STARCHI2"] = (fit.chi2, "chi2 per degree of freedom")
    stamp(out, task.keys, task.execs, task.output("fit").name)
    hdus = [fits.PrimaryHDU(header=out)]
    for ccdnum, nodes in sorted(fit.response.items()):
        hdu = fits.ImageHDU(nodes, name=f"CCD{ccdnum:02d}")
        hdu.header["CCDNUM"] = (ccdnum, "CCD number")
        hdu.header["IMAGEX"], hdu.header["IMAGEY"] = shape[1], shape[0]
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(task.output("fit"), overwrite=True, checksum=True)
    task.metric("starflat_rms", fit.rms, "mag", text="scatter of the stars about the fit")
    task.metric("starflat_chi2", fit.chi2, text="chi2 per degree of freedom")
    task.metric("starflat_used", fit.used, text="measurements used")
    drift = float(np.std(fit.zeropoint[: len(numbers)]))
    task.metric("starflat_drift", drift, "mag", text="scatter of the exposures' zero points")
    if drift > task.number("max_drift") and not task.inputs.get("refcat"):
        task.finding(
            2,
            f"band {band}: zero points of the star flats scatter by {drift:.4f} mag and no reference catalogue holds the "
            "slope of the star flat",
        )


def mkstarflat(task: Task) -> None:
    """The star flat of one CCD and band from the ``fit``; output ``starflat`` (file type cal_starflat)."""
    ccdnum = int(task.keys["ccdnum"])
    if not task.inputs.get("fit"):
        task.write_log(f"CCD {ccdnum}, band {task.keys['band']}: no star flat is fitted")
        return
    path = task.input("fit")
    with fits.open(path, memmap=False) as hdus:
        name = f"CCD{ccdnum:02d}"
        if name not in hdus:
            raise FileTypeError(f"{path.name}: no star was measured on CCD {ccdnum}; it has no star flat")
        shape = int(hdus[name].header["IMAGEY"]), int(hdus[name].header["IMAGEX"])
        nodes, head = np.array(hdus[name].data, np.float64), hdus[0].header.copy()
    net = Net(shape, shape[1] / (nodes.shape[1] - 1))
    head["CCDNUM"] = (ccdnum, "CCD number")
    stamp(head, task.keys, task.execs, task.output("starflat").name)
    image = net.image(nodes)
    hdu = fits.PrimaryHDU(image, head)
    hdu.header["EXTNAME"] = ("SCI", "star flat, mean 1 over the focal plane")
    hdu.writeto(task.output("starflat"), overwrite=True, checksum=True)
    task.metric("starflat_level", float(image.mean()), text="mean of the CCD's star flat")


def _reference(task: Task, catalogues: list[Stars], band: str) -> tuple[F8, F8, F8, F8] | None:
    """Read the magnitudes of reference stars in the field: (ra, dec, mag, error); None without any."""
    some = [c for c in catalogues if len(c.ra)]
    if not task.inputs.get("refcat") or not some:
        return None
    ra, dec = np.concatenate([c.ra for c in some]), np.concatenate([c.dec for c in some])
    first = float(ra[0])
    middle = (first + float(np.median((ra - first + 180.0) % 360.0 - 180.0))) % 360.0, float(np.median(dec))
    epoch = epoch_of_header(some[0].header, partial(task.finding, 2))
    reach = float(np.degrees(angles_to(direction(*middle), direction(ra, dec))).max()) + 0.1
    reference = read_reference(task.inputs["refcat"], epoch, *middle, reach, partial(task.finding, 2))
    standard = reference.standard(band, terms_of(task.settings, task.name)) if reference is not None else None
    if reference is None or standard is None or not standard.known:
        task.finding(3, f"band {band}: no reference magnitudes over the star flats' field")
        return None
    floor = task.number("reference_error")
    mag, error = standard.mag, np.hypot(np.nan_to_num(standard.error, nan=0.0), floor)
    known = np.isfinite(mag)
    if (known & reference.star).any():
        known &= reference.star  # the magnitudes of galaxies depend on the aperture
    return reference.ra[known], reference.dec[known], mag[known], error[known]
