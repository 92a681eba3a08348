"""A real sky for the simulator: reference-catalogue shards of PS1 and Gaia in the layout of LSST's reference catalogues."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.errors import FileTypeError, NotFoundError
from desdm.simulate.field import EPOCH, MORE_COLOURS, Field, isolation
from desdm.simulate.sky import generator

__all__ = ["read_shard"]

Array = npt.NDArray[np.float64]

_MATCH = 1.0  # arcsec


def read_shard(path: Path, bands: tuple[str, ...], seed: int) -> Field:
    """Read a PS1 shard, and Gaia's beside it (``gaia_*`` of the same number), into a field.

    Parameters
    ----------
    path
        The PS1 file, or the folder of both.
    bands
        Bands wanted; a band that PS1 has not (u, VR), and a magnitude that is missing, come from r and a mean colour.
    seed
        Shapes of galaxies: PS1's shard has none.

    Returns
    -------
    Field
        What Gaia knows within 1″ is a star, with Gaia's place and proper motion where it has one; the
        rest are galaxies. Of two sources within 2″ the fainter is left out.

    Raises
    ------
    NotFoundError
        No PS1 shard in the folder.
    FileTypeError
        A file has other columns.
    """
    source = path
    if path.is_dir():
        files = sorted(path.glob("ps1_*.fits"))
        if not files:
            raise NotFoundError(f"{path}: no ps1_*.fits in it; name a PS1 shard or its folder")
        source = files[0]
    rows = _table(source, ("coord_ra", "coord_dec", "r_flux", "i_flux"))
    ra, dec = np.degrees(rows["coord_ra"]), np.degrees(rows["coord_dec"])
    # AB magnitude of a nanojansky: 31.4.
    mags = {
        b: _magnitude(rows[f"{b.lower()}_flux"])
        for b in "grizY"
        if f"{b.lower()}_flux" in (rows.dtype.names or ())
    }
    reference = np.where(np.isfinite(mags["r"]), mags["r"], mags["i"] + 0.3)
    keep = np.isfinite(reference) & (reference > 12.0) & (reference < 24.0)
    ra, dec, reference = ra[keep], dec[keep], reference[keep]
    ident = rows["id"][keep].astype(np.int64)
    mags = {b: m[keep] for b, m in mags.items()}
    star, pm = np.zeros(ra.size, bool), np.zeros((2, ra.size))
    gaia = source.with_name(source.name.replace("ps1_", "gaia_dr2_"))
    if gaia != source and gaia.exists():
        star, pm, ra, dec = _gaia(gaia, ra, dec)
    first = _single(ra, dec, reference)
    rng, n = generator(seed, 420), ra.size
    half, e = 0.35 + 0.6 * rng.random(n), rng.normal(scale=0.2, size=(2, n)).clip(-0.45, 0.45) * ~star
    colours = {b: np.where(star, MORE_COLOURS[b][0], MORE_COLOURS[b][1]) for b in bands}
    filled = {}
    for b in bands:
        own = mags.get(b, np.full(n, np.nan))
        filled[b] = np.where(np.isfinite(own), own, reference + colours[b])[first]
    return Field(
        ident[first],
        ra[first],
        dec[first],
        pm[0][first],
        pm[1][first],
        star[first],
        filled,
        np.where(star, 0.0, half)[first],
        e[0][first],
        e[1][first],
        isolation(ra[first], dec[first], reference[first]),
    )


def _table(path: Path, columns: tuple[str, ...]) -> npt.NDArray[np.void]:
    """Read the first table that has some columns."""
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus[1:]:
            if isinstance(hdu, fits.BinTableHDU) and set(columns) <= set(hdu.columns.names):
                return np.asarray(hdu.data)
    raise FileTypeError(
        f"{path.name}: no table with the columns {', '.join(columns)}; is it a reference shard?"
    )


def _magnitude(flux: Array) -> Array:
    """Convert flux (nJy) to AB magnitude."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(31.4 - 2.5 * np.log10(np.where(flux > 0, flux, np.nan)))


def _plane(ra: Array, dec: Array, middle: tuple[float, float]) -> Array:
    """Return positions on the tangent plane, arcsec."""
    dra = (ra - middle[0] + 180.0) % 360.0 - 180.0
    return np.stack([dra * np.cos(np.radians(middle[1])), dec - middle[1]], axis=1) * 3600.0


def _gaia(path: Path, ra: Array, dec: Array) -> tuple[npt.NDArray[np.bool_], Array, Array, Array]:
    """Stars and their places at `EPOCH` by Gaia, the rest as PS1 has it."""
    from scipy.spatial import cKDTree

    rows = _table(path, ("coord_ra", "coord_dec", "pm_ra", "pm_dec", "epoch"))
    lon, lat = np.degrees(rows["coord_ra"]), np.degrees(rows["coord_dec"])
    # Radians a year; a source without a solution has 0.
    motion = np.degrees(np.nan_to_num(np.stack([rows["pm_ra"], rows["pm_dec"]]).astype(float))) * 3.6e6
    years = EPOCH - (2000.0 + (np.nan_to_num(rows["epoch"], nan=57205.875) - 51544.5) / 365.25)
    lat = lat + motion[1] * years / 3.6e6
    lon = lon + motion[0] * years / 3.6e6 / np.cos(np.radians(lat))
    middle = (float(np.median(ra)), float(np.median(dec)))
    far, index = cKDTree(_plane(lon, lat, middle)).query(_plane(ra, dec, middle), distance_upper_bound=_MATCH)
    star = np.isfinite(far)
    pm = np.zeros((2, ra.size))
    pm[:, star] = motion[:, index[star]]
    ra, dec = ra.copy(), dec.copy()
    ra[star], dec[star] = lon[index[star]], lat[index[star]]
    return star, pm, ra, dec


def _single(ra: Array, dec: Array, r: Array) -> npt.NDArray[np.intp]:
    """Select the brighter of each two objects within 2″: PS1 splits bright and extended objects."""
    from scipy.spatial import cKDTree

    middle = (float(np.median(ra)), float(np.median(dec)))
    pairs = cKDTree(_plane(ra, dec, middle)).query_pairs(2.0, output_type="ndarray")
    keep = np.ones(ra.size, bool)
    # Of equals (two PS1 pieces of one Gaia star) the first stays.
    second = r[pairs[:, 0]] > r[pairs[:, 1]]
    keep[np.where(second, pairs[:, 0], pairs[:, 1])] = False
    return np.flatnonzero(keep)
