"""Sentinels, units of magnitudes, rows twice and positions that are none in reference catalogues: told, and not used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from sqlalchemy import select

from desdm.archive.archive import Archive
from desdm.archive.deposit import deposit
from desdm.archive.model import Deposit
from desdm.codes.astrometry.reference import read_reference, write_ldac
from desdm.codes.colourterms import terms_of
from desdm.schema import calibration
from desdm.schema.database import Database
from desdm.survey.refstars import Passband, System, read_stars
from tests.codes.test_reference_stars import write

N = 60
#: Stars of a field about (30, -5), none of which is near another.
RA = 30.0 + 0.01 * (np.arange(N) % 10)
DEC = -5.0 + 0.01 * (np.arange(N) // 10)
MAG = 15.0 + 0.05 * np.arange(N)


def field(*paths: Path) -> Any:
    """The stars within 0.3 degrees of (30, -5) at 2016.0."""
    found = read_reference(list(paths), 2016.0, 30.0, -5.0, 0.3)
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


@pytest.mark.parametrize(
    ("unit", "scale", "shift", "own"),
    [
        ("mag", 1.0, 0.0, True), ("mmag", 1e3, 0.0, True), ("ABmag", 1.0, 0.0, True), ("mag(AB)", 1.0, 0.0, True),
        ("Vega mag", 1.0, 0.0, False), ("mag(Vega)", 1.0, 0.0, False), ("dex", 1.0, 0.0, False),
    ],
)  # fmt: skip
def test_the_unit_of_magnitudes_is_read(
    tmp_path: Path, unit: str, scale: float, shift: float, own: bool
) -> None:
    """Vega magnitudes are none of the survey's AB system, and what is in no unit of magnitude is left out."""
    path = write(tmp_path / "refcat.fits", {"mag_r": unit, "magerr_r": unit}, ra=RA, dec=DEC,
                 mag_r=MAG * scale, magerr_r=np.full(N, 0.02 * scale), ref_epoch=np.full(N, 2016.0))  # fmt: skip
    told = read_stars(path).findings
    found = field(path).standard("r")
    if own:
        assert sorted(found.mag) == pytest.approx(MAG, abs=1e-9)
        assert found.error == pytest.approx(0.02, abs=1e-9)
        assert told == ()
    else:
        assert found.known == 0
        assert len(told) == 1
        assert "mag_r is in" in told[0]


def test_gaia_magnitudes_that_are_ab_already_are_not_shifted(tmp_path: Path) -> None:
    place = {"ra": RA, "dec": DEC, "phot_g_mean_mag": MAG, "ref_epoch": np.full(N, 2016.0)}
    gaia = Passband(System.GAIA, "G")
    ab = read_stars(write(tmp_path / "a.fits", {"phot_g_mean_mag": "mag(AB)"}, **place))
    vega = read_stars(write(tmp_path / "v.fits", {"phot_g_mean_mag": "Vega mag"}, **place))
    assert ab.mags[gaia] == pytest.approx(MAG)
    # Riello et al. 2021, A&A 649, A3: 25.8010 AB, 25.6874 Vega.
    assert vega.mags[gaia] == pytest.approx(MAG + 25.8010 - 25.6874, abs=1e-6)


@pytest.mark.parametrize("column", ["epoch", "ref_epoch"])
@pytest.mark.parametrize("layout", ["mag_r", "phot_g_mean_mag"])
def test_the_epoch_stands_under_either_name(tmp_path: Path, column: str, layout: str) -> None:
    """100 mas a year from 1991.25 (Hipparcos) to 2016.0 are 2475 mas."""
    path = write(
        tmp_path / "r.fits", ra=RA, dec=DEC, pmra=np.zeros(N), pmdec=np.full(N, 100.0), pmra_error=np.full(N, 0.1),
        pmdec_error=np.full(N, 0.1), **{column: np.full(N, 1991.25), layout: MAG},
    )  # fmt: skip
    told = read_stars(path).findings
    assert (np.sort(field(path).dec) - np.sort(DEC)) * 3.6e6 == pytest.approx(2475.0, abs=0.1)
    assert told == ()


@pytest.mark.parametrize("layout", ["mag_r", "phot_g_mean_mag"])
def test_motions_without_a_column_of_errors_move_the_stars(tmp_path: Path, layout: str) -> None:
    path = write(
        tmp_path / "r.fits", ra=RA, dec=DEC, pmra=np.zeros(N), pmdec=np.full(N, 1000.0), ref_epoch=np.full(N, 2006.0),
        **{layout: MAG},
    )  # fmt: skip
    told = read_stars(path).findings
    assert (np.sort(field(path).dec) - np.sort(DEC)) * 3.6e6 == pytest.approx(1e4, abs=0.1)
    expected = [] if layout == "mag_r" else ["no column pmra_error or pmdec_error"]
    assert [t.split(":")[0] for t in told] == expected


def test_what_is_assumed_of_epochs_is_told(tmp_path: Path) -> None:
    epochs = np.where(np.arange(N) < 7, np.nan, 2016.0)
    some = write(tmp_path / "a.fits", ra=RA, dec=DEC, mag_r=MAG, ref_epoch=epochs)
    assert read_stars(some).findings == ("7 of 60 rows have no epoch in ref_epoch: 2015.5 is assumed",)
    none = write(tmp_path / "b.fits", ra=RA, dec=DEC, mag_r=MAG)
    assert read_stars(none).findings == ("no column ref_epoch or epoch: positions are taken as of 2015.5",)


def test_rows_that_stand_twice_in_one_file_count_once(tmp_path: Path) -> None:
    """A row that lists the magnitude stands after one that does not: the star has it."""
    twice = np.r_[0:N, 0:N]
    mags = np.r_[np.full(N, 99.0), MAG]
    both = field(write(tmp_path / "r.fits", ra=RA[twice], dec=DEC[twice], mag_r=mags))
    assert both.ra.size == N
    assert sorted(both.standard("r").mag) == pytest.approx(MAG)


@pytest.mark.parametrize(
    ("ra", "dec"),
    [(-999.0, -5.0), (30.0, -999.0), (-99.0, -5.0), (999.0, -5.0), (30.0, 90.5), (np.nan, -5.0)],
)
def test_rows_without_a_position_are_told_and_left_out(tmp_path: Path, ra: float, dec: float) -> None:
    bad = np.arange(N) % 4 == 0
    path = write(tmp_path / "r.fits", ra=np.where(bad, ra, RA), dec=np.where(bad, dec, DEC), mag_r=MAG,
                 ref_epoch=np.full(N, 2016.0))  # fmt: skip
    stars = read_stars(path)
    assert sorted(stars.ra) == sorted(RA[~bad])
    assert stars.findings == ("15 of 60 rows have no position in ra and dec: they are left out",)


@pytest.mark.parametrize("ra", [[-60.0, 60.0], [-0.1, 359.9], [359.9, 360.1]])
def test_right_ascensions_may_run_across_zero(tmp_path: Path, ra: list[float]) -> None:
    stars = read_stars(write(tmp_path / "a.fits", ra=ra, dec=[0.0, 0.0], ref_epoch=[2016.0] * 2))
    assert stars.ra.tolist() == pytest.approx(np.mod(ra, 360.0).tolist())
    assert stars.findings == ()


def test_a_delivered_catalogue_tells_it_at_ingest(sqlite: Database, archive: Archive, tmp_path: Path) -> None:
    path = write(
        tmp_path / "refcat_x.fits", {"mag_r": "Vega mag"}, ra=np.r_[-999.0, RA[1:]], dec=DEC, mag_r=MAG
    )
    report = deposit(sqlite, archive, [Deposit(path)], who="me")
    told = " ".join(f.text for _, f in report.findings)
    for part in ("1 of 60 rows have no position", "not AB", "positions are taken as of 2015.5"):
        assert part in told
    with sqlite.read() as conn:
        bounds = conn.execute(select(calibration.c.racmin, calibration.c.racmax)).one()
    assert tuple(bounds) == pytest.approx((30.0, 30.09))


@pytest.mark.parametrize("dec", [-30.0, -80.0, -88.5, -89.7, 90.0])
def test_the_field_is_a_circle_on_the_sky(tmp_path: Path, dec: float) -> None:
    """Stars at known angles from the middle, placed by astropy: those within 1.1 degrees are read, at the poles, too."""
    rng = np.random.default_rng(3)
    angle, bearing = 1.3 * np.sqrt(rng.uniform(size=5000)), rng.uniform(0, 360, 5000)
    stars = SkyCoord(0 * u.deg, dec * u.deg).directional_offset_by(bearing * u.deg, angle * u.deg)
    path = write(tmp_path / "r.fits", ra=stars.ra.deg, dec=stars.dec.deg, mag_r=rng.uniform(15, 20, 5000))
    found = read_reference([path], 2016.0, 0.0, dec, 1.1)
    assert found is not None
    # Two of them may be within 0.1 arcsec of each other.
    assert abs(found.ra.size - int((angle < 1.1).sum())) <= 1
