"""Visibility of published releases, tables and files: the one place that decides it, for every endpoint and page.

A release of which a caller may see nothing is answered as one that does not exist: the same status, the same text, with
the name as the caller wrote it. The same holds for a table or a file that the caller may not see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from desdm.accounts.model import Action, Caller
from desdm.errors import NotFoundError
from desdm.query.catalogue import Catalogue, Entry, Visible, own_entry, release_entry, user_entry
from desdm.release.model import Release, ReleaseFile, ReleaseTable
from desdm.schema.states import Role
from desdm.services.context import Services
from desdm.services.published import Holdings
from desdm.services.refusals import Refusals

__all__ = ["WHOLE", "Access", "access_of", "catalogue_for", "no_release", "table_of"]

#: Subject of a right to the whole release: all its tables and all its files.
WHOLE = "*"


@dataclass(frozen=True, slots=True)
class Access:
    """Visibility of one state of the holdings to one caller.

    Attributes
    ----------
    holdings
        Published releases with their tables and files.
    caller
        Caller of the request, with rights and scopes.
    refusals
        Records requests for hidden releases; None: they are not recorded.
    """

    holdings: Holdings
    caller: Caller
    refusals: Refusals | None = None

    def require_read(self) -> None:
        """Raise `AccessDenied` if the caller's token has no scope to read."""
        self.caller.require(Action.READ)

    def _may(self, release: Release, subject: str) -> bool:
        """Tell whether the caller may read a subject (table name or `WHOLE`) of a release."""
        caller = self.caller
        if not caller.may(Action.READ):
            return False
        if not release.proprietary or caller.role in (Role.OPERATOR, Role.ADMIN):
            return True
        return bool({(release.name, WHOLE), (release.name, subject)} & caller.rights)

    def visible_completely(self, release: Release) -> bool:
        """Tell whether the caller may see all of a release: images, pictures, footprint and every table."""
        return self._may(release, WHOLE)

    def table(self, table: ReleaseTable) -> bool:
        """Tell whether the caller may query a table."""
        release = self.holdings.release(table.release)
        return release is not None and self._may(release, table.name)

    def file(self, file: ReleaseFile) -> bool:
        """Tell whether the caller may read a file: a right to a table includes its files."""
        release = self.holdings.release(file.release)
        return release is not None and self._may(release, table_of(file.path))

    def visible_in_part(self, release: Release) -> bool:
        """Tell whether the caller may see at least a part of a release."""
        return self.visible_completely(release) or any(
            self._may(release, table.name) for table in self._tables(release)
        )

    def _tables(self, release: Release) -> Iterator[ReleaseTable]:
        """Yield all tables of a release, visible or not."""
        return (t for (of, _), t in self.holdings.tables.items() if of == release.name)

    def tables(self, release: Release) -> list[ReleaseTable]:
        """Return the tables of a release that the caller may query."""
        return [table for table in self._tables(release) if self._may(release, table.name)]

    def files(self, release: Release) -> tuple[ReleaseFile, ...]:
        """Return the files of a release that the caller may read, in the order of their paths."""
        files = self.holdings.files.get(release.name, ())
        return tuple(files) if self.visible_completely(release) else tuple(f for f in files if self.file(f))

    def releases(self) -> list[Release]:
        """Return the releases of which the caller may see at least a part, newest first."""
        return _newest_first([r for r in self.holdings.releases if self.visible_in_part(r)])

    def whole_releases(self) -> list[Release]:
        """Return the releases that the caller may see completely, newest first."""
        return _newest_first([r for r in self.holdings.releases if self.visible_completely(r)])

    def find(self, name: str) -> Release | None:
        """Return a release by name, ignoring case, if the caller may see part of it; else None."""
        release = self.holdings.release(name)
        return release if release is not None and self.visible_in_part(release) else None

    def release(self, name: str) -> Release:
        """Return a release of which the caller may see at least a part.

        Raises
        ------
        AccessDenied
            The caller's token has no scope to read.
        NotFoundError
            No release of this name is published, or the caller may see nothing of it.
        """
        self.require_read()
        release = self.find(name)
        if release is None:
            self.refuse(name)
            raise no_release(name)
        return release

    def whole_release(self, name: str) -> Release:
        """Return a release of which the caller may see everything; raises as `release` does."""
        release = self.release(name)
        if not self.visible_completely(release):
            self.refuse(name)
            raise no_release(name)
        return release

    def refuse(self, name: str, table: str = "") -> None:
        """Record a denial if the name is of a release, or of a table in it, that exists and is hidden from the caller.

        The look-up runs later in the journal's thread, so that response times do not depend on whether the name exists.
        """
        if self.refusals is not None:
            self.refusals.note(self.caller, lambda: self._hidden(name, table))

    def _hidden(self, name: str, table: str) -> str | None:
        """Return the name of a release, or ``release.table``, that exists and is hidden from the caller; else None."""
        release = self.holdings.release(name)
        if release is None or self.visible_completely(release):
            return None
        if table in ("", WHOLE):
            return release.name
        match = next((t for t in self._tables(release) if t.name.lower() == table.lower()), None)
        return None if match is None or self._may(release, match.name) else f"{release.name}.{match.name}"

    def erratum_of(self, release: Release) -> str | None:
        """Return the name of the release that this one corrects, if the caller may see part of it."""
        corrected = self.find(release.erratum_of) if release.erratum_of else None
        return corrected.name if corrected is not None else None


def _newest_first(releases: list[Release]) -> list[Release]:
    """Sort releases by time of publication, newest first."""
    return sorted(releases, key=lambda r: (r.published_at is not None, r.published_at, r.name), reverse=True)


def no_release(name: str) -> NotFoundError:
    """Return the error for a release that is not published and for one that is hidden from the caller."""
    return NotFoundError(f"no published release {name[:40]}; they are listed at /api/releases")


def table_of(path: str) -> str:
    """Return the table to which a file of a release belongs; `WHOLE` for files of the whole release."""
    parts = path.split("/", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "tables" else WHOLE


def access_of(services: Services, caller: Caller) -> Access:
    """Return the visibility of the current holdings to a caller."""
    return Access(services.published.current(), caller, services.refusals)


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
