"""The verdict on real DECam exposures: the wrapper of a run, fed with their own headers and catalogues."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from desdm.codes.detection.sextractor import catalogue_header
from desdm.survey.headers import identity, merged
from tests.support.tasks import run

ASSESS = "desdm.codes.assess.wrapper.assess"


def catalogue(path: Path, head: fits.Header, **more: Any) -> Path:
    """A catalogue without objects, as a run writes one, of the image with this header."""
    cards = fits.Header()
    for key, value in {**identity(head), **more}.items():
        cards[key] = value
    names = ("FLUX_PSF", "FLUXERR_PSF", "FLUX_RADIUS", "FWHM_WORLD", "SNR_WIN")
    columns = [fits.Column(name, "E", array=np.zeros(0)) for name in names]
    columns += [fits.Column(name, "J", array=np.zeros(0)) for name in ("FLAGS", "IMAFLAGS_ISO")]
    table = fits.BinTableHDU.from_columns(columns, name="LDAC_OBJECTS")
    fits.HDUList([fits.PrimaryHDU(header=cards), table]).writeto(path)
    return path


def psf(path: Path, ccd: int, pixels: float) -> Path:
    """What the wrapper reads of a PSF model."""
    head = fits.Header([("CCDNUM", ccd), ("PSFSOURC", "psfex"), ("FWHMMEAN", pixels)])
    fits.PrimaryHDU(header=head).writeto(path)
    return path


def zeropoints(path: Path, ccd: int, value: float) -> Path:
    """A measured zero point."""
    rows = [
        ("CCDNUM", "I", ccd),
        ("MAG_ZERO", "D", value),
        ("SIGMA_MAG_ZERO", "D", 0.01),
        ("NSTARS", "J", 50),
        ("FLAG", "J", 0),
    ]
    table = fits.BinTableHDU.from_columns(
        [fits.Column(n, k, array=[v]) for n, k, v in rows], name="ZEROPOINTS"
    )
    head = fits.Header([("MAGZERO", value), ("ZPNSTARS", 50), ("ZPFLAG", 0)])
    fits.HDUList([fits.PrimaryHDU(header=head), table]).writeto(path)
    return path


def solution(path: Path, ccd: int) -> Path:
    """Of scamp."""
    path.write_text(f"CCDNUM  = {ccd:>20d}\nSCAMPFLG= {0:>20d}\nSCAMPNUM= {1120:>20d}\nEND\n")
    return path


def judged(folder: Path, cat: Path, pixels: float, zero: float | None, ccd: int = 1) -> dict[str, Any]:
    """The verdict on an exposure of one CCD."""
    inputs = {
        "catalogs": [cat], "psfs": [psf(folder / "psf.fits", ccd, pixels)], "skyfit": [],
        "head": [solution(folder / "scamp.head", ccd)],
        "zeropoints": [zeropoints(folder / "zp.fits", ccd, zero)] if zero is not None else [],
    }  # fmt: skip
    run(ASSESS, folder, inputs, {"assess": folder / "assess.json"})
    told: dict[str, Any] = json.loads((folder / "assess.json").read_text())
    return told


#: Header of exposure 241238, CCD 1: r, 90 s, airmass 1.1.
SKY, PIXELS, GAIN = 267.50531, 4.413727, (4.039 + 3.781) / 2
#: aterm + 2.5 log10 90 - 0.095 · 1.1 of a photometric night, as the header says it was (PHOTFLAG 1), per count.
ZERO = 25.532 + 2.5 * np.log10(90.0) - 0.1045


def test_exposure_241238_as_detrending_leaves_it(real: Path, tmp_path: Path) -> None:
    """In electrons: F = (0.9369/1.2008)² = 0.6088, B = 2.66/(1045.9/90/4) = 0.9155, C = 1: t_eff 0.557."""
    head = catalogue_header(real / "des-psf-catalogs" / "DECam_00241238_01_cat.fits")
    assert (head["SKYBRITE"], head["FWHM"]) == (SKY, PIXELS)
    cat = catalogue(tmp_path / "c.fits", head, GAIN=1.0, GAINA=1.0, GAINB=1.0, SKYBRITE=SKY * GAIN)
    told = judged(tmp_path, cat, PIXELS, ZERO + 2.5 * np.log10(4.0))
    assert told["t_eff"] == pytest.approx(0.557, rel=0.03)
    assert (told["accepted"], told["reason"], told["c_eff"]) == ("True", "", 1.0)
    assert told["fwhm_asec"] == pytest.approx(1.2008, abs=1e-4)
    assert told["b_eff"] == pytest.approx(0.9155, abs=2e-4)
    assert told["skybrightness"] == pytest.approx(11.62, abs=0.01)
    assert told["cloud"] == pytest.approx(0.0, abs=1e-3)


def test_exposure_241238_as_desdm_delivered_it(real: Path, tmp_path: Path) -> None:
    """The delivered catalogue itself, in counts: B = 2.66/(267.5/90) = 0.895, t_eff 0.545."""
    cat = tmp_path / "cat.fits"
    shutil.copyfile(real / "des-psf-catalogs" / "DECam_00241238_01_cat.fits", cat)
    told = judged(tmp_path, cat, PIXELS, ZERO)
    assert told["t_eff"] == pytest.approx(0.557, rel=0.03)
    assert told["accepted"] == "True"
    assert told["b_eff"] == pytest.approx(0.8949, abs=2e-4)
    assert told["skybrightness"] == pytest.approx(SKY * GAIN / 90.0, rel=1e-6)
    assert (told["band"], told["expnum"], told["cloud"]) == ("r", 241238, pytest.approx(0.0, abs=1e-3))


def test_exposure_154912_whose_header_has_no_gain(real: Path, tmp_path: Path) -> None:
    """Y, 50 s: 887.9 counts of sky, FWHM 4.5218 pixels: F = (0.855/1.2292)² = 0.4838, B = 14.56/17.758 = 0.8199."""
    head = fits.getheader(real / "des-psf-catalogs" / "DECam_00154912_12_header.fits")
    cat = catalogue(tmp_path / "c.fits", head, SKYBRITE=head["SKYBRITE"], SKYSIGMA=head["SKYSIGMA"])
    told = judged(tmp_path, cat, head["FWHM"], 24.0 + 2.5 * np.log10(50.0) - 0.05 * head["AIRMASS"], 12)
    assert told["t_eff"] == pytest.approx(0.3967, rel=2e-3)
    assert (told["accepted"], told["c_eff"]) == ("True", 1.0)


@pytest.mark.parametrize(
    ("shift", "accepted"), [(0.1, "True"), (0.5, "True"), (0.6, "False"), (1.5, "False")]
)
def test_clouds_count_in_full(real: Path, tmp_path: Path, shift: float, accepted: str) -> None:
    """C = 10^(-0.8 (Δm - 0.2)): 0.557 · C falls to 0.3 at Δm = 0.536."""
    head = catalogue_header(real / "des-psf-catalogs" / "DECam_00241238_01_cat.fits")
    cat = catalogue(tmp_path / "c.fits", head, GAINA=1.0, GAINB=1.0, SKYBRITE=SKY * GAIN)
    told = judged(tmp_path, cat, PIXELS, ZERO + 1.50515 - shift)
    assert told["cloud"] == pytest.approx(shift, abs=1e-3)
    assert told["c_eff"] == pytest.approx(min(1.0, 10 ** (-0.8 * (shift - 0.2))), rel=3e-3)
    assert told["accepted"] == accepted


@pytest.mark.parametrize(
    ("name", "t_eff", "accepted"),
    [
        # z, 107 s, airmass 1.80: 3170.7 counts of sky, FWHM 3.6914 pixels, MAGZERO 29.915 (nominal 30.064):
        # F 0.7382 · B 0.5572 · C 1.
        ("c4d_170316_062107_ooi_z_ls9.N2", 0.4113, "True"),
        # g, 131 s, airmass 1.77: 158.1 counts, 4.7565 pixels, 30.036 (nominal 30.401): 0.5913 · 0.8700 · 0.7382.
        ("c4d_170329_044212_ooi_g_ls9.N3", 0.3797, "True"),
        # r, 125 s, airmass 1.77: 659.6 counts, 5.6160 pixels, 30.208 (nominal 30.606): 0.3814 · 0.5041 · 0.6942.
        ("c4d_170522_005829_ooi_r_ls9.N2", 0.1335, "False"),
    ],
)
def test_exposures_of_the_community_pipeline(
    real: Path, tmp_path: Path, name: str, t_eff: float, accepted: str
) -> None:
    """Their headers are in counts; t_eff is worked out by hand from the numbers beside it."""
    with fits.open(real / "decam-cp-stack" / f"{name}.fits") as hdus:
        head = merged(hdus)
    gains = {key: head[key] for key in ("GAINA", "GAINB")}
    cat = catalogue(tmp_path / "c.fits", head, SKYBRITE=head["AVSKY"], **gains)
    told = judged(tmp_path, cat, head["FWHM"], head["MAGZERO"], int(identity(head)["CCDNUM"]))
    assert told["t_eff"] == pytest.approx(t_eff, rel=0.005)
    assert told["accepted"] == accepted


@pytest.mark.parametrize("value", [-1.0, 0.0, 99.0, None])
def test_an_air_mass_that_cannot_be_tells_no_clouds(real: Path, tmp_path: Path, value: float | None) -> None:
    """At the horizon the air mass is 38 (Kasten & Young 1989): 99 is none, and 0.095 · 99 mag are no extinction."""
    head = catalogue_header(real / "des-psf-catalogs" / "DECam_00241238_01_cat.fits")
    cat = catalogue(tmp_path / "c.fits", head, GAIN=1.0, GAINA=1.0, GAINB=1.0, SKYBRITE=SKY * GAIN)
    with fits.open(cat, mode="update") as hdus:
        del hdus[0].header["AIRMASS"]
        if value is not None:
            hdus[0].header["AIRMASS"] = value
    told = judged(tmp_path, cat, PIXELS, ZERO + 2.5 * np.log10(4.0))
    assert (told["cloud"], told["airmass"]) == (None, None)
    assert (told["accepted"], told["reason"]) == ("Unknown", "unkn cloud")


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ({"BUNIT": "electron/s", "SKYBRITE": SKY * GAIN / 90.0}, "unkn sky,cloud"),
        ({"BUNIT": "adu/s", "SKYBRITE": SKY / 90.0}, "unkn sky,cloud"),
        ({"BUNIT": "ke-", "SKYBRITE": SKY * GAIN / 1000.0}, "unkn sky,cloud"),
        ({"BUNIT": "nJy", "GAINA": 1.0, "GAINB": 1.0}, "unkn sky,cloud"),
        ({"GAINA": 1.0, "GAINB": 4.0}, "unkn sky,cloud"),
        ({"SKYBRITE": 0.3, "GAINA": 1.0, "GAINB": 1.0}, "unkn sky"),
        ({"EXPTIME": -90.0, "GAINA": 1.0, "GAINB": 1.0}, "unkn sky,cloud"),
    ],
)
def test_what_cannot_be_is_never_accepted(
    real: Path, tmp_path: Path, cards: dict[str, Any], reason: str
) -> None:
    head = catalogue_header(real / "des-psf-catalogs" / "DECam_00241238_01_cat.fits")
    cat = catalogue(tmp_path / "c.fits", head, **{"SKYBRITE": SKY * GAIN, **cards})
    told = judged(tmp_path, cat, PIXELS, ZERO + 2.5 * np.log10(4.0))
    assert (told["accepted"], told["reason"], told["t_eff"]) == ("Unknown", reason, None)


def test_a_zero_point_a_magnitude_too_bright_is_no_clear_night(real: Path, tmp_path: Path) -> None:
    head = catalogue_header(real / "des-psf-catalogs" / "DECam_00241238_01_cat.fits")
    cat = catalogue(tmp_path / "c.fits", head, GAINA=1.0, GAINB=1.0, SKYBRITE=SKY * GAIN)
    told = judged(tmp_path, cat, PIXELS, ZERO + 2.5)
    assert told["cloud"] == pytest.approx(-0.995, abs=1e-3)
    assert (told["accepted"], told["reason"]) == ("Unknown", "unkn cloud")


def test_the_median_ccd_gives_the_seeing(real: Path, tmp_path: Path) -> None:
    """One CCD out of focus does not move the exposure's seeing (assess_SE_products takes the median)."""
    head = catalogue_header(real / "des-psf-catalogs" / "DECam_00241238_01_cat.fits")
    cats, psfs = [], []
    for ccd, pixels in ((1, 4.3), (2, 4.4), (3, 9.0)):
        head["CCDNUM"] = ccd
        cats.append(catalogue(tmp_path / f"c{ccd}.fits", head, GAIN=1.0, SKYBRITE=SKY * GAIN))
        psfs.append(psf(tmp_path / f"p{ccd}.fits", ccd, pixels))
    inputs = {"catalogs": cats, "psfs": psfs, "skyfit": [], "head": [], "zeropoints": []}
    run(ASSESS, tmp_path, inputs, {"assess": tmp_path / "a.json"})
    assert json.loads((tmp_path / "a.json").read_text())["fwhm_mean_asec"] == pytest.approx(4.4 * 0.263)
