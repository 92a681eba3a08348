"""Reference stars of a field: all catalogues together, moved to an epoch, each star once, and written for scamp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.spatial import cKDTree

from desdm.codes.detection.sextractor import header_table
from desdm.errors import FileTypeError
from desdm.sky.spherical import angles_to
from desdm.sky.spherical import unit as direction
from desdm.survey.refstars import Catalog, Passband, RefStars, System, read_stars
from desdm.survey.refstars.colour import ColourTerm, Standard, standard
from desdm.survey.refstars.units import year_of_mjd

__all__ = ["Reference", "epoch_of", "epoch_of_header", "read_reference", "write_ldac"]

Array = npt.NDArray[np.float64]

#: mas; position errors of catalogues that do not tell them. PS1 against Gaia at PS1's own epoch scatters by 5 to 10 mas.
_UNTOLD = {
    Catalog.GAIA: 1.0,
    Catalog.SURVEY: 1.0,
    Catalog.PS1: 10.0,
    Catalog.TYCHO2: 60.0,
    Catalog.OTHER: 50.0,
}
#: mas a year; how stars without a proper motion move, or with one that is known less well than this.
_DISPERSION = 5.0
#: arcsec; rows of different catalogues nearer than this are one star. At the exposure's epoch even PS1's rows without
#: proper motion are within it, but for some stars in a thousand.
_SAME = 1.0
#: arcsec; rows of one catalogue, in one file or in two, nearer than this are one row.
_TWICE = 0.1
#: Catalogues in the order in which their positions are believed.
_ORDER = (Catalog.GAIA, Catalog.SURVEY, Catalog.PS1, Catalog.TYCHO2, Catalog.OTHER)
#: Magnitudes for scamp of stars without one in the exposure's band: bands near red light first.
_STAND_IN = (
    *(Passband(System.DES, b) for b in ("r", "i", "g", "z", "Y", "u", "VR")),
    Passband(System.GAIA, "G"),
    *(Passband(System.PS1, b) for b in "rigzy"),
    *(Passband(System.SDSS, b) for b in "rigzu"),
    *(Passband(System.GAIA, b) for b in ("RP", "BP")),
    *(Passband(System.TYCHO2, b) for b in ("VT", "BT")),
    *(Passband(System.OTHER, b) for b in ("r", "i", "g", "z", "y", "Y", "u", "VR")),
)


@dataclass(frozen=True, slots=True)
class Reference:
    """Stars at one epoch, each once.

    Attributes
    ----------
    ra, dec
        Degrees.
    error
        mas, of one coordinate.
    mags, mag_errors
        By passband; NaN where a star has none. AB but for Tycho-2.
    epoch
        Julian year.
    star
        Whether some catalogue lists it as a point source; False: it may be a galaxy.
    catalogs
        How many stars have their position from which catalogue.
    files
        By passband, name of the first file that gives magnitudes in it.
    """

    ra: Array
    dec: Array
    error: Array
    mags: dict[Passband, Array]
    mag_errors: dict[Passband, Array]
    epoch: float
    star: npt.NDArray[np.bool_]
    catalogs: dict[Catalog, int]
    files: dict[Passband, str] = field(default_factory=dict)

    def standard(self, band: str, terms: tuple[ColourTerm, ...] = ()) -> Standard:
        """Magnitudes in one of the survey's bands, by colour terms where the catalogue lacks that band."""
        return standard(self.mags, self.mag_errors, band, terms, self.ra.size)


@dataclass(slots=True)
class _Part:
    """Rows of one catalogue at the epoch of the exposure."""

    catalog: Catalog
    ra: Array
    dec: Array
    error: Array
    star: npt.NDArray[np.bool_]
    origin: npt.NDArray[np.int64]
    mags: dict[Passband, Array]
    mag_errors: dict[Passband, Array]

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> _Part:
        """Some of the rows."""
        return replace(
            self,
            ra=self.ra[rows],
            dec=self.dec[rows],
            error=self.error[rows],
            star=self.star[rows],
            origin=self.origin[rows],
            mags={p: v[rows] for p, v in self.mags.items()},
            mag_errors={p: v[rows] for p, v in self.mag_errors.items()},
        )


def epoch_of(mjd: float) -> float:
    """Julian year of a modified Julian date."""
    return float(year_of_mjd(np.asarray(mjd, dtype=np.float64)))


def epoch_of_header(header: fits.Header, complain: Callable[[str], None] | None = None) -> float:
    """Return the Julian year of an image; without MJD-OBS 2016.0, Gaia's epoch, with a complaint."""
    mjd = header.get("MJD-OBS")
    if mjd is None:
        if complain is not None:
            complain("MJD-OBS is missing: reference stars are taken where they were at 2016.0")
        return 2016.0
    return epoch_of(float(mjd))


def read_reference(
    paths: Sequence[Path],
    epoch: float,
    ra: float,
    dec: float,
    radius: float,
    complain: Callable[[str], None] | None = None,
) -> Reference | None:
    """Stars of all files within ``radius`` degrees of (ra, dec) at ``epoch``.

    Rows of different catalogues that are one star are merged: the position is Gaia's where it has the star, else of the
    survey's own rows, PS1, Tycho-2, others, in this order; magnitudes are those of all. A row without proper motion, or
    with one known less well than 5 mas a year, keeps its place, and its error grows by 5 mas a year.

    Parameters
    ----------
    paths
        Catalogues of any layout of `desdm.survey.refstars`.
    epoch
        Julian year.
    ra, dec, radius
        The field, degrees.
    complain
        Called with the message about a file that cannot be read, which is then left out; None: it is an error. What
        was assumed or left out of a file (`RefStars.findings`) was reported at its ingest.

    Returns
    -------
    Reference or None
        None if no file has a row there.

    Raises
    ------
    FileTypeError
        A file cannot be read as a reference catalogue, and there is no ``complain``.
    """
    middle = direction(ra, dec)

    def near(r: Array, d: Array) -> npt.NDArray[np.bool_]:
        # The declination alone leaves out most of a large catalogue.
        inside: npt.NDArray[np.bool_] = np.abs(d - dec) < radius
        inside[inside] = np.degrees(angles_to(middle, direction(r[inside], d[inside]))) < radius
        return inside

    parts: dict[Catalog, list[_Part]] = {}
    files: dict[Passband, str] = {}
    for number, path in enumerate(paths):
        try:
            stars = read_stars(path, near)
        except FileTypeError as err:
            if complain is None:
                raise
            complain(f"reference catalogue left out: {err}")
            continue
        if len(stars):
            parts.setdefault(stars.catalog, []).append(_moved(stars, epoch, number))
        for passband, mags in stars.mags.items():
            if np.isfinite(mags).any():
                files.setdefault(passband, path.name)
    if not parts:
        return None
    whole: _Part | None = None
    for catalog in (c for c in _ORDER if c in parts):
        one = _once(_joined(parts[catalog]), ra, dec)
        whole = one if whole is None else _merged(whole, one, ra, dec)
    assert whole is not None
    counts = {c: int((whole.origin == i).sum()) for i, c in enumerate(_ORDER) if (whole.origin == i).any()}
    return Reference(
        whole.ra, whole.dec, whole.error, whole.mags, whole.mag_errors, epoch, whole.star, counts, files
    )


def _wrap(degrees: Array) -> Array:
    """Wrap angles in degrees to [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0


def _moved(stars: RefStars, epoch: float, number: int) -> _Part:
    """A catalogue's rows at an epoch, with the errors that they have then."""
    since = [epoch - e for e in (stars.epoch, stars.epoch_dec)]
    moving = np.isfinite(stars.pm_error) & (stars.pm_error < _DISPERSION)
    pmra, pmdec = (np.where(moving, v, 0.0) for v in (stars.pmra, stars.pmdec))
    cosd = np.cos(np.radians(stars.dec))
    errors = [np.where(np.isfinite(e), e, _UNTOLD[stars.catalog]) for e in (stars.ra_error, stars.dec_error)]
    place = np.hypot(*errors) / np.sqrt(2.0)
    drift = np.where(moving, stars.pm_error, _DISPERSION) * np.maximum(np.abs(since[0]), np.abs(since[1]))
    n = len(stars)
    return _Part(
        stars.catalog,
        np.mod(stars.ra + pmra * since[0] / 3.6e6 / np.maximum(cosd, 1e-9), 360.0),
        stars.dec + pmdec * since[1] / 3.6e6,
        np.hypot(place, drift),
        np.full(n, stars.catalog.stars),
        np.full(n, number),
        stars.mags,
        stars.mag_errors,
    )


def _joined(parts: Sequence[_Part]) -> _Part:
    """Rows of several files one below the other; a passband that a file has not is NaN there."""

    def stacked(name: str) -> dict[Passband, Array]:
        columns: list[dict[Passband, Array]] = [getattr(p, name) for p in parts]
        bands = sorted({b for c in columns for b in c})
        return {
            b: np.concatenate(
                [c.get(b, np.full(p.ra.size, np.nan)) for c, p in zip(columns, parts, strict=True)]
            )
            for b in bands
        }

    ra, dec, error = (np.concatenate([getattr(p, n) for p in parts]) for n in ("ra", "dec", "error"))
    return _Part(
        parts[0].catalog,
        ra,
        dec,
        error,
        np.concatenate([p.star for p in parts]),
        np.concatenate([p.origin for p in parts]),
        stacked("mags"),
        stacked("mag_errors"),
    )


def _plane(part: _Part, ra: float, dec: float) -> Array:
    """Places about the middle of the field, degrees; distances of arcsec are right anywhere in it."""
    # The cosine of each star's own declination, not of the field's middle: the field may reach a pole.
    x = np.radians(_wrap(part.ra - ra))
    d, d0 = np.radians(part.dec), np.radians(dec)
    xyz = np.column_stack([np.cos(d) * np.cos(x), np.cos(d) * np.sin(x), np.sin(d) - np.sin(d0)])
    plane: Array = np.degrees(xyz)
    return plane


def _once(part: _Part, ra: float, dec: float) -> _Part:
    """One catalogue's rows, each once whether one of its files or two hold it twice, and its number as their origin."""
    number = _ORDER.index(part.catalog)
    pairs = cKDTree(_plane(part, ra, dec)).query_pairs(_TWICE / 3600.0, output_type="ndarray")
    if pairs.size:
        first, second = pairs.min(axis=1), pairs.max(axis=1)
        keep = np.ones(part.ra.size, bool)
        keep[second] = False
        for box in (part.mags, part.mag_errors):
            for passband, values in box.items():
                filled = values.copy()
                empty = np.isnan(filled[first])
                filled[first[empty]] = values[second[empty]]
                box[passband] = filled
        part = part.take(keep)
    return replace(part, origin=np.full(part.ra.size, number))


def _merged(first: _Part, second: _Part, ra: float, dec: float) -> _Part:
    """Two catalogues as one: stars of both once, with the first one's position and the magnitudes of both."""
    here, there = _plane(first, ra, dec), _plane(second, ra, dec)
    trees = cKDTree(here), cKDTree(there)
    far, index = trees[0].query(there, distance_upper_bound=_SAME / 3600.0)
    _, home = trees[1].query(here, distance_upper_bound=_SAME / 3600.0)
    hit = np.flatnonzero(np.isfinite(far))
    # Each other's nearest: of a close pair each half finds its own.
    hit = hit[home[index[hit]] == hit]
    mine = index[hit]
    star = first.star.copy()
    star[mine] |= second.star[hit]
    mags, errors = dict(first.mags), dict(first.mag_errors)
    for box, more in ((mags, second.mags), (errors, second.mag_errors)):
        for passband, values in more.items():
            column = box.get(passband, np.full(first.ra.size, np.nan)).copy()
            empty = np.isnan(column[mine])
            column[mine[empty]] = values[hit[empty]]
            box[passband] = column
    rest = np.ones(second.ra.size, bool)
    rest[hit] = False
    return _joined([replace(first, star=star, mags=mags, mag_errors=errors), second.take(rest)])


def write_ldac(path: Path, reference: Reference, band: str, terms: tuple[ColourTerm, ...] = ()) -> None:
    """A reference catalogue in the one form that scamp reads: FITS_LDAC with a header table and an object table.

    Every star is in it. MAG, by which scamp picks bright stars for its pattern match and nothing more (SOLVE_PHOTOM N),
    is of the exposure's band, else of another band or system, else the faintest of all; MAGERR says 0.01, 0.5 and 1.

    Parameters
    ----------
    path
        The file; it is replaced.
    reference
        Stars at the exposure's epoch.
    band
        The exposure's.
    terms
        Colour terms that give magnitudes in it.
    """
    mag = reference.standard(band, terms).mag
    magerr = np.full(mag.size, 0.01)
    for passband in _STAND_IN:
        empty = np.isnan(mag)
        if empty.any() and passband in reference.mags:
            mag = np.where(empty, reference.mags[passband], mag)
            magerr[empty] = 0.5
    empty = ~np.isfinite(mag)
    mag[empty] = mag[~empty].max() if not empty.all() else 20.0
    magerr[empty] = 1.0
    n, error = mag.size, reference.error / 3.6e6
    lines = fits.Header()
    lines["SIMPLE"], lines["BITPIX"], lines["NAXIS"] = True, 8, 0
    columns = [
        ("X_WORLD", "D", "deg", reference.ra),
        ("Y_WORLD", "D", "deg", reference.dec),
        ("ERRA_WORLD", "D", "deg", error),
        ("ERRB_WORLD", "D", "deg", error),
        ("ERRTHETA_WORLD", "D", "deg", np.zeros(n)),
        ("MAG", "D", "mag", mag),
        ("MAGERR", "D", "mag", magerr),
        ("OBSDATE", "D", "yr", np.full(n, reference.epoch)),
    ]
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(name=name, format=form, unit=unit, array=values)
            for name, form, unit, values in columns
        ],
        name="LDAC_OBJECTS",
    )
    fits.HDUList([fits.PrimaryHDU(), header_table(lines), table]).writeto(path, overwrite=True)
