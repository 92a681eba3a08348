"""The simulator driven by real data: DECam's instrument files and a reference catalogue of the COSMOS field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits

from desdm.errors import FileTypeError, NotFoundError
from desdm.simulate.decamdata import linear_solutions, real_decam
from desdm.simulate.instrument import Camera, decam, mini
from desdm.simulate.night import make_night, renderer_of
from desdm.simulate.plan import plan_night
from desdm.simulate.readout import read_out
from desdm.simulate.shard import read_shard

#: N4, whose linearity and defects are at hand, and the CCD on its backplane that disturbs it.
N4 = 35


@pytest.fixture(scope="module")
def camera(real: Path) -> Camera:
    return real_decam(real / "decam-instrument")


def test_ccds_stand_where_scamp_has_them(camera: Camera, real: Path) -> None:
    """The distortion model and SCAMP's linear focal plane agree to a few arcsec in shift and 1e-3 in scale."""
    solutions = linear_solutions(real / "decam-instrument" / "decam.ahead")
    assert len(camera.ccds) == len(solutions) == 62
    for ccd, (crpix, cd) in zip(camera.ccds, solutions, strict=True):
        assert ccd.wcs.crpix == crpix
        x, y = np.array([1.0, 2048.0, 1024.0]), np.array([1.0, 1.0, 4096.0])
        ra, dec = ccd.wcs.world(x, y)
        # Gnomonic coordinates about (0, 0), by the textbook.
        lon, lat = np.radians(ra), np.radians(dec)
        xi, eta = np.degrees(np.tan(lon)), np.degrees(np.tan(lat) / np.cos(lon))
        goal = np.array(cd) @ np.stack([x - crpix[0], y - crpix[1]])
        assert np.abs(np.stack([xi, eta]) - goal).max() * 3600 < 30


def test_the_distortion_is_that_of_the_des_model(camera: Camera, real: Path) -> None:
    """Pixel → plane of CCD N4 against the model's own polynomial, parsed and summed by other means.

    TPV here is cubic; the model's terms of fourth order, which it leaves out, come to some milliarcseconds.
    """
    text = (real / "decam-instrument" / "y6a1.guts.astro").read_text()
    start = text.index("\ni/Y6/N4/poly:") + 1
    block = yaml.safe_load(text[start : text.index("\ni/Y6/N5/poly:")].split("\ni/", 1)[0])["i/Y6/N4/poly"]

    def plane(part: str, x: float, y: float) -> float:
        u = 2 * (x - block["XMin"]) / (block["XMax"] - block["XMin"]) - 1
        v = 2 * (y - block["YMin"]) / (block["YMax"] - block["YMin"]) - 1
        powers = [(n - j, j) for n in range(block[part]["OrderX"] + 1) for j in range(n + 1)]
        return float(
            sum(c * u**i * v**j for c, (i, j) in zip(block[part]["Coefficients"], powers, strict=True))
        )

    rng, ours, theirs = np.random.default_rng(1), [], []
    for x, y in rng.uniform((10, 10), (2040, 4090), (30, 2)):
        ra, dec = camera[N4].wcs.world(np.array([x]), np.array([y]))
        lon, lat = np.radians(ra[0]), np.radians(dec[0])
        ours.append((np.degrees(np.tan(lon)), np.degrees(np.tan(lat) / np.cos(lon))))
        theirs.append((plane("XPoly", x, y), plane("YPoly", x, y)))
    # The model may be flipped or turned by a quarter against the header's axes; distances do not care.
    a, b = np.array(ours), np.array(theirs)
    between = [np.linalg.norm(p[:, None] - p[None, :], axis=2) for p in (a, b)]
    assert np.abs(between[0] - between[1]).max() * 3.6e6 < 8.0


def test_crosstalk_is_the_measured_matrix(camera: Camera) -> None:
    pairs = {(x.victim, x.source): x.coefficient for x in camera.crosstalk}
    assert pairs["ccd25B", "ccd25A"] == 1.34e-4
    assert pairs["ccd26B", "ccd26A"] == -5.36e-4
    assert 25 in camera.sources(26)


def test_linearity_is_n4s_table_and_rises(camera: Camera, real: Path) -> None:
    text = (real / "decam-instrument" / "linearizer-n4.yaml").read_text()
    first = text[text.index("tableData:") :].splitlines()[1 : 1 + 30001]
    delta = [float(line[4:]) for line in first]
    linear = camera[N4].amps[0].linear
    for adu in (1600, 16000, 30000 - 30000 % 16):
        assert linear[adu // 16] == pytest.approx(adu + delta[adu], abs=1e-6)
    assert (np.diff(linear) > 0).all()
    assert not np.array_equal(linear, decam()[N4].amps[0].linear)


def test_defects_are_the_boxes_and_show_in_the_bias(camera: Camera, real: Path) -> None:
    boxes = {(b.x, b.y, b.width, b.height) for b in camera[N4].defects}
    assert {(1688, 3552, 1, 11), (25, 3937, 131, 159)} <= boxes
    plan = plan_night(2, bands=("i",), biases=1, flats=0, exposures=0)
    one = camera.only((N4,))
    renderer, _ = renderer_of(plan, one)
    raw = read_out(renderer, plan.shots[0], N4, {N4: renderer.charge(plan.shots[0], N4)})
    assert raw.shape == (4146, 2160)
    bad = renderer.response.bad(one[N4])
    assert bad[3937:4096, 25:156].all()
    assert bad[3552:3563, 1688].all()


def test_an_incomplete_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"decam\.ahead"):
        real_decam(tmp_path)
    (tmp_path / "decam.ahead").write_text("CRPIX1 = 1.0\nEND\n")
    with pytest.raises(FileTypeError, match="solution 1 has no"):
        real_decam(tmp_path)


def test_the_real_sky_is_seen(real: Path, tmp_path: Path) -> None:
    """Gaia's stars stand in the truth at Gaia's places and with PS1's magnitudes."""
    field = read_shard(real / "refcat-cosmos", ("r",), 1)
    ra, dec = field.middle
    plan = plan_night(1, bands=("r",), biases=0, flats=0, exposures=1, ra=ra, dec=dec)
    plan = replace(plan, transients=0, movers=0)
    night = make_night(tmp_path, plan, mini(), sky=field)
    gaia = fits.getdata(real / "refcat-cosmos" / "gaia_dr2_231834.fits", 1)
    ps1 = fits.getdata(real / "refcat-cosmos" / "ps1_231834.fits", 1)
    seen = stars = 0
    for path in night.truth.glob("truth_D*.fits"):
        rows = fits.getdata(path, "TRUTH")
        seen += len(rows)
        for row in rows[rows["kind"] == "star"]:
            far = (
                np.hypot(
                    (np.degrees(gaia["coord_ra"]) - row["ra"]), np.degrees(gaia["coord_dec"]) - row["dec"]
                )
                * 3600
            )
            assert far.min() < 1.0  # proper motion since 2015.5, of the fastest
            near = (
                np.hypot(np.degrees(ps1["coord_ra"]) - row["ra"], np.degrees(ps1["coord_dec"]) - row["dec"])
                < 2 / 3600
            )
            mags = 31.4 - 2.5 * np.log10(ps1["r_flux"][near])
            assert np.nanmin(np.abs(mags - row["mag"])) < 0.01 or not np.isfinite(mags).any()
            stars += 1
    assert stars > 20
    assert seen > 300


def test_a_folder_without_a_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="ps1_"):
        read_shard(tmp_path, ("r",), 1)
