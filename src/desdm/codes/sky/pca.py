"""Principal components of a band's sky over the focal plane, from the mini-skies of many exposures.

As DESDM does it (Bernstein et al. 2017, PASP 129, 114502): every exposure is scaled by the
best common pattern, three rounds of 4-σ clipping and a last one of 3 σ take stars and galaxies out, and the components are
eigenvectors of the small matrix MᵀM of exposures by exposures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.codes.sky.minisky import MiniSky, Place, layout_hdu, read_layout
from desdm.codes.sky.pointings import independent_exposures, pointing_of, shortage
from desdm.errors import FileTypeError

__all__ = ["Rejected", "SkyPca", "components_for", "read_pca", "sky_pca", "write_pca"]

F8 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
_ROUNDS = (4.0, 4.0, 4.0, 3.0)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An exposure that was left out, and why."""

    expnum: int
    reason: str


@dataclass(frozen=True, slots=True)
class SkyPca:
    """Components (n, ny, nx), NaN where unknown, rms 1 each; the first is the mean sky, positive.

    ``coefficients`` (exposures, n) in electrons; ``rms`` (exposures,) of the residuals of the blocks, relative to the sky.
    ``variance`` (n,) part of the scaled exposures' power in each component.
    """

    components: F8
    expnums: tuple[int, ...]
    coefficients: F8
    rms: F8
    variance: F8
    places: tuple[Place, ...]
    rejected: tuple[Rejected, ...]
    header: fits.Header


def _gather(skies: Sequence[MiniSky]) -> tuple[F8, tuple[Place, ...]]:
    """All mosaics as (exposures, ny, nx), and the places of every CCD that any exposure has."""
    places: dict[int, Place] = {}
    for sky in skies:
        for place in sky.places:
            known = places.setdefault(place.ccdnum, place)
            if known != place:
                raise FileTypeError(
                    f"exposure {sky.expnum}: CCD {place.ccdnum} lies elsewhere in its mini-sky than in others; "
                    "block sizes or cameras are mixed"
                )
    ny = max(s.level.shape[0] for s in skies)
    nx = max(s.level.shape[1] for s in skies)
    cube = np.full((len(skies), ny, nx), np.nan)
    for k, sky in enumerate(skies):
        cube[k, : sky.level.shape[0], : sky.level.shape[1]] = sky.level
    return cube, tuple(places[n] for n in sorted(places))


def _mad(values: F8) -> float:
    """Return the robust standard deviation of the finite values, infinite without any."""
    known = values[np.isfinite(values)]
    return 1.4826 * float(np.median(np.abs(known - np.median(known)))) if known.size else np.inf


def _rank_one(data: F8, rounds: int = 5) -> tuple[F8, F8]:
    """Amplitude of each row and the common pattern (median of the scaled rows, median 1)."""
    amplitude = np.nanmedian(data, axis=1)
    pattern = np.ones(data.shape[1])
    for _ in range(rounds):
        pattern = np.nanmedian(data / amplitude[:, None], axis=0)
        amplitude = np.nanmedian(data / pattern, axis=1)
    scale = float(np.nanmedian(pattern))
    return amplitude * scale, pattern / scale


def _odd(
    data: F8, expnums: Sequence[int], most_missing: float, nsigma: float, most_rms: float
) -> tuple[Flags, list[Rejected]]:
    """Which exposures to keep; the others with the reason."""
    keep = np.ones(len(data), bool)
    rejected: list[Rejected] = []

    def drop(k: int, reason: str) -> None:
        keep[k] = False
        rejected.append(Rejected(expnums[k], reason))

    missing = 1.0 - np.isfinite(data).mean(axis=1)
    usual = float(np.median(missing))
    for k, part in enumerate(missing):
        if part - usual > most_missing:
            drop(k, f"{100 * part:.0f} % of its blocks have no sky")
        elif not np.nanmedian(data[k]) > 0:
            drop(k, "its sky is not positive")
    while keep.sum() >= 3:
        amplitude, pattern = _rank_one(data[keep])
        rms = np.array([_mad(row / a / pattern) for row, a in zip(data[keep], amplitude, strict=True)])
        limit = max(
            float(np.median(rms)) + nsigma * 1.4826 * float(np.median(np.abs(rms - np.median(rms)))), most_rms
        )
        worst = int(np.argmax(rms))
        if rms[worst] <= limit:
            break
        drop(
            int(np.flatnonzero(keep)[worst]),
            f"its sky differs from the others' by {100 * rms[worst]:.1f} % (limit {100 * limit:.1f} %)",
        )
    return keep, rejected


def _low_rank(scaled: F8, known: Flags, count: int) -> tuple[F8, F8, F8, Flags]:
    """Clipped low-rank model of (exposures, blocks): model, components (count, blocks), eigenvalues, used."""
    used = known.copy()
    filled = np.where(known, scaled, np.nanmedian(np.where(known, scaled, np.nan), axis=0)[None, :])
    model = filled
    components, values = np.zeros((count, scaled.shape[1])), np.zeros(count)
    for clip in _ROUNDS:
        for _ in range(4):
            # What is clipped or missing takes the model's value, until that settles.
            values_all, vectors = np.linalg.eigh(filled @ filled.T)
            order = np.argsort(values_all)[::-1]
            values = values_all[order]
            vectors = vectors[:, order[:count]]
            components = vectors.T @ filled
            model = vectors @ components
            filled = np.where(used, scaled, model)
        away = scaled - model
        width = np.array([_mad(row[u]) for row, u in zip(away, used, strict=True)])
        used = known & (np.abs(np.nan_to_num(away)) <= clip * np.maximum(width, 1e-9)[:, None])
        filled = np.where(used, scaled, model)
    return model, components, values, used


def _significant(values: F8, blocks: int, noise: float, most: int) -> int:
    """Components whose eigenvalue stands twice above what noise alone gives (Marchenko & Pastur 1967)."""
    edge = noise**2 * (np.sqrt(blocks) + np.sqrt(len(values))) ** 2
    return int(np.clip(np.sum(values > 2.0 * edge), 1, most))


def sky_pca(
    skies: Sequence[MiniSky],
    *,
    most: int = 5,
    least_exposures: int = 3,
    least_pointings: int = 5,
    least_dither: float = 30.0,
    most_missing: float = 0.2,
    nsigma: float = 6.0,
    most_rms: float = 0.02,
) -> SkyPca:
    """Principal components of the skies of one band.

    Parameters
    ----------
    skies
        Mini-skies of object exposures of one band.
    most
        Components at most; fewer if the rest is noise.
    least_exposures
        Good exposures needed.
    least_pointings, least_dither
        Pointings needed among the good exposures, and how far apart they must be to be independent, arcsec.
    most_missing
        Part of the blocks that an exposure may lack beyond what is usual.
    nsigma, most_rms
        An exposure is odd whose sky differs from the common pattern by so many σ of what is usual, and by at least this
        part of the sky.

    Raises
    ------
    FileTypeError
        Too few good exposures or independent pointings, or mini-skies that do not fit each other.
    """
    if not skies:
        raise FileTypeError("the sky's principal components need at least one mini-sky")
    bands = sorted({str(s.header.get("BAND", "")) for s in skies})
    if len(bands) > 1:
        raise FileTypeError(f"mini-skies of bands {', '.join(bands)} cannot make one set of components")
    cube, places = _gather(skies)
    # A block that most exposures lack says nothing.
    shape = cube.shape[1:]
    inside = np.isfinite(cube).mean(axis=0) > 0.5
    if not inside.any():
        raise FileTypeError("no block of the sky is known in most of the exposures")
    data = cube[:, inside]
    expnums = [s.expnum for s in skies]
    keep, rejected = _odd(data, expnums, most_missing, nsigma, most_rms)
    if keep.sum() < least_exposures:
        why = "; ".join(f"{r.expnum}: {r.reason}" for r in rejected) or "none was rejected"
        raise FileTypeError(f"{int(keep.sum())} good exposures, {least_exposures} are needed ({why})")
    pointings = [pointing_of(s.header) for s, k in zip(skies, keep, strict=True) if k]
    if few := shortage(pointings, least_dither, least_pointings):
        raise FileTypeError(few)
    independent = len(independent_exposures(pointings, least_dither))
    data, names = data[keep], tuple(n for n, k in zip(expnums, keep, strict=True) if k)
    amplitude, _ = _rank_one(data)
    scaled = data / amplitude[:, None]
    known = np.isfinite(scaled)
    # Templates are made of one exposure a pointing, and need one more than they are.
    tried = min(most, len(data) - 1, max(independent - 1, 1)) if len(data) > 1 else 1
    model, _, values, used = _low_rank(scaled, known, max(tried, 1))
    noise = _mad((scaled - model)[used]) * np.sqrt(len(data) / max(len(data) - tried, 1))
    count = _significant(values, int(inside.sum()), noise, max(tried, 1))
    model, components, values, used = _low_rank(scaled, known, count)
    norm = np.sqrt((components**2).mean(axis=1))
    components /= norm[:, None]
    if np.median(components[0]) < 0:
        components[0] *= -1.0
    coefficients = np.array(
        [
            np.linalg.lstsq(components[:, u].T, row[u], rcond=None)[0]
            for row, u in zip(data, used, strict=True)
        ]
    )
    away = scaled - (coefficients / amplitude[:, None]) @ components
    rms = np.array([_mad(row[u]) for row, u in zip(away, used, strict=True)])
    full = np.full((count, *shape), np.nan)
    full[:, inside] = components
    return SkyPca(
        full,
        names,
        coefficients,
        rms,
        values[:count] / values.sum(),
        places,
        tuple(rejected),
        skies[0].header,
    )


def components_for(pca: SkyPca, sky: MiniSky) -> F8:
    """The components on the mosaic of one exposure, which may be smaller when its outermost CCDs are missing.

    Raises
    ------
    FileTypeError
        They are of another band, or a CCD lies elsewhere.
    """
    bands = [str(h.get("BAND", "")).strip() for h in (pca.header, sky.header)]
    if all(bands) and bands[0] != bands[1]:
        raise FileTypeError(
            f"exposure {sky.expnum} is of band {bands[1]}, the sky components are of {bands[0]}"
        )
    known = {p.ccdnum: p for p in pca.places}
    for place in sky.places:
        if known.get(place.ccdnum, place) != place:
            raise FileTypeError(
                f"exposure {sky.expnum}: CCD {place.ccdnum} lies elsewhere in its mini-sky than in the components; "
                "block sizes or cameras are mixed"
            )
    ny, nx = sky.level.shape
    out = np.full((pca.components.shape[0], ny, nx), np.nan)
    part = pca.components[:, :ny, :nx]
    out[:, : part.shape[1], : part.shape[2]] = part
    return out


def write_pca(path: Path, pca: SkyPca, header: fits.Header) -> None:
    """Write HDUs PC (n, ny, nx; 0 where unknown), MSK, EXPOSURES, REJECTED and CCDS.

    Parameters
    ----------
    path
        File to write.
    pca
        Components on the blocks, and the coefficients of the exposures.
    header
        Cards of the primary header.
    """
    head = header.copy()
    head["EXTNAME"] = "PC"
    head["NTEMPL"] = (pca.components.shape[0], "components")
    head["NEXP"] = (len(pca.expnums), "exposures used")
    for k, part in enumerate(pca.variance, start=1):
        head[f"PCVAR{k}"] = (float(part), f"part of the power in component {k}")
    unknown = ~np.isfinite(pca.components[0])
    used = fits.BinTableHDU.from_columns(
        [
            fits.Column("EXPNUM", "J", array=np.array(pca.expnums)),
            fits.Column(
                "COEFF",
                f"{pca.components.shape[0]}D",
                unit="electron",
                array=pca.coefficients.reshape(len(pca.expnums), -1),
            ),
            fits.Column("RMS", "D", array=pca.rms),
        ],
        name="EXPOSURES",
    )
    rejected = fits.BinTableHDU.from_columns(
        [
            fits.Column("EXPNUM", "J", array=np.array([r.expnum for r in pca.rejected], np.int32)),
            fits.Column("REASON", "96A", array=np.array([r.reason for r in pca.rejected], "U96")),
        ],
        name="REJECTED",
    )
    fits.HDUList(
        [
            fits.PrimaryHDU(np.nan_to_num(pca.components).astype(np.float32), head),
            fits.ImageHDU(unknown.astype(np.int32), name="MSK"),
            used,
            rejected,
            layout_hdu(pca.places),
        ]
    ).writeto(path, overwrite=True, checksum=True)


def read_pca(path: Path) -> SkyPca:
    """Read a file of `write_pca`.

    Raises
    ------
    FileTypeError
        An HDU is missing.
    """
    with fits.open(path, memmap=False) as hdus:
        names = [hdu.name for hdu in hdus]
        for name in ("PC", "MSK", "EXPOSURES", "REJECTED"):
            if name not in names:
                raise FileTypeError(f"{path.name}: no HDU {name}; is it a file of sky components?")
        cube = hdus["PC"].data.astype(np.float64)
        cube[:, hdus["MSK"].data != 0] = np.nan
        used, out = hdus["EXPOSURES"].data, hdus["REJECTED"].data
        head = hdus["PC"].header.copy(strip=True)
        count = cube.shape[0]
        return SkyPca(
            cube,
            tuple(int(n) for n in used["EXPNUM"]),
            np.array(used["COEFF"], np.float64).reshape(-1, count),
            np.array(used["RMS"], np.float64),
            np.array([float(head.get(f"PCVAR{k + 1}", 0)) for k in range(count)]),
            read_layout(hdus, path.name),
            tuple(Rejected(int(r["EXPNUM"]), str(r["REASON"])) for r in out),
            head,
        )
