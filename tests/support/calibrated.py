"""Exposures of a simulated night as a detrending without error would leave them: truth planes and their noise.

What the catalogue codes do is judged on these alone, so that no error of detrending is laid at their door.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from desdm.pixels.maskbits import MaskBit
from desdm.simulate.cameras import camera_of
from desdm.simulate.night import make_night
from desdm.simulate.plan import plan_night
from desdm.survey.headers import copy_wcs
from desdm.survey.images import Planes, write_planes

__all__ = ["Exposure", "exposures"]

LOST = int(
    MaskBit.BPM | MaskBit.SATURATE | MaskBit.BADAMP | MaskBit.CRAY | MaskBit.TRAIL | MaskBit.EDGEBLEED
    | MaskBit.EDGE | MaskBit.STREAK
)  # fmt: skip


@dataclass(frozen=True)
class Exposure:
    """One exposure: what night.json says of it, images with and without sky by CCD, truth tables, reference."""

    truth: dict[str, Any]
    raw: Path
    images: dict[int, Path]
    skyful: dict[int, Path]
    tables: dict[int, Any]
    headers: dict[int, fits.Header]
    #: variance of the sky and the read noise a pixel, by CCD
    noise: dict[int, Any]
    refcat: Path

    @property
    def zero(self) -> float:
        """True MAGZERO."""
        return float(self.truth["zeropoint"])


def exposures(
    out: Path, seed: int, bands: tuple[str, ...] = ("r",), count: int = 1, **more: Any
) -> list[Exposure]:
    """Simulate ``count`` exposures a band and take their calibration off perfectly."""
    plan = plan_night(seed, bands=bands, exposures=count, biases=0, flats=0, truth="full", **more)
    night = make_night(out, plan, camera_of("mini"))
    entries = json.loads((night.truth / "night.json").read_text())["exposures"]
    found = []
    for entry, raw in zip(entries, night.raw, strict=True):
        if entry["obstype"] == "object":
            found.append(_exposure(out, entry, raw, night.truth, night.refcat))
    return found


def _exposure(out: Path, entry: dict[str, Any], raw: Path, truth: Path, refcat: Path) -> Exposure:
    plain: dict[int, Path] = {}
    skyful: dict[int, Path] = {}
    tables: dict[int, Any] = {}
    headers: dict[int, fits.Header] = {}
    noises: dict[int, Any] = {}
    with fits.open(raw) as hdus:
        primary, extensions = hdus[0].header, [h.header for h in hdus[1:]]
    for head in extensions:
        ccd, expnum = int(head["CCDNUM"]), int(head["EXPNUM"])
        path = truth / f"truth_D{expnum:08d}_c{ccd:02d}.fits"
        with fits.open(path, memmap=False) as hdus:
            tables[ccd], headers[ccd] = hdus["TRUTH"].data, hdus["TRUTH"].header
            planes = {n: np.asarray(hdus[n].data) for n in ("MSK", "NOISELESS", "SKY", "VAR", "EXTRA")}
        rng = np.random.default_rng([expnum, ccd])
        mask = planes["MSK"].astype(np.int32)
        variance = np.where(np.isfinite(planes["VAR"]), planes["VAR"], 1e12)
        light = planes["NOISELESS"].astype(float) + planes["EXTRA"]
        image = light + rng.normal(size=light.shape) * np.sqrt(variance + planes["EXTRA"])
        background = np.maximum(variance - planes["NOISELESS"], 1.0)
        weight = np.where(mask & LOST, 0.0, 1.0 / background).astype(np.float32)
        noises[ccd] = background
        sky = float(np.median(planes["SKY"]))
        card = _header(primary, head, sky)
        name = f"D{expnum:08d}_{entry['band']}_c{ccd:02d}_r1p01"
        for kind, add, box in (("immask", 0.0, plain), ("detrend", planes["SKY"], skyful)):
            box[ccd] = out / f"{name}_{kind}.fits"
            if kind == "immask":
                card["DESSKYSB"] = ("truth", "sky subtracted")
            else:
                card.remove("DESSKYSB", ignore_missing=True)
            write_planes(box[ccd], Planes((image + add).astype(np.float32), mask, weight, card))
    return Exposure(entry, raw, plain, skyful, tables, headers, noises, refcat)


def _header(primary: fits.Header, extension: fits.Header, sky: float) -> fits.Header:
    head = fits.Header()
    for key in (
        "INSTRUME", "TELESCOP", "PROPID", "EXPNUM", "OBSTYPE", "OBJECT", "FILTER", "BAND", "EXPTIME", "DATE-OBS",
        "MJD-OBS", "NITE", "AIRMASS", "TELRA", "TELDEC",
    ):  # fmt: skip
        head[key] = primary[key]
    head["CCDNUM"], head["DETPOS"] = extension["CCDNUM"], extension["DETPOS"]
    head["GAIN"], head["BUNIT"], head["SKYBRITE"] = 1.0, "electrons", sky
    head["SATURATE"] = min(
        extension["SATURATA"] * extension["GAINA"], extension["SATURATB"] * extension["GAINB"]
    )
    copy_wcs(extension, head)
    return head
