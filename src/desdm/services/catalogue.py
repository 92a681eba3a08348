"""The tables that a caller may query: visible releases, tables of the caller's own, and the service's own."""

from __future__ import annotations

from collections.abc import Mapping

from desdm.accounts.model import Action, Caller
from desdm.query.catalogue import Catalogue, Entry, Visible, own_entry, release_entry, user_entry
from desdm.services.access import access_of
from desdm.services.context import Services

__all__ = ["catalogue_for"]


def catalogue_for(services: Services, caller: Caller) -> Catalogue:
    """What a caller may ask: what is published and visible, the service's own tables, and tables of their own."""
    access = access_of(services, caller)
    holdings = access.holdings
    seen = [table for table in holdings.tables.values() if access.table(table)]
    entries = [release_entry(t) for t in seen]
    own = services.engine.replaced()
    visible: Visible | None = None
    whole = access.whole_releases()
    if len(seen) < len(holdings.tables) or len(whole) < len(holdings.releases):
        visible = Visible(_names(entries, own), frozenset(release.name for release in whole))
    entries += [own_entry(schema, name, columns, visible) for (schema, name), columns in own.items()]
    if caller.known and caller.may(Action.MYDB):
        entries += _users(services, caller)
    return Catalogue(entries, access.refuse)


def _names(entries: list[Entry], own: Mapping[tuple[str, str], object]) -> frozenset[str]:
    """Names under which what is visible stands in the service's own tables: schemas and whole table names."""
    pairs = {(e.schema, e.name) for e in entries} | set(own)
    return frozenset({schema for schema, _ in pairs} | {f"{schema}.{name}" for schema, name in pairs})


def _users(services: Services, caller: Caller) -> list[Entry]:
    from desdm.services.mydb import store

    with services.state.read() as conn:
        found = store.tables(conn, caller.login)
    return [user_entry(caller.login, t.name, t.columns, t.row_count) for t in found]
