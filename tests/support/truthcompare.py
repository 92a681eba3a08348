"""Compare a catalogue of objects with the truth of a simulated patch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from astropy.io import fits
from scipy.spatial import cKDTree

__all__ = ["Comparison", "compare_objects"]

Values = npt.NDArray[np.float64]

#: Smallest distance of a compared star from its neighbours, arcsec.
MIN_ISOLATION = 6.0
#: Largest distance between a true star and its object, arcsec.
MATCH_RADIUS = 1.0
#: Flags of Source Extractor from this value on mean that the photometry is unreliable (4: saturated).
BAD_FLAGS = 4
#: Standard deviation of a normal distribution over its median absolute deviation.
SIGMA_PER_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class Comparison:
    """Measured minus true positions and magnitudes of bright isolated stars in one band, and the completeness.

    Attributes
    ----------
    stars
        Number of bright stars that were compared.
    ra_offset, dec_offset
        Median offsets measured minus true, mas.
    scatter
        Robust scatter of both coordinates over the photon limit of each star (Fisher information of the true
        PSF and noise of all its exposures).
    mag_offset
        Median offset of PSF magnitudes, measured minus true, mmag.
    completeness
        Fraction of the stars with true S/N between 9 and 11 that were detected.
    """

    stars: int
    ra_offset: float
    dec_offset: float
    scatter: float
    mag_offset: float
    completeness: float


def compare_objects(truth: Path, objects: Path, min_snr: float = 50.0) -> dict[str, Comparison]:
    """Compare positions, fluxes and completeness with the truth, for each band.

    Parameters
    ----------
    truth
        ``truth_sim.fits`` of a patch.
    objects
        File of type coadd_objects from the images of the patch.
    min_snr
        Lowest signal-to-noise of the stars whose positions and fluxes are compared.
    """
    true = fits.getdata(truth, 1)
    measured = {k: np.asarray(v) for k, v in pq.read_table(objects).to_pydict().items()}
    cos_dec = float(np.cos(np.radians(np.median(true["dec"]))))
    tree = cKDTree(np.c_[measured["ra"] * cos_dec, measured["dec"]])
    degrees, nearest = tree.query(np.c_[true["ra"] * cos_dec, true["dec"]])
    bands = [name.removeprefix("snr_") for name in true.names if name.startswith("snr_")]
    return {
        band: _compare_band(band, true, measured, degrees * 3600.0, nearest, cos_dec, min_snr)
        for band in bands
        if f"flux_psf_{band}" in measured
    }


def _compare_band(
    band: str,
    true: npt.NDArray[np.void],
    measured: dict[str, Values],
    distance: npt.NDArray[np.float64],
    nearest: npt.NDArray[np.int64],
    cos_dec: float,
    min_snr: float,
) -> Comparison:
    """Compare the stars of one band.

    ``distance`` is that of each true star to the nearest object in arcsec, ``nearest`` the row of that object,
    ``cos_dec`` the cosine of the declination.
    """
    isolated = true["star"] & (true["isolation"] > MIN_ISOLATION) & true[f"unsaturated_{band}"]
    complete = true[f"nexp_{band}"] == true[f"nexp_{band}"].max()
    snr, detected = true[f"snr_{band}"], distance < MATCH_RADIUS
    reliable = measured[f"flags_{band}"][nearest] < BAD_FLAGS
    bright = isolated & complete & (snr > min_snr) & detected & reliable
    rows = nearest[bright]
    ra_offset = (measured[f"ra_win_{band}"][rows] - true["ra"][bright]) * cos_dec * 3.6e6
    dec_offset = (measured[f"dec_win_{band}"][rows] - true["dec"][bright]) * 3.6e6
    pulls = np.concatenate(
        [ra_offset / true[f"sigra_{band}"][bright], dec_offset / true[f"sigdec_{band}"][bright]]
    )
    flux = 10 ** (-0.4 * (true[f"mag_{band}"][bright] - 30.0))
    ratio = np.median(measured[f"flux_psf_{band}"][rows] / flux)
    snr_ten = isolated & complete & (snr > 9) & (snr < 11)
    return Comparison(
        stars=int(bright.sum()),
        ra_offset=float(np.median(ra_offset)),
        dec_offset=float(np.median(dec_offset)),
        scatter=float(SIGMA_PER_MAD * np.median(np.abs(pulls - np.median(pulls)))),
        mag_offset=float(-2500 * np.log10(ratio)),
        completeness=float(detected[snr_ten].mean()) if snr_ten.any() else float("nan"),
    )
