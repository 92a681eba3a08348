"""The layouts of reference catalogues: for each, how its table is known and how its rows become `RefStars`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from desdm.survey.bands import BY_LOWER_NAME
from desdm.survey.bintable import BinTable
from desdm.survey.refstars.record import Array, Catalog, Passband, RefStars, System
from desdm.survey.refstars.units import ab_errors, ab_magnitudes, degrees, julian_years, milliarcseconds

__all__ = ["LAYOUTS", "Layout"]

#: Gaia's zero points, AB less Vega: DR2 (Evans et al. 2018, A&A 616, A4) and EDR3 (Riello et al. 2021, A&A 649, A3).
_GAIA_AB = {
    "DR2": {"G": 25.7934 - 25.6884, "BP": 25.3806 - 25.3514, "RP": 25.1161 - 24.7619},
    "DR3": {"G": 25.8010 - 25.6874, "BP": 25.3540 - 25.3385, "RP": 25.1040 - 24.7479},
}
_GAIA_COLUMNS = {"G": "phot_g_mean", "BP": "phot_bp_mean", "RP": "phot_rp_mean"}


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout: name, columns of position with their unit where none is told, and reader of the kept rows."""

    name: str
    ra: str
    dec: str
    unit: str
    matches: Callable[[BinTable], bool]
    read: Callable[[BinTable, Any, Array, Array], RefStars]

    def known(self, table: BinTable) -> bool:
        """Whether the table is of this layout."""
        return table.numeric(self.ra) and table.numeric(self.dec) and self.matches(table)

    def positions(self, table: BinTable) -> tuple[Array, Array]:
        """Right ascension (0 to 360) and declination of all rows, degrees."""
        ra, dec = (degrees(table.numbers(n), table.unit(n), self.unit, n) for n in (self.ra, self.dec))
        return np.mod(ra, 360.0), dec


def _column(table: BinTable, name: str, keep: Any, count: int) -> Array:
    """A column's kept rows; NaN if there is no such column."""
    return table.numbers(name, keep) if name in table else np.full(count, np.nan)


def _angle(table: BinTable, name: str, keep: Any, count: int, default: str) -> Array:
    """An angle, or an angle a year, in mas; NaN if there is no such column."""
    return milliarcseconds(_column(table, name, keep, count), table.unit(name), default, name)


def _positive(values: Array) -> Array:
    """Errors; NaN where they are not positive, which catalogues write for "unknown"."""
    return np.where(values > 0, values, np.nan)


#: Magnitudes of stars lie between these; 0, 99, -999 and the like stand for "not measured".
_BRIGHTEST, _FAINTEST, _WORST = -5.0, 40.0, 10.0


def _measured(values: Array) -> Array:
    """Magnitudes; NaN where a catalogue writes a number for "not measured"."""
    with np.errstate(invalid="ignore"):
        known = (values > _BRIGHTEST) & (values < _FAINTEST) & (values != 0.0)
    return np.where(known, values, np.nan)


def _errors(values: Array) -> Array:
    """Errors of magnitudes; NaN where a catalogue writes a number for "not measured"."""
    return np.where(values < _WORST, _positive(values), np.nan)


def _motion(pmra: Array, pmdec: Array, error_ra: Array, error_dec: Array) -> tuple[Array, Array, Array]:
    """Proper motions with their error; a row without a positive error in both coordinates has none."""
    error = np.hypot(_positive(error_ra), _positive(error_dec)) / np.sqrt(2.0)
    known = np.isfinite(pmra) & np.isfinite(pmdec) & np.isfinite(error)
    return tuple(np.where(known, v, np.nan) for v in (pmra, pmdec, error))  # type: ignore[return-value]


# LSST's shards: coord_ra and coord_dec in radians, <band>_flux in nJy, epoch, pm_ra, pm_dec (pipelines.lsst.io,
# "How to generate an LSST reference catalog").
_FLUX = re.compile(r"(?:monster_)?(?:(?P<system>\w+)_)?(?P<band>vr|[ugrizy])_flux")
_NAMED_SYSTEMS = {"des": System.DES, "ps1": System.PS1, "sdss": System.SDSS}


def _lsst_bands(table: BinTable) -> dict[Passband, str]:
    """Passbands and their columns of flux.

    Columns with a system in their name (``monster_DES_g_flux``) are of that. ``g_flux`` and the like alone are of PS1;
    with u, which PS1 has not, of SDSS. SkyMapper has v beside u, infrared surveys have z or y alone: their magnitudes
    are of no system that there are colour terms for.
    """
    bare = System.PS1
    if "u_flux" in table:
        bare = System.SDSS
    if "v_flux" in table or len({"g_flux", "r_flux", "i_flux", "z_flux"} & set(table.names)) < 2:
        bare = System.OTHER
    found: dict[Passband, str] = {}
    for name in table.names:
        match = _FLUX.fullmatch(name)
        if match is None or not table.numeric(name):
            continue
        word = match["system"]
        system = bare if word is None else _NAMED_SYSTEMS.get(word, System.OTHER)
        band = BY_LOWER_NAME[match["band"]] if system is System.DES else match["band"]
        found.setdefault(Passband(system, band), name)
    for band, stem in _GAIA_COLUMNS.items():
        if f"{stem}_flux" in table:
            found[Passband(System.GAIA, band)] = f"{stem}_flux"
    return found


def _lsst_catalog(bands: dict[Passband, str]) -> Catalog:
    """Gaia if its G is there, else PS1 if only its bands are."""
    systems = {p.system for p in bands}
    if System.GAIA in systems:
        return Catalog.GAIA
    return Catalog.PS1 if systems == {System.PS1} else Catalog.OTHER


def _lsst(table: BinTable, keep: Any, ra: Array, dec: Array) -> RefStars:
    """Rows of an LSST shard."""
    n, bands = ra.size, _lsst_bands(table)
    fluxes = {p: table.numbers(name, keep) for p, name in bands.items()}
    mags = {p: ab_magnitudes(flux, table.unit(bands[p]), bands[p]) for p, flux in fluxes.items()}
    errors = {p: ab_errors(flux, _column(table, bands[p] + "err", keep, n)) for p, flux in fluxes.items()}
    # Shards of the first kind (PS1 PV3 of 2017) write coord_ra_err and no units. Their proper motions are in arcsec a
    # year: against Gaia's in the same field the slope is 1.004.
    old = "coord_ra_err" in table
    rate, tail = ("arcsec", "_err") if old else ("rad", "err")
    pmra, pmdec, error_ra, error_dec = (
        _angle(table, name, keep, n, rate) for name in ("pm_ra", "pm_dec", "pm_ra" + tail, "pm_dec" + tail)
    )
    pmra, pmdec, pm_error = _motion(pmra, pmdec, error_ra, error_dec)
    epoch = julian_years(_column(table, "epoch", keep, n), "epoch")
    return RefStars(
        _lsst_catalog(bands), ra, dec, _positive(_angle(table, "coord_ra" + tail, keep, n, "rad")),
        _positive(_angle(table, "coord_dec" + tail, keep, n, "rad")), epoch, epoch, pmra, pmdec, pm_error, mags, errors,
    )  # fmt: skip


def _tycho2(table: BinTable, keep: Any, ra: Array, dec: Array) -> RefStars:
    """Rows of Tycho-2 as astrometry.net lists them: errors in deg, motions in arcsec a year, an epoch a coordinate.

    ``ra`` and ``dec`` are of ``epoch_ra`` and ``epoch_dec``; ``mean_ra`` and ``mean_dec`` are of 2000.0. Rows without a
    mean position (epoch 0) are of the observed one, about 1991.5.
    """
    n = ra.size
    motion = _motion(
        *(
            _angle(table, name, keep, n, "arcsec")
            for name in ("pm_ra", "pm_dec", "sigma_pm_ra", "sigma_pm_dec")
        )
    )
    epoch, epoch_dec = (
        np.where(np.isfinite(e := julian_years(_column(table, name, keep, n), name)), e, 1991.5)
        for name in ("epoch_ra", "epoch_dec")
    )
    bands = {"BT": "mag_bt", "VT": "mag_vt"}
    mags = {
        Passband(System.TYCHO2, band): _measured(_column(table, name, keep, n))
        for band, name in bands.items() if name in table
    }  # fmt: skip
    return RefStars(
        Catalog.TYCHO2, ra, dec, _positive(_angle(table, "sigma_ra", keep, n, "deg")),
        _positive(_angle(table, "sigma_dec", keep, n, "deg")), epoch, epoch_dec, *motion, mags, {},
    )  # fmt: skip


def _gaia(table: BinTable, keep: Any, ra: Array, dec: Array) -> RefStars:
    """Rows of the Gaia archive: mas, mas a year, Vega magnitudes, which become AB."""
    n = ra.size
    epoch = julian_years(_column(table, "ref_epoch", keep, n), "ref_epoch")
    epoch = np.where(np.isfinite(epoch), epoch, 2015.5)
    motion = _motion(
        *(_angle(table, name, keep, n, "mas") for name in ("pmra", "pmdec", "pmra_error", "pmdec_error"))
    )
    zero = _GAIA_AB["DR2" if n and float(epoch[0]) < 2015.9 else "DR3"]
    mags, errors = {}, {}
    for band, stem in _GAIA_COLUMNS.items():
        if f"{stem}_mag" in table:
            mags[Passband(System.GAIA, band)] = _measured(table.numbers(f"{stem}_mag", keep)) + zero[band]
            snr = _column(table, f"{stem}_flux_over_error", keep, n)
            errors[Passband(System.GAIA, band)] = 2.5 / np.log(10.0) / _positive(snr)
    return RefStars(
        Catalog.GAIA, ra, dec, _positive(_angle(table, "ra_error", keep, n, "mas")),
        _positive(_angle(table, "dec_error", keep, n, "mas")), epoch, epoch, *motion, mags, errors,
    )  # fmt: skip


def _mast(table: BinTable, keep: Any, ra: Array, dec: Array) -> RefStars:
    """Rows of PS1 as MAST lists mean objects: arcsec, MJD, mean PSF magnitudes (-999 where there is none)."""
    n, mags, errors = ra.size, {}, {}
    for band in "grizy":
        if f"{band}meanpsfmag" in table:
            passband = Passband(System.PS1, band)
            mags[passband] = _measured(table.numbers(f"{band}meanpsfmag", keep))
            errors[passband] = _errors(_column(table, f"{band}meanpsfmagerr", keep, n))
    epoch, none = julian_years(_column(table, "epochmean", keep, n), "epochmean"), np.full(n, np.nan)
    return RefStars(
        Catalog.PS1, ra, dec, _positive(_angle(table, "rameanerr", keep, n, "arcsec")),
        _positive(_angle(table, "decmeanerr", keep, n, "arcsec")), epoch, epoch, none, none, none, mags, errors,
    )  # fmt: skip


_OWN_MAG = re.compile(r"mag_(u|g|r|i|z|y|vr)")


def _own(table: BinTable, keep: Any, ra: Array, dec: Array) -> RefStars:
    """Rows with magnitudes ``mag_<band>`` of the survey itself, or with positions alone; mas, mas a year."""
    n, mags, errors = ra.size, {}, {}
    for name in table.names:
        match = _OWN_MAG.fullmatch(name)
        if match is not None:
            passband = Passband(System.DES, BY_LOWER_NAME[match[1]])
            mags[passband] = _measured(table.numbers(name, keep))
            errors[passband] = _errors(_column(table, f"magerr_{match[1]}", keep, n))
    epoch = julian_years(_column(table, "ref_epoch", keep, n), "ref_epoch")
    pmra, pmdec = (_angle(table, name, keep, n, "mas") for name in ("pmra", "pmdec"))
    # Without a column of errors a motion is as good as Gaia's faint ones; a column with nothing in it says unsolved.
    told = [
        _angle(table, name, keep, n, "mas") if name in table else np.full(n, 0.5)
        for name in ("pmra_error", "pmdec_error")
    ]
    return RefStars(
        Catalog.SURVEY if mags else Catalog.OTHER, ra, dec, _positive(_angle(table, "ra_error", keep, n, "mas")),
        _positive(_angle(table, "dec_error", keep, n, "mas")), epoch, epoch, *_motion(pmra, pmdec, *told), mags, errors,
    )  # fmt: skip


#: In the order in which a table is tried.
LAYOUTS = (
    Layout("LSST", "coord_ra", "coord_dec", "rad", lambda t: True, _lsst),
    Layout("PS1 of MAST", "ramean", "decmean", "deg", lambda t: "gmeanpsfmag" in t, _mast),
    Layout("Tycho-2", "ra", "dec", "deg", lambda t: "mag_vt" in t or "tyc1" in t, _tycho2),
    Layout("Gaia", "ra", "dec", "deg", lambda t: "phot_g_mean_mag" in t, _gaia),
    Layout("survey", "ra", "dec", "deg", lambda t: True, _own),
)
