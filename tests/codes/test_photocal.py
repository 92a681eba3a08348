"""Zero points from stars with outliers, few stars, blends and no reference."""

from __future__ import annotations

import numpy as np
import pytest

from desdm.codes.astrometry.reference import Reference
from desdm.codes.photocal.zeropoints import (
    Flag,
    Limits,
    Stars,
    colour_slope,
    match,
    robust,
    solve,
    star_sized,
)
from desdm.survey.refstars import Passband, System

RNG = np.random.default_rng(11)


def stars(ccd: int, count: int, zero: float = 30.0, noise: float = 0.01) -> Stars:
    reference = RNG.uniform(16, 20, count)
    mag = reference - zero + RNG.normal(scale=noise, size=count)
    return Stars(ccd, mag, np.full(count, noise), reference, np.zeros(count))


def test_outliers_do_not_move_the_mean() -> None:
    values = np.concatenate([RNG.normal(30.0, 0.01, 200), RNG.uniform(28, 31.5, 40)])
    mean, sigma, scatter, kept = robust(values, np.full(240, 0.01), 0.0)
    assert mean == pytest.approx(30.0, abs=0.003)
    assert 0.0005 < sigma < 0.0015
    assert scatter == pytest.approx(0.01, rel=0.3)
    assert 195 <= kept <= 215


def test_a_few_precise_stars_outweigh_many_poor_ones() -> None:
    values = np.concatenate([np.full(5, 30.0), 30.05 + RNG.normal(scale=0.1, size=100)])
    errors = np.concatenate([np.full(5, 0.001), np.full(100, 0.1)])
    assert robust(values, errors, 0.0)[0] == pytest.approx(30.0, abs=0.002)


def test_a_ccd_with_few_stars_has_the_exposures_zero_point() -> None:
    whole, each = solve([stars(1, 100), stars(2, 3, 28.0), stars(3, 80)], Limits(), 29.0)
    assert whole.value == pytest.approx(30.0, abs=0.004)
    assert [z.flag for z in each] == [0, Flag.FEW, 0]
    assert each[1].value == whole.value
    assert each[1].count == 3


def test_too_few_stars_at_all_leave_the_nominal_zero_point() -> None:
    whole, each = solve([stars(1, 4), stars(2, 3)], Limits(), 29.5)
    assert whole.flag == Flag.NOMINAL
    assert {z.value for z in (whole, *each)} == {29.5}
    assert np.isnan(whole.sigma)


def test_stars_that_disagree_are_flagged() -> None:
    _, each = solve([stars(1, 60, noise=0.2)], Limits(scatter=0.1), 29.0)
    assert each[0].flag == Flag.SCATTER


def test_what_is_left_of_a_colour_term_is_told() -> None:
    one = stars(1, 300, noise=0.002)
    colour = RNG.uniform(0.2, 1.4, 300)
    tilted = Stars(1, one.mag - 0.05 * colour, one.error, one.reference, colour)
    tilted.mag[:20] += 3.0  # variable stars
    slope, count = colour_slope([tilted], 30.0)
    assert count == 300
    assert slope == pytest.approx(0.05, abs=0.002)
    assert np.isnan(
        colour_slope([Stars(1, one.mag, one.error, one.reference, np.full(300, np.nan))], 30.0)[0]
    )


def test_stars_are_told_from_galaxies_by_size_though_they_are_few() -> None:
    radius = np.concatenate([RNG.normal(2.3, 0.05, 80), RNG.uniform(2.2, 7.0, 160), [0.0, -1.0]])
    found = star_sized(radius, np.ones(242, bool), 0.15)
    assert found[:80].all()
    assert found[80:].sum() < 30
    assert not found[-2:].any()


def test_only_clean_stars_with_a_magnitude_are_matched() -> None:
    kind = [
        ("ALPHAWIN_J2000", "f8"), ("DELTAWIN_J2000", "f8"), ("FLUX_PSF", "f8"), ("FLUXERR_PSF", "f8"), ("FLAGS", "i2"),
        ("IMAFLAGS_ISO", "i4"), ("SPREAD_MODEL", "f4"),
    ]  # fmt: skip
    rows = np.zeros(7, kind)
    rows["ALPHAWIN_J2000"] = 359.9999 + np.arange(7) * 0.01
    rows["FLUX_PSF"], rows["FLUXERR_PSF"] = 1e4, 10.0
    rows["FLAGS"][1] = 4  # saturated
    rows["IMAFLAGS_ISO"][2] = 16  # a cosmic ray
    rows["FLUXERR_PSF"][3] = 2000.0  # faint
    rows["SPREAD_MODEL"][4] = 0.02  # a galaxy
    mags = np.full(7, 18.0)
    mags[5] = np.nan
    where = rows["ALPHAWIN_J2000"] % 360.0 + 0.1 / 3600
    star = np.ones(7, bool)
    reference = Reference(
        where, np.zeros(7), np.ones(7), {Passband(System.DES, "r"): mags}, {}, 2018.0, star, {}
    )
    found = match(rows, 1, reference, reference.standard("r"), Limits())
    assert found.mag.size == 2, "the first, on the other side of RA 0, and the last"
    assert found.mag[0] == pytest.approx(-10.0)
    assert match(rows, 1, reference, reference.standard("z"), Limits()).mag.size == 0
    star[0] = False
    assert match(rows, 1, reference, reference.standard("r"), Limits()).mag.size == 1
    assert match(rows, 1, reference, reference.standard("r"), Limits(), stars_only=False).mag.size == 2
