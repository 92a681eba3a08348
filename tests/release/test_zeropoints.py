"""The check of a release's photometric scale, on coadds whose cards tell where each zero point is from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

from desdm.release.model import ReleaseFile
from desdm.release.zeropoints import check_zeropoints


def _coadd(root: Path, name: str, *sources: str) -> ReleaseFile:
    """Write a coadd of exposures 101, 102, … CCD 3 with those sources of zero points."""
    head = fits.Header()
    for n, source in enumerate(sources, 1):
        head[f"EXP{n:05d}"] = f"{100 + n} 3"
        head[f"ZP{n:05d}"] = source
    fits.HDUList(
        [fits.PrimaryHDU(header=head), fits.CompImageHDU(np.zeros((64, 64), np.float32), name="SCI")]
    ).writeto(root / name)
    return ReleaseFile(0, "R1", name, "coadd", "image/fits", "T1", "r", 1, "")


def test_images_without_a_measured_zero_point_are_named(tmp_path: Path) -> None:
    files = [
        _coadd(tmp_path, "good.fits.fz", "measured", "measured"),
        _coadd(tmp_path, "tied.fits.fz", "measured", "tied", "tied"),
        _coadd(tmp_path, "nominal.fits.fz", "nominal", "nominal"),
        _coadd(tmp_path, "old.fits.fz"),
        ReleaseFile(0, "R1", "gone.fits.fz", "coadd", "image/fits", "T1", "r", 1, ""),
    ]
    checks = list(check_zeropoints(tmp_path, files))
    assert [(c.subject, c.outcome) for c in checks] == [
        ("tied.fits.fz", "note"), ("nominal.fits.fz", "note"), ("coadds", "note")
    ]  # fmt: skip
    assert checks[0].text.startswith(
        "2 of 3 images (D00000102 CCD 3, D00000103 CCD 3) have no measured zero point"
    )
    assert "stands on the nominal one of its band" in checks[1].text
    assert checks[2].text.startswith("1 coadds do not tell")


def test_a_release_with_measured_zero_points_alone_passes(tmp_path: Path) -> None:
    (check,) = check_zeropoints(tmp_path, [_coadd(tmp_path, "good.fits.fz", "measured")])
    assert check.outcome == "ok"
    assert list(check_zeropoints(tmp_path, [])) == []
