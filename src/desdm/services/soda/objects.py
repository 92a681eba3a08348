"""Where objects of a release lie: their positions by identifier, asked of the engine as any query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from desdm.accounts.model import Caller
from desdm.errors import NotFoundError, UsageError
from desdm.query.adql.translate import translate
from desdm.release.model import ReleaseTable
from desdm.services.access import access_of
from desdm.services.catalogue import catalogue_for
from desdm.services.context import Services

__all__ = ["positions_of"]

_PIECE = 1000  # identifiers of one query


def positions_of(
    services: Services, caller: Caller, release: str, table: str, identifiers: Sequence[Any]
) -> dict[str, tuple[float, float]]:
    """Positions (degrees) of the objects that there are, by identifier as text.

    Raises
    ------
    NotFoundError
        There is no such table that the caller may see.
    UsageError
        The table has no identifier or no position.
    """
    found = _table(services, caller, release, table)
    if not (found.id_column and found.ra_column and found.dec_column):
        raise UsageError(f"{found.release}.{found.name} has no identifier or no position; give ra and dec")
    kind = next(c.datatype for c in found.columns if c.name == found.id_column)
    literals = list(dict.fromkeys(v for v in (_literal(value, kind) for value in identifiers) if v))
    catalogue = catalogue_for(services, caller)
    places: dict[str, tuple[float, float]] = {}
    for at in range(0, len(literals), _PIECE):
        text = (
            f'SELECT "{found.id_column}", "{found.ra_column}", "{found.dec_column}" '  # noqa: S608 - ADQL of checked names
            f'FROM "{found.release}"."{found.name}" '
            f'WHERE "{found.id_column}" IN ({", ".join(literals[at : at + _PIECE])})'
        )
        query = translate(text, catalogue, services.engine.dialect)  # type: ignore[arg-type]
        with services.engine.execute(query, owner=caller.login, seconds=60.0) as batches:
            for batch in batches:
                for key, ra, dec in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    if ra is not None and dec is not None:
                        places[str(key).strip()] = (float(ra), float(dec))
    return places


def _table(services: Services, caller: Caller, release: str, table: str) -> ReleaseTable:
    access = access_of(services, caller)
    schema, dot, name = table.rpartition(".")
    schema = schema if dot else release
    for (of, known), entry in sorted(access.holdings.tables.items()):
        if of.lower() != schema.lower() or not access.table(entry):
            continue
        if known.lower() == name.lower() or (not name and entry.id_column and entry.ra_column):
            return entry
    raise NotFoundError(f"no table {table[:60] or 'of objects'} in release {schema[:40]}")


def _literal(value: Any, kind: str) -> str:
    if value is None:
        return ""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    if kind in ("short", "int", "long"):
        sign = text[1:] if text[:1] in "+-" else text
        return text if sign.isascii() and sign.isdigit() and len(sign) < 19 else ""
    return "'" + text.replace("'", "''") + "'" if kind in ("char", "unicodeChar") else ""
