"""Reference catalogues of all layouts: one record, one position a star, all rows for scamp, magnitudes by colour terms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.time import Time
from scipy.spatial import cKDTree

from desdm.codes.astrometry.reference import read_reference, write_ldac
from desdm.codes.colourterms import terms_of
from desdm.errors import FileTypeError, UsageError
from desdm.survey.refstars import Catalog, Passband, System, read_stars
from desdm.survey.refstars.colour import colour_terms, standard

MIDDLE = (150.06, 0.96)


def write(path: Path, units: dict[str, str] | None = None, **columns: Any) -> Path:
    """A table with these columns."""
    codes = {"f": "D", "i": "K"}
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    made = [
        fits.Column(name, codes[v.dtype.kind], array=v, unit=(units or {}).get(name))
        for name, v in arrays.items()
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(made)]).writeto(path)
    return path


@pytest.fixture(scope="module")
def shards(real: Path) -> dict[str, Path]:
    folder = real / "refcat-cosmos"
    return {"gaia": folder / "gaia_dr2_231834.fits", "ps1": folder / "ps1_231834.fits"}


def test_lsst_shards_of_gaia_agree_with_astropy(shards: dict[str, Path]) -> None:
    """Units of the shard's header: rad, rad a year, nJy, MJD; positions moved by astropy's own proper motion."""
    rows, stars = fits.getdata(shards["gaia"], 1), read_stars(shards["gaia"])
    assert (stars.catalog, len(stars)) == (Catalog.GAIA, 1030)
    flux = (rows["phot_g_mean_flux"] * u.nJy).to_value(u.ABmag)
    assert stars.mags[Passband(System.GAIA, "G")] == pytest.approx(flux, abs=1e-9)
    solved = rows["pm_raErr"] > 0
    assert np.isfinite(stars.pmra).tolist() == solved.tolist(), "a motion of 0 with an error of 0 is none"
    assert int(solved.sum()) == 573
    where = SkyCoord(
        rows["coord_ra"][solved] * u.rad, rows["coord_dec"][solved] * u.rad, distance=1 * u.kpc,
        obstime=Time(2015.5, format="jyear"),
        pm_ra_cosdec=rows["pm_ra"][solved] * u.rad / u.yr, pm_dec=rows["pm_dec"][solved] * u.rad / u.yr,
    )  # fmt: skip
    later = where.apply_space_motion(new_obstime=Time(2019.5, format="jyear"))
    found = read_reference([shards["gaia"]], 2019.5, *MIDDLE, 1.0)
    assert found is not None
    ours = SkyCoord(found.ra * u.deg, found.dec * u.deg)
    # In the order of the file: rows are neither sorted nor merged.
    assert ours[solved].separation(later).max() < 1e-5 * u.arcsec
    still = SkyCoord(rows["coord_ra"][~solved] * u.rad, rows["coord_dec"][~solved] * u.rad)
    assert ours[~solved].separation(still).max() < 1e-6 * u.arcsec
    assert np.median(found.error[~solved]) > 20 > 3 > np.median(found.error[solved])


def test_a_mixed_field_gives_scamp_every_row_with_a_position(shards: dict[str, Path], tmp_path: Path) -> None:
    """Gaia has no r, PS1 has: each star is there once, with Gaia's position and PS1's magnitude."""
    rows = {name: fits.getdata(path, 1) for name, path in shards.items()}
    both = read_reference(list(shards.values()), 2016.0, *MIDDLE, 1.0)
    gaia = read_reference([shards["gaia"]], 2016.0, *MIDDLE, 1.0)
    ps1 = read_reference([shards["ps1"]], 2016.0, *MIDDLE, 1.0)
    assert both is not None and gaia is not None and ps1 is not None
    plane = [np.c_[c.ra, c.dec] * 3600 for c in (gaia, ps1)]
    far, _ = cKDTree(plane[1]).query(plane[0])
    merged = gaia.ra.size + ps1.ra.size - both.ra.size
    assert (far < 0.5).sum() - 20 < merged <= (far < 1.0).sum() + 5
    out = tmp_path / "ref.ldac"
    write_ldac(out, both, "r", terms_of({}, "test"))
    table = fits.getdata(out, "LDAC_OBJECTS")
    assert len(table) == both.ra.size >= len(rows["ps1"])
    assert np.isfinite(table["MAG"]).all()
    # The catalogue's brightest stars are the brightest for scamp, of whatever band.
    assert table["MAG"].min() < 12
    place = cKDTree(np.c_[table["X_WORLD"], table["Y_WORLD"]])
    near, index = place.query(np.c_[gaia.ra, gaia.dec])
    assert near.max() * 3.6e6 < 1e-3, "each row of Gaia stands where Gaia puts it at that epoch"
    assert table["ERRA_WORLD"][index] * 3.6e6 == pytest.approx(gaia.error)
    assert both.catalogs[Catalog.GAIA] == 1030
    # PS1's magnitudes came along: most of Gaia's stars have an r now.
    r = both.mags[Passband(System.PS1, "r")]
    assert np.isfinite(r[: gaia.ra.size]).sum() > 0.9 * merged
    assert both.star.sum() == 1030


def test_a_small_catalogue_with_the_band_hides_no_other(shards: dict[str, Path], tmp_path: Path) -> None:
    gaia = read_stars(shards["gaia"])
    few = write(
        tmp_path / "refcat_few.fits", ra=gaia.ra[:20], dec=gaia.dec[:20], mag_r=np.linspace(16, 18, 20)
    )
    both = read_reference([shards["gaia"], few], 2015.5, *MIDDLE, 1.0)
    assert both is not None
    write_ldac(tmp_path / "ref.ldac", both, "r")
    assert fits.getheader(tmp_path / "ref.ldac", "LDAC_OBJECTS")["NAXIS2"] == 1030
    assert both.standard("r").known == 20


def test_the_same_catalogue_in_two_files_counts_once(shards: dict[str, Path], tmp_path: Path) -> None:
    again = tmp_path / "gaia_again.fits"
    again.write_bytes(shards["gaia"].read_bytes())
    found = read_reference([shards["gaia"], again], 2016.0, *MIDDLE, 1.0)
    assert found is not None
    assert found.ra.size == 1030


def test_tycho2_stars_move_from_their_own_epochs(real: Path) -> None:
    """The catalogue's own mean positions are of 2000.0 (Høg et al. 2000): its observed ones must move there."""
    path = real / "decam-cp-stack" / "tycho2.kd.fits"
    rows = fits.getdata(path, 1)
    found = read_reference([path], 2000.0, 186.7, 25.5, 2.0)
    assert found is not None
    assert found.ra.size == 64
    moved = rows["mean_ra"] > 0
    dra = (found.ra - rows["mean_ra"])[moved] * np.cos(np.radians(25.5)) * 3.6e6
    ddec = (found.dec - rows["mean_dec"])[moved] * 3.6e6
    raw = np.hypot(
        (rows["ra"] - rows["mean_ra"])[moved] * np.cos(np.radians(25.5)),
        (rows["dec"] - rows["mean_dec"])[moved],
    )
    # The mean position is from several catalogues: it agrees with the moved one within the errors of both.
    assert np.median(np.hypot(dra, ddec)) < 0.2 * np.median(raw) * 3.6e6
    now = read_reference([path], 2018.0, 186.7, 25.5, 2.0)
    assert now is not None
    place = np.sqrt((rows["sigma_ra"].astype(float) ** 2 + rows["sigma_dec"].astype(float) ** 2) / 2) * 3.6e6
    rate = (
        np.sqrt((rows["sigma_pm_ra"].astype(float) ** 2 + rows["sigma_pm_dec"].astype(float) ** 2) / 2) * 1e3
    )
    years = 2018.0 - np.minimum(rows["epoch_ra"], rows["epoch_dec"])
    assert now.error[moved] == pytest.approx(np.hypot(place, rate * years)[moved], rel=1e-3)
    assert now.error[~moved].min() > 130, "without proper motion: 26 years of 5 mas"


def test_vega_magnitudes_of_the_gaia_archive_become_ab(real: Path) -> None:
    """Evans et al. 2018, A&A 616, A4: G 25.6884 Vega, 25.7934 AB."""
    path = real / "decam-cp-stack" / "chunk-03586.fits"
    stars, rows = read_stars(path), fits.getdata(path, 1)
    g = stars.mags[Passband(System.GAIA, "G")]
    assert g - rows["phot_g_mean_mag"] == pytest.approx(0.1050, abs=1e-4)
    assert np.isnan(stars.pmra).sum() == 35


def test_the_band_y_of_the_survey_is_found(tmp_path: Path) -> None:
    path = write(
        tmp_path / "refcat.fits", ra=[10.0, 11.0], dec=[0.0, 0.1], mag_Y=[17.0, 18.0], mag_VR=[16.0, 17.0]
    )
    found = read_reference([path], 2016.0, 10.5, 0.0, 2.0)
    assert found is not None
    assert found.standard("Y").mag.tolist() == [17.0, 18.0]
    assert found.standard("VR").mag.tolist() == [16.0, 17.0]
    assert found.standard("r").known == 0


@pytest.mark.parametrize(
    ("unit", "scale"), [("nJy", 1.0), ("Jy", 1e-9), ("uJy", 1e-3), (None, 1.0), ("", 1e-9)], ids=str
)
def test_fluxes_are_read_in_their_unit(tmp_path: Path, unit: str | None, scale: float) -> None:
    """A shard without a unit is in nJy, one of the first kind in Jy."""
    flux = (np.array([16.0, 18.0, 20.0]) * u.ABmag).to_value(u.nJy) * scale
    units = {"r_flux": unit, "g_flux": unit} if unit else {}
    path = write(
        tmp_path / "ps1.fits", units, coord_ra=np.radians([10.0, 10.1, 10.2]), coord_dec=np.zeros(3), g_flux=flux,
        r_flux=flux,
    )  # fmt: skip
    stars = read_stars(path)
    assert stars.catalog is Catalog.PS1
    assert stars.mags[Passband(System.PS1, "r")] == pytest.approx([16.0, 18.0, 20.0], abs=1e-9)
    assert stars.ra == pytest.approx([10.0, 10.1, 10.2], abs=1e-12)


@pytest.mark.parametrize(
    ("columns", "catalog", "passbands"),
    [
        ("g_flux r_flux i_flux z_flux y_flux", Catalog.PS1, "ps1 g ps1 r ps1 i ps1 z ps1 y"),
        ("u_flux g_flux r_flux i_flux z_flux", Catalog.OTHER, "sdss u sdss g sdss r sdss i sdss z"),
        (
            "u_flux v_flux g_flux r_flux i_flux z_flux",
            Catalog.OTHER,
            "other u other g other r other i other z",
        ),
        ("y_flux j_flux", Catalog.OTHER, "other y"),
        ("phot_g_mean_flux monster_DES_g_flux monster_DES_y_flux", Catalog.GAIA, "des g des Y gaia G"),
    ],
)
def test_the_system_of_a_shards_fluxes(
    tmp_path: Path, columns: str, catalog: Catalog, passbands: str
) -> None:
    """PS1 has no u, SDSS no y, SkyMapper u and v; The Monster names the system in its columns."""
    fluxes = {name: [1e6] for name in columns.split()}
    stars = read_stars(write(tmp_path / "x.fits", coord_ra=[1.0], coord_dec=[0.0], **fluxes))
    words = passbands.split()
    assert stars.catalog is catalog
    assert set(stars.mags) == {Passband(System(s), b) for s, b in zip(words[::2], words[1::2], strict=True)}


def test_rows_of_mast_are_read(tmp_path: Path) -> None:
    """Column names and units of the PS1 mean object table (outputs.ps1.org: arcsec, MJD, -999 for none)."""
    path = write(
        tmp_path / "ps1.fits", raMean=[10.0, 11.0], decMean=[1.0, 1.0], raMeanErr=[0.005, 0.01], decMeanErr=[0.005, 0.01],
        epochMean=[56000.0, 56000.0], gMeanPSFMag=[17.0, -999.0], iMeanPSFMag=[16.0, 16.0], gMeanPSFMagErr=[0.01, -999.0],
    )  # fmt: skip
    stars = read_stars(path)
    assert stars.catalog is Catalog.PS1
    assert stars.ra_error.tolist() == [5.0, 10.0]
    assert np.isnan(stars.mags[Passband(System.PS1, "g")]).tolist() == [False, True]
    assert stars.epoch[0] == pytest.approx(Time(56000.0, format="mjd").jyear, abs=1e-9)


def test_shards_that_cannot_be_read_tell_why(tmp_path: Path) -> None:
    odd = write(tmp_path / "a.fits", {"coord_ra": "furlong"}, coord_ra=[1.0], coord_dec=[0.0])
    with pytest.raises(FileTypeError, match=r"a\.fits: column coord_ra is in 'furlong'; known units"):
        read_stars(odd)
    odd = write(tmp_path / "b.fits", {"r_flux": "W"}, coord_ra=[1.0], coord_dec=[0.0], r_flux=[1.0])
    with pytest.raises(FileTypeError, match="column r_flux is in 'w'; known units of flux"):
        read_stars(odd)
    odd = write(tmp_path / "c.fits", l=[1.0], b=[0.0])
    with pytest.raises(FileTypeError, match=r"no table with numbers in ra and dec.*it has a table with l, b"):
        read_stars(odd)
    odd = write(tmp_path / "d.fits", ra=[np.nan], dec=[0.0])
    with pytest.raises(FileTypeError, match="none of its 1 rows has a position"):
        read_stars(odd)
    fits.HDUList([fits.PrimaryHDU(np.zeros((4, 4)))]).writeto(tmp_path / "e.fits")
    with pytest.raises(FileTypeError, match="no binary table"):
        read_stars(tmp_path / "e.fits")


def test_an_unreadable_catalogue_is_told_and_the_others_serve(
    shards: dict[str, Path], tmp_path: Path
) -> None:
    cut = tmp_path / "ps1_cut.fits"
    cut.write_bytes(shards["ps1"].read_bytes()[:100_000])
    told: list[str] = []
    found = read_reference([cut, shards["gaia"]], 2016.0, *MIDDLE, 1.0, told.append)
    assert found is not None
    assert found.ra.size == 1030
    assert told[0].startswith("reference catalogue left out: ps1_cut.fits: ")
    with pytest.raises(FileTypeError, match=r"ps1_cut\.fits"):
        read_reference([cut, shards["gaia"]], 2016.0, *MIDDLE, 1.0)


def locus(shard: Path) -> dict[Passband, Any]:
    """Magnitudes of PS1's well-measured stars of the field (those that Gaia has)."""
    stars = read_stars(shard)
    good = np.ones(len(stars), bool)
    for band in "griz":
        good &= (stars.mags[Passband(System.PS1, band)] > 15) & (
            stars.mag_errors[Passband(System.PS1, band)] < 0.02
        )
    return {p: v[good] for p, v in stars.mags.items()}


def test_two_published_transformations_of_ps1_agree(shards: dict[str, Path]) -> None:
    """The terms in use against those of DELVE DR1 (Drlica-Wagner et al. 2021, ApJS 256, 2, appendix) on real stars.

    DELVE: g + 0.0994 (g-r) - 0.0076, r - 0.1335 (g-r) + 0.0189, i - 0.3407 (i-z) + 0.0026, z - 0.2575 (i-z) - 0.0074;
    its authors found later that these constants are off by up to 24 mmag against DES DR2.
    """
    mags = locus(shards["ps1"])
    p = {band: mags[Passband(System.PS1, band)] for band in "griz"}
    blue = (p["g"] - p["r"] > 0.3) & (p["g"] - p["r"] < 1.1) & (np.abs(p["i"] - p["z"]) < 0.3)
    assert blue.sum() > 100
    gr, iz = p["g"] - p["r"], p["i"] - p["z"]
    delve = {
        "g": p["g"] + 0.0994 * gr - 0.0076, "r": p["r"] - 0.1335 * gr + 0.0189, "i": p["i"] - 0.3407 * iz + 0.0026,
        "z": p["z"] - 0.2575 * iz - 0.0074,
    }  # fmt: skip
    for band, theirs in delve.items():
        ours = standard(mags, {}, band, terms_of({}, "test"), blue.size).mag
        off = (ours - theirs)[blue]
        assert abs(np.nanmedian(off)) < 0.025, band
        assert np.nanstd(off) < 0.015, band
        # Without the term the magnitudes would differ more, and by colour.
        assert np.nanstd(off) < np.nanstd((p[band] - theirs)[blue]), band


def test_colours_out_of_range_have_no_magnitude() -> None:
    g, i = np.array([16.0, 16.0, 16.0, np.nan]), np.array([15.9, 15.0, 13.0, 15.0])
    mags = {Passband(System.PS1, "g"): g, Passband(System.PS1, "i"): i}
    found = standard(
        mags, {Passband(System.PS1, b): np.full(4, 0.01) for b in "gi"}, "g", terms_of({}, "t"), 4
    )
    assert np.isfinite(found.mag).tolist() == [False, True, False, False]
    # Legacy Surveys, g at g-i = 1: 0.00062 + 0.03604 + 0.01028 - 0.00613.
    assert found.mag[1] == pytest.approx(16.04081, abs=1e-9)
    # d/dg = 1 + s, d/di = -s with s = 0.03604 + 2 × 0.01028 - 3 × 0.00613.
    s = 0.03604 + 2 * 0.01028 - 3 * 0.00613
    assert found.error[1] == pytest.approx(0.01 * np.hypot(1 + s, s), rel=1e-9)
    assert found.terms[0].source.startswith("Schlafly 2017")


def test_terms_that_cannot_be_understood_are_refused_by_place() -> None:
    good = {"base": "g", "colour": "g-i", "coefficients": "0,0.1", "range": "0,1", "source": "x"}
    assert colour_terms({"ps1": {"y": good}}, "m")[0].band == "Y"
    for change, text in (
        ({"colour": "gi"}, "m: colour_terms/ps1/g: colour is 'gi'; write it as g-i"),
        ({"range": "0"}, "range is '0'; write bluest,reddest"),
        ({"coefficients": "a"}, "coefficients is 'a'"),
    ):
        with pytest.raises(UsageError, match=text):
            colour_terms({"ps1": {"g": {**good, **change}}}, "m")
    with pytest.raises(UsageError, match="no photometric system 'johnson'; known: des, ps1"):
        colour_terms({"johnson": {}}, "m")
    with pytest.raises(UsageError, match="add source"):
        colour_terms({"ps1": {"g": {k: v for k, v in good.items() if k != "source"}}}, "m")
