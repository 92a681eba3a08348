"""HiPS of a release (IVOA HiPS 1.0): the colours of its coadds, and the depth of each band."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desdm.release.coloursky import ColourSky
from desdm.release.depthsky import depth_sky
from desdm.release.steps import BuildContext, BuiltFile

__all__ = ["SIDE", "Sample", "make", "write_hips"]

#: Pixels a side of a tile; 2**9.
SIDE, _DEEPER = 512, 9
_ALLSKY, _ALLSKY_SIDE = 3, 64
Picture = npt.NDArray[np.uint8]
#: RGBA (n, n, 4) of positions (RA, Dec in degrees, n x n); alpha 0 where there is nothing.
Sample = Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], Picture]


def make(context: BuildContext) -> list[BuiltFile]:
    """Write ``hips/color`` from the release's images, and ``hips/depth_<band>`` from its footprint maps."""
    files: list[BuiltFile] = []
    sky = ColourSky.of(context)
    if sky is not None:
        context.progress("HiPS color")
        properties = {
            "obs_title": f"{context.release} colour",
            "dataproduct_type": "image",
            "obs_regime": "Optical",
        }
        files += _survey(
            context, "color", sky.cells, sky.sample, sky.order, properties | {"hips_release_date": sky.date}
        )
        date = sky.date
    else:
        date = "2000-01-01T00:00Z"
    for path in sorted((context.root / "footprint").glob("*.hsp")):
        picture = depth_sky(path)
        if picture is None:
            continue
        band = path.stem
        context.progress(f"HiPS depth {band}")
        properties = {
            "obs_title": f"{context.release} depth {band}",
            "dataproduct_type": "image",
            "hips_release_date": date,
        }
        files += _survey(context, f"depth_{band}", picture.cells, picture.sample, picture.order, properties)
    return files


def _survey(
    context: BuildContext,
    name: str,
    cells: npt.NDArray[np.int64],
    sample: Sample,
    order: int,
    properties: Mapping[str, str],
) -> list[BuiltFile]:
    """Write one HiPS, replace an older one, and list its files."""
    out = context.root / "hips" / name
    temporary = out.with_name(f".{name}")
    shutil.rmtree(temporary, ignore_errors=True)
    properties = {"creator_did": f"ivo://desdm/{context.release}?hips/{name}", **properties}
    write_hips(temporary, cells, sample, order, properties)
    shutil.rmtree(out, ignore_errors=True)
    temporary.replace(out)
    mimes = {".png": "image/png", ".fits": "application/fits", "": "text/plain"}
    paths = sorted(p for p in out.rglob("*") if p.is_file())
    return [BuiltFile(p.relative_to(context.root).as_posix(), "hips", mimes[p.suffix]) for p in paths]


def tile_path(order: int, cell: int) -> str:
    """Return the path of a tile, relative to the HiPS (section 4.1)."""
    return f"Norder{order}/Dir{cell // 10000 * 10000}/Npix{cell}.png"


def write_hips(
    out: Path, cells: npt.NDArray[np.int64], sample: Sample, order: int, words: Mapping[str, str]
) -> None:
    """Write a HiPS of PNG tiles: the deepest from ``sample``, the others each from its four children.

    Parameters
    ----------
    out
        Its directory, which is created.
    cells
        Nested HEALPix numbers of the deepest tiles to make; those that ``sample`` leaves empty are not written.
    sample
        The picture.
    order
        Of the deepest tiles.
    words
        Properties (section 4.4.1) besides those that describe the layout.
    """
    from mocpy import MOC

    filled = []
    for cell in np.unique(cells):
        picture = sample(*_positions(order, int(cell)))
        if picture[..., 3].any():
            _save(out / tile_path(order, int(cell)), picture)
            filled.append(int(cell))
    level = filled
    for above in range(order - 1, -1, -1):
        level = sorted({cell >> 2 for cell in level})
        for cell in level:
            _save(out / tile_path(above, cell), _parent(out, above, cell))
    out.mkdir(parents=True, exist_ok=True)
    if order >= _ALLSKY and filled:
        _save(out / f"Norder{_ALLSKY}" / "Allsky.png", _allsky(out))
    deepest = np.array(filled, np.uint64)
    moc = MOC.from_healpix_cells(deepest, np.full(deepest.size, order, np.uint8), order)
    moc.save(str(out / "Moc.fits"), v1_compatible=True, fits_keywords={"PIXTYPE": "HEALPIX"})
    properties = {
        **words,
        "hips_version": "1.4",
        "hips_status": "public master clonableOnce",
        "hips_frame": "equatorial",
        "hips_order": str(order),
        "hips_order_min": "0",
        "hips_tile_width": str(SIDE),
        "hips_tile_format": "png",
        "dataproduct_subtype": "color",
        "hips_builder": "desdm",
        "moc_sky_fraction": f"{moc.sky_fraction:.6g}",
    }
    (out / "properties").write_text("".join(f"{k:<20} = {v}\n" for k, v in properties.items()), "utf-8")


def _spread(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Spread the bits of numbers to every second bit."""
    out = np.zeros_like(values)
    for bit in range(_DEEPER):
        out |= ((values >> bit) & 1) << (2 * bit)
    return out


def _positions(order: int, cell: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the positions (degrees) of the pixels of a tile."""
    # A PNG's rows go along the cell's x (from its southern corner to the east), its columns along y (to the west).
    from astropy_healpix import HEALPix

    along = _spread(np.arange(SIDE))
    index = (cell << (2 * _DEEPER)) + along[:, None] + (along[None, :] << 1)
    lon, lat = HEALPix(nside=2 ** (order + _DEEPER), order="nested").healpix_to_lonlat(index)
    return np.asarray(lon.deg), np.asarray(lat.deg)


def _parent(out: Path, order: int, cell: int) -> Picture:
    """Compose a tile from its four children."""
    half = SIDE // 2
    whole = np.zeros((SIDE, SIDE, 4), np.uint8)
    for child in range(4):
        path = out / tile_path(order + 1, 4 * cell + child)
        if path.is_file():
            x, y = child & 1, child >> 1
            whole[x * half : (x + 1) * half, y * half : (y + 1) * half] = _smaller(_load(path), 2)
    return whole


def _smaller(picture: Picture, factor: int) -> Picture:
    """Average blocks of pixels; transparent ones do not count."""
    n = picture.shape[0] // factor
    parts = picture.reshape(n, factor, n, factor, 4).astype(np.float32)
    alpha = parts[..., 3:].sum(axis=(1, 3))
    colour = (parts[..., :3] * parts[..., 3:]).sum(axis=(1, 3)) / np.maximum(alpha, 1.0)
    alpha_out = np.where(alpha > 0, 255.0, 0.0)
    return np.concatenate([colour + 0.5, alpha_out], axis=-1).astype(np.uint8)


def _allsky(out: Path) -> Picture:
    """Compose the Allsky picture of order 3 (section 4.3.2)."""
    # All 768 tiles of order 3 side by side, 27 a row (section 4.3.2).
    count, across = 12 * 4**_ALLSKY, 27
    whole = np.zeros((-(-count // across) * _ALLSKY_SIDE, across * _ALLSKY_SIDE, 4), np.uint8)
    for cell in range(count):
        path = out / tile_path(_ALLSKY, cell)
        if path.is_file():
            y, x = (n * _ALLSKY_SIDE for n in divmod(cell, across))
            whole[y : y + _ALLSKY_SIDE, x : x + _ALLSKY_SIDE] = _smaller(_load(path), SIDE // _ALLSKY_SIDE)
    return whole


def _load(path: Path) -> Picture:
    """Read a PNG as RGBA."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA"))


def _save(path: Path, picture: Picture) -> None:
    """Write a PNG."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, "PNG", compress_level=2)
