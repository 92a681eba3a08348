"""The camera undone, step by step and by other means than the simulator's: what an error-free detrending would give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.ndimage import gaussian_filter1d
from scipy.signal import fftconvolve

Array = npt.NDArray[np.float64]


def _half(image: Array, amp: str) -> Array:
    middle = image.shape[1] // 2
    return image[:, :middle] if amp == "A" else image[:, middle:]


def section(text: str) -> tuple[slice, slice]:
    """Rows and columns of a FITS section ``[x0:x1,y0:y1]``."""
    (x0, x1), (y0, y1) = ((int(v) for v in part.split(":")) for part in text.strip("[]").split(","))
    return slice(y0 - 1, y1), slice(x0 - 1, x1)


def overscanned(hdu: Any) -> Array:
    """Trimmed image minus its overscan, smoothed along the rows' order, ADU."""
    raw, parts = hdu.data.astype(float), []
    for amp in "AB":
        level = gaussian_filter1d(raw[section(hdu.header[f"BIASSEC{amp}"])].mean(axis=1), 9, mode="nearest")
        parts.append(raw[section(hdu.header[f"DATASEC{amp}"])] - level[:, None])
    return np.concatenate(parts, axis=1)


class Inverse:
    """Undoes one exposure of a night with the truth of its camera."""

    def __init__(self, night: Path, filename: str) -> None:
        self.night = night
        self.camera = json.loads((night / "truth" / "camera.json").read_text())
        with fits.open(night / "raw" / filename) as hdus:
            self.band = hdus[0].header["BAND"]
            self.adu = {hdu.header["CCDNUM"]: overscanned(hdu) for hdu in hdus[1:]}

    def electrons(self, ccd: int) -> Array:
        """Charge as it was collected: bias, crosstalk, linearity, gain and brighter-fatter effect undone."""
        adu = self.adu[ccd].copy()
        for victim, source, coefficient in self.camera["crosstalk"]:
            if int(victim[3:5]) == ccd and int(source[3:5]) in self.adu:
                seen = _half(self.adu[int(source[3:5])], source[-1])
                _half(adu, victim[-1])[...] -= coefficient * (
                    seen if victim[-1] == source[-1] else seen[:, ::-1]
                )
        adu -= fits.getdata(self.night / "truth" / f"truth_camera_c{ccd:02d}.fits", "BIAS")
        name = self.camera["camera"]
        table = fits.getdata(self.night / "instrument" / f"{name}_lintable.fits", f"CCD{ccd:02d}")
        amps = next(c["amps"] for c in self.camera["ccds"] if c["ccdnum"] == ccd)
        charge = np.empty_like(adu)
        for amp in "AB":
            part = _half(adu, amp)
            linear = np.interp(part, table["ADU"], table[f"ADU_LINEAR_{amp}"])
            _half(charge, amp)[...] = np.where(part > 0, linear, part) * amps[amp]["gain"]
        return charge - self._moved(charge)

    def _moved(self, charge: Array) -> Array:
        name = self.night / "instrument" / f"{self.camera['camera']}_bf.fits"
        above = charge - np.median(charge)
        right = fftconvolve(above, fits.getdata(name, "AR")[::-1, ::-1], mode="same")[:, :-1]
        top = fftconvolve(above, fits.getdata(name, "AT")[::-1, ::-1], mode="same")[:-1]
        right *= (charge[:, :-1] + charge[:, 1:]) / 2
        top *= (charge[:-1] + charge[1:]) / 2
        gain = np.zeros_like(charge)
        gain[:, :-1] += right
        gain[:, 1:] -= right
        gain[:-1] += top
        gain[1:] -= top
        return gain

    def calibrated(self, ccd: int) -> Array:
        """Electrons at response 1."""
        with fits.open(self.night / "truth" / f"truth_camera_c{ccd:02d}.fits") as maps:
            response = maps[f"FLAT_{self.band}"].data.astype(float) * maps[f"STARFLAT_{self.band}"].data
        return self.electrons(ccd) / np.maximum(response, 0.05)
