"""The main job on nine real DECam exposures of one field, with everything that is missing in them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from healsparse import HealSparseMap
from scipy.spatial import cKDTree

from desdm.codes.detection.sextractor import DATA, objects
from tests.support.fits import unclean
from tests.support.footprint import sampled
from tests.support.tasks import Coadd, run


@pytest.fixture(scope="module")
def stack(real: Path) -> Path:
    """The folder of the nine exposures."""
    return real / "decam-cp-stack"


@pytest.fixture(scope="module")
def work(stack: Path, tmp_path_factory: pytest.TempPathFactory) -> Coadd:
    """All exposures and the tile."""
    tile = {"tilename": "DES1226+2527", "tile_ra": "186.744", "tile_dec": "25.462", "tile_naxis": "270"}
    made = Coadd(
        tmp_path_factory.mktemp("real"),
        {**tile, "tile_pixscale": "0.262"},
        refcat=sorted(stack.glob("chunk-*.fits")),
        zeropoints=[stack / "survey-ccds-1.fits.gz"],
    )
    for image in sorted(stack.glob("*_ooi_*.fits")):
        psfs = sorted((stack / "psfex").glob(image.name.split(".")[0] + "*"), reverse=True)
        mask, weight = (stack / image.name.replace("_ooi_", f"_{kind}_") for kind in ("ood", "oow"))
        made.exposure(image, mask, weight, psfs)
    made.finish()
    return made


def test_there_is_a_coadd_in_each_band(work: Coadd) -> None:
    counts = {band: fits.getheader(path)["NCOMBINE"] for band, path in work.coadd.items()}
    assert counts == {"g": 2, "r": 3, "z": 4}


def test_every_product_conforms(work: Coadd) -> None:
    assert unclean(sorted(work.out.glob("*.fits"))) == []


def test_too_few_stars_is_a_finding_and_not_a_crash(work: Coadd) -> None:
    psf = [t for t in work.tasks if t.name == "psfex"]
    assert len(psf) == 9
    for task in psf:
        assert any("delivered model" in f.text for f in task.log.findings)
    for band in "grz":
        assert fits.getheader(work.coaddpsf[band])["PSFSOURC"] == "combined"


def test_missing_zero_points_are_found_and_said(work: Coadd) -> None:
    heads = [fits.getheader(p) for paths in work.nwgint.values() for p in paths]
    source = {h["EXPNUM"]: h["ZPSOURC"] for h in heads}
    assert {e for e, s in source.items() if s == "header"} == {630780, 634850, 640615, 650104}
    said = [f.text for t in work.tasks if t.name == "nwgint" for f in t.log.findings]
    assert sum("nominal zero point" in text for text in said) == 5
    tied = [f.text for t in work.tasks if t.name == "swarp" for f in t.log.findings]
    assert sum("objects in common" in text for text in tied) == 5


def test_exposures_are_tied_to_one_photometric_scale(work: Coadd) -> None:
    """A bright star has the same flux on the coadd as the calibrated exposures give it, nominal ones or not."""
    coadd = objects(work.coaddcat["z"])
    bright = coadd[(coadd["MAGERR_PSF"] < 0.02) & (coadd["FLAGS"] == 0) & (coadd["IMAFLAGS_ISO"] & 2 == 0)]
    assert len(bright) >= 3
    seen = []
    for image, catalogue in zip(work.nwgint["z"], work.catalog["z"], strict=True):
        if fits.getheader(image)["ZPSOURC"] != "header":
            continue
        rows = objects(catalogue)
        places = np.c_[rows["ALPHA_J2000"] * 0.9, rows["DELTA_J2000"]]
        far, index = cKDTree(places).query(np.c_[bright["ALPHA_J2000"] * 0.9, bright["DELTA_J2000"]])
        hit = far < 0.7 / 3600
        seen.append(np.median(rows["MAG_PSF"][index[hit]] - bright["MAG_PSF"][hit]))
    assert len(seen) == 2
    assert abs(np.mean(seen)) < 0.03


def test_the_coadd_says_whose_zero_points_are_measured(work: Coadd) -> None:
    for path in work.coadd.values():
        head = fits.getheader(path)
        sources = {head[f"EXP{i:05d}"]: head[f"ZP{i:05d}"] for i in range(1, head["NCOMBINE"] + 1)}
        for image, source in sources.items():
            measured = int(image.split()[0]) in (630780, 634850, 640615, 650104)
            assert source == ("measured" if measured else "tied")


def test_images_that_no_stars_tie_are_left_out(work: Coadd) -> None:
    """Without catalogues nothing ties the two exposures in r whose header has no MAGZERO."""
    out = work.out / "untied_r.fits"
    task = run(
        "desdm.codes.coadd.wrapper.swarp", work.out / "untied", {"nwgints": work.nwgint["r"]}, {"coadd": out}, work.tile,
        work.tile,
    )  # fmt: skip
    head = fits.getheader(out)
    assert (head["NCOMBINE"], head["EXP00001"].split()[0], head["ZP00001"]) == (1, "650104", "measured")
    said = [f.text for f in task.log.findings if f.level == 2]
    assert sum("it is left out of the coadd" in text for text in said) == 2
    # All three are of another scale: the one that is left keeps its own, MAGZERO 30.208 against the coadd's 30.
    (path,) = [p for p in work.nwgint["r"] if fits.getheader(p)["EXPNUM"] == 650104]
    assert fits.getheader(path)["FLXSCALE"] == pytest.approx(10 ** (-0.4 * 0.208), rel=1e-3)


def test_residuals_to_gaia_are_those_of_the_delivered_solutions(work: Coadd) -> None:
    checks = [fits.getheader(p) for paths in work.check.values() for p in paths]
    # Four Gaia stars lie in the field; the brightest is saturated in some exposures, the faintest not seen in all.
    assert len(checks) == 9
    assert min(h["NMATCH"] for h in checks) >= 2
    # The Community Pipeline tied them to Gaia DR1 or DR2 to some hundredths of an arcsec.
    assert max(abs(h["DRAMED"]) for h in checks) < 80
    assert max(abs(h["DDECMED"]) for h in checks) < 80


def _bare(image: str, folder: Path, *more: str) -> np.ndarray:
    """What Source Extractor finds without any of our preparation."""
    (folder / "bare.param").write_text("X_IMAGE\nY_IMAGE\nFLUX_AUTO\nFLUXERR_AUTO\n")
    (folder / "bare.conv").write_text("CONV NORM\n# 3x3\n1 2 1\n2 4 2\n1 2 1\n")
    out = folder / "bare.cat"
    run = [
        "source-extractor",
        image,
        "-c",
        str(DATA / "default.sex"),
        "-PARAMETERS_NAME",
        str(folder / "bare.param"),
    ]
    run += [
        "-FILTER_NAME",
        str(folder / "bare.conv"),
        "-DETECT_THRESH",
        "1.5",
        "-CATALOG_NAME",
        str(out),
        *more,
    ]
    subprocess.run(run, check=True, capture_output=True)
    return np.atleast_2d(np.loadtxt(out))


def test_single_exposures_miss_nothing_but_masked_cosmic_rays(
    stack: Path, work: Coadd, tmp_path: Path
) -> None:
    for path, catalogue in zip(work.nwgint["z"], work.catalog["z"], strict=True):
        name = path.name.replace("_nwgint.fits", ".fits")
        bare = _bare(f"{stack / name}[1]", tmp_path)
        ours = objects(catalogue)
        far, _ = cKDTree(np.c_[ours["X_IMAGE"], ours["Y_IMAGE"]]).query(bare[:, :2])
        mask = fits.getdata(path, "MSK")
        for x, y, flux, error in bare[far > 4]:
            row, column = int(y) - 1, int(x) - 1
            around = mask[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5]
            assert around.any() or flux / error < 7, f"{name}: {x:.0f} {y:.0f}, S/N {flux / error:.1f}"


def test_the_coadd_is_deeper_than_any_exposure(work: Coadd) -> None:
    """A bare coadd of the four z exposures gave 16 objects, cosmic rays among them; single ones 7 to 9."""
    tile = objects(work.coaddcat["z"])
    assert len(tile) >= 16
    assert len(tile) > 1.5 * max(len(objects(p)) for p in work.catalog["z"])


def test_an_unmasked_cosmic_ray_is_clipped(work: Coadd) -> None:
    """One z exposure has a ray at tile pixel (229, 43) that no mask knows; a weighted mean shows it at 16 sigma."""
    with fits.open(work.coadd["z"]) as hdus:
        signal = hdus["SCI"].data * np.sqrt(hdus["WGT"].data)
    assert np.abs(signal[36:50, 218:240]).max() < 5


def test_the_footprint_of_real_images_is_what_every_pixel_says(work: Coadd) -> None:
    """The little field lies in a handful of cells; some of its pixels only one exposure saw, some none."""
    for band, path in work.footprint.items():
        true = sampled(work.coadd[band], work.nwgint[band], work.out / f"depth_{band}.json", step=1)
        found = HealSparseMap.read(str(path))[true.cells]
        clear = true.fraction > 0.01
        assert clear.sum() >= 2
        assert np.abs(found["fraction"][clear] - true.fraction[clear]).max() < 0.01
        halfway = np.abs(true.nexp % 1 - 0.5) < 0.03
        assert (found["nexp"] == np.rint(true.nexp))[clear & ~halfway].all()
        assert np.abs(found["depth"] - true.depth)[clear & (true.looked > 1000)].max() < 0.02
