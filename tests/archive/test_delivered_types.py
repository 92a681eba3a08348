"""Catalogues, star lists and PSF models as DESDM delivered them are known by content, under whatever name."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from desdm.archive.content import Content
from desdm.archive.filetypes import BY_NAME
from desdm.archive.identify import metadata_of, recognise
from desdm.errors import FileTypeError

#: type and metadata of the real files; expnum, ccdnum, band and night from their names and LDAC_IMHEAD.
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "DECam_00241238_01_cat.fits": (
        "cat_sextractor", {"expnum": 241238, "ccdnum": 1, "band": "r", "nite": "20131003", "objects": 950},
    ),
    "DECam_00241238_01_findstars.fits": ("psf_stars", {"expnum": 241238, "ccdnum": 1, "objects": 1908}),
    "DECam_00241238_01_psfcat.used.fits": ("psfex_used", {"expnum": 241238, "ccdnum": 1, "objects": 105}),
    "DECam_00154912_12_psfcat.psf": ("psfex_psf", {"expnum": 154912, "ccdnum": 12}),
    "DECam_00154912_12_fitpsf.fits": ("psf_shapelets", {"expnum": 154912, "ccdnum": 12}),
    "DECam_00154912_12_header.fits": ("header", {"expnum": 154912, "ccdnum": 12, "band": "Y", "nite": "20121123"}),
    "D00240560_r_c01_r2362p01_piff.fits": ("piff_model", {"expnum": 240560, "ccdnum": 1, "band": "r"}),
    "D00362921_r_c57_r2331p02_use_stars.fits": (
        "psf_use_stars", {"expnum": 362921, "ccdnum": 57, "band": "r", "objects": 23},
    ),
}  # fmt: skip


def known(name: str, data: bytes) -> tuple[str, dict[str, object]]:
    content = Content(name, data, len(data))
    kind = recognise(content)
    return kind.name, metadata_of(kind, content, {})


@pytest.mark.parametrize("name", FILES)
def test_each_real_file_is_known_with_its_metadata(real: Path, name: str) -> None:
    kind, told = FILES[name]
    data = (real / "des-psf-catalogs" / name).read_bytes()
    assert known(name, data) == (kind, told)
    assert known(name + ".gz", gzip.compress(data)) == (kind, told)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("DECam_00241238_01_cat.fits", ["D00241238_r_c01_r1p01_cat.fits", "D00241238_r_c01_cat.fits", "x.cat", "c.fits"]),
        ("DECam_00241238_01_findstars.fits", ["D00241238_r_c01_r2362p01_findstars.fits", "findstars.fits"]),
        ("DECam_00241238_01_psfcat.used.fits", ["psfcat.used", "DECam_00241238_01_psfcat.used", "psfex-starlist.fits"]),
        ("DECam_00154912_12_psfcat.psf", ["psfcat.psf", "any.psf"]),
        ("DECam_00154912_12_fitpsf.fits", ["fitpsf.fits", "D00154912_Y_c12_r1p01_fitpsf.fits"]),
        ("DECam_00154912_12_header.fits", ["header.fits", "D00154912_Y_c12_r1p01_header.fits"]),
        ("D00240560_r_c01_r2362p01_piff.fits", ["piff.fits", "DECam_00240560_01_piff.fits", "model.piff"]),
        ("D00362921_r_c57_r2331p02_use_stars.fits", ["use_stars.fits", "DECam_00362921_57_use_stars.fits"]),
    ],
)  # fmt: skip
def test_other_names_change_nothing(real: Path, source: str, names: list[str]) -> None:
    data = (real / "des-psf-catalogs" / source).read_bytes()
    for name in names:
        kind, told = known(name, data)
        assert kind == FILES[source][0], name
        if name.startswith("D0"):
            assert told["expnum"] == FILES[source][1]["expnum"]


def test_a_catalogue_of_a_ccd_is_no_coadds(real: Path) -> None:
    """Under a product's own name it is that product: DESDM's final catalogue and the one for PSFEx."""
    data = (real / "des-psf-catalogs" / "DECam_00241238_01_cat.fits").read_bytes()
    assert known("D00241238_r_c01_r2362p01_red-fullcat.fits", data)[0] == "cat_finalcut"
    assert known("D00241238_r_c01_r2362p01_psfexcat.fits", data)[0] == "cat_psfex"
    assert known("DES0105-6916_r1p01_r_cat.fits", data)[0] == "coadd_cat"


def table(path: Path, name: str, **columns: Any) -> bytes:
    made = [fits.Column(n, "D", array=np.asarray(v, float)) for n, v in columns.items()]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(made, name=name)]).writeto(path)
    return path.read_bytes()


def test_the_reason_of_a_refusal_names_what_is_there(tmp_path: Path) -> None:
    data = table(tmp_path / "a.fits", "OBJECTS", x=[1.0])
    content = Content("DECam_00241238_01_cat.fits", data, len(data))
    with pytest.raises(FileTypeError, match=r"cat_sextractor \(no table LDAC_IMHEAD; it has OBJECTS\)"):
        recognise(content)
    assert BY_NAME["psf_stars"].complaint(content).startswith("no column id in its table OBJECTS")
    assert BY_NAME["coadd_depth"].complaint(content) == "it does not begin with b'{' or b'['"


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"coord_ra": [1.0], "g_flux": [2.0]}, "no table with numbers in ra and dec"),
        ({"ra": [400.0], "dec": [95.0]}, "none of its 1 rows has a position"),
        ({"ra": [np.nan], "dec": [0.0]}, "none of its 1 rows has a position"),
    ],
)
def test_reference_catalogues_that_cannot_be_read_are_refused(
    tmp_path: Path, columns: Any, reason: str
) -> None:
    data = table(tmp_path / "a.fits", "T", **columns)
    with pytest.raises(FileTypeError, match=rf"refcat \([^)]*{reason}"):
        recognise(Content("ps1_123.fits", data, len(data)))
