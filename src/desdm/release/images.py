"""The images of a release: coadds in squares of 256 pixels with their provenance, and colour pictures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from desdm.errors import FileTypeError
from desdm.pixels.fitsbytes import Bytes, is_structure, pool, sealed, word_sum, write
from desdm.pixels.packed import Steps
from desdm.pixels.tiled import pack_tiles
from desdm.release import store
from desdm.release.steps import BuildContext, BuiltFile, SelectedFile
from desdm.sky.spherical import angles_to, unit
from desdm.survey.headers import copy_wcs, wcs_of
from desdm.survey.imageio import LEVEL, Planes, read_planes

__all__ = ["facts", "make", "put_whole", "write_image"]

_TEXTS = {"SCI": "calibrated image", "MSK": "mask bits of the survey", "WGT": "inverse variance, 0 masked"}
_NOT_OURS = ("CHECKSUM", "DATASUM", "DESFNAME")


Floats = npt.NDArray[np.float64]


class ImageFacts(TypedDict):
    """Position (degrees), size (pixels, arcsec a pixel) and seeing (arcsec) of an image."""

    ra_cent: float
    dec_cent: float
    radius: float
    s_region: str
    naxis1: int
    naxis2: int
    pixscale: float | None
    fwhm: float | None


def make(context: BuildContext) -> list[BuiltFile]:
    """Write one image a tile and band under ``images/<tilename>``, and the colour picture of each tile."""
    with context.database.read() as conn:
        times = store.exposure_times(conn, [p.record.id for p in context.of_type("coadd")])
    images: list[BuiltFile] = []
    of_tile: dict[str, BuiltFile] = {}
    for coadd in context.of_type("coadd"):
        context.progress(f"image {coadd.record.name}")
        image = _image(context, coadd, times.get(coadd.record.id, {}))
        of_tile.setdefault(str(coadd.tilename), image)
        images.append(image)
    return images + [
        _picture(context, p, of_tile.get(str(p.tilename))) for p in context.of_type("coadd_color")
    ]


def put_whole(path: Path, fill: Callable[[Path], object]) -> None:
    """Write a file atomically: ``fill`` writes a temporary file, which is then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    fill(temporary)
    temporary.replace(path)


def _image(context: BuildContext, coadd: SelectedFile, times: Mapping[int, tuple[float, float]]) -> BuiltFile:
    """Write the release image of a coadd."""
    tile, band = coadd.tilename, coadd.band
    if not tile or not band:
        raise FileTypeError(f"{coadd.record.name}: a coadd without tile or band cannot be released")
    planes = read_planes(context.verified_path(coadd), context.workers)
    relative = f"images/{tile}/{tile}_{band}.fits.fz"
    put_whole(
        context.root / relative,
        lambda part: write_image(part, planes, context.release, coadd, relative, context.workers),
    )
    begins = [begin for begin, _ in times.values()]
    return BuiltFile(
        relative,
        "coadd",
        "application/fits",
        tile,
        band,
        coadd.record.id,
        coadd.record.sha256,
        **facts(planes),
        t_min=min(begins, default=None),
        t_max=max((begin + seconds / 86400.0 for begin, seconds in times.values()), default=None),
        t_exptime=sum(seconds for _, seconds in times.values()) or None,
    )


def facts(planes: Planes) -> ImageFacts:
    """Return position, size and seeing of an image, by column of ``release_file``."""
    ny, nx = planes.shape
    x, y = (
        np.array([0.5, nx + 0.5, nx + 0.5, 0.5, (nx + 1) / 2]),
        np.array([0.5, 0.5, ny + 0.5, ny + 0.5, (ny + 1) / 2]),
    )
    ra, dec = wcs_of(planes.header).all_pix2world(x, y, 1)
    far = np.degrees(angles_to(unit(ra[4], dec[4]), unit(ra[:4], dec[:4])))
    pixscale = planes.header.get("PIXSCALE")
    fwhm = planes.header.get("FWHM")
    corners = " ".join(f"{a:.8f} {d:.8f}" for a, d in zip(ra[:4] % 360.0, dec[:4], strict=True))
    return {
        "ra_cent": round(float(ra[4] % 360.0), 10),
        "dec_cent": round(float(dec[4]), 10),
        "radius": round(float(far.max()), 10),
        "s_region": f"POLYGON ICRS {corners}",
        "naxis1": nx,
        "naxis2": ny,
        "pixscale": None if pixscale is None else round(float(pixscale), 8),
        "fwhm": None if fwhm is None or pixscale is None else round(float(fwhm) * float(pixscale), 6),
    }


def write_image(
    path: Path, planes: Planes, release: str, coadd: SelectedFile, name: str, threads: int = 1
) -> None:
    """Write a release image: an empty primary HDU with identity and provenance, then SCI, MSK and WGT in squares.

    SCI is stored in steps of a quarter of the noise at the median weight, WGT in steps of 1 % of each square's
    least weight, zeros exactly, MSK exactly. The seed of the dither follows from the coadd's digest.

    Parameters
    ----------
    path
        Output file.
    planes
        Pixels, mask and weight of the coadd.
    release
        Name of the release.
    coadd
        The coadd.
    name
        Relative path of the image in the release.
    threads
        Threads for the compression.
    """
    seed = 1 + int(coadd.record.sha256[:8], 16) % 9973
    good = planes.wgt[planes.wgt > 0]
    noise = 1.0 / float(np.sqrt(np.median(good))) if good.size else 1.0
    plan: tuple[tuple[str, npt.NDArray[np.generic], Steps | None], ...] = (
        ("SCI", planes.sci, Steps(noise / LEVEL, 0.01, seed)),
        ("MSK", planes.msk, None),
        ("WGT", planes.wgt, Steps(0.0, 0.01, seed)),
    )
    parts: list[bytes | Bytes] = [sealed(_primary(release, coadd, name), 0)]
    with pool(threads) as run:
        for plane, data, steps in plan:
            header, unit = pack_tiles(np.ascontiguousarray(data), steps, run)
            header["EXTNAME"] = (plane, _TEXTS[plane])
            if plane == "SCI":
                header.extend(_science(planes.header), strip=False, bottom=True)
            else:
                copy_wcs(planes.header, header)
            parts += [sealed(header, word_sum(unit)), unit]
        write(path, parts)


def _primary(release: str, coadd: SelectedFile, name: str) -> fits.Header:
    """Return the primary header: identity and provenance."""
    cards: list[tuple[str, str | int | None, str]] = [
        ("SIMPLE", True, "FITS 4.0"),
        ("BITPIX", 8, ""),
        ("NAXIS", 0, ""),
        ("EXTEND", True, ""),
        ("RELEASE", release, "release"),
        ("FILENAME", name.rpartition("/")[2], "name of this file"),
        ("TILENAME", coadd.tilename, "tile"),
        ("BAND", coadd.band, "band"),
        ("ATTEMPT", coadd.run, "run that made the coadd"),
        ("SRCFILE", coadd.record.name, "archive's file"),
        ("SRCSHA", coadd.record.sha256, ""),
    ]
    return fits.Header(cards)


def _science(source: fits.Header) -> fits.Header:
    """Return the header of the science plane: that of the coadd without its structure."""
    head = fits.Header()
    for card in source.cards:
        if card.keyword and card.keyword not in _NOT_OURS and not is_structure(card.keyword):
            head.append(card, bottom=True)
    return head


def _picture(context: BuildContext, picture: SelectedFile, image: BuiltFile | None) -> BuiltFile:
    """Copy the colour picture of a tile."""
    relative = f"images/{picture.tilename}/{picture.tilename}_color.png"
    source = context.verified_path(picture)
    put_whole(context.root / relative, lambda part: shutil.copyfile(source, part))
    geometry = (
        {}
        if image is None
        else {
            key: getattr(image, key)
            for key in ("ra_cent", "dec_cent", "radius", "s_region", "naxis1", "naxis2", "pixscale")
        }
    )
    return BuiltFile(
        relative,
        "coadd_color",
        "image/png",
        picture.tilename,
        None,
        picture.record.id,
        picture.record.sha256,
        **geometry,
    )
