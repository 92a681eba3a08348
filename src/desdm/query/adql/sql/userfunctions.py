"""User-defined functions of ADQL: HEALPix cells, depth and exposures of the footprint."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from desdm.errors import QueryError
from desdm.query.adql.parse.tokens import Place
from desdm.query.adql.sql.fragments import INTEGERS, NUMBERS, Fragment
from desdm.query.adql.sql.functions import as_double, require_argument_count
from desdm.query.engines.writing import Dialect
from desdm.release.model import ReleaseColumn

__all__ = ["NAMES", "SIGNATURES", "user_function_sql"]

#: Name → signature and description in the capabilities.
SIGNATURES: dict[str, tuple[str, str]] = {
    "IVO_HEALPIX_INDEX": (
        "ivo_healpix_index(hpxOrder INTEGER, ra DOUBLE, dec DOUBLE) -> BIGINT",
        "HEALPix cell (nested) of an order from 0 to 29 that holds a position; also with a POINT instead of ra, dec",
    ),
    "IVO_HEALPIX_CENTER": (
        "ivo_healpix_center(hpxOrder INTEGER, hpxIndex BIGINT) -> POINT",
        "Centre of a HEALPix cell (nested)",
    ),
    "DESDM_DEPTH": (
        "desdm_depth(release VARCHAR, band VARCHAR, ra DOUBLE, dec DOUBLE) -> REAL",
        "Depth of the coadds there: magnitude of a point source at S/N 10; NULL outside the footprint",
    ),
    "DESDM_NEXP": (
        "desdm_nexp(release VARCHAR, band VARCHAR, ra DOUBLE, dec DOUBLE) -> INTEGER",
        "Number of exposures there; NULL outside the footprint",
    ),
    "DESDM_FRACTION": (
        "desdm_fraction(release VARCHAR, band VARCHAR, ra DOUBLE, dec DOUBLE) -> REAL",
        "Fraction of the HEALPix cell (order 12) that good pixels cover; NULL outside the footprint",
    ),
    "DESDM_IN_FOOTPRINT": (
        "desdm_in_footprint(release VARCHAR, band VARCHAR, ra DOUBLE, dec DOUBLE) -> INTEGER",
        "1 within the footprint of the band, else 0",
    ),
}
NAMES = frozenset(SIGNATURES)
_MAPS = {
    "DESDM_DEPTH": ("depth", "float", "mag"),
    "DESDM_NEXP": ("nexp", "int", ""),
    "DESDM_FRACTION": ("fraction", "float", ""),
}
_FOOTPRINT_ORDER = 12


def user_function_sql(
    name: str,
    arguments: Sequence[Fragment],
    at: Place,
    dialect: Dialect,
    cell: Callable[[Fragment, Fragment], str | None],
    footprint: Callable[[str, Place], str],
) -> Fragment:
    """Write a call of a user-defined function in the engine's SQL.

    Parameters
    ----------
    name
        Name in capitals.
    arguments
        Arguments of the call.
    at
        Line and column of the call, for errors.
    dialect
        Dialect of the engine's SQL.
    cell
        Returns SQL of the ``hpix29`` column of a position, or None.
    footprint
        Returns the physical name of the footprint table of a release.

    Raises
    ------
    QueryError
        The number, kinds or values of the arguments are wrong.
    """
    signature = SIGNATURES[name][0]
    if name == "IVO_HEALPIX_INDEX":
        order = _order(arguments, signature, at)
        lon, lat = _position(arguments[1:], signature, at)
        return Fragment(
            _index(order, lon, lat, cell), "long", at, ReleaseColumn("", "long", ucd="pos.healpix")
        )
    if name == "IVO_HEALPIX_CENTER":
        require_argument_count(name, signature, arguments, 2, 2, at)
        order, index = _order(arguments, signature, at), arguments[1]
        if index.kind not in (*INTEGERS, "null"):
            raise QueryError(signature, *index.at)
        parts = tuple(
            Fragment(f"desdm_healpix_{part}({order}, CAST({index.sql} AS bigint))", "double", at)
            for part in ("ra", "dec")
        )
        return Fragment("", "point", at, parts=parts)
    if len(arguments) not in (3, 4):
        raise QueryError(f"{name} has {len(arguments)} arguments; its signature is {signature}", *at)
    release, band = arguments[0].constant, arguments[1]
    if not isinstance(release, str) or band.kind not in ("char", "null"):
        raise QueryError(f"{name}: the release is text in single quotes, the band is text: {signature}", *at)
    lon, lat = _position(arguments[2:], signature, at)
    own = _index(_FOOTPRINT_ORDER, lon, lat, cell)
    rest = f" FROM {footprint(release, arguments[0].at)} AS f WHERE f.hpix = {own} AND f.band = {band.sql}"
    if name == "DESDM_IN_FOOTPRINT":
        return Fragment(f"CAST(coalesce((SELECT max(1){rest}), 0) AS integer)", "int", at)
    column, kind, unit = _MAPS[name]
    return Fragment(
        f"(SELECT max(f.{column}){rest})",
        kind,
        at,
        ReleaseColumn("", kind, unit=unit, text=SIGNATURES[name][1]),
    )


def _order(arguments: Sequence[Fragment], signature: str, at: Place) -> int:
    """Return the order of HEALPix from the first argument."""
    order = arguments[0].number if arguments else None
    if order is None or arguments[0].kind not in INTEGERS or not 0 <= order <= 29:
        raise QueryError(f"the order must be a whole number from 0 to 29: {signature}", *at)
    return int(order)


def _position(arguments: Sequence[Fragment], signature: str, at: Place) -> tuple[Fragment, Fragment]:
    """Return longitude and latitude of a POINT or of two numbers."""
    if len(arguments) == 1 and arguments[0].kind == "point":
        return arguments[0].parts[0], arguments[0].parts[1]
    if len(arguments) != 2 or any(a.kind not in (*NUMBERS, "null") for a in arguments):
        raise QueryError(f"a position is ra, dec in degrees: {signature}", *at)
    return arguments[0], arguments[1]


def _index(order: int, lon: Fragment, lat: Fragment, cell: Callable[[Fragment, Fragment], str | None]) -> str:
    """Write the HEALPix index of a position at an order."""
    own = cell(lon, lat) or f"desdm_hpix29({as_double(lon).sql}, {as_double(lat).sql})"
    return f"({own} >> {2 * (29 - order)})"
