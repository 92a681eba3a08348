"""Wrappers of ``assess`` (the verdict on an exposure) and ``focalplane`` (its picture)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.assess.mosaic import Tile, mosaic, save
from desdm.codes.assess.numbers import count, image_flags, star_width
from desdm.codes.assess.sky import SkyLevel, mean_sky
from desdm.codes.astrometry.exposure import read_heads
from desdm.codes.detection.sextractor import catalogue_header, objects
from desdm.errors import FileTypeError, ProgramFailed
from desdm.framework.wrapper import Task
from desdm.survey.airmass import airmass_of
from desdm.survey.assessment import Accepted, Assessment, Controls, Measurements
from desdm.survey.assessment import assess as judge
from desdm.survey.bands import CountUnit, nominal_zero, unit_complaint
from desdm.survey.detectors import outages_of
from desdm.survey.headers import identity
from desdm.survey.images import Planes, read_image_and_mask

__all__ = ["assess", "focalplane"]

#: FLAG bit of a zero point that was not measured (`codes/photocal`).
NOMINAL = 4


def assess(task: Task) -> None:
    """Judge an exposure; output ``assess`` (JSON, file type qa_assess).

    Inputs: ``zeropoints``, ``catalogs``, ``psfs``, ``skyfit`` and ``head`` of the exposure; each may be missing, which is
    then named in the verdict.
    """
    catalogues = task.inputs_on_disk("catalogs")
    heads = [catalogue_header(p) for p in catalogues]
    identifiers = _identity(task, heads)
    unit = _unit(task, heads)
    band = str(identifiers["band"])
    rows = [objects(p) for p in catalogues]
    ccds = _ccds(task, heads)
    sky = _sky(task, heads, unit, float(identifiers.get("exptime") or 0.0))
    measured = Measurements(
        band,
        _median([c["fwhm_mean"] for c in ccds if c.get("psf") in ("psfex", "piff")]),
        sky.counts if sky else None,
        _cloud(task, identifiers, unit),
        star_width(rows),
        any(c.get("scampflg") == 0 for c in ccds),
    )
    assessment = judge(measured, Controls.of(task.settings, band))
    document = {
        **identifiers,
        **_verdict(assessment, measured, sky, ccds),
        **_depth(task, rows, ccds),
        "ccds": ccds,
    }
    document["outages"] = [one.text for one in outages_of(heads[0])] if heads else []
    for text in document["outages"]:
        task.finding(3, f"{identifiers['exposurename']}: {text}; it is not used")
    task.output("assess").write_text(json.dumps(_finite(document), indent=1, allow_nan=False) + "\n", "utf-8")
    _record(task, document, assessment)


def _identity(task: Task, heads: Sequence[fits.Header]) -> dict[str, Any]:
    """Return the columns that identify the exposure: number, night, band, exposure time, airmass, object."""
    facts = identity(heads[0]) if heads else {}
    expnum = int(facts.get("EXPNUM", task.keys.get("expnum", 0)))
    return {
        "exposurename": f"D{expnum:08d}",
        "expnum": expnum,
        "nite": facts.get("NITE", task.keys.get("nite")),
        "band": facts.get("BAND", task.keys.get("band", "")),
        "exptime": facts.get("EXPTIME"),
        "airmass": facts.get("AIRMASS"),
        "object": facts.get("OBJECT"),
        "camsym": "D",
        "processed": "True",
        "program": "assess",
        "analyst": "assess",
        "n_ccd": len(heads),
    }


def _ccds(task: Task, heads: Sequence[fits.Header]) -> list[dict[str, Any]]:
    """Records of the CCDs, ascending: position on the sky, PSF, zero point, astrometry."""
    by_ccd: dict[int, dict[str, Any]] = {}
    for head in heads:
        entry = by_ccd.setdefault(int(head.get("CCDNUM", 0)), {"ccdnum": int(head.get("CCDNUM", 0))})
        entry |= {
            "name": str(head.get("DETPOS", head.get("CCDNAME", ""))),
            "ra": head.get("RA_CENT"),
            "dec": head.get("DEC_CENT"),
            "objects": head.get("NOBJECTS"),
            "skybrite": head.get("SKYBRITE"),
        }
        entry["corners"] = [[head.get(f"RAC{i}"), head.get(f"DECC{i}")] for i in (1, 2, 3, 4)]
    step = task.number("pixscale", 0.263)
    for path in task.inputs_on_disk("psfs"):
        head = fits.getheader(path, 0)
        entry = by_ccd.setdefault(int(head.get("CCDNUM", 0)), {"ccdnum": int(head.get("CCDNUM", 0))})
        entry |= {
            "psf": head.get("PSFSOURC"),
            "fwhm_mean": float(head.get("FWHMMEAN", head.get("FWHM", 0.0))) * step,
            "e1": head.get("PSF_E1"),
            "e2": head.get("PSF_E2"),
            "psf_stars": head.get("NSTARS"),
            "psf_chi2": head.get("PSFCHI2"),
        }
    if task.inputs.get("zeropoints"):
        with fits.open(task.input_on_disk("zeropoints"), memmap=False) as hdus:
            for row in hdus["ZEROPOINTS"].data:
                entry = by_ccd.setdefault(int(row["CCDNUM"]), {"ccdnum": int(row["CCDNUM"])})
                entry |= {
                    "mag_zero": float(row["MAG_ZERO"]),
                    "sigma_mag_zero": float(row["SIGMA_MAG_ZERO"]),
                    "zp_stars": int(row["NSTARS"]),
                    "zp_flag": int(row["FLAG"]),
                }
    if task.inputs.get("head"):
        for head in read_heads(task.input_on_disk("head")):
            entry = by_ccd.setdefault(int(head.get("CCDNUM", 0)), {"ccdnum": int(head.get("CCDNUM", 0))})
            entry |= {
                "scampflg": int(head.get("SCAMPFLG", 1)),
                "scamp_stars": int(head.get("SCAMPNUM", 0)),
                "scamp_rms": head.get("SCAMPRMS"),
                "scamp_why": head.get("SCAMPWHY"),
            }
    return [by_ccd[n] for n in sorted(by_ccd)]


def _median(values: Sequence[float | None]) -> float | None:
    """Median of the values that are positive numbers; None without any."""
    good = [v for v in values if v is not None and np.isfinite(v) and v > 0]
    return float(np.median(good)) if good else None


def _unit(task: Task, heads: Sequence[fits.Header]) -> CountUnit | None:
    """Unit of the pixel values: that of the headers, else electrons, the unit of every reduced image.

    None: another unit, for which neither sky nor zero point can be derived.
    """
    odd = [text for head in heads if (text := unit_complaint(head))]
    if odd:
        task.finding(2, f"{len(odd)} of {len(heads)} CCDs: {odd[0]}; their sky is left out")
        if len(odd) == len(heads):
            return None
    for head in heads:
        unit = CountUnit.of(head)
        if unit is not None:
            return unit
    if heads:
        task.finding(
            3, "no catalogue has GAINA and GAINB, GAIN or BUNIT; sky and zero point are taken as per electron"
        )
    return CountUnit.ELECTRON


def _sky(task: Task, heads: Sequence[fits.Header], unit: CountUnit | None, exptime: float) -> SkyLevel | None:
    """Sky level per second and pixel, from the fitted sky if there is one, else from the images' headers."""
    if exptime <= 0 or unit is None:
        return None
    if task.inputs.get("skyfit"):
        with fits.open(task.input_on_disk("skyfit"), memmap=False) as hdus:
            fitted = [h.header for h in hdus if "SKYBRITE" in h.header]
        if fitted:
            return mean_sky(fitted[:1], unit, exptime)
    return mean_sky(heads, unit, exptime)


def _cloud(task: Task, identifiers: Mapping[str, Any], unit: CountUnit | None) -> float | None:
    """Median offset of the stars from the reference after aterm and k·airmass, mag; None: it was not measured.

    The nominal zero point is that of the constants in force now, not the one that the zero points were measured with.
    """
    if not task.inputs.get("zeropoints") or unit is None:
        return None
    head = fits.getheader(task.input_on_disk("zeropoints"), 0)
    exptime = float(head.get("EXPTIME", identifiers.get("exptime") or 0.0))
    airmass = identifiers.get("airmass") if "AIRMASS" not in head else airmass_of(head.get)
    if int(head.get("ZPFLAG", NOMINAL)) & NOMINAL or not exptime > 0:
        return None
    if airmass is None:
        task.finding(
            2,
            f"{identifiers['exposurename']}: no plausible AIRMASS; clouds cannot be separated from extinction",
        )
        return None
    if "ZPUNIT" in head:
        unit = CountUnit(str(head["ZPUNIT"]))
    return nominal_zero(str(identifiers["band"]), unit, exptime, float(airmass)) - float(head["MAGZERO"])


def _verdict(
    assessment: Assessment, measured: Measurements, sky: SkyLevel | None, ccds: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Verdict and the measurements behind it, as columns of firstcut_eval."""
    shapes = [np.hypot(c["e1"], c["e2"]) for c in ccds if c.get("e1") is not None and c.get("e2") is not None]
    solved = [c["scamp_rms"] for c in ccds if c.get("scampflg") == 0 and c.get("scamp_rms") is not None]
    return {
        "accepted": assessment.accepted.value,
        "reason": assessment.reason,
        "words": assessment.words,
        "t_eff": assessment.t_eff,
        "f_eff": assessment.f_eff,
        "b_eff": assessment.b_eff,
        "c_eff": assessment.c_eff,
        "fwhm_asec": assessment.fwhm,
        "fwhm_mean_asec": measured.fwhm_mean,
        "ellipticity": float(np.mean(shapes)) if shapes else None,
        "skybrightness": sky.electrons if sky else None,
        "cloud": measured.cloud,
        "astrom_rms": float(np.sqrt(np.mean(np.square(solved)))) if solved else None,
        "n_astrom": sum(int(c.get("scamp_stars", 0)) for c in ccds),
    }


def _depth(
    task: Task, rows: Sequence[npt.NDArray[np.void]], ccds: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Zero point with its number of stars, and the number counts with the depth."""
    columns: dict[str, Any] = {
        "magzero": None,
        "n_match": 0,
        "cloud_catalog": None,
        "depth": None,
        "counts": None,
    }
    if task.inputs.get("zeropoints"):
        head = fits.getheader(task.input_on_disk("zeropoints"), 0)
        columns |= {
            "magzero": head.get("MAGZERO"),
            "n_match": int(head.get("ZPNSTARS", 0)),
            "cloud_catalog": str(head.get("REFCAT", ""))[:32] or None,
        }
    zeros = {c["ccdnum"]: c.get("mag_zero") for c in ccds}
    mags, errors = [], []
    for objects_of_ccd, ccd in zip(rows, [c["ccdnum"] for c in ccds if "objects" in c], strict=True):
        good = (
            (objects_of_ccd["FLUX_PSF"] > 0)
            & (objects_of_ccd["FLAGS"] < 4)
            & ((image_flags(objects_of_ccd) & 2) == 0)
        )
        zero = zeros.get(ccd)
        if zero is not None:
            flux = objects_of_ccd["FLUX_PSF"][good].astype(float)
            mags.append(zero - 2.5 * np.log10(flux))
            errors.append(1.0857 * objects_of_ccd["FLUXERR_PSF"][good] / flux)
    if mags:
        counts = count(
            np.concatenate(mags),
            np.concatenate(errors),
            sigma=task.number("depth_sigma", 0.1),
            width=task.number("depth_bin", 0.25),
            least=int(task.number("depth_least", 20)),
        )
        columns |= {"depth": counts.depth, "counts": counts.facts()}
    return columns


def _finite(value: Any) -> Any:
    """Replace infinities and NaN, which JSON cannot hold, by None, and numpy scalars by Python numbers."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _record(task: Task, document: Mapping[str, Any], assessment: Assessment) -> None:
    """Write the numbers as metrics, and the verdict as a finding unless it is True."""
    for name, unit, text in (
        ("t_eff", "", "effective exposure time over the real one"),
        ("f_eff", "", "seeing factor F"),
        ("b_eff", "", "sky factor B"),
        ("c_eff", "", "cloud factor C"),
        ("fwhm_asec", "arcsec", "FWHM that F takes"),
        ("ellipticity", "", "mean ellipticity of the PSF"),
        ("skybrightness", "electron/s/pixel", "sky"),
        ("cloud", "mag", "extinction by clouds"),
        ("depth", "mag", "PSF magnitude at error 0.1"),
        ("astrom_rms", "mas", "scatter against the reference"),
        ("n_match", "", "stars of the zero point"),
    ):
        if document.get(name) is not None:
            task.metric(name, float(document[name]), unit, str(document["band"]), text)
    name = f"{document['exposurename']} {document['band']}"
    if assessment.accepted is not Accepted.TRUE:
        task.finding(
            2, f"{name}: verdict {assessment.accepted.value}, {assessment.reason}: {assessment.words}"
        )
    else:
        task.write_log(f"{name}: verdict True, t_eff {assessment.t_eff:.3f}")


def focalplane(task: Task) -> None:
    """A picture of the exposure's CCDs as they lie on the sky: inputs ``images``; output ``picture`` (PNG, qa_plot).

    One CCD at a time is in memory.
    """
    paths, size = task.inputs.get("images", ()), int(task.number("picture_size", 1100))
    tiles, title, block = [], "", 0
    for path in paths:
        try:
            planes = task.view_input(path, _without_weights)
        except (OSError, FileTypeError) as err:
            task.finding(2, f"{path.name}: left out of the picture: {err}")
            continue
        # The focal plane is about as wide as the root of its pixels; all CCDs are binned alike.
        block = block or max(1, math.ceil(1.1 * (len(paths) * planes.sci.size) ** 0.5 / size))
        tiles.append(Tile.of(planes.sci, planes.msk, planes.header, block))
        if not title:
            who = identity(planes.header)
            title = f"exposure {who.get('EXPNUM', '')}   {who.get('BAND', '')}   {who.get('OBJECT', '')}"
    if not tiles:
        raise ProgramFailed(f"{task.name}: no CCD of the exposure can be shown")
    grid, names = mosaic(tiles)
    save(task.output("picture"), grid, names, title, size)
    task.metric("ccds_shown", len(tiles), text="CCDs in the picture")


def _without_weights(path: Path) -> Planes:
    """An image from its file, all weights 0: they cost as much to read as the pixels, and no picture shows them."""
    sci, msk, header = read_image_and_mask(path)
    return Planes(sci, msk, np.broadcast_to(np.float32(0.0), sci.shape), header)
