"""IN_UNIT: the factor between two units (REC-ADQL-2.1, 4.7; VOUnits 1.1)."""

from __future__ import annotations

from desdm.errors import QueryError
from desdm.query.adql.parse.tokens import Place

__all__ = ["factor"]


def factor(has: str, wanted: str, at: Place) -> float:
    """Return the factor that converts a value between two units.

    Parameters
    ----------
    has, wanted
        Units in VOUnits syntax.
    at
        Line and column of the call, for errors.

    Raises
    ------
    QueryError
        One is not a unit of VOUnits, or the units are not convertible.
    """
    from astropy import units

    def read(text: str) -> object:
        try:
            return units.Unit(text, format="vounit") if text else units.dimensionless_unscaled
        except (ValueError, TypeError):
            raise QueryError(f"IN_UNIT: {text[:40]!r} is not a unit of VOUnits", *at) from None

    if not has:
        raise QueryError("IN_UNIT: the unit of this value is not known", *at)
    source, target = read(has), read(wanted)
    try:
        return float(source.to(target))  # type: ignore[attr-defined]
    except units.UnitConversionError:
        raise QueryError(f"IN_UNIT: {has} cannot be converted to {wanted[:40]}", *at) from None
