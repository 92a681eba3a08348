"""The command line of SWarp, and the 3-plane coadd assembled from its output."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.survey.images import Planes
from desdm.survey.tiles import Tile

__all__ = [
    "add_exposures",
    "arguments",
    "by_exposure",
    "coadd_header",
    "inputs_of",
    "read_output",
    "weighted_mean",
]

_INPUT = re.compile(r"EXP\d{5}")
DATA = Path(__file__).parent / "data"


def arguments(
    images: Path,
    weights: Path,
    scales: Sequence[float],
    tile: Tile,
    out: Path,
    out_weight: Path,
    scratch: Path,
    settings: Mapping[str, str],
) -> list[str]:
    """Arguments to resample and add the images listed in ``images`` on the tile's grid.

    Parameters
    ----------
    images, weights
        Text files, a line each: ``file[0]`` and ``file[2]``.
    scales
        Factor of each image to the common zero point. They are handed over here, not read from the images, because
        exposures may have been tied to each other since.
    tile
        The grid.
    out, out_weight
        What SWarp writes.
    scratch
        Folder for its resampled images.
    settings
        Section of SWarp keywords.
    """
    args = [f"@{images}", "-c", str(DATA / "default.swarp")]
    args += ["-WEIGHT_TYPE", "MAP_WEIGHT", "-WEIGHT_IMAGE", f"@{weights}"]
    args += ["-IMAGEOUT_NAME", str(out), "-WEIGHTOUT_NAME", str(out_weight), "-RESAMPLE_DIR", str(scratch)]
    args += ["-CELESTIAL_TYPE", "EQUATORIAL", "-PROJECTION_TYPE", "TAN", "-CENTER_TYPE", "MANUAL"]
    args += ["-CENTER", f"{tile.ra:.10f},{tile.dec:.10f}", "-PIXELSCALE_TYPE", "MANUAL"]
    args += ["-PIXEL_SCALE", f"{tile.pixscale:.10g}", "-IMAGE_SIZE", f"{tile.naxis},{tile.naxis}"]
    # No image has this keyword, so that every one takes its own value of the list.
    args += ["-FSCALE_KEYWORD", "NOSCALE_", "-FSCALE_DEFAULT", ",".join(f"{s:.10g}" for s in scales)]
    for key, value in settings.items():
        if isinstance(value, str):
            args += [f"-{key.upper()}", value]
    return args


def read_output(
    image: Path, weight: Path
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], fits.Header]:
    """SWarp's image, weight and header; pixels without weight become 0."""
    with fits.open(image, memmap=False) as hdus:
        sci, head = hdus[0].data.astype(np.float32), hdus[0].header
    with fits.open(weight, memmap=False) as hdus:
        wgt = hdus[0].data.astype(np.float32)
    wgt[~np.isfinite(wgt) | (wgt < 1e-20)] = 0.0
    sci[wgt == 0] = 0.0
    return sci, wgt, head


def inputs_of(header: fits.Header) -> frozenset[tuple[int, int]]:
    """Exposure and CCD numbers of the images in a coadd, by its cards EXPnnnnn."""
    words = [str(header[key]).split() for key in header if _INPUT.fullmatch(key)]
    return frozenset((int(exposure), int(ccd)) for exposure, ccd in words)


def coadd_header(
    tile: Tile, band: str, inputs: Sequence[fits.Header], swarp_keywords: fits.Header
) -> fits.Header:
    """The coadd's own keywords.

    Parameters
    ----------
    tile, band
        What it is of.
    inputs
        Headers of the CCDs' images, several of an exposure where it covers the tile with more than one CCD.
    swarp_keywords
        SWarp's output header: GAIN and SATURATE that follow from the combination.

    Returns
    -------
    astropy.io.fits.Header
        NCOMBINE, EXPTIME, MJD-OBS and FWHM count each exposure once; cards EXPnnnnn name every image.
    """
    head = tile.header()
    exposures = [_exposure(images, tile) for images in by_exposure(inputs)]
    mjd = [e.mjd for e in exposures if e.mjd is not None]
    seeing = [e.fwhm for e in exposures if e.fwhm is not None]
    cards: list[tuple[str, str | int | float, str]] = [
        ("TILENAME", tile.name, "tile"),
        ("BAND", band, "band"),
        ("MAGZERO", 30.0, "[mag] AB magnitude of one count"),
        ("NCOMBINE", len(exposures), "exposures combined"),
        ("EXPTIME", sum(e.exptime for e in exposures), "[s] sum of the exposures"),
        ("GAIN", float(swarp_keywords.get("GAIN", 0.0)), "[electron/count] effective gain"),
        ("SATURATE", float(swarp_keywords.get("SATURATE", 1e9)), "[count] saturation"),
        (
            "FWHM",
            float(np.mean(seeing)) / tile.pixscale if seeing else 0.0,
            "[pixel] mean seeing of the exposures",
        ),
        ("BUNIT", "count", "unit of SCI: AB magnitude 30 is one count"),
    ]
    if mjd:
        cards.append(("MJD-OBS", float(np.mean(mjd)), "[d] mean start of the exposures"))
    for key, value, text in cards:
        head[key] = (value, text)
    for i, one in enumerate(inputs, 1):
        head[f"EXP{i:05d}"] = (f"{one.get('EXPNUM', 0)} {one.get('CCDNUM', 0)}", "input: exposure, CCD")
    return head


def add_exposures(head: fits.Header, bands: Sequence[fits.Header]) -> None:
    """Let an image of several bands' coadds count the exposures of all: NCOMBINE, EXPTIME, MJD-OBS and the EXP cards."""
    counts = [int(h.get("NCOMBINE", 0)) for h in bands]
    head["NCOMBINE"] = (sum(counts), "exposures combined")
    head["EXPTIME"] = (sum(float(h.get("EXPTIME", 0.0)) for h in bands), "[s] sum of the exposures")
    known = [(float(h["MJD-OBS"]), n) for h, n in zip(bands, counts, strict=True) if "MJD-OBS" in h and n]
    if known:
        mean = sum(mjd * n for mjd, n in known) / sum(n for _, n in known)
        head["MJD-OBS"] = (mean, "[d] mean start of the exposures")
    inputs = [h[key] for h in bands for key in h if _INPUT.fullmatch(key)]
    for i, text in enumerate(inputs, 1):
        head[f"EXP{i:05d}"] = (text, "input: exposure, CCD")


def by_exposure(inputs: Sequence[fits.Header]) -> list[list[fits.Header]]:
    """Group the headers of CCDs by exposure, in the order of the first of each; one without EXPNUM is its own exposure."""
    groups: dict[tuple[object, ...], list[fits.Header]] = {}
    for i, head in enumerate(inputs):
        # Two instruments may use one number.
        key = (head.get("INSTRUME"), head["EXPNUM"]) if head.get("EXPNUM") else (i,)
        groups.setdefault(key, []).append(head)
    return list(groups.values())


@dataclass(frozen=True, slots=True)
class _Exposure:
    """Length (s), start (MJD) and seeing (arcsec) of an exposure; None: not known."""

    exptime: float
    mjd: float | None
    fwhm: float | None


def _exposure(images: Sequence[fits.Header], tile: Tile) -> _Exposure:
    """What the images of one exposure say of it: length and start are the same for all, the seeing is their mean."""
    first = images[0]
    seeing = [float(h["FWHM"]) * float(h.get("PIXSCALE", tile.pixscale)) for h in images if h.get("FWHM", 0)]
    return _Exposure(
        float(first.get("EXPTIME", 0.0)),
        float(first["MJD-OBS"]) if "MJD-OBS" in first else None,
        float(np.mean(seeing)) if seeing else None,
    )


def weighted_mean(planes: Sequence[Planes], combine: str) -> Planes:
    """The detection image of coadds on one grid.

    Parameters
    ----------
    planes
        Coadds of some bands, all of one shape.
    combine
        ``WEIGHTED``: inverse-variance mean, linear, of greatest S/N for an object of flat spectrum; ``CHI``: the root of
        the summed squared S/N (Szalay, Connolly & Szokoly 1999) less its mean, blind to colour.
    """
    weight = np.sum([p.wgt for p in planes], axis=0, dtype=np.float64)
    mask = np.bitwise_and.reduce(np.stack([p.msk for p in planes]))
    if combine == "CHI":
        chi2 = np.sum([p.wgt * p.sci.astype(np.float64) ** 2 * (p.sci > 0) for p in planes], axis=0)
        sci, wgt = np.sqrt(chi2), (weight > 0).astype(np.float64)
    else:
        total = np.sum([p.wgt * p.sci.astype(np.float64) for p in planes], axis=0)
        sci, wgt = np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), 0.0), weight
    weights = np.asarray(wgt, np.float32)
    return Planes(sci.astype(np.float32), mask.astype(np.int32), weights, planes[0].header.copy())
