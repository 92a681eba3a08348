"""The SQL of the survey table: its fields, exposures of the sky, coadds of tiles."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from desdm.archive.model import Scope
from desdm.archive.store.common import among, packed
from desdm.archive.store.search import in_scope
from desdm.archive.store.standing import FLAGGED, order_of_columns
from desdm.operations.surveytable.model import Field
from desdm.schema import desfile, image, opm_used, pfw_attempt, pfw_request, pfw_wrapper, survey_field
from desdm.schema.runname import RunName

__all__ = ["Outline", "RawFile", "fields", "outlines", "raw_files", "replace_fields", "tile_inputs"]

#: Type of the images of CCDs that First Cut makes.
_CCD_IMAGE = "red_immask"


def fields(conn: Connection) -> list[Field]:
    """Return the fields of the plan, by priority, hexagon, tiling and band."""
    s = survey_field.c
    query = select(*(s[name] for name in Field.__slots__)).order_by(s.priority, s.hex, s.tiling, s.band)
    return [Field(*row) for row in conn.execute(query).all()]


def replace_fields(conn: Connection, new: Sequence[Field]) -> None:
    """Put a new plan in the place of the one that holds."""
    conn.execute(delete(survey_field))
    if new:
        rows = [{name: getattr(f, name) for name in Field.__slots__} for f in new]
        conn.execute(insert(survey_field), rows)


class RawFile(NamedTuple):
    """A raw file of an exposure: all of it, or one CCD."""

    expnum: int
    nite: str | None
    band: str | None
    obstype: str | None
    title: str | None
    ra: float | None
    dec: float | None
    exptime: float | None


def raw_files(conn: Connection) -> list[RawFile]:
    """Return the raw files in the archive, by exposure."""
    i = image.c
    query = (
        select(i.expnum, i.nite, i.band, i.obstype, i.object, i.ra_cent, i.dec_cent, i.exptime)
        .select_from(desfile.join(image, i.desfile_id == desfile.c.id))
        .where(desfile.c.filetype == "raw", i.expnum.is_not(None))
        .order_by(i.expnum, desfile.c.id)
    )
    return list(map(RawFile._make, conn.execute(query).all()))


class Outline(NamedTuple):
    """Limits of the image of a CCD, ICRS [deg]; across RA 0 the least right ascension is the larger number."""

    expnum: int
    ccdnum: int
    racmin: float
    racmax: float
    deccmin: float
    deccmax: float


def outlines(conn: Connection, exposures: Collection[int]) -> Iterator[Outline]:
    """Yield the outlines of the CCDs of exposures, of each run that made an image of them.

    Parameters
    ----------
    conn
        Connection to the database.
    exposures
        Their numbers.
    """
    i = image.c
    query = (
        select(i.expnum, i.ccdnum, i.racmin, i.racmax, i.deccmin, i.deccmax)
        .join(desfile, desfile.c.id == i.desfile_id)
        .where(
            desfile.c.filetype == _CCD_IMAGE,
            among(conn, i.expnum),
            *(column.is_not(None) for column in (i.ccdnum, i.racmin, i.racmax, i.deccmin, i.deccmax)),
        )
    )
    for row in conn.execute(query, {"among": packed(conn, sorted(exposures))}):
        yield Outline(*row)


def tile_inputs(conn: Connection, scope: Scope) -> list[tuple[str, str, str, int]]:
    """Return (tile, run, band, exposure) of each exposure of which a standing coadd used an image.

    Of several coadds of a tile that can be used the newest is taken.

    Parameters
    ----------
    conn
        Connection to the database.
    scope
        Attempts that are production.
    """
    newest = (
        select(func.max(pfw_attempt.c.id))
        .join(pfw_request, pfw_request.c.reqnum == pfw_attempt.c.reqnum)
        .where(pfw_request.c.pipeline == "coadd", in_scope(scope), order_of_columns(pfw_attempt) <= FLAGGED)
        .group_by(pfw_attempt.c.unitname)
    )
    a, w, i = pfw_attempt.c, pfw_wrapper.c, image.c
    query = (
        select(a.unitname, a.reqnum, a.attnum, i.band, i.expnum)
        .select_from(
            pfw_attempt.join(pfw_wrapper, w.pfw_attempt_id == a.id)
            .join(opm_used, opm_used.c.task_id == w.task_id)
            .join(image, i.desfile_id == opm_used.c.desfile_id)
        )
        .where(a.id.in_(newest), i.expnum.is_not(None))
        .distinct()
    )
    rows = conn.execute(query)
    return sorted(
        (unit, RunName(unit, req, att).text, band or "", expnum) for unit, req, att, band, expnum in rows
    )
