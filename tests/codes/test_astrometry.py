"""Reference stars move to the epoch; scamp repairs a solution that was spoilt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desdm.codes.astrometry.reference import epoch_of, read_reference
from desdm.codes.astrometry.scamp import read_head
from desdm.errors import FileTypeError
from desdm.simulate.patch import Truth, make
from desdm.survey.headers import wcs_of
from desdm.survey.images import read_planes, write_planes
from tests.support.fits import unclean
from tests.support.tasks import run


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """One exposure with many stars."""
    return make(tmp_path_factory.mktemp("one"), seed=4, bands=("r",), nexp=1, size=768, bright=160)


def test_gaia_rows_move_with_their_proper_motion(real: Path) -> None:
    """Source 3960312687065540992 moves -47.82 mas/yr in RA (Gaia DR2, epoch 2015.5)."""
    chunks = sorted((real / "decam-cp-stack").glob("chunk-*.fits"))
    at = read_reference(chunks, 2015.5, 186.7355, 25.4648, 0.001)
    later = read_reference(chunks, 2025.5, 186.7355, 25.4648, 0.001)
    assert at is not None
    assert later is not None
    assert at.ra.size == 1
    assert at.ra[0] == pytest.approx(186.7354855788387, abs=1e-12)
    moved = (later.ra[0] - at.ra[0]) * np.cos(np.radians(25.4648)) * 3.6e6
    assert moved == pytest.approx(-478.1919, abs=1e-3)
    assert (later.dec[0] - at.dec[0]) * 3.6e6 == pytest.approx(-29.031775, abs=1e-3)
    assert later.error[0] > at.error[0]
    assert read_reference(chunks, 2015.5, 10.0, 0.0, 0.1) is None
    assert epoch_of(57388.5) == pytest.approx(2016.0, abs=1e-9)


def test_scamp_repairs_a_shifted_and_unbent_solution(truth: Truth, tmp_path: Path) -> None:
    image, exposure = tmp_path / "spoilt.fits", truth.exposures[0]
    planes = read_planes(truth.images[0])
    planes.header["CRVAL1"] += 1.5 / 3600
    planes.header["CRVAL2"] -= 1.0 / 3600
    planes.header["PV1_4"] *= 1.3
    write_planes(image, planes)
    nwgint, cat, out = tmp_path / "n.fits", tmp_path / "c.fits", tmp_path / "solved.fits"
    run("desdm.codes.nullweight.wrapper.nwgint", tmp_path, {"image": [image]}, {"nwgint": nwgint})
    run("desdm.codes.psf.wrapper.psfcat", tmp_path, {"image": [nwgint]}, {"catalog": cat})
    task = run(
        "desdm.codes.astrometry.wrapper.scamp",
        tmp_path,
        {"image": [nwgint], "catalog": [cat], "refcat": [truth.refcat]},
        {"image": out},
    )
    assert task.execs[-1].version.startswith("2.")
    assert unclean([out]) == []
    x, y = np.random.default_rng(2).uniform(20, 748, (2, 300))
    ra, dec = exposure.wcs.world(x, y)

    def off(path: Path) -> float:
        found = wcs_of(fits.getheader(path)).all_pix2world(x, y, 1)
        dra = (found[0] - ra) * np.cos(np.radians(dec)) * 3.6e6
        return float(np.sqrt(np.mean(dra**2 + ((found[1] - dec) * 3.6e6) ** 2)))

    assert off(nwgint) > 1000
    # Some 80 stars of 5 to 10 mas hold a cubic: 3 mas where they are, more in the corners.
    assert off(out) < 8


def test_few_reference_stars_leave_the_solution_alone(truth: Truth, tmp_path: Path) -> None:
    nwgint, out = tmp_path / "n.fits", tmp_path / "same.fits"
    run("desdm.codes.nullweight.wrapper.nwgint", tmp_path, {"image": [truth.images[0]]}, {"nwgint": nwgint})
    task = run(
        "desdm.codes.astrometry.wrapper.scamp",
        tmp_path,
        {"image": [nwgint], "catalog": [], "refcat": []},
        {"image": out},
    )
    assert "too few for scamp" in task.log.findings[0].text
    assert fits.getheader(out)["CRVAL1"] == fits.getheader(nwgint)["CRVAL1"]


def test_a_scamp_head_holds_bytes_that_no_header_may(tmp_path: Path) -> None:
    path = tmp_path / "x.head"
    path.write_bytes(b"COMMENT   (c) 2010 Emmanuel Bertin \xe9\nCRVAL1  =        30.0 / x\nEND     \n")
    assert read_head(path)["CRVAL1"] == 30.0
    path.write_bytes(b"END     \n")
    with pytest.raises(FileTypeError, match="not a scamp solution"):
        read_head(path)
