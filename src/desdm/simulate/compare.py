"""Holds a catalogue of objects against the truth of a simulated patch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.spatial import cKDTree

__all__ = ["Comparison", "compare"]

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Isolated, unsaturated stars with S/N above 50 in one band, and the stars at S/N 10.

    Attributes
    ----------
    stars
        How many bright stars were compared.
    dra, ddec
        Median offsets measured minus true, mas.
    scatter
        Robust scatter of both coordinates over the photon limit of each star (Fisher information of the true
        PSF and noise of all its exposures).
    flux
        Median offset of PSF magnitudes, measured minus true, mmag.
    completeness
        Fraction of the stars with true S/N between 9 and 11 that were detected.
    """

    stars: int
    dra: float
    ddec: float
    scatter: float
    flux: float
    completeness: float

    def rounded(self) -> dict[str, float]:
        """For people and scripts: three decimals."""
        return {k: round(v, 3) for k, v in asdict(self).items()}


def compare(truth: Path, objects: Path, least: float = 50.0) -> dict[str, Comparison]:
    """Compare, by band.

    Parameters
    ----------
    truth
        ``truth_sim.fits`` of a patch.
    objects
        File of type coadd_objects from the images of the patch.
    least
        Signal-to-noise of the stars whose positions and fluxes are compared.
    """
    import pyarrow.parquet as pq

    true = fits.getdata(truth, 1)
    measured = {k: np.asarray(v) for k, v in pq.read_table(objects).to_pydict().items()}
    shrink = float(np.cos(np.radians(np.median(true["dec"]))))
    tree = cKDTree(np.c_[measured["ra"] * shrink, measured["dec"]])
    far, index = tree.query(np.c_[true["ra"] * shrink, true["dec"]])
    bands = [name.removeprefix("snr_") for name in true.names if name.startswith("snr_")]
    return {
        b: _band(b, true, measured, far * 3600.0, index, shrink, least)
        for b in bands
        if f"flux_psf_{b}" in measured
    }


def _band(
    band: str,
    true: npt.NDArray[np.void],
    measured: dict[str, Values],
    far: npt.NDArray[np.float64],
    index: npt.NDArray[np.int64],
    shrink: float,
    least: float,
) -> Comparison:
    """Compare the stars of one band."""
    alone = true["star"] & (true["isolation"] > 6) & true[f"unsaturated_{band}"]
    complete = true[f"nexp_{band}"] == true[f"nexp_{band}"].max()
    snr = true[f"snr_{band}"]
    bright = alone & complete & (snr > least) & (far < 1.0) & (measured[f"flags_{band}"][index] < 4)
    at = index[bright]
    dra = (measured[f"ra_win_{band}"][at] - true["ra"][bright]) * shrink * 3.6e6
    ddec = (measured[f"dec_win_{band}"][at] - true["dec"][bright]) * 3.6e6
    pulls = np.concatenate([dra / true[f"sigra_{band}"][bright], ddec / true[f"sigdec_{band}"][bright]])
    flux = 10 ** (-0.4 * (true[f"mag_{band}"][bright] - 30.0))
    ratio = np.median(measured[f"flux_psf_{band}"][at] / flux)
    ten = alone & complete & (snr > 9) & (snr < 11)
    return Comparison(
        stars=int(bright.sum()),
        dra=float(np.median(dra)),
        ddec=float(np.median(ddec)),
        scatter=float(1.4826 * np.median(np.abs(pulls - np.median(pulls)))),
        flux=float(-2500 * np.log10(ratio)),
        completeness=float((far[ten] < 1.0).mean()) if ten.any() else float("nan"),
    )
