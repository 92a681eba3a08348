"""The layouts of reference catalogues: for each, how its table is known and how its rows become `RefStars`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from desdm.pixels.bintable import BinTable
from desdm.survey.bands import BY_LOWER_NAME
from desdm.survey.refstars.record import Array, Catalog, Passband, RefStars, System
from desdm.survey.refstars.units import (
    ab_errors,
    ab_magnitudes,
    degrees,
    julian_years,
    magnitude_unit,
    milliarcseconds,
)

__all__ = ["LAYOUTS", "UNTOLD_EPOCH", "Layout"]

#: Numbers of the selected rows of a table.
Rows: TypeAlias = npt.NDArray[np.intp]
#: Julian year of positions whose catalogue tells no epoch: Gaia's DR2.
UNTOLD_EPOCH = 2015.5
#: Degrees; right ascensions run from 0 or from -180, and where a field crosses 0 some catalogues count on.
_WESTMOST, _EASTMOST = -180.0, 540.0
#: Values that mean no angle.
_NO_ANGLE = (-99.0, -999.0, -9999.0)

#: Gaia's zero points, AB less Vega: DR2 (Evans et al. 2018, A&A 616, A4) and EDR3 (Riello et al. 2021, A&A 649, A3).
_GAIA_AB = {
    "DR2": {"G": 25.7934 - 25.6884, "BP": 25.3806 - 25.3514, "RP": 25.1161 - 24.7619},
    "DR3": {"G": 25.8010 - 25.6874, "BP": 25.3540 - 25.3385, "RP": 25.1040 - 24.7479},
}
_GAIA_COLUMNS = {"G": "phot_g_mean", "BP": "phot_bp_mean", "RP": "phot_rp_mean"}


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout: name, columns of position with their unit where none is stated, and reader of the selected rows."""

    name: str
    ra: str
    dec: str
    unit: str
    matches: Callable[[BinTable], bool]
    read: Callable[[BinTable, Rows, Array, Array], RefStars]

    def known(self, table: BinTable) -> bool:
        """Whether the table is of this layout."""
        return table.numeric(self.ra) and table.numeric(self.dec) and self.matches(table)

    def positions(self, table: BinTable) -> tuple[Array, Array]:
        """Right ascension (0 to 360) and declination of all rows, degrees; NaN where one of them is not an angle."""
        stored = [table.numbers(name) for name in (self.ra, self.dec)]
        ra, dec = (
            degrees(v, table.unit(name), self.unit, name)
            for v, name in zip(stored, (self.ra, self.dec), strict=True)
        )
        with np.errstate(invalid="ignore"):
            good = (ra >= _WESTMOST) & (ra <= _EASTMOST) & (np.abs(dec) <= 90.0)
            good &= ~np.isin(stored[0], _NO_ANGLE)
        return np.where(good, np.mod(ra, 360.0), np.nan), np.where(good, dec, np.nan)


def _column(table: BinTable, name: str, keep: Rows, count: int) -> Array:
    """A column's selected rows; NaN if there is no such column."""
    return table.numbers(name, keep) if name in table else np.full(count, np.nan)


def _angle(table: BinTable, name: str, keep: Rows, count: int, default: str) -> Array:
    """An angle, or an angle a year, in mas; NaN if there is no such column."""
    return milliarcseconds(_column(table, name, keep, count), table.unit(name), default, name)


def _positive(values: Array) -> Array:
    """Errors; NaN where they are not positive, which catalogues write for "unknown"."""
    return np.where(values > 0, values, np.nan)


#: Magnitudes of stars lie between these; 0, 99, -999 and the like stand for "not measured".
_BRIGHTEST, _FAINTEST, _WORST = -5.0, 40.0, 10.0
#: mas a year; error of motions whose catalogue has no column of errors: as good as Gaia's faint ones.
_MOTION_ERROR = 0.5
#: Value of both coordinates of a motion that was not measured.
_NO_MOTION = (-99.0, -999.0, -9999.0)


def _magnitudes(
    table: BinTable, names: tuple[str, str], keep: Rows, count: int, findings: list[str]
) -> tuple[Array, Array, str] | None:
    """Return magnitudes and errors of two columns, and the zero point of TUNIT; None, with a finding, for other units.

    A number that stands for "not measured" is NaN.
    """
    name, error = names
    unit = magnitude_unit(table.unit(name))
    if unit is None:
        findings.append(f"column {name} is in {table.unit(name)!r}, no unit of magnitude: it is left out")
        return None
    scale, system = unit
    mags, errors = table.numbers(name, keep) * scale, _column(table, error, keep, count)
    other = magnitude_unit(table.unit(error)) if error in table and table.unit(error) else unit
    errors = _positive(errors) * (other or unit)[0]
    with np.errstate(invalid="ignore"):
        known = (mags > _BRIGHTEST) & (mags < _FAINTEST) & (mags != 0.0)
    return np.where(known, mags, np.nan), np.where(errors < _WORST, errors, np.nan), system


def _motion(
    table: BinTable,
    names: tuple[str, str, str, str],
    keep: Rows,
    unit: str,
    findings: list[str] | None = None,
) -> tuple[Array, Array, Array]:
    """Proper motions with their error; a row without a positive error in both coordinates has none.

    Without a column of errors the motions stand, with an assumed one, which ``findings`` tells; a column with nothing in
    it says unsolved.
    """
    n = np.arange(table.rows)[keep].size
    pmra, pmdec = (_column(table, name, keep, n) for name in names[:2])
    unsolved = (pmra == pmdec) & np.isin(pmra, _NO_MOTION)
    pmra, pmdec = (_angle(table, name, keep, n, unit) for name in names[:2])
    lacking = [name for name in names[2:] if name not in table]
    if findings is not None and lacking and names[0] in table:
        findings.append(
            f"no column {' or '.join(lacking)}: proper motions are taken as known to {_MOTION_ERROR:g} mas a year"
        )
    errors = [
        _angle(table, name, keep, n, unit) if name in table else np.full(n, _MOTION_ERROR)
        for name in names[2:]
    ]
    error = np.hypot(*(_positive(e) for e in errors)) / np.sqrt(2.0)
    known = np.isfinite(pmra) & np.isfinite(pmdec) & np.isfinite(error) & ~unsolved
    return tuple(np.where(known, v, np.nan) for v in (pmra, pmdec, error))  # type: ignore[return-value]


def _epochs(table: BinTable, names: tuple[str, ...], keep: Rows, count: int, findings: list[str]) -> Array:
    """Julian years by the first of some columns; `UNTOLD_EPOCH`, with a finding, where none is stated."""
    name = next((n for n in names if table.numeric(n)), "")
    if not name:
        if count:
            findings.append(f"no column {' or '.join(names)}: positions are taken as of {UNTOLD_EPOCH}")
        return np.full(count, UNTOLD_EPOCH)
    epoch = julian_years(table.numbers(name, keep), name)
    unknown = int((~np.isfinite(epoch)).sum())
    if unknown:
        findings.append(f"{unknown} of {count} rows have no epoch in {name}: {UNTOLD_EPOCH} is assumed")
    return np.where(np.isfinite(epoch), epoch, UNTOLD_EPOCH)


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
    columns: dict[Passband, str] = {}
    for name in table.names:
        match = _FLUX.fullmatch(name)
        if match is None or not table.numeric(name):
            continue
        word = match["system"]
        system = bare if word is None else _NAMED_SYSTEMS.get(word, System.OTHER)
        band = BY_LOWER_NAME[match["band"]] if system is System.DES else match["band"]
        columns.setdefault(Passband(system, band), name)
    for band, stem in _GAIA_COLUMNS.items():
        if f"{stem}_flux" in table:
            columns[Passband(System.GAIA, band)] = f"{stem}_flux"
    return columns


def _lsst_catalog(bands: dict[Passband, str]) -> Catalog:
    """Gaia if its G is there, else PS1 if only its bands are."""
    systems = {p.system for p in bands}
    if System.GAIA in systems:
        return Catalog.GAIA
    return Catalog.PS1 if systems == {System.PS1} else Catalog.OTHER


def _lsst(table: BinTable, keep: Rows, ra: Array, dec: Array) -> RefStars:
    """Rows of an LSST shard."""
    n, bands = ra.size, _lsst_bands(table)
    fluxes = {p: table.numbers(name, keep) for p, name in bands.items()}
    mags = {p: ab_magnitudes(flux, table.unit(bands[p]), bands[p]) for p, flux in fluxes.items()}
    errors = {p: ab_errors(flux, _column(table, bands[p] + "err", keep, n)) for p, flux in fluxes.items()}
    # Shards of the first kind (PS1 PV3 of 2017) write coord_ra_err and no units. Their proper motions are in arcsec a
    # year: against Gaia's in the same field the slope is 1.004.
    old = "coord_ra_err" in table
    rate, tail = ("arcsec", "_err") if old else ("rad", "err")
    findings: list[str] = []
    motion = _motion(table, ("pm_ra", "pm_dec", "pm_ra" + tail, "pm_dec" + tail), keep, rate, findings)
    epoch = _epochs(table, ("epoch",), keep, n, findings)
    return RefStars(
        _lsst_catalog(bands), ra, dec, _positive(_angle(table, "coord_ra" + tail, keep, n, "rad")),
        _positive(_angle(table, "coord_dec" + tail, keep, n, "rad")), epoch, epoch, *motion, mags, errors,
        tuple(findings),
    )  # fmt: skip


def _tycho2(table: BinTable, keep: Rows, ra: Array, dec: Array) -> RefStars:
    """Rows of Tycho-2 as astrometry.net lists them: errors in deg, motions in arcsec a year, an epoch a coordinate.

    ``ra`` and ``dec`` are of ``epoch_ra`` and ``epoch_dec``; ``mean_ra`` and ``mean_dec`` are of 2000.0. Rows without a
    mean position (epoch 0) are of the observed one, about 1991.5.
    """
    n = ra.size
    findings: list[str] = []
    motion = _motion(table, ("pm_ra", "pm_dec", "sigma_pm_ra", "sigma_pm_dec"), keep, "arcsec", findings)
    epoch, epoch_dec = (
        np.where(np.isfinite(e := julian_years(_column(table, name, keep, n), name)), e, 1991.5)
        for name in ("epoch_ra", "epoch_dec")
    )
    mags = {}
    for band, name in (("BT", "mag_bt"), ("VT", "mag_vt")):
        if name in table and (magnitudes := _magnitudes(table, (name, ""), keep, n, findings)) is not None:
            mags[Passband(System.TYCHO2, band)] = magnitudes[0]
    return RefStars(
        Catalog.TYCHO2, ra, dec, _positive(_angle(table, "sigma_ra", keep, n, "deg")),
        _positive(_angle(table, "sigma_dec", keep, n, "deg")), epoch, epoch_dec, *motion, mags, {}, tuple(findings),
    )  # fmt: skip


def _gaia(table: BinTable, keep: Rows, ra: Array, dec: Array) -> RefStars:
    """Rows of the Gaia archive: mas, mas a year, Vega magnitudes, which become AB."""
    n, mags, errors = ra.size, {}, {}
    findings: list[str] = []
    epoch = _epochs(table, ("ref_epoch", "epoch"), keep, n, findings)
    motion = _motion(table, ("pmra", "pmdec", "pmra_error", "pmdec_error"), keep, "mas", findings)
    zero = _GAIA_AB["DR2" if n and float(epoch[0]) < 2015.9 else "DR3"]
    for band, stem in _GAIA_COLUMNS.items():
        if f"{stem}_mag" not in table:
            continue
        magnitudes = _magnitudes(table, (f"{stem}_mag", ""), keep, n, findings)
        if magnitudes is not None and magnitudes[2] != "st":
            passband = Passband(System.GAIA, band)
            mags[passband] = magnitudes[0] + (0.0 if magnitudes[2] == "ab" else zero[band])
            snr = _column(table, f"{stem}_flux_over_error", keep, n)
            errors[passband] = 2.5 / np.log(10.0) / _positive(snr)
    return RefStars(
        Catalog.GAIA, ra, dec, _positive(_angle(table, "ra_error", keep, n, "mas")),
        _positive(_angle(table, "dec_error", keep, n, "mas")), epoch, epoch, *motion, mags, errors, tuple(findings),
    )  # fmt: skip


def _ab(
    table: BinTable, names: tuple[str, str], passband: Passband, keep: Rows, count: int, findings: list[str]
) -> dict[Passband, tuple[Array, Array]]:
    """AB magnitudes of a column and their errors; those of another zero point are of no system with colour terms."""
    magnitudes = _magnitudes(table, names, keep, count, findings)
    if magnitudes is None:
        return {}
    mags, errors, system = magnitudes
    if system in ("", "ab"):
        return {passband: (mags, errors)}
    findings.append(f"column {names[0]} is in {table.unit(names[0])!r}, not AB: it serves no photometry")
    return {Passband(System.OTHER, passband.band): (mags, errors)}


def _mast(table: BinTable, keep: Rows, ra: Array, dec: Array) -> RefStars:
    """Rows of PS1 as MAST lists mean objects: arcsec, MJD, mean PSF magnitudes (-999 where there is none)."""
    n, findings = ra.size, list[str]()
    magnitudes: dict[Passband, tuple[Array, Array]] = {}
    for band in "grizy":
        if f"{band}meanpsfmag" in table:
            names = (f"{band}meanpsfmag", f"{band}meanpsfmagerr")
            magnitudes |= _ab(table, names, Passband(System.PS1, band), keep, n, findings)
    epoch, none = _epochs(table, ("epochmean",), keep, n, findings), np.full(n, np.nan)
    return RefStars(
        Catalog.PS1, ra, dec, _positive(_angle(table, "rameanerr", keep, n, "arcsec")),
        _positive(_angle(table, "decmeanerr", keep, n, "arcsec")), epoch, epoch, none, none, none,
        {p: v[0] for p, v in magnitudes.items()}, {p: v[1] for p, v in magnitudes.items()}, tuple(findings),
    )  # fmt: skip


_OWN_MAG = re.compile(r"mag_(u|g|r|i|z|y|vr)")


def _own(table: BinTable, keep: Rows, ra: Array, dec: Array) -> RefStars:
    """Rows with magnitudes ``mag_<band>`` of the survey itself, or with positions alone; mas, mas a year."""
    n, findings = ra.size, list[str]()
    magnitudes: dict[Passband, tuple[Array, Array]] = {}
    for name in table.names:
        match = _OWN_MAG.fullmatch(name)
        if match is not None:
            passband = Passband(System.DES, BY_LOWER_NAME[match[1]])
            magnitudes |= _ab(table, (name, f"magerr_{match[1]}"), passband, keep, n, findings)
    epoch = _epochs(table, ("ref_epoch", "epoch"), keep, n, findings)
    # The survey's own catalogues list no errors of motions.
    motion = _motion(table, ("pmra", "pmdec", "pmra_error", "pmdec_error"), keep, "mas")
    own = any(p.system is System.DES for p in magnitudes)
    return RefStars(
        Catalog.SURVEY if own else Catalog.OTHER, ra, dec, _positive(_angle(table, "ra_error", keep, n, "mas")),
        _positive(_angle(table, "dec_error", keep, n, "mas")), epoch, epoch, *motion,
        {p: v[0] for p, v in magnitudes.items()}, {p: v[1] for p, v in magnitudes.items()}, tuple(findings),
    )  # fmt: skip


#: In the order in which a table is tried.
LAYOUTS = (
    Layout("LSST", "coord_ra", "coord_dec", "rad", lambda t: True, _lsst),
    Layout("PS1 of MAST", "ramean", "decmean", "deg", lambda t: "gmeanpsfmag" in t, _mast),
    Layout("Tycho-2", "ra", "dec", "deg", lambda t: "mag_vt" in t or "tyc1" in t, _tycho2),
    Layout("Gaia", "ra", "dec", "deg", lambda t: "phot_g_mean_mag" in t, _gaia),
    Layout("survey", "ra", "dec", "deg", lambda t: True, _own),
)
