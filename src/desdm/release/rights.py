"""Rights of derived releases: what is made from a proprietary release stays proprietary unless somebody says otherwise."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection

from desdm.accounts import store as accounts
from desdm.errors import UsageError
from desdm.release import store
from desdm.release.model import Release

__all__ = ["Inheritance", "check_names", "inheritance", "reader_view", "refuse_hidden_source"]


@dataclass(frozen=True, slots=True)
class Inheritance:
    """Proprietary releases from which a new release derives, and the data rights that all of them have in common.

    Attributes
    ----------
    sources
        Names of the proprietary releases: the one that is corrected, and those that hold the same files.
    rights
        Rights that exist on each of them: kind of grantee, grantee, table.
    """

    sources: tuple[str, ...] = ()
    rights: frozenset[tuple[str, str, str]] = frozenset()


def inheritance(
    conn: Connection, corrected: Release | None, files: Collection[int], *, besides: str = ""
) -> Inheritance:
    """Return from which proprietary releases a new release derives.

    Parameters
    ----------
    conn
        Connection.
    corrected
        The release that the new one corrects; None: it is no erratum.
    files
        Numbers of the archive's files from which it is made. Files that a public release holds too are public.
    besides
        Name of the new release, if it is recorded already; it does not count.

    Returns
    -------
    Inheritance
        The proprietary releases and their common rights; empty if nothing proprietary is concerned.
    """
    by_name = {r.name: r for r in store.releases(conn) if r.name != besides}
    numbers_by_name = store.releases_with(conn, files) if files else {}
    held = [(by_name[name], numbers) for name, numbers in numbers_by_name.items() if name in by_name]
    public = {n for r, numbers in held if not r.proprietary and r.published_at for n in numbers}
    sources = {r.name for r, numbers in held if r.proprietary and numbers - public}
    if corrected is not None and corrected.proprietary:
        sources.add(corrected.name)
    if not sources:
        return Inheritance()
    rights: dict[str, set[tuple[str, str, str]]] = {name: set() for name in sources}
    for right in accounts.rights(conn):
        if right.release in rights:
            rights[right.release].add((right.grantee_kind, right.grantee, right.table))
    return Inheritance(tuple(sorted(sources)), frozenset(set.intersection(*rights.values())))


def reader_view(conn: Connection, release: Release) -> Release:
    """Return a release as its documents may describe it: without the name of a corrected release that is not public.

    Documents, announcements and mails are read by people whose rights are not known when they are written.
    """
    if release.erratum_of is None or release.erratum_of in {
        r.name for r in store.releases(conn) if not r.proprietary and r.published_at
    }:
        return release
    return replace(release, erratum_of=None)


def check_names(
    conn: Connection, release: Release, texts: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return which texts of a release name a release that readers may not see: subject of the text, and that name.

    Parameters
    ----------
    conn
        Connection.
    release
        The release whose readers see the texts.
    texts
        Pairs of subject and text.

    Returns
    -------
    list of tuple of str, str
        Subject, and the name of the proprietary release; a name counts as a word of its own, with its capitals.
    """
    hidden = [r.name for r in store.releases(conn) if r.proprietary and r.name != release.name]
    if not hidden:
        return []
    pattern = re.compile(rf"(?<![A-Za-z0-9_])(?:{'|'.join(map(re.escape, hidden))})(?![A-Za-z0-9_])")
    return [(subject, match) for subject, text in texts for match in sorted(set(pattern.findall(text)))]


def refuse_hidden_source(
    conn: Connection, root: Path, release: str, table: str, *, file: Path | None = None, came_from: str = ""
) -> None:
    """Refuse a table that derives from a proprietary release for a release that everybody may see.

    Parameters
    ----------
    conn
        Connection.
    root, release
        Directory and name of the draft.
    table
        Name of the table.
    file
        Data from which it is made; below the directory of a proprietary release they are that release's.
    came_from
        Words on what it was computed from; a proprietary release is one that they name, in any case.

    Raises
    ------
    UsageError
        It derives from a proprietary release; the text says what would become visible.
    """
    records = {r.name.lower(): r for r in store.releases(conn)}
    draft = records.get(release.lower())
    if draft is None or draft.proprietary:
        return
    words = {word.lower() for word in re.findall(r"[A-Za-z][A-Za-z0-9_]*", came_from)}
    if file is not None and file.resolve().is_relative_to(root.parent.resolve()):
        words.add(file.resolve().relative_to(root.parent.resolve()).parts[0].lower())
    # Who created a public erratum said then that the data of the corrected release become public.
    words.discard((draft.erratum_of or "").lower())
    hidden = [records[word].name for word in sorted(words) if word in records and records[word].proprietary]
    if hidden:
        raise UsageError(
            f"{draft.name}.{table} comes from {', '.join(hidden)}, which is proprietary, and {draft.name} is public: "
            "everybody would see all rows of the table; if that is meant, add --public, else add it to a release that "
            "was created with --proprietary"
        )
