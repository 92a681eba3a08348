"""The tables that a caller may query: visible releases, tables of the caller's own, and the service's own."""

from __future__ import annotations

from collections.abc import Mapping

from desdm.accounts.model import Action, Caller
from desdm.query.catalogue import Catalogue, Entry, Visible, own_entry, release_entry, user_entry
from desdm.services.access import access_of
from desdm.services.context import Services

__all__ = ["catalogue_for"]


def catalogue_for(services: Services, caller: Caller) -> Catalogue:
    """Return the tables that a caller may query: visible release tables, the service's own tables and the caller's own."""
    access = access_of(services, caller)
    holdings = access.holdings
    tables = [table for table in holdings.tables.values() if access.table(table)]
    entries = [release_entry(t) for t in tables]
    own = services.engine.replaced()
    visible: Visible | None = None
    whole = access.whole_releases()
    if len(tables) < len(holdings.tables) or len(whole) < len(holdings.releases):
        visible = Visible(_names(entries, own), frozenset(release.name for release in whole))
    entries += [own_entry(schema, name, columns, visible) for (schema, name), columns in own.items()]
    if caller.known and caller.may(Action.MYDB):
        entries += _user_entries(services, caller)
    return Catalogue(entries, access.refuse)


def _names(entries: list[Entry], own: Mapping[tuple[str, str], object]) -> frozenset[str]:
    """Return the names of visible schemas and tables as the service's own tables spell them."""
    pairs = {(e.schema, e.name) for e in entries} | set(own)
    return frozenset({schema for schema, _ in pairs} | {f"{schema}.{name}" for schema, name in pairs})


def _user_entries(services: Services, caller: Caller) -> list[Entry]:
    """Return the catalogue entries of the caller's own tables."""
    from desdm.services.mydb import store

    with services.state.read() as conn:
        own_tables = store.tables(conn, caller.login)
    return [user_entry(caller.login, t.name, t.columns, t.row_count) for t in own_tables]
