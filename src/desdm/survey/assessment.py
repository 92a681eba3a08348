"""The verdict on an exposure: t_eff = F·B·C from seeing, sky and clouds, and whether it is accepted (DESDM's own rule).

After DESDM's ``assess_SE_products``. Its thresholds are data in ``codes/assess/config.wcl``; what a band's good sky is
stands with the band (`desdm.survey.bands`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from desdm.errors import UsageError
from desdm.survey.bands import band as band_constants

__all__ = ["Accepted", "Assessment", "Controls", "Measurements", "assess"]


class Accepted(Enum):
    """The verdict as firstcut_eval holds it."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"  #: an analyst decides


@dataclass(frozen=True, slots=True)
class Measurements:
    """What was measured of an exposure; None: it could not be.

    ``fwhm_mean`` is PSFEx's FWHM_MEAN, ``fwhm_world`` Source Extractor's FWHM_WORLD of stars (arcsec); ``sky`` in
    counts/s/pixel, as the rule has it (an electron is a quarter of a count, see `desdm.survey.bands`); ``cloud`` the
    extinction against a reference after aterm and k·airmass (mag); ``astrometry``: a solution exists.
    """

    band: str
    fwhm_mean: float | None
    sky: float | None
    cloud: float | None
    fwhm_world: float | None = None
    astrometry: bool = True


@dataclass(frozen=True, slots=True)
class Controls:
    """The constants of the rule, by band where they differ.

    ``k``: FWHM scale K (arcsec); ``sky_good``: counts/s/pixel; ``least``: t_eff that must be exceeded;
    ``fwhm_limit``: largest FWHM (arcsec); ``fwhm_offset`` is added to FWHM_MEAN, FWHM_WORLD is divided by
    ``fwhm_ratio``; below ``fwhm_least`` a FWHM is none; clouds below ``cloud_free`` mag cost nothing. Values that no night
    gives are errors of units or headers, and an analyst decides: B above ``b_most``, clouds outside ``cloud_least`` to
    ``cloud_most`` (mag), t_eff above ``t_eff_most``.
    """

    k: float
    sky_good: float
    least: float
    fwhm_limit: float
    fwhm_offset: float
    fwhm_ratio: float
    fwhm_least: float
    cloud_free: float
    b_most: float
    cloud_least: float
    cloud_most: float
    t_eff_most: float

    @classmethod
    def of(cls, settings: Mapping[str, Any], band: str) -> Controls:
        """The controls of ``band`` from the settings' sections; keys in lower case, as WCL gives them.

        Raises
        ------
        UsageError
            A constant is missing or no number, or the survey has no such band.
        """

        def number(*path: str) -> float:
            here: Any = settings
            for step in path:
                here = here.get(step) if isinstance(here, Mapping) else None
            try:
                return float(str(here))
            except ValueError as err:
                raise UsageError(f"assess: setting {'.'.join(path)} = {here!r} is not a number") from err

        name = band.lower()
        whose = str(dict(settings.get("fwhm_limit_of", {})).get(name, name)).lower()
        return cls(
            k=number("seeing", name),
            sky_good=band_constants(band).sky_good,
            least=number("t_eff_least", name),
            fwhm_limit=number("fwhm_factor") * number("seeing", whose),
            fwhm_offset=number("fwhm_offset"),
            fwhm_ratio=number("fwhm_ratio"),
            fwhm_least=number("fwhm_least"),
            cloud_free=number("cloud_free"),
            b_most=number("b_most"),
            cloud_least=number("cloud_least"),
            cloud_most=number("cloud_most"),
            t_eff_most=number("t_eff_most"),
        )


@dataclass(frozen=True, slots=True)
class Assessment:
    """F, B, C, their product, the FWHM that F took (arcsec), and the verdict.

    ``reason`` is empty, ``badF`` (seeing), ``badT`` (t_eff) or ``unkn`` and what is missing; ``words`` says it for people.
    """

    f_eff: float | None
    b_eff: float | None
    c_eff: float | None
    t_eff: float | None
    fwhm: float | None
    accepted: Accepted
    reason: str
    words: str


def assess(measured: Measurements, controls: Controls) -> Assessment:
    """Judge an exposure.

    F = (0.9 K/FWHM)², B = good sky/sky, C = 1 for clouds below 0.2 mag and 10^(-0.8 (Δm - 0.2)) beyond. Accepted: t_eff
    above the band's least and FWHM at most 1.6 K (Y: of g). With the cloud alone unknown t_eff is F·B, and the
    verdict still Unknown; seeing that is too poor, or F·B that is too low without any cloud, is False whatever is missing.
    A sky or cloud that no night gives counts as one that was not measured, and is named.
    """
    fwhm = _fwhm(measured, controls)
    f = None if fwhm is None else (0.9 * controls.k / fwhm) ** 2
    # Written so that NaN counts as not measured.
    b = controls.sky_good / measured.sky if measured.sky is not None and measured.sky > 0 else None
    cloud = measured.cloud
    odd: dict[str, str] = {}
    if b is not None and b > controls.b_most:
        odd["sky"] = f"sky {measured.sky:.3g} counts/s/pixel, {b:.3g} times darker than a dark night's"
        b = None
    if cloud is not None and not controls.cloud_least <= cloud <= controls.cloud_most:
        odd["cloud"] = f"cloud {cloud:.2f} mag, {controls.cloud_least:g} to {controls.cloud_most:g} can be"
        cloud = None
    c = None if cloud is None else _transparency(cloud, controls)
    t = None if f is None or b is None else f * b * (1.0 if c is None else c)
    if t is not None and t > controls.t_eff_most:
        odd["t_eff"] = f"t_eff {t:.3g}, at most {controls.t_eff_most:g} can be"
    missing = [
        name
        for name, value in (
            ("fwhm", f),
            ("sky", b),
            ("cloud", c),
            ("astrometry", measured.astrometry or None),
            ("t_eff", None if "t_eff" in odd else 1.0),
        )
        if value is None
    ]
    if fwhm is not None and fwhm > controls.fwhm_limit:
        words = f"FWHM {fwhm:.2f} arcsec, at most {controls.fwhm_limit:.2f} is accepted"
        return Assessment(f, b, c, t, fwhm, Accepted.FALSE, "badF", words)
    # Of two values that rest on one unit, the plausible one may be as wrong as the other.
    if t is not None and t <= controls.least and not odd:
        words = f"t_eff {t:.3f}, more than {controls.least:g} is needed"
        if cloud is not None and cloud > controls.cloud_free:
            words += f"; clouds take {cloud:.2f} mag"
        return Assessment(f, b, c, t, fwhm, Accepted.FALSE, "badT", words)
    if missing:
        unknown = [name for name in missing if name not in odd]
        parts = [f"not plausible: {text}" for text in odd.values()]
        parts += [f"not measured: {', '.join(unknown)}"] if unknown else []
        words = f"{'; '.join(parts)}; an analyst decides"
        return Assessment(f, b, c, t, fwhm, Accepted.UNKNOWN, "unkn " + ",".join(missing), words)
    return Assessment(f, b, c, t, fwhm, Accepted.TRUE, "", "")


def _fwhm(measured: Measurements, controls: Controls) -> float | None:
    """Return the seeing in arcsec, from the stars' mean width or the catalogue's; None if implausible."""
    if measured.fwhm_mean is not None and measured.fwhm_mean > 0:
        seeing = measured.fwhm_mean + controls.fwhm_offset
    elif measured.fwhm_world is not None:
        seeing = measured.fwhm_world / controls.fwhm_ratio
    else:
        return None
    return seeing if seeing >= controls.fwhm_least else None


def _transparency(cloud: float, controls: Controls) -> float:
    """Return the transparency C of t_eff for an extinction by clouds in mag."""
    return float(1.0 if cloud < controls.cloud_free else 10.0 ** (-0.8 * (cloud - controls.cloud_free)))
