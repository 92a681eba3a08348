"""The sky over any place: stars and galaxies drawn cell by cell from a seed, or taken from a real catalogue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desdm.simulate.sky import COLOURS, generator

__all__ = ["Density", "Field", "draw_field"]

Array = npt.NDArray[np.float64]

NSIDE = 256  # cells of 13.7′
EPOCH = 2016.0
#: Colours of bands that the patch simulator does not know, after those of their neighbours.
MORE_COLOURS = {**COLOURS, "VR": (0.35, 0.35, 0.12)}


@dataclass(frozen=True, slots=True)
class Density:
    """Objects an arcmin²: stars from r 14 to 24.5 (two thirds of them between 17 and 22), galaxies r 20.5 to 25.5."""

    stars: float = 27.0
    galaxies: float = 14.0


@dataclass(frozen=True, slots=True)
class Field:
    """Objects of a field, one array element each.

    ``ra``, ``dec`` in degrees at Julian year ``epoch``; ``pmra`` (with cos δ), ``pmdec`` in mas/yr; ``star`` false for
    galaxies; ``mags`` by band (AB); ``radius`` half-light radius in arcsec;
    ``isolation`` arcsec to the next object that is at most 3.5 mag fainter.
    """

    ident: npt.NDArray[np.int64]
    ra: Array
    dec: Array
    pmra: Array
    pmdec: Array
    star: npt.NDArray[np.bool_]
    mags: dict[str, Array]
    radius: Array
    e1: Array
    e2: Array
    isolation: Array
    epoch: float | Array = EPOCH

    @property
    def middle(self) -> tuple[float, float]:
        """RA and Dec in degrees of the field's middle (fields across RA 0 are not foreseen)."""
        return float(np.median(self.ra)), float(np.median(self.dec))

    def at(self, year: float) -> tuple[Array, Array]:
        """RA and Dec in degrees at a Julian year, linear proper motion."""
        years = year - self.epoch
        dec = self.dec + self.pmdec * years / 3.6e6
        return (self.ra + self.pmra * years / 3.6e6 / np.cos(np.radians(self.dec))) % 360.0, dec


def draw_field(
    seed: int, ra: float, dec: float, radius: float, bands: tuple[str, ...], density: Density | None = None
) -> Field:
    """Draw all objects of the cells that touch a circle.

    Parameters
    ----------
    seed
        Same seed, same sky; an object is the same in every circle that contains it.
    ra, dec, radius
        The circle, degrees.
    bands
        Bands that need magnitudes.
    density
        Objects an arcmin².
    """
    from astropy import units as u
    from astropy_healpix import HEALPix

    density = density or Density()
    healpix = HEALPix(nside=NSIDE, order="nested")
    cells = np.sort(healpix.cone_search_lonlat(ra * u.deg, dec * u.deg, radius * u.deg))
    area = 4 * np.pi * (180 * 60 / np.pi) ** 2 / healpix.npix
    parts: list[tuple[Array, ...]] = []
    for cell in cells:
        rng = generator(seed, 200, int(cell))
        count = rng.poisson([density.stars * area, density.galaxies * area])
        n = int(count.sum())
        lon, lat = healpix.healpix_to_lonlat(np.full(n, cell), dx=rng.random(n), dy=rng.random(n))
        parts.append(_cell(rng, int(cell), lon.to_value(u.deg), lat.to_value(u.deg), int(count[0])))
    columns = [np.concatenate([p[k] for p in parts]) for k in range(len(parts[0]))]
    ident, lon, lat, star, r, hue, size, e1, e2, pmra, pmdec = columns
    mags = {b: _magnitude(b, r, star > 0, hue) for b in bands}
    apart = isolation(lon, lat, r)
    return Field(ident.astype(np.int64), lon, lat, pmra, pmdec, star > 0, mags, size, e1, e2, apart)


def _cell(rng: np.random.Generator, cell: int, lon: Array, lat: Array, stars: int) -> tuple[Array, ...]:
    """Draw the objects of one cell."""
    n = lon.size
    star = np.arange(n) < stars
    # Two in a hundred are bright enough to saturate, two thirds serve PSF and astrometry, the rest is faint.
    which, part = rng.random(n), rng.random(n)
    r = np.where(
        which < 0.02, 14.0 + 3.0 * part, np.where(which < 0.68, 17.0 + 5.0 * part, 22.0 + 2.5 * part)
    )
    r = np.where(star, r, 20.5 + 5.0 * part**0.35)
    hue = rng.normal(size=n)
    size = np.where(star, 0.0, 0.35 + 0.6 * rng.random(n))
    e1, e2 = rng.normal(scale=0.2, size=(2, n)).clip(-0.45, 0.45) * ~star
    pmra, pmdec = rng.normal(scale=6.0, size=(2, n)) * star
    keep = _thin(lon, lat, r)
    ident = cell * 100000.0 + np.arange(n)
    columns = (ident, lon, lat, star.astype(float), r, hue, size, e1, e2, pmra, pmdec)
    return tuple(np.asarray(c[keep]) for c in columns)


def _tree(lon: Array, lat: Array) -> tuple[object, Array]:
    """Return a tree of positions on the tangent plane, and these (arcsec)."""
    from scipy.spatial import cKDTree

    # The median of right ascensions across RA 0 is on the other side of the sky.
    middle = np.median((lon - lon[0] + 180.0) % 360.0 - 180.0) + lon[0] if lon.size else 0.0
    x = ((lon - middle + 180.0) % 360.0 - 180.0) * np.cos(np.radians(lat)) * 3600.0
    places = np.stack([x, lat * 3600.0], axis=1)
    return cKDTree(places), places


def _thin(lon: Array, lat: Array, r: Array) -> npt.NDArray[np.bool_]:
    """Remove the fainter of each two objects within 4″: test fields are not crowded."""
    tree, _ = _tree(lon, lat)
    pairs = tree.query_pairs(4.0, output_type="ndarray")  # type: ignore[attr-defined]
    keep = np.ones(lon.size, bool)
    keep[np.where(r[pairs[:, 0]] > r[pairs[:, 1]], pairs[:, 0], pairs[:, 1])] = False
    return keep


def isolation(lon: Array, lat: Array, r: Array) -> Array:
    """Distance in arcsec from each object to the next one that is less than 3.5 mag fainter; 15 if none is near.

    Parameters
    ----------
    lon, lat
        Positions, degrees.
    r
        Magnitudes in r.

    Returns
    -------
    numpy.ndarray
        Distances, arcsec.
    """
    tree, _ = _tree(lon, lat)
    pairs = tree.query_pairs(15.0, output_type="ndarray")  # type: ignore[attr-defined]
    out = np.full(lon.size, 15.0)
    places = tree.data  # type: ignore[attr-defined]
    far = np.hypot(*(places[pairs[:, 0]] - places[pairs[:, 1]]).T)
    for one, other in ((0, 1), (1, 0)):
        disturbed = r[pairs[:, other]] < r[pairs[:, one]] + 3.5
        np.minimum.at(out, pairs[disturbed, one], far[disturbed])
    return out


def _magnitude(band: str, r: Array, star: npt.NDArray[np.bool_], hue: Array) -> Array:
    """Return magnitudes in a band from r and the colour."""
    # A redder object is fainter blueward of r and brighter redward.
    sign = 1.0 if band in ("u", "g", "VR") else -1.0
    star_colour, galaxy_colour, scatter = MORE_COLOURS[band]
    return np.asarray(r + np.where(star, star_colour, galaxy_colour) + scatter * hue * sign)
