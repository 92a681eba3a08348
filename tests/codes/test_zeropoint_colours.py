"""Zero points from a PS1 shard whose bandpasses differ from the camera's, held against the simulator's truth.

The response is not written as a colour term: each star is a spectrum, and its magnitudes in both systems are integrals
over the bands' edges as published for PS1 (Tonry et al. 2012, ApJ 750, 99, table 4) and DES (Abbott et al. 2018, ApJS
239, 18, table 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from desdm.codes.detection.sextractor import objects
from desdm.survey.headers import wcs_of
from tests.codes.test_exposure_astrometry import solved
from tests.codes.test_exposure_photometry import CODES, Chain, worked
from tests.support.calibrated import Exposure, exposures
from tests.support.tasks import run, settings_of

#: nm
EDGES = {
    "ps1": {"g": (414, 551), "r": (550, 689), "i": (690, 819), "z": (818, 922), "y": (918, 1001)},
    "des": {"g": (398, 548), "r": (568, 716), "i": (710, 857), "z": (850, 1002), "Y": (950, 1065)},
}
WAVE = np.arange(390.0, 1080.0)
BANDS = ("g", "r", "i", "z", "Y")


def spectrum(temperature: Any, tilt: Any = 0.0) -> Any:
    """f_lambda of black bodies, each tilted by a power of the wavelength; one row a star."""
    t, a = (
        np.atleast_1d(temperature)[:, None],
        np.broadcast_to(tilt, np.shape(np.atleast_1d(temperature)))[:, None],
    )
    return (WAVE / 650.0) ** (a - 5.0) / np.expm1(1.4387769e7 / (WAVE * t))


def synthetic(flux: Any, system: str, band: str) -> Any:
    """AB magnitude of spectra in a band of photons counted, up to a constant of all bands."""
    low, high = EDGES[system][band]
    inside = (low <= WAVE) & (high >= WAVE)
    return -2.5 * np.log10((flux * WAVE)[:, inside].sum(axis=1) / (1.0 / WAVE[inside]).sum())


def difference(flux: Any, band: str) -> Any:
    """PS1 less DES magnitude of spectra."""
    return synthetic(flux, "ps1", "y" if band == "Y" else band) - synthetic(flux, "des", band)


def seen_by_ps1(des: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """PS1's magnitudes of stars with these in DES: spectra of their colour g - i, each a little its own."""
    grid = np.linspace(2500.0, 15000.0, 2000)
    colour = synthetic(spectrum(grid), "des", "g") - synthetic(spectrum(grid), "des", "i")
    tilt = rng.normal(scale=0.05, size=des["g"].size)
    # The tilt changes the colour as well; the temperature is found for the colour without it.
    temperature = np.interp(des["i"] - des["g"], -colour, grid)
    flux = spectrum(temperature, tilt)
    return {band: mag + difference(flux, band) for band, mag in des.items()}


def fitted_terms() -> dict[str, Any]:
    """Cubic colour terms as a calibrator would have them: of standard stars, black bodies reddened by up to 0.3 mag."""
    temperature = np.linspace(2900.0, 8500.0, 300)
    dust = 10 ** (-0.4 * np.random.default_rng(1).uniform(0, 0.3, 300)[:, None] * (550.0 / WAVE))
    flux = spectrum(temperature) * dust
    colour = synthetic(flux, "ps1", "g") - synthetic(flux, "ps1", "i")
    use = (colour > 0.2) & (colour < 2.2)
    terms = {}
    for band in BANDS:
        series = np.polynomial.Polynomial.fit(colour[use], -difference(flux, band)[use], 3).convert().coef
        terms[band] = {
            "base": band.lower(), "colour": "g-i", "coefficients": ",".join(f"{c:.6f}" for c in series), "range": "0.2,2.2",
            "bright": "14.5", "faint": "21", "source": "black bodies of the test",
        }  # fmt: skip
    return {"ps1": terms}


@dataclass
class Night:
    """An exposure in each band, worked off, and reference shards of the field as LSST writes them."""

    chains: dict[str, Chain]
    gaia: Path
    ps1: Path

    def zeropoint(
        self, band: str, refcat: list[Path], name: str, terms: Any
    ) -> tuple[fits.Header, Any, float, Any]:
        """Primary header, table and true zero point by these catalogues and colour terms, and the task."""
        chain = self.chains[band]
        out = chain.out / f"{name}_zp.fits"
        inputs = {"catalogs": list(chain.catalogs.values()), "refcat": refcat}
        where = CODES + "photocal.wrapper.zeropoint"
        task = run(where, chain.out, inputs, {"zeropoints": out}, more={"colour_terms": terms})
        return fits.getheader(out), fits.getdata(out, "ZEROPOINTS"), chain.exposure.zero, task


def shard(path: Path, columns: dict[str, tuple[Any, str | None]]) -> Path:
    made = [
        fits.Column(n, "K" if v.dtype.kind == "i" else "D", unit=u, array=v) for n, (v, u) in columns.items()
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(made)]).writeto(path)
    return path


def galaxies(made: dict[str, Exposure]) -> tuple[Any, Any, dict[str, Any]]:
    """Right ascension, declination and magnitude by band of the galaxies that every exposure saw."""
    rows = {b: np.concatenate(list(e.tables.values())) for b, e in made.items()}
    rows = {b: r[r["kind"] == "galaxy"] for b, r in rows.items()}
    every = set.intersection(*(set(r["id"].tolist()) for r in rows.values()))
    for b, r in rows.items():
        _, first = np.unique(r["id"], return_index=True)
        rows[b] = r[first][np.isin(r["id"][first], sorted(every))]
    return rows["g"]["ra"], rows["g"]["dec"], {b: r["mag"] for b, r in rows.items()}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("colours")
    made = {str(e.truth["band"]): e for e in exposures(folder, 77, BANDS)}
    stars = fits.getdata(made["g"].refcat, 1)
    rng, mas = np.random.default_rng(5), np.pi / 180 / 3.6e6
    n = len(stars)
    flux = 3.6308e12 * 10 ** (-0.4 * (stars["mag_g"] * 0.5 + stars["mag_i"] * 0.5))
    gaia = shard(folder / "gaia_1.fits", {
        "id": (np.arange(n), None), "coord_ra": (np.radians(stars["ra"]), "rad"),
        "coord_dec": (np.radians(stars["dec"]), "rad"), "phot_g_mean_flux": (flux, "nJy"),
        "coord_raErr": (np.full(n, mas), "rad"), "coord_decErr": (np.full(n, mas), "rad"),
        "epoch": (51544.5 + 365.25 * (stars["ref_epoch"] - 2000.0), "day"), "pm_ra": (stars["pmra"] * mas, "rad"),
        "pm_dec": (stars["pmdec"] * mas, "rad"), "pm_raErr": (np.full(n, 0.05 * mas), "rad/year"),
        "pm_decErr": (np.full(n, 0.05 * mas), "rad/year"),
    })  # fmt: skip
    gra, gdec, mags = galaxies(made)
    des = {b: np.concatenate([stars[f"mag_{b}"], mags[b]]).astype(float) for b in BANDS}
    seen = {b: 3.6308e12 * 10 ** (-0.4 * mag) for b, mag in seen_by_ps1(des, rng).items()}
    m = seen["g"].size
    ra, dec = np.concatenate([stars["ra"], gra]), np.concatenate([stars["dec"], gdec])
    ps1 = shard(folder / "ps1_1.fits", {
        "id": (np.arange(m), None),
        "coord_ra": (np.radians(ra) + rng.normal(scale=8 * mas, size=m) / np.cos(np.radians(dec)), "rad"),
        "coord_dec": (np.radians(dec) + rng.normal(scale=8 * mas, size=m), "rad"),
        **{f"{b.lower()}_flux": (flux, "nJy") for b, flux in seen.items()},
        **{f"{b.lower()}_fluxErr": (flux * 0.005, "nJy") for b, flux in seen.items()},
    })  # fmt: skip
    chains = {band: worked(e, tmp_path_factory.mktemp(f"chain_{band}")) for band, e in made.items()}
    return Night(chains, gaia, ps1)


@pytest.mark.parametrize("band", BANDS)
def test_the_zero_point_is_the_surveys(night: Night, band: str) -> None:
    """Within 3 mmag of the truth by Gaia and PS1 together, and each CCD within its error."""
    head, table, true, task = night.zeropoint(band, [night.gaia, night.ps1], "both", fitted_terms())
    assert head["ZPFLAG"] == 0
    assert head["ZPNSTARS"] > 100
    assert head["MAGZERO"] == pytest.approx(true, abs=0.003)
    # What the colour terms add to the error of the survey's own magnitudes, which is that of the PSF fluxes.
    own = fits.getdata(night.chains[band].zeropoints, "ZEROPOINTS")
    assert table["MAG_ZERO"] == pytest.approx(own["MAG_ZERO"], abs=0.0015)
    assert head["CTERM1"].startswith(f"ps1 {band.lower()} g-i: ")
    assert head["REFCAT"] == "ps1_1", "whose magnitudes they are, not Gaia's"
    assert head["CTSRC1"] == "black bodies of the test"
    slope = next(m.value for m in task.metrics if m.name == "zeropoint_colour")
    assert abs(slope) < 0.005


@pytest.mark.parametrize("band", BANDS)
def test_without_a_colour_term_it_would_be_wrong(night: Night, band: str) -> None:
    terms = fitted_terms()
    for keys in terms["ps1"].values():
        keys["coefficients"] = "0"
    head, _, true, task = night.zeropoint(band, [night.gaia, night.ps1], "flat", terms)
    # In Y the constant and the slope of the term nearly cancel at the mean colour of the field.
    assert abs(head["MAGZERO"] - true) > (0.010 if band == "Y" else 0.015)
    slope = next(m.value for m in task.metrics if m.name == "zeropoint_colour")
    assert abs(slope) > 0.02, "and the metric tells it"


@pytest.mark.parametrize("band", BANDS)
def test_ps1_alone_with_its_galaxies_serves_as_well(night: Night, band: str) -> None:
    head, _, true, _ = night.zeropoint(band, [night.ps1], "ps1", fitted_terms())
    assert head["MAGZERO"] == pytest.approx(true, abs=0.003)


def test_magnitudes_of_the_survey_are_not_mixed_with_others(night: Night) -> None:
    own = night.chains["i"].exposure.refcat
    head, table, _, _ = night.zeropoint("i", [night.ps1, own], "mixed", fitted_terms())
    assert "CTERM1" not in head
    assert head["REFNDES"] > 100
    assert head["REFCAT"] == own.name.removesuffix(".fits")
    alone = fits.getdata(night.chains["i"].zeropoints, "ZEROPOINTS")
    assert table["MAG_ZERO"] == pytest.approx(alone["MAG_ZERO"], abs=1e-6)


def test_gaia_alone_gives_no_zero_point(night: Night) -> None:
    """Gaia's G is not a magnitude of the survey: the nominal zero point stands, and a finding says so."""
    head, _, _, task = night.zeropoint("g", [night.gaia], "gaia", settings_terms())
    assert head["ZPFLAG"] & 4
    assert "no reference magnitudes in g: the catalogues have gaia G" in task.log.findings[0].text


def settings_terms() -> Any:
    return settings_of(CODES + "photocal.wrapper.zeropoint")["colour_terms"]


def test_both_catalogues_solve_the_astrometry(night: Night, tmp_path: Path) -> None:
    """To 3 mas, as with the survey's own catalogue, though PS1 has errors of 8 mas and galaxies."""
    exposure = night.chains["i"].exposure
    found = solved(list(exposure.skyful.values()), [night.gaia, night.ps1], tmp_path)
    assert found.findings == ""
    for ccd, truth in exposure.headers.items():
        x, y = (v.ravel() for v in np.meshgrid(np.linspace(1, 512, 12), np.linspace(1, 1024, 24)))
        ra, dec = wcs_of(fits.getheader(found.images[ccd])).all_pix2world(x, y, 1)
        true_ra, true_dec = wcs_of(truth).all_pix2world(x, y, 1)
        off = np.hypot((ra - true_ra) * np.cos(np.radians(true_dec)), dec - true_dec) * 3.6e6
        assert np.sqrt(np.mean(off**2)) < 3.0
        assert off.max() < 12.0
    assert len(objects(night.chains["i"].catalogs[1])) > 100
