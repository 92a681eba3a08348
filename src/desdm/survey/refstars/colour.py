"""Colour terms: polynomials in one colour of a catalogue that give magnitudes in the survey's own bands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from desdm.errors import UsageError
from desdm.survey.bands import BANDS, BY_LOWER_NAME
from desdm.survey.refstars.record import Array, Passband, System

__all__ = ["ColourTerm", "Standard", "colour_terms", "standard"]


@dataclass(frozen=True, slots=True)
class ColourTerm:
    """How magnitudes of one system become those of one of the survey's bands.

    ``m = m(base) + c0 + c1 x + c2 x² …`` with the colour x = m(first) - m(second), all of one system.

    Attributes
    ----------
    band
        The survey's band.
    system
        Whose magnitudes are used.
    base
        The system's band that is corrected.
    first, second
        The bands of the colour.
    coefficients
        c0, c1 …, mag.
    bluest, reddest
        Range of colours for which the term holds, mag; others have no magnitude.
    bright, faint
        Range of ``base`` magnitudes that are used: saturation of the catalogue, and its noise.
    source
        Publication of the coefficients.
    """

    band: str
    system: System
    base: str
    first: str
    second: str
    coefficients: tuple[float, ...]
    bluest: float
    reddest: float
    bright: float = -10.0
    faint: float = 40.0
    source: str = ""

    def apply(
        self, mags: Mapping[Passband, Array], errors: Mapping[Passband, Array]
    ) -> tuple[Array, Array, Array] | None:
        """Magnitudes in the survey's band, their errors and the colours; NaN out of range. None: a band is missing."""
        base, first, second = (Passband(self.system, b) for b in (self.base, self.first, self.second))
        if not {base, first, second} <= mags.keys():
            return None
        colour = mags[first] - mags[second]
        series = np.polynomial.Polynomial(self.coefficients)
        with np.errstate(invalid="ignore"):
            good = (colour >= self.bluest) & (colour <= self.reddest)
            good &= (mags[base] > self.bright) & (mags[base] < self.faint)
            # Each band's error enters by the derivative of the whole expression; a band may be base and colour at once.
            slope = series.deriv()(colour)
        weights: dict[Passband, Array] = {p: np.zeros(colour.shape) for p in (base, first, second)}
        weights[base] = weights[base] + 1.0
        weights[first] = weights[first] + slope
        weights[second] = weights[second] - slope
        unknown = np.full(colour.shape, np.nan)
        variance = sum((w * errors.get(p, unknown)) ** 2 for p, w in weights.items())
        return (
            np.where(good, mags[base] + series(colour), np.nan),
            np.where(good, np.sqrt(variance), np.nan),
            np.where(good, colour, np.nan),
        )


@dataclass(frozen=True, slots=True)
class Standard:
    """Magnitudes of reference stars in one of the survey's bands.

    ``mag`` is NaN where there is none; ``error`` is NaN where the catalogue does not tell it; ``colour`` is that of the
    term that was used, NaN without one. ``terms`` are the terms that gave magnitudes, ``direct`` says how many stars
    have magnitudes in the survey's own system.
    """

    band: str
    mag: Array
    error: Array
    colour: Array
    direct: int
    terms: tuple[ColourTerm, ...]

    @property
    def known(self) -> int:
        """How many stars have a magnitude."""
        return int(np.isfinite(self.mag).sum())


def standard(
    mags: Mapping[Passband, Array],
    errors: Mapping[Passband, Array],
    band: str,
    terms: tuple[ColourTerm, ...],
    size: int,
) -> Standard:
    """Magnitudes in a band of the survey: those of its own system, else by the first colour term that gives one.

    Parameters
    ----------
    mags, errors
        Of the stars, by passband.
    band
        The survey's band.
    terms
        Colour terms in the order in which they are tried; those of other bands are ignored. A term of the system
        ``des`` itself stands for an instrument whose response differs from the survey's: it replaces the direct value.
    size
        Number of stars.
    """
    unknown = np.full(size, np.nan)
    mag, error, colour = unknown.copy(), unknown.copy(), unknown.copy()
    mine = [t for t in terms if t.band == band]
    direct, own = 0, Passband(System.DES, band)
    if own in mags and not any(t.system is System.DES for t in mine):
        mag, error = mags[own].copy(), errors.get(own, unknown).copy()
        direct = int(np.isfinite(mag).sum())
    used = []
    for term in mine:
        converted = term.apply(mags, errors)
        if converted is None:
            continue
        new = np.isnan(mag) & np.isfinite(converted[0])
        if new.any():
            used.append(term)
        for out, values in zip((mag, error, colour), converted, strict=True):
            out[new] = values[new]
    return Standard(band, mag, error, colour, direct, tuple(used))


def colour_terms(section: Mapping[str, Any], where: str) -> tuple[ColourTerm, ...]:
    """Colour terms of settings: a section for each system, in it one for each of the survey's bands.

    Parameters
    ----------
    section
        ``<colour_terms>`` of ``codes/photocal/config.wcl``.
    where
        Whose settings, for messages.

    Raises
    ------
    UsageError
        A system, band or key is unknown, missing or no number.
    """
    terms = []
    for system, bands in section.items():
        if not isinstance(bands, Mapping):
            raise UsageError(
                f"{where}: colour_terms: {system!r} is not a section; write <{system}> … </{system}>"
            )
        try:
            known = System(system.lower())
        except ValueError as err:
            names = ", ".join(s.value for s in System)
            raise UsageError(
                f"{where}: colour_terms: no photometric system {system!r}; known: {names}"
            ) from err
        for name, keys in bands.items():
            band, path = BY_LOWER_NAME.get(name.lower()), f"{where}: colour_terms/{system}/{name}"
            if band is None or not isinstance(keys, Mapping):
                raise UsageError(f"{path}: not a section with the name of a band; bands: {', '.join(BANDS)}")
            terms.append(_term(known, band, keys, path))
    return tuple(terms)


def _term(system: System, band: str, keys: Mapping[str, Any], path: str) -> ColourTerm:
    """One band's section."""
    lacking = [k for k in ("base", "colour", "coefficients", "range", "source") if k not in keys]
    if lacking:
        raise UsageError(f"{path}: add {', '.join(lacking)}")
    colour = [word.strip() for word in str(keys["colour"]).split("-")]
    if len(colour) != 2:
        raise UsageError(f"{path}: colour is {keys['colour']!r}; write it as g-i")
    limits = _numbers(keys, "range", path)
    if len(limits) != 2:
        raise UsageError(f"{path}: range is {keys['range']!r}; write bluest,reddest")
    bright, faint = (
        _numbers(keys, k, path)[0] if k in keys else v for k, v in (("bright", -10.0), ("faint", 40.0))
    )
    base, source = str(keys["base"]).strip(), str(keys["source"])
    series = _numbers(keys, "coefficients", path)
    return ColourTerm(
        band, system, base, colour[0], colour[1], series, limits[0], limits[1], bright, faint, source
    )


def _numbers(keys: Mapping[str, Any], key: str, path: str) -> tuple[float, ...]:
    """Numbers between commas."""
    value = keys[key]
    words = value if isinstance(value, list | tuple) else str(value).split(",")
    try:
        return tuple(float(word) for word in words)
    except ValueError as err:
        raise UsageError(f"{path}: {key} is {value!r}, which are not numbers between commas") from err
