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
        One of them is no unit of VOUnits, or one cannot become the other.
    """
    from astropy import units

    def read(text: str) -> object:
        try:
            return units.Unit(text, format="vounit") if text else units.dimensionless_unscaled
        except (ValueError, TypeError):
            raise QueryError(f"IN_UNIT: {text[:40]!r} is no unit (VOUnits)", *at) from None

    if not has:
        raise QueryError("IN_UNIT: this value has no unit that is known", *at)
    source, target = read(has), read(wanted)
    try:
        return float(source.to(target))  # type: ignore[attr-defined]
    except units.UnitConversionError:
        raise QueryError(f"IN_UNIT: {has} cannot become {wanted[:40]}", *at) from None
