"""The SQL of the quick look: which exposures, nights, tiles and files there are; it only reads."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from desdm.schema import desfile, image, pfw_attempt, pfw_request

__all__ = ["Frame", "exposure_numbers", "file_names", "frames_of", "frames_of_nite", "nites", "tiles"]


class Frame(NamedTuple):
    """An image file of one exposure, as it was observed."""

    expnum: int
    filename: str
    filetype: str
    nite: str | None
    band: str | None
    obstype: str | None
    title: str | None
    exptime: float | None
    airmass: float | None
    mjd_obs: float | None


_COLUMNS = (
    image.c.expnum,
    (desfile.c.filename + desfile.c.compression).label("filename"),
    desfile.c.filetype,
    image.c.nite,
    image.c.band,
    image.c.obstype,
    image.c.object,
    image.c.exptime,
    image.c.airmass,
    image.c.mjd_obs,
)


def frames_of(conn: Connection, expnum: int) -> list[Frame]:
    """Return the image files of an exposure, raw ones first."""
    query = (
        select(*_COLUMNS)
        .join(desfile, desfile.c.id == image.c.desfile_id)
        .where(image.c.expnum == expnum)
        .order_by(desfile.c.filetype != "raw", desfile.c.id)
    )
    return [Frame._make(row) for row in conn.execute(query)]


def frames_of_nite(conn: Connection, nite: str) -> list[Frame]:
    """Return the raw frames of a night, and images that were delivered without any, by exposure."""
    query = (
        select(*_COLUMNS)
        .join(desfile, desfile.c.id == image.c.desfile_id)
        .where(image.c.nite == nite, image.c.expnum.is_not(None), desfile.c.pfw_attempt_id.is_(None))
        .order_by(image.c.expnum, desfile.c.filetype != "raw", desfile.c.id)
    )
    return [Frame._make(row) for row in conn.execute(query)]


def exposure_numbers(conn: Connection) -> list[int]:
    """Return the numbers of all exposures of which the archive has an image."""
    query = select(image.c.expnum).where(image.c.expnum.is_not(None)).distinct().order_by(image.c.expnum)
    return [number for (number,) in conn.execute(query)]


def nites(conn: Connection) -> list[str]:
    """Return the nights of which the archive has an image."""
    query = select(image.c.nite).where(image.c.nite.is_not(None)).distinct().order_by(image.c.nite)
    return [str(nite) for (nite,) in conn.execute(query)]


def tiles(conn: Connection) -> list[str]:
    """Return the tiles that a run of the pipeline coadd was made for."""
    query = (
        select(pfw_attempt.c.unitname)
        .join(pfw_request, pfw_request.c.reqnum == pfw_attempt.c.reqnum)
        .where(pfw_request.c.pipeline == "coadd")
        .distinct()
        .order_by(pfw_attempt.c.unitname)
    )
    return [str(name) for (name,) in conn.execute(query)]


def file_names(conn: Connection, prefix: str, most: int = 500) -> list[str]:
    """Return the full names of files that begin like that."""
    query = (
        select(desfile.c.filename + desfile.c.compression)
        .where(func.substr(desfile.c.filename, 1, len(prefix)) == prefix)
        .order_by(desfile.c.filename)
        .limit(most)
    )
    return [str(name) for (name,) in conn.execute(query)]
