"""Rows of ``ivoa.obscore``, one for each image of a release."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote

import pyarrow as pa

from desdm.release.model import ReleaseFile
from desdm.services.obscore.columns import ARROW
from desdm.services.published import Holdings

__all__ = ["BASE_PLACEHOLDER", "DATALINK", "did_of", "file_of", "is_image", "obscore_rows", "with_base_url"]

#: Placeholder of the server's URL in the table, since that depends on the request.
BASE_PLACEHOLDER = "desdm:/"
DATALINK = "application/x-votable+xml;content=datalink"
_AUTHORITY = "ivo://desdm"

#: File type of a release → (calibration level, what the pixels are).
_IMAGES = {"coadd": (3, "phot.flux"), "coadd_color": (3, "phot.flux")}

#: Band → (centre, width) in m, from the FILTER card of DECam's headers.
_BANDS = {
    "u": (3.500e-7, 1.000e-7),
    "g": (4.720e-7, 1.520e-7),
    "r": (6.415e-7, 1.480e-7),
    "i": (7.835e-7, 1.470e-7),
    "z": (9.260e-7, 1.520e-7),
    "Y": (1.0095e-6, 1.130e-7),
    "VR": (6.300e-7, 2.600e-7),
}


def did_of(file: ReleaseFile) -> str:
    """Return the identifier of a file: ``ivo://desdm/<release>?<path>``."""
    return f"{_AUTHORITY}/{file.release}?{quote(file.path, safe='/')}"


def file_of(holdings: Holdings, did: str) -> ReleaseFile | None:
    """Return the published file of an identifier; None if there is none."""
    head, mark, path = did.partition("?")
    prefix = f"{_AUTHORITY}/"
    if not mark or not head.lower().startswith(prefix):
        return None
    release = holdings.release(head[len(prefix) :])
    if release is None:
        return None
    file_path = unquote(path)
    return next((f for f in holdings.files.get(release.name, ()) if f.path == file_path), None)


def is_image(file: ReleaseFile) -> bool:
    """Whether a file is an image with a position on the sky."""
    return file.filetype in _IMAGES and file.ra_cent is not None and file.filetype != "coadd_color"


def _record(file: ReleaseFile) -> dict[str, str | int | float | None]:
    """Return the row of an image."""
    low, high, power = _spectral(file.band)
    level, ucd = _IMAGES[file.filetype]
    return {
        "dataproduct_type": "image",
        "dataproduct_subtype": file.filetype,
        "calib_level": level,
        "obs_collection": file.release,
        "obs_id": f"{file.tilename}_{file.band}" if file.band else (file.tilename or file.path),
        "obs_title": f"{file.release}: coadd of tile {file.tilename}, band {file.band}",
        "obs_publisher_did": did_of(file),
        "access_url": f"{BASE_PLACEHOLDER}datalink/links?ID={quote(did_of(file), safe='')}",
        "access_format": DATALINK,
        "access_estsize": max(1, file.filesize // 1000),
        "target_name": file.tilename,
        "s_ra": file.ra_cent,
        "s_dec": file.dec_cent,
        "s_fov": None if file.radius is None else 2 * file.radius,
        "s_region": file.s_region,
        "s_resolution": file.fwhm,
        "s_xel1": file.naxis1,
        "s_xel2": file.naxis2,
        "t_min": file.t_min,
        "t_max": file.t_max,
        "t_exptime": file.t_exptime,
        "t_resolution": file.t_exptime,
        "t_xel": 1,
        "em_min": low,
        "em_max": high,
        "em_res_power": power,
        "em_xel": 1,
        "o_ucd": ucd,
        "pol_states": None,
        "pol_xel": 0,
        "facility_name": "CTIO Blanco 4m",
        "instrument_name": "DECam",
    }


def _spectral(band: str | None) -> tuple[float | None, float | None, float | None]:
    """Return short end, long end and resolving power of a band."""
    limits = _BANDS.get(band or "")
    if limits is None:
        return None, None, None
    centre, width = limits
    return centre - width / 2, centre + width / 2, centre / width


def obscore_rows(files: Iterable[ReleaseFile]) -> pa.Table:
    """Return the rows of all images among ``files``."""
    return pa.Table.from_pylist([_record(file) for file in files if is_image(file)], schema=ARROW)


def with_base_url(text: str, base: str) -> str:
    """Replace the placeholder in a text of the table by the URL of this server."""
    return base + "/" + text[len(BASE_PLACEHOLDER) :] if text.startswith(BASE_PLACEHOLDER) else text
