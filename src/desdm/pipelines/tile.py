"""Geometry of the tile of a coadd: as set by the operator, or covering every image in the archive."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from desdm.archive.catalogfile import CatalogFile
from desdm.errors import PlanError
from desdm.framework.model import FindFiles, number
from desdm.framework.sections import Settings, number_setting, texts_of, whole_setting
from desdm.survey.bands import band_order
from desdm.survey.tiles import tile_name

__all__ = ["FOUND", "IMAGES", "SETTINGS", "cover"]

#: What an operator may set of the tile and its images.
SETTINGS: Mapping[str, str] = {
    "tilename": "name of the tile",
    "tile_ra": "right ascension of its centre, degrees",
    "tile_dec": "declination of its centre, degrees",
    "tile_size": "side, degrees",
    "tile_naxis": "side, pixels",
    "tile_pixscale": "arcsec a pixel",
    "image_tag": "tag that the images or their runs must have",
    "assessment": "accepted (the default), unassessed or any: which exposures may be used",
}
#: What `cover` derives from the images, beside the settings of the tile.
FOUND = ("bands",)
#: Query for the images that can be coadded.
IMAGES = {"filetype": "red_immask,cp_image"}
#: DECam's pixel scale, and the largest tile that is chosen automatically, degrees.
PIXSCALE, LARGEST = 0.263, 1.0


def cover(find: FindFiles, settings: Settings) -> dict[str, str]:
    """Return the tile's geometry: the ``inclfunc`` of pipeline ``coadd``.

    Parameters
    ----------
    find
        Looks up files in the archive: query → files.
    settings
        The run's settings. With tile_ra and tile_dec (degrees) and tile_size (degrees) or tile_naxis (pixels)
        the tile is the operator's; with none of them it covers all images.

    Returns
    -------
    dict
        tilename, tile_ra, tile_dec, tile_size, tile_naxis, tile_pixscale, bands.

    Raises
    ------
    PlanError
        No image; the images spread over more than one degree; or the setting is incomplete.
    """
    query = {**IMAGES, "assessment": str(settings.get("assessment") or "accepted")}
    if settings.get("image_tag"):
        query["tag"] = str(settings["image_tag"])
    if any(settings.get(key) for key in ("tile_ra", "tile_dec", "tile_size", "tile_naxis")):
        tile = _tile_of_settings(settings)
        images = find({**query, "region": f"{tile['tile_ra']},{tile['tile_dec']},{tile['tile_size']}"})
    else:
        images = find(query)
        tile = _tile_of_images(images, settings)
    if not images:
        raise PlanError(
            "no image (red_immask, cp_image) lies on the tile; ingest images, or set tile_ra, tile_dec and tile_size"
        )
    bands = {image.band for image in images if image.band}
    tile["bands"] = ",".join(sorted(bands, key=band_order))
    return tile


def _tile_of_settings(settings: Settings) -> dict[str, str]:
    """Return the geometry that the operator has set; `PlanError` if it is incomplete."""
    values = texts_of(settings)
    for key in ("tile_ra", "tile_dec", "tile_size"):
        # A wrong value is named before a missing one: it is what the operator typed.
        number_setting(values, key, "degrees", 0.0)
    size = "tile_naxis" if values.get("tile_naxis") else "tile_size"
    missing = [key for key in ("tile_ra", "tile_dec", size) if not values.get(key)]
    if missing:
        raise PlanError(
            f"the tile is set only in part: {', '.join(missing)} is missing; set tile_ra, tile_dec and tile_size, "
            "all in degrees"
        )
    ra, dec = number_setting(values, "tile_ra", "degrees"), number_setting(values, "tile_dec", "degrees")
    scale = _pixel_scale(values, PIXSCALE)
    if size == "tile_naxis":
        naxis = whole_setting(values, "tile_naxis", 0)
    else:
        naxis = round(number_setting(values, "tile_size", "degrees") * 3600.0 / scale)
    if not (-90 <= dec <= 90 and naxis > 0):
        raise PlanError(
            f"no tile at dec {dec} with {naxis} pixels of {scale} arcsec; correct tile_dec or tile_size"
        )
    return _tile(str(settings.get("tilename") or tile_name(ra, dec)), ra, dec, naxis, scale)


def _tile_of_images(images: Sequence[CatalogFile], settings: Settings) -> dict[str, str]:
    """Return the smallest tile that covers all images; `PlanError` if that is larger than `LARGEST`."""
    if not images:
        raise PlanError(
            "no image (red_immask, cp_image) is in the archive that this run may take; ingest images, choose the runs "
            "that made them with inputs.project, inputs.campaign or inputs.run_class, or bring deleted ones back with "
            "desdm delete --undelete --attempt RUN (desdm delete --trash lists them)"
        )
    lacking = [i.filename for i in images if i.metadata.racmin is None or i.metadata.deccmin is None]
    if lacking:
        raise PlanError(f"{lacking[0]} has no footprint on the sky; set tile_ra, tile_dec and tile_size")
    first = number(images[0], "ra_cent")
    # Right ascensions are unrolled about the first image, so that a field across RA 0 is as any other.
    west = min((number(i, "racmin") - first + 180.0) % 360.0 - 180.0 for i in images)
    east = max((number(i, "racmax") - first + 180.0) % 360.0 - 180.0 for i in images)
    south, north = min(number(i, "deccmin") for i in images), max(number(i, "deccmax") for i in images)
    ra, dec = (first + (west + east) / 2) % 360.0, (south + north) / 2
    size = max((east - west) * math.cos(math.radians(dec)), north - south)
    if size > LARGEST:
        raise PlanError(
            f"the {len(images)} images in the archive spread over {size:.1f} degrees, more than one tile; "
            "set tile_ra, tile_dec and tile_size (degrees) to say which part"
        )
    scales = sorted(i.metadata.pixscale for i in images if i.metadata.pixscale)
    middle = scales[len(scales) // 2] if scales else PIXSCALE
    # The survey's own scale unless the images come from another camera.
    usual = PIXSCALE if abs(middle - PIXSCALE) < 0.005 else round(middle, 3)
    scale = _pixel_scale(settings, usual)
    naxis = math.ceil(size * 3600.0 / scale / 2) * 2 + 2
    return _tile(str(settings.get("tilename") or tile_name(ra, dec)), ra, dec, naxis, scale)


def _pixel_scale(settings: Settings, usual: float) -> float:
    """Return the pixel scale in arcsec; `PlanError` unless it is above 0."""
    scale = number_setting(settings, "tile_pixscale", "arcsec", usual)
    if scale <= 0:
        raise PlanError(f"tile_pixscale={scale:g}: a scale above 0 arcsec is needed")
    return scale


def _tile(name: str, ra: float, dec: float, naxis: int, scale: float) -> dict[str, str]:
    """Return the settings of a tile: centre in degrees, side in pixels and degrees, scale in arcsec a pixel."""
    return {
        "tilename": name,
        "tile_ra": f"{ra % 360.0:.8f}",
        "tile_dec": f"{dec:.8f}",
        "tile_naxis": str(naxis),
        "tile_pixscale": f"{scale:.6g}",
        "tile_size": f"{naxis * scale / 3600.0:.8f}",
    }
