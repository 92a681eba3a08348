"""Positions of objects of a release by identifier, queried from the engine."""

from __future__ import annotations

from collections.abc import Sequence

from desdm.accounts.model import Caller
from desdm.errors import NotFoundError, UsageError
from desdm.query.adql.translate import translate
from desdm.query.dialect import dialect_of
from desdm.release.model import ReleaseTable
from desdm.services.access import access_of, catalogue_for
from desdm.services.context import Services

__all__ = ["positions_of"]

_PIECE = 1000  # identifiers of one query


def positions_of(
    services: Services, caller: Caller, release: str, table: str, identifiers: Sequence[object]
) -> dict[str, tuple[float, float]]:
    """Return the positions of objects by identifier.

    Parameters
    ----------
    services
        Shared state of the services.
    caller
        Caller, whose rights decide which tables are visible.
    release
        Release, if ``table`` does not name one.
    table
        Table, as ``T`` or ``R.T``; empty: the first with identifier and position.
    identifiers
        Identifiers, as numbers or texts.

    Returns
    -------
    dict
        (RA, Dec) in degrees, by identifier as text; unknown identifiers are absent.

    Raises
    ------
    NotFoundError
        There is no such table that the caller may see.
    UsageError
        The table has no identifier or no position.
    """
    entry = _object_table(services, caller, release, table)
    if not (entry.id_column and entry.ra_column and entry.dec_column):
        raise UsageError(f"{entry.release}.{entry.name} has no identifier or no position; give ra and dec")
    kind = next(c.datatype for c in entry.columns if c.name == entry.id_column)
    literals = list(dict.fromkeys(v for v in (_literal(value, kind) for value in identifiers) if v))
    catalogue = catalogue_for(services, caller)
    places: dict[str, tuple[float, float]] = {}
    for at in range(0, len(literals), _PIECE):
        text = (
            f'SELECT "{entry.id_column}", "{entry.ra_column}", "{entry.dec_column}" '  # noqa: S608 - ADQL of checked names
            f'FROM "{entry.release}"."{entry.name}" '
            f'WHERE "{entry.id_column}" IN ({", ".join(literals[at : at + _PIECE])})'
        )
        query = translate(text, catalogue, dialect_of(services.engine))
        with services.engine.execute(query, owner=caller.login, seconds=60.0) as batches:
            for batch in batches:
                for key, ra, dec in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    if ra is not None and dec is not None:
                        places[str(key).strip()] = (float(ra), float(dec))
    return places


def _object_table(services: Services, caller: Caller, release: str, table: str) -> ReleaseTable:
    """Return the table of objects that the caller names, or the first one of the release."""
    access = access_of(services, caller)
    schema, dot, name = table.rpartition(".")
    schema = schema if dot else release
    for (owner, table_name), entry in sorted(access.holdings.tables.items()):
        if owner.lower() != schema.lower() or not access.table(entry):
            continue
        if table_name.lower() == name.lower() or (not name and entry.id_column and entry.ra_column):
            return entry
    raise NotFoundError(
        f"no table {name[:60]} in release {schema[:40]}"
        if name
        else f"release {schema[:40]} has no table of objects with identifier and position; give ra and dec"
    )


def _literal(value: object, kind: str) -> str:
    """Return an identifier as an ADQL literal; empty if it cannot be one."""
    if value is None:
        return ""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    if kind in ("short", "int", "long"):
        sign = text[1:] if text[:1] in "+-" else text
        digits = sign.isascii() and sign.isdigit() and len(sign) <= 19
        # The largest identifiers of 64 bits have 19 digits.
        return text if digits and -(2**63) < int(text) < 2**63 else ""
    return "'" + text.replace("'", "''") + "'" if kind in ("char", "unicodeChar") else ""
