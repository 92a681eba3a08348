"""Sentinels, units of magnitudes, rows twice and positions that are none in reference catalogues: told, and not used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from desdm.codes.astrometry.reference import read_reference, write_ldac
from desdm.codes.colourterms import terms_of
from desdm.survey.refstars import Passband, System, read_stars
from tests.codes.test_reference_stars import write

N = 60
#: Stars of a field about (30, -5), none of which is near another.
RA = 30.0 + 0.01 * (np.arange(N) % 10)
DEC = -5.0 + 0.01 * (np.arange(N) // 10)
MAG = 15.0 + 0.05 * np.arange(N)


def field(*paths: Path, told: list[str] | None = None) -> Any:
    """The stars within 0.3 degrees of (30, -5) at 2016.0."""
    found = read_reference(list(paths), 2016.0, 30.0, -5.0, 0.3, None if told is None else told.append)
    assert found is not None
    return found


@pytest.mark.parametrize("sentinel", [99.0, 99.99, -999.0, -99.0, 0.0, 1e20, np.inf])
def test_a_number_for_not_measured_is_no_magnitude(tmp_path: Path, sentinel: float) -> None:
    """PS1's magnitudes serve where the survey's own are none, and scamp gets no star of magnitude -999."""
    missing = np.arange(N) % 3 == 0
    own = write(tmp_path / "own.fits", ra=RA, dec=DEC, mag_r=np.where(missing, sentinel, MAG))
    flux = {f"{b}_flux": 3631e9 * 10 ** (-0.4 * (MAG + s)) for b, s in (("g", 0.5), ("r", 0.0), ("i", -0.5))}
    ps1 = write(tmp_path / "ps1.fits", coord_ra=np.radians(RA), coord_dec=np.radians(DEC), **flux)
    both = field(own, ps1)
    found = both.standard("r", terms_of({}, "test"))
    assert found.direct == N - missing.sum()
    assert found.known == N
    write_ldac(tmp_path / "x.ldac", both, "r", terms_of({}, "test"))
    mags = fits.getdata(tmp_path / "x.ldac", 2)["MAG"]
    assert MAG.min() - 0.1 < mags.min() < mags.max() < MAG.max() + 0.1


def test_every_layout_leaves_out_what_was_not_measured(tmp_path: Path) -> None:
    mags = [15.0, 99.0, -999.0]
    place = {"ra": [30.0, 30.1, 30.2], "dec": [-5.0] * 3}
    tables = (
        (
            Passband(System.DES, "r"),
            write(tmp_path / "s.fits", **place, mag_r=mags, magerr_r=[0.1, 99.0, -9.0]),
        ),
        (Passband(System.GAIA, "G"), write(tmp_path / "g.fits", **place, phot_g_mean_mag=mags)),
        (Passband(System.TYCHO2, "VT"), write(tmp_path / "t.fits", **place, mag_vt=mags)),
        (
            Passband(System.PS1, "g"),
            write(tmp_path / "p.fits", ramean=place["ra"], decmean=place["dec"], gmeanpsfmag=mags),
        ),
    )
    for passband, path in tables:
        stars = read_stars(path)
        assert np.isfinite(stars.mags[passband]).tolist() == [True, False, False], path
        if stars.mag_errors and passband.system is System.DES:
            assert np.isfinite(stars.mag_errors[passband]).tolist() == [True, False, False]
