"""Real images and catalogues: an ESO field through detection and PSF, and DES star lists against our own selection."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from scipy.spatial import cKDTree

from desdm.codes.detection.sextractor import objects
from desdm.codes.psf.model import PSFModel, read_model
from desdm.codes.psf.piff import read_piff, read_piff_sky
from desdm.codes.psf.shapelets import read_shapelets
from desdm.codes.psf.starlists import read_star_list
from desdm.codes.psf.stars import select
from desdm.errors import FileTypeError, ProgramFailed, UsageError
from desdm.survey.images import read_community, write_planes
from tests.support.fits import unclean
from tests.support.tasks import run, settings_of

PSF = "desdm.codes.psf.wrapper."
CONV = "/usr/share/source-extractor/default.conv"
#: Of the field: level of saturation and gain (ESO DET AD_VALUE); the weight map is relative, so its scale is measured.
FIELD = {
    "detect_thresh": "1.5", "analysis_thresh": "1.5", "detect_minarea": "5", "back_size": "64", "filter_name": CONV,
    "satur_level": "50000", "gain": "2.1", "rescale_weights": "Y", "deblend_mincont": "0.005",
}  # fmt: skip


def keys(wrapper: str, **more: str) -> dict[str, Any]:
    return {"sextractor_keys": {**settings_of(wrapper)["sextractor_keys"], **FIELD, **more}}


@pytest.fixture(scope="module")
def ntt(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The field as three planes; its header has log lines in it, two-digit years and no celestial coordinates."""
    folder = real / "ntt-galaxies"
    assert unclean([folder / "galaxies.fits"]) != [], "fitsverify has seven complaints about it"
    planes = read_community(folder / "galaxies.fits", None, folder / "galaxies.weight.fits")
    assert planes.shape == (1024, 1024)
    path = tmp_path_factory.mktemp("ntt") / "field.fits"
    write_planes(path, planes)
    return path


def test_a_real_field_gives_the_objects_that_the_bare_program_finds(
    ntt: Path, real: Path, tmp_path: Path
) -> None:
    """Source Extractor by itself, with its own default filter, finds 906."""
    out, bare = tmp_path / "stars.fits", tmp_path / "bare.fits"
    run(PSF + "psfcat", tmp_path, {"image": [ntt]}, {"catalog": out}, more=keys(PSF + "psfcat"))
    (tmp_path / "number.param").write_text("NUMBER\nX_IMAGE\nY_IMAGE\n")
    folder = real / "ntt-galaxies"
    subprocess.run(
        ["source-extractor", folder / "galaxies.fits", "-c", "/usr/share/source-extractor/default.sex", "-PARAMETERS_NAME",
         "number.param", "-FILTER_NAME", CONV, "-CATALOG_TYPE", "FITS_LDAC", "-CATALOG_NAME", bare, "-WEIGHT_TYPE",
         "MAP_WEIGHT", "-WEIGHT_IMAGE", folder / "galaxies.weight.fits", "-DETECT_MINAREA", "5"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    ours, theirs = objects(out), objects(bare)
    assert len(theirs) == 906
    assert len(ours) == pytest.approx(906, rel=0.01)
    far, _ = cKDTree(np.c_[ours["X_IMAGE"], ours["Y_IMAGE"]]).query(
        np.c_[theirs["X_IMAGE"], theirs["Y_IMAGE"]]
    )
    assert (far < 1.0).mean() > 0.98


def test_the_psf_of_a_real_field(ntt: Path, tmp_path: Path) -> None:
    """A fit of PSFEx by hand kept 54 of 56 stars with chi2 0.97; ours asks more of a star's shape and flags."""
    cat, psf, final = tmp_path / "stars.fits", tmp_path / "psf.fits", tmp_path / "cat.fits"
    run(PSF + "psfcat", tmp_path, {"image": [ntt]}, {"catalog": cat}, more=keys(PSF + "psfcat"))
    fit = settings_of(PSF + "psfex")["psfex_keys"] | {"sample_minsn": "30", "sample_fwhmrange": "2,8"}
    inputs = {"image": [ntt], "catalog": [cat]}
    task = run(PSF + "psfex", tmp_path, inputs, {"psf": psf}, more={"stars_per_term": "9", "psfex_keys": fit})
    model = read_model(psf)
    assert fits.getheader(psf)["PSFSOURC"] == "psfex"
    assert 30 <= model.accepted <= 56
    assert 0.85 < model.chi2 < 1.2
    assert 0.5 < {m.name: m.value for m in task.metrics}["fwhm_mean"] < 1.5
    name = "desdm.codes.detection.wrapper.secatalog"
    more = keys(name, back_type="AUTO", phot_apertures="8,12,16,30")
    run(name, tmp_path, {"image": [ntt], "psf": [psf]}, {"catalog": final}, more=more)
    rows = objects(final)
    stars = rows[select(rows)]
    assert len(stars) > 20
    # The PSF flux of stars is what a wide aperture holds, but for the neighbours' light in it: the field is crowded.
    assert -0.05 < np.median(stars["MAG_PSF"] - stars["MAG_APER"][:, 3]) < 0.15


def test_our_stars_are_the_stars_of_des(real: Path) -> None:
    """The catalogue of DECam exposure 241238, CCD 1: star list by size and magnitude, and the stars that PSFEx used."""
    folder = real / "des-psf-catalogs"
    rows = objects(folder / "DECam_00241238_01_cat.fits")
    ours = rows[select(rows, snr=20)]
    theirs = fits.getdata(folder / "DECam_00241238_01_findstars.fits", 1)
    theirs = theirs[theirs["star_flag"] == 1]
    used = objects(folder / "DECam_00241238_01_psfcat.used.fits")
    assert (len(rows), len(theirs), len(used)) == (950, 175, 105)
    here = cKDTree(np.c_[ours["XWIN_IMAGE"], ours["YWIN_IMAGE"]])
    known = cKDTree(np.c_[theirs["x"], theirs["y"]])
    assert (known.query(np.c_[ours["XWIN_IMAGE"], ours["YWIN_IMAGE"]])[0] < 2).mean() > 0.8
    assert (here.query(np.c_[theirs["x"], theirs["y"]])[0] < 2).mean() > 0.8
    assert (here.query(np.c_[used["X_IMAGE"], used["Y_IMAGE"]])[0] < 2).mean() > 0.95


def test_des_own_psf_files_are_read(real: Path) -> None:
    folder = real / "des-psf-catalogs"
    model = read_model(folder / "DECam_00154912_12_psfcat.psf")
    image = model.image_at(1024, 2048)
    # PSFEx's total is that of its stars' apertures, only about 1 (see codes/psf/normalise.py).
    assert image.sum() * model.samp**2 == pytest.approx(1.0, abs=0.1)
    assert 3.0 < model.fwhm_from_area(1024, 2048) < 6.0
    stars = fits.getdata(folder / "D00362921_r_c57_r2331p02_use_stars.fits", 1)
    assert len(stars) == 23
    assert stars["use"].all()
    piff = folder / "D00240560_r_c01_r2362p01_piff.fits"
    with pytest.raises(FileTypeError, match=r"r2362p01_piff.fits: its polynomial is in u and v on the sky"):
        read_piff(piff)
    with pytest.raises(FileTypeError, match="it is not a PIFF model"):
        read_piff(folder / "DECam_00154912_12_psfcat.psf")


def test_a_piff_model_of_des_is_what_piff_evaluated(real: Path) -> None:
    """DESDM's PIFF of that time kept 286 of 17x17 samples, and wrote its own values at each star beside them."""
    path = real / "des-psf-catalogs" / "D00240560_r_c01_r2362p01_piff.fits"
    model, stars = read_piff_sky(path), fits.getdata(path, "psf_stars")
    assert (model.coefficients.shape, model.samp, model.accepted) == ((10, 17, 17), 0.3, 50)
    assert model.chi2 == pytest.approx(4499.7478 / 17509, rel=1e-6)
    left = np.ones((17, 17), bool)
    left[8, 8] = left[9, 8] = left[8, 9] = False
    offset = np.arange(17) - 8
    for star in stars:
        stamp = model.image_at(star["u"], star["v"])
        assert stamp[left] == pytest.approx(star["params"], abs=1e-11)
        # PIFF's conditions (pixelgrid.py before 1.0): unit flux in surface brightness, centroid at the origin.
        assert stamp.sum() * 0.3**2 == pytest.approx(1.0, abs=1e-9)
        assert (stamp * offset).sum() == pytest.approx(0.0, abs=1e-9)
        assert (stamp * offset[:, None]).sum() == pytest.approx(0.0, abs=1e-9)
    assert np.unravel_index(stamp.argmax(), stamp.shape) == (8, 8)
    assert 0.6 < model.fwhm < 1.6, "arcsec"


def test_the_shapelets_of_a_ccd_agree_with_its_psfex_model(real: Path) -> None:
    """Two programs fitted the same stars; DECam's x goes south and its y east (CD2_1 < 0, CD1_2 > 0)."""
    folder = real / "des-psf-catalogs"
    shapelets = read_shapelets(folder / "DECam_00154912_12_fitpsf.fits")
    psfex = read_model(folder / "DECam_00154912_12_psfcat.psf")
    assert (shapelets.order, shapelets.degree, shapelets.rotation.shape) == (4, 3, (12, 15))
    for x, y in ((1024, 2048), (300, 500), (1700, 3900)):
        image = shapelets.image(x, y, 0.1, 81)
        drawn = PSFModel(image[None], 0, (0.0, 0.0), (1.0, 1.0), 0.1, 1.0)
        (ours, e1, e2), (theirs, f1, f2) = drawn.moments(0, 0), psfex.moments(x, y)
        assert ours == pytest.approx(theirs * 0.263, rel=0.02), "arcsec"
        assert (e1, e2) == pytest.approx((-f1, -f2), abs=0.05)
    with pytest.raises(UsageError, match="outside of the shapelet model"):
        shapelets.coefficients(1, 1)
    with pytest.raises(FileTypeError, match="no shapelet model"):
        read_shapelets(folder / "DECam_00241238_01_cat.fits")


def test_star_lists_of_des_are_read(real: Path) -> None:
    folder = real / "des-psf-catalogs"
    found, used = (
        read_star_list(folder / f"DECam_00241238_01_{n}.fits") for n in ("findstars", "psfcat.used")
    )
    assert (len(found), int(found.star.sum()), len(used), bool(used.used.all())) == (1908, 175, 105, True)
    # PSFEx' stars are among those of findstars, at its positions (another centroid).
    far, index = cKDTree(np.c_[found.x, found.y]).query(np.c_[used.x, used.y])
    assert (far < 1.0).all()
    assert found.star[index].mean() > 0.5
    piff = read_star_list(folder / "D00362921_r_c57_r2331p02_use_stars.fits")
    assert (len(piff), bool(piff.used.all())) == (23, True)
    with pytest.raises(FileTypeError, match="no star list"):
        read_star_list(folder / "DECam_00241238_01_cat.fits")


def test_piff_is_asked_for_but_not_there(ntt: Path, tmp_path: Path) -> None:
    cat = tmp_path / "stars.fits"
    run(PSF + "psfcat", tmp_path, {"image": [ntt]}, {"catalog": cat}, more=keys(PSF + "psfcat"))
    programs = {**settings_of(PSF + "psfex")["exec"], "piffify": {"program": "piffify-that-is-not-there"}}
    with pytest.raises(ProgramFailed, match=r"install the extra desdm\[piff\]"):
        run(
            PSF + "psfex",
            tmp_path,
            {"image": [ntt], "catalog": [cat]},
            {"psf": tmp_path / "p.fits"},
            more={"psf_code": "piff", "exec": programs},
        )
