"""Holds a coadd's catalogue against the truth of a simulated night: positions, fluxes and completeness by band."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.spatial import cKDTree

from desdm.simulate.night import ShotEntry

__all__ = ["NightComparison", "compare_night"]

Array = npt.NDArray[np.float64]

#: Stars farther than this from their neighbours (arcsec) are compared.
ALONE = 5.0
#: Read noise of the simulated cameras in round numbers, electrons; beside the sky it hardly counts.
READ_NOISE = 7.0


@dataclass(frozen=True, slots=True)
class NightComparison:
    """Isolated, unsaturated stars of one band.

    Attributes
    ----------
    stars
        How many with S/N above 50 were compared.
    dra, ddec
        Median offsets measured minus true, mas.
    flux
        Median offset of PSF magnitudes, measured minus true, mmag.
    completeness
        Fraction of the stars with S/N between 8 and 15 that were detected.
    """

    stars: int
    dra: float
    ddec: float
    flux: float
    completeness: float

    def rounded(self) -> dict[str, float]:
        """For people and scripts: three decimals."""
        return {k: round(v, 3) for k, v in asdict(self).items()}


def compare_night(truth: Path, objects: Path, expnums: Collection[int]) -> dict[str, NightComparison]:
    """Compare, by band.

    Parameters
    ----------
    truth
        The folder ``truth`` of a simulated night.
    objects
        File of type coadd_objects.
    expnums
        Exposures that went into the coadd.
    """
    import pyarrow.parquet as pq

    measured = {k: np.asarray(v) for k, v in pq.read_table(objects).to_pydict().items()}
    night = json.loads((truth / "night.json").read_text("utf-8"))
    by_band: dict[str, list[ShotEntry]] = {}
    for entry in night["exposures"]:
        if entry["expnum"] in expnums:
            by_band.setdefault(entry["band"], []).append(entry)
    return {
        b: _band(b, truth, entries, measured) for b, entries in by_band.items() if f"flux_psf_{b}" in measured
    }


def _stars(truth: Path, entries: list[ShotEntry]) -> dict[str, Array]:
    """Return each star of a band once: position, magnitude, (S/N)² summed over its exposures, and their number."""
    parts: dict[str, list[Array]] = {k: [] for k in ("id", "ra", "dec", "mag", "snr2", "peak")}
    for entry in entries:
        for path in sorted(truth.glob(f"truth_D{entry['expnum']:08d}_c*.fits")):
            rows = fits.getdata(path, "TRUTH")
            rows = rows[(rows["kind"] == "star") & ~rows["blend"] & (rows["isolation"] > ALONE)]
            sigma = rows["fwhm_pix"] / 2.3548
            area = 4 * np.pi * sigma**2
            noise = area * ((entry["sky_e_s"] or 0.0) * entry["exptime"] + READ_NOISE**2) + rows["flux"]
            zero_free = rows["mag"]
            for key, values in (
                ("id", rows["id"]),
                ("ra", rows["ra"]),
                ("dec", rows["dec"]),
                ("mag", zero_free),
                ("snr2", rows["flux"] ** 2 / noise),
                ("peak", rows["flux"] / (2 * np.pi * sigma**2)),
            ):
                parts[key].append(np.asarray(values))
    joined = {k: np.concatenate(v) for k, v in parts.items()}
    ids, first, inverse = np.unique(joined["id"], return_index=True, return_inverse=True)
    snr2, peak, count = np.zeros(ids.size), np.zeros(ids.size), np.bincount(inverse)
    np.add.at(snr2, inverse, joined["snr2"])
    np.maximum.at(peak, inverse, joined["peak"])
    return {k: joined[k][first] for k in ("ra", "dec", "mag")} | {
        "snr": np.sqrt(snr2),
        "peak": peak,
        "nexp": count,
    }


def _band(band: str, truth: Path, entries: list[ShotEntry], measured: dict[str, Array]) -> NightComparison:
    """Compare the stars of one band."""
    true = _stars(truth, entries)
    shrink = float(np.cos(np.radians(np.median(true["dec"]))))
    tree = cKDTree(np.c_[measured["ra"] * shrink, measured["dec"]])
    far, index = tree.query(np.c_[true["ra"] * shrink, true["dec"]])
    near = far * 3600.0 < 1.0
    complete = true["nexp"] == true["nexp"].max()
    usable = complete & (true["peak"] < 100_000.0)
    bright = usable & near & (true["snr"] > 50) & (measured[f"flags_{band}"][index] < 4)
    at = index[bright]
    dra = (measured[f"ra_win_{band}"][at] - true["ra"][bright]) * shrink * 3.6e6
    ddec = (measured[f"dec_win_{band}"][at] - true["dec"][bright]) * 3.6e6
    ratio = measured[f"flux_psf_{band}"][at] / 10 ** (-0.4 * (true["mag"][bright] - 30.0))
    ten = usable & (true["snr"] > 8) & (true["snr"] < 15)
    return NightComparison(
        stars=int(bright.sum()),
        dra=float(np.median(dra)) if at.size else float("nan"),
        ddec=float(np.median(ddec)) if at.size else float("nan"),
        flux=float(-2500 * np.log10(np.median(ratio))) if at.size else float("nan"),
        completeness=float(near[ten].mean()) if ten.any() else float("nan"),
    )
