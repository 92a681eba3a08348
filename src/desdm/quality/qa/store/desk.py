"""The SQL of numbers of an exposure beside those of its night."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, Table, func, select

from desdm.quality.qa.store.verdicts import LIFTED

__all__ = [
    "JUDGED_NUMBERS",
    "JudgedExposure",
    "exposures_beside",
]

#: Numbers of an exposure's verdict that are compared within a night, with their units.
JUDGED_NUMBERS = {
    "t_eff": "",
    "fwhm_asec": "arcsec",
    "ellipticity": "",
    "skybrightness": "electron/s/pixel",
    "cloud": "mag",
    "magzero": "mag",
    "depth": "mag",
    "astrom_rms": "mas",
    "n_match": "",
}
#: Exposure numbers before and after one within which its night lies; a night has at most some hundred exposures.
_NIGHT = 2000


class JudgedExposure(NamedTuple):
    """An exposure with the numbers of its newest verdict, in the order of `JUDGED_NUMBERS`; None: not measured."""

    expnum: int
    attempt_id: int
    numbers: tuple[float | None, ...]


def exposures_beside(
    conn: Connection, table: Table, expnum: int, nite: str, band: str
) -> list[JudgedExposure]:
    """Return the exposures of a night and band that a run was judged of, the given one among them, by number.

    Parameters
    ----------
    conn
        Connection to the database.
    table
        Table of evaluations of the cut.
    expnum
        An exposure of the night; the index on the number finds the others near it.
    nite, band
        Night and band.
    """
    c = table.c
    newest = (
        select(func.max(c.id))
        .where(
            c.expnum.between(expnum - _NIGHT, expnum + _NIGHT),
            c.nite == nite,
            c.band == band,
            c.pfw_attempt_id.is_not(None),
            c.program != LIFTED,
        )
        .group_by(c.expnum)
    )
    query = select(c.expnum, c.pfw_attempt_id, *(c[name] for name in JUDGED_NUMBERS)).where(c.id.in_(newest))
    return [JudgedExposure(row[0], row[1], tuple(row[2:])) for row in conn.execute(query.order_by(c.expnum))]
