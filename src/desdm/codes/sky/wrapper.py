"""Wrappers of the sky: ``skycompress``, ``skycombine``, ``skyfit``; ``skypca`` and ``skytemplate`` for supercal."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import fitsio
import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.nullweight.standard import bits_of
from desdm.codes.provenance import stamp
from desdm.codes.sky.blocks import centres
from desdm.codes.sky.fit import SkyFit, fit_sky
from desdm.codes.sky.minisky import (
    KEPT,
    CcdSky,
    combine,
    read_ccdsky,
    read_minisky,
    write_ccdsky,
    write_minisky,
)
from desdm.codes.sky.model import CoarseSky, write_skyfit
from desdm.codes.sky.objects import object_pixels, sky_between
from desdm.codes.sky.pca import SkyPca, components_for, read_pca, sky_pca, write_pca
from desdm.codes.sky.pointings import Pointing, independent_exposures, pointing_of, shortage
from desdm.codes.sky.templates import ReadRows, sky_templates
from desdm.errors import ProgramFailed
from desdm.framework.wrapper import Task
from desdm.survey.images import read_planes

__all__ = ["skycombine", "skycompress", "skyfit", "skypca", "skytemplate"]


def skycompress(task: Task) -> None:
    """Block medians of one CCD's sky. Input ``image`` (electrons, flat-fielded), output ``mini``."""
    planes = task.view_input(task.input("image"), read_planes)
    name = task.input("image").name
    bad = ((planes.msk & bits_of(task.text("bad_mask"))) != 0) | ~np.isfinite(planes.sci)
    size = _block(task, planes.shape)
    blocks = sky_between(
        planes.sci,
        bad,
        size,
        threshold=task.number("threshold", 3.0),
        reach=int(task.number("reach", 2)),
        least=task.number("least_good", 0.15),
        statistic=task.text("statistic", "median"),
    )
    known = np.isfinite(blocks.level)
    if not known.any():
        raise ProgramFailed(f"{name}: no block of {size} pixels has enough good ones; is the CCD dead?")
    if known.mean() < task.number("least_blocks", 0.5):
        task.finding(2, f"{name}: only {100 * known.mean():.0f} % of the blocks have a sky")
    head = fits.Header()
    for key in (*KEPT, "CCDNUM", "DETSEC"):
        if key in planes.header:
            head[key] = planes.header[key]
    ccdnum = int(planes.header.get("CCDNUM", task.keys.get("ccdnum", "0")))
    stamp(head, task.keys, task.execs, task.output("mini").name)
    task.write_output("mini", CcdSky(ccdnum, blocks, planes.shape, head), write_ccdsky)
    task.metric(
        "sky", float(np.median(blocks.level[known])), "electron", text="median sky of a pixel of the CCD"
    )


def _block(task: Task, shape: tuple[int, int]) -> int:
    """The setting ``block``, or, for CCDs that it would cut into too few, the setting of small cameras."""
    size = int(task.number("block", 128))
    return size if min(shape) >= 8 * size else int(task.number("block_small", 32))


def skycombine(task: Task) -> None:
    """The exposure's mini-sky. Input ``minis`` (every CCD's), output ``minisky``."""
    sky = combine(task.read_inputs("minis", read_ccdsky))
    stamp(sky.header, task.keys, task.execs, task.output("minisky").name)
    task.write_output("minisky", sky, write_minisky)
    task.metric("ccds", len(sky.places), text="CCDs in the mini-sky")


def skyfit(task: Task) -> None:
    """The sky of an exposure. Inputs ``minisky``, ``skypc`` (components of the band; optional), output ``skyfit``."""
    sky = task.read_input("minisky", read_minisky)
    name, pcs = task.input("minisky").name, task.optional("skypc")
    components = None
    if pcs is not None:
        pca = task.read_input("skypc", read_pca)
        components = components_for(pca, sky)
    else:
        task.finding(3, f"{name}: no sky components of its band; the sky is the smoothed mini-sky itself")
    fit = fit_sky(sky, components, clip=task.number("clip", 3.0), smooth=task.number("smooth", 0.7))
    if fit is None:
        raise ProgramFailed(f"{name}: no block of the exposure's sky is known")
    if components is not None and fit.value.size == 0:
        task.finding(2, f"{name}: too few blocks for the sky components; the smoothed mini-sky is used")
    _judge(task, fit, name)
    head = fits.Header()
    for key in ("EXPNUM", "BAND", "NITE", "MJD-OBS", "EXPTIME", "INSTRUME", "OBJECT"):
        if key in sky.header:
            head[key] = sky.header[key]
    head["SKYPC"] = (
        pcs.name if pcs is not None and fit.value.size else ""
    )  # names of files leave no room for a comment
    stamp(head, task.keys, task.execs, task.output("skyfit").name)
    write_skyfit(task.output("skyfit"), fit, head)
    _measures(task, fit, sky.header.get("EXPTIME"))


def _judge(task: Task, fit: SkyFit, name: str) -> None:
    """Add findings on a sky that is not positive, or that the templates fit badly."""
    if fit.level <= 0:
        task.finding(
            2,
            f"{name}: the sky is {fit.level:.1f} electrons; was it subtracted before, or the shutter closed?",
        )
    elif fit.rms > task.number("most_rms", 0.02) * fit.level:
        task.finding(
            2,
            f"{name}: blocks differ by {100 * fit.rms / fit.level:.1f} % from the fitted sky (stray light, clouds?)",
        )


def _measures(task: Task, fit: SkyFit, exptime: object) -> None:
    """Write level, rate, scatter and gradient of the sky as metrics."""
    task.metric("sky", fit.level, "electron", text="median sky of a pixel")
    if isinstance(exptime, (int, float)) and exptime > 0:
        task.metric("sky_rate", fit.level / exptime, "electron/s/pixel", text="median sky rate of a pixel")
    task.metric("sky_sigma", fit.sigma, "electron", text="scatter of one pixel of sky")
    task.metric(
        "sky_gradient", fit.gradient, "", text="range of the sky over the field, relative to its median"
    )
    task.metric("sky_rms", fit.rms, "electron", text="rms of the blocks about the fitted sky")
    task.metric("sky_clipped", fit.clipped, "", text="blocks left out as objects")
    for k, (value, error) in enumerate(zip(fit.value, fit.error, strict=True), start=1):
        task.metric(
            f"sky_coeff{k}", float(value), "electron", text=f"coefficient of template {k}, ± {error:.3g}"
        )


def skypca(task: Task) -> None:
    """Principal components of a band's sky. Input ``minisky`` (many exposures), output ``skypc``."""
    skies = task.read_inputs("minisky", read_minisky)
    pca = sky_pca(
        skies,
        most=int(task.number("most", 5)),
        least_exposures=int(task.number("least_exposures", 3)),
        least_pointings=int(task.number("least_pointings", 5)),
        least_dither=task.number("least_dither", 30.0),
        most_missing=task.number("most_missing", 0.2),
        nsigma=task.number("nsigma", 6.0),
        most_rms=task.number("most_rms", 0.02),
    )
    for out in pca.rejected:
        task.finding(2, f"exposure {out.expnum} is left out of the sky components: {out.reason}")
    head = _calibration_header(task, [s.header for s in skies], len(pca.expnums))
    stamp(head, task.keys, task.execs, task.output("skypc").name)
    write_pca(task.output("skypc"), pca, head)
    task.metric("sky_components", pca.components.shape[0], text="sky components that stand out of the noise")
    task.metric("exposures", len(pca.expnums), text="exposures used")
    task.metric("exposures_rejected", len(pca.rejected), text="exposures left out")
    task.metric(
        "sky_pc_rms", float(np.median(pca.rms)), text="median rms of blocks about the components, of the sky"
    )


def skytemplate(task: Task) -> None:
    """Full-resolution templates of one CCD.

    Inputs ``image`` (detrended, sky not subtracted; many exposures of one CCD), ``skypc``; output ``skytempl``.
    One exposure of each independent pointing is used, and its objects do not lead the fit; templates that hold objects
    nevertheless, or that too few pointings would make, are refused.
    """
    pca = task.read_input("skypc", read_pca)
    images = {image.expnum: image for image in _sky_images(task.inputs_on_disk("image"))}
    paths = {expnum: image.path for expnum, image in images.items()}
    numbers = [n for n in pca.expnums if n in paths]
    if len(numbers) < max(3, pca.components.shape[0] + 1):
        raise ProgramFailed(
            f"{task.name}: {len(numbers)} of the images are of exposures that the components were derived from; "
            f"{max(3, pca.components.shape[0] + 1)} are needed"
        )
    dither, pointings = task.number("least_dither", 30.0), [images[n].pointing for n in numbers]
    if few := shortage(pointings, dither, int(task.number("least_pointings", 5))):
        raise ProgramFailed(f"{task.name}: {few}")
    numbers = [numbers[k] for k in independent_exposures(pointings, dither)]
    if len(numbers) <= pca.components.shape[0]:
        raise ProgramFailed(
            f"{task.name}: {pca.components.shape[0]} components need {pca.components.shape[0] + 1} independent pointings, "
            f"the images are of {len(numbers)}"
        )
    first = paths[numbers[0]]
    head, shape = _first(first)
    ccdnum = int(head.get("CCDNUM", task.keys.get("ccdnum", "0")))
    coarse = _coarse(pca, ccdnum, shape, first.name)
    coefficients = np.array([pca.coefficients[pca.expnums.index(n)] for n in numbers])
    bits = bits_of(task.text("bad_mask"))
    made = sky_templates(
        [_reader(paths[n], bits, shape) for n in numbers],
        coefficients,
        coarse,
        shape,
        objects=[_objects(task, paths[n], bits) for n in numbers],
        read_noise=task.number("read_noise", 7.0),
        clip=task.number("clip", 3.0),
        smooth=task.number("smooth", 2.0),
        memory=int(task.number("memory_mb", 256)) << 20,
    )
    cube = made.cube
    task.metric(
        "object_frac", made.object_part, text="fraction of object pixels whose light a template holds"
    )
    if made.object_part > task.number("most_objects", 0.2):
        raise ProgramFailed(
            f"CCD {ccdnum}: the sky templates hold the light of {100 * made.object_part:.0f} % of the pixels of an "
            "exposure's objects, and would take it from every image; no template is made: add exposures of other fields"
        )
    out = _calibration_header(task, [head], len(numbers))
    out["CCDNUM"] = ccdnum
    out["NTEMPL"] = (cube.shape[0], "templates")
    out["SKYPC"] = task.input("skypc").name
    out["OBJFRAC"] = (made.object_part, "object pixels whose light a template holds")
    out["EXTNAME"] = "TEMPLATES"
    stamp(out, task.keys, task.execs, task.output("skytempl").name)
    fits.PrimaryHDU(cube, out).writeto(task.output("skytempl"), overwrite=True, checksum=True)
    task.metric("prior_frac", made.prior_part, text="fraction of pixels that too few exposures show")
    if made.prior_part > task.number("most_prior", 0.1):
        task.finding(
            2, f"CCD {ccdnum}: {100 * made.prior_part:.0f} % of the pixels have no sky template of their own"
        )


class _SkyImage(NamedTuple):
    """An image of the sky, of which exposure it is, and where that pointed."""

    expnum: int
    path: Path
    pointing: Pointing


def _sky_images(paths: tuple[Path, ...]) -> list[_SkyImage]:
    """Exposure number and pointing of each file."""
    out = []
    for path in paths:
        with fits.open(path) as hdus:
            headers = [h.header for h in hdus if "EXPNUM" in h.header]
            pointing = pointing_of(headers[0]) if headers else None
        if not headers:
            raise ProgramFailed(
                f"{path.name}: no EXPNUM in its header, so its sky coefficients are not known"
            )
        out.append(_SkyImage(int(headers[0]["EXPNUM"]), path, pointing))
    return out


def _first(path: Path) -> tuple[fits.Header, tuple[int, int]]:
    """Return header and shape of an image."""
    planes = read_planes(path)
    return planes.header, planes.shape


def _objects(task: Task, path: Path, bits: int) -> npt.NDArray[np.uint8]:
    """Pixels of an image with objects, as rows of bits: an image's worth of bytes an exposure would be too much."""
    planes = read_planes(path)
    bad = ((planes.msk & bits) != 0) | ~np.isfinite(planes.sci)
    near = object_pixels(
        np.ascontiguousarray(planes.sci, np.float32),
        bad,
        _block(task, planes.shape),
        threshold=task.number("threshold", 3.0),
        reach=int(task.number("reach", 3)),
    )
    return np.packbits(near & ~bad, axis=1)


def _coarse(pca: SkyPca, ccdnum: int, shape: tuple[int, int], name: str) -> list[CoarseSky]:
    """Return the sky components on the blocks of one CCD."""
    place = next((p for p in pca.places if p.ccdnum == ccdnum), None)
    if place is None or (place.ny, place.nx) != shape:
        raise ProgramFailed(f"{name}: the sky components do not know CCD {ccdnum} with {shape} pixels")
    x, y = (centres(n, place.size).astype(np.float32) for n in (shape[1], shape[0]))
    out = []
    for component in pca.components:
        grid = component[place.window]
        # A block unknown to the components takes their typical value on this CCD.
        filled = np.where(np.isfinite(grid), grid, np.nanmedian(grid)).astype(np.float32)
        out.append(CoarseSky(np.ascontiguousarray(filled), x, y, place.size))
    return out


def _reader(path: Path, bits: int, shape: tuple[int, int]) -> ReadRows:
    """Rows of a 3-plane file, without reading the others."""

    def read(first: int, stop: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        with fitsio.FITS(str(path)) as hdus:
            names = {str(h.get_extname()).upper(): h for h in hdus}
            sci = names.get("SCI", hdus[0])
            if tuple(sci.get_dims()) != shape:
                raise ProgramFailed(
                    f"{path.name}: image of {tuple(sci.get_dims())}, others of this CCD have {shape}"
                )
            data = np.asarray(sci[first:stop, :], np.float32)
            msk = (
                np.asarray(names["MSK"][first:stop, :]) if "MSK" in names else np.zeros(data.shape, np.int32)
            )
        return data, (msk & bits) != 0

    return read


def _calibration_header(task: Task, headers: list[fits.Header], count: int) -> fits.Header:
    """BAND, NITEMIN, NITEMAX, NEXP of a calibration."""
    head = fits.Header()
    for key in ("INSTRUME", "BAND"):
        if key in headers[0]:
            head[key] = headers[0][key]
    nites = sorted(str(h["NITE"]) for h in headers if h.get("NITE"))
    if nites:
        head["NITEMIN"] = task.keys.get("nitemin", nites[0])
        head["NITEMAX"] = task.keys.get("nitemax", nites[-1])
    head["NEXP"] = (count, "exposures used")
    return head
