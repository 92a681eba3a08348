"""Create a release: a named draft to which tables and files are added."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from desdm.accounts import store as accounts
from desdm.accounts.model import Right
from desdm.archive.archive import Archive
from desdm.archive.model import Scope
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.modes import make_private
from desdm.release import store
from desdm.release.exclusive import exclusive
from desdm.release.model import Release
from desdm.release.rights import check_names, inheritance
from desdm.release.select import Selection, select
from desdm.release.selection import write_selection
from desdm.release.steps import BuildContext, Step
from desdm.schema.adqlwords import STRUCTURAL
from desdm.schema.database import Database
from desdm.schema.states import EventKind, ReleaseState
from desdm.schema.store import record_event

__all__ = ["create", "create_empty", "discard"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}\Z")
#: Schemas that mean something else in a query.
_RESERVED = frozenset(
    ("tap_schema", "tap_upload", "ivoa", "mydb", "public", "main", "temp", "information_schema", "system")
)


def create_empty(
    database: Database,
    root: Path,
    name: str,
    *,
    title: str = "",
    text: str = "",
    selection: str = "",
    proprietary: bool = False,
    erratum_of: str | None = None,
    public: bool = False,
    files: Collection[int] = (),
    who: str,
    reason: str = "",
) -> Release:
    """Create a draft without data.

    A draft that derives from proprietary releases is proprietary too, and has the data rights that they have in common.

    Parameters
    ----------
    title
        Title; default: the name.
    text
        Description of the release.
    selection
        Text of the selection (`Selection.text`); empty for a release of added tables.
    proprietary
        Whether only users with a data right may see it.
    root
        Its directory, which is created.
    erratum_of
        Published release that this one corrects.
    public
        Everybody may see it once published, also if it derives from a proprietary release.
    files
        Numbers of the archive's files from which it will be made.
    who, reason
        Author and reason, for the record. Without a reason, ``text`` is recorded.

    Returns
    -------
    Release
        The draft.

    Raises
    ------
    UsageError
        The name cannot be a schema in ADQL, the texts of a public release name a proprietary one, or ``proprietary`` and
        ``public`` are both set.
    ConflictError
        A release of this name exists already.
    NotFoundError
        There is no such release to correct.
    """
    if not _NAME.match(name) or name.lower() in _RESERVED or name.lower().startswith("pg_"):
        raise UsageError(
            f"release {name!r}: at most 32 letters, digits and _, a letter first, and no schema of the services "
            f"({', '.join(sorted(_RESERVED))}): the name is the tables' schema in ADQL"
        )
    if name.upper() in STRUCTURAL:
        raise UsageError(f"{name} is a reserved word of ADQL; give the release another name")
    if proprietary and public:
        raise UsageError("a release is --proprietary or --public, not both")
    draft = Release(
        name=name,
        state=ReleaseState.DRAFT,
        title=title or name,
        text=text,
        selection=selection,
        erratum_of=erratum_of,
        proprietary=proprietary,
        created_by=who,
        created_at=datetime.now(UTC).replace(tzinfo=None),
        frozen_at=None,
        published_by=None,
        published_at=None,
        manifest_sha256=None,
    )
    with database.write() as conn:
        existing = {r.name.lower(): r for r in store.releases(conn)}
        if name.lower() in existing:
            other = existing[name.lower()]
            advice = "take another name"
            if other.state is not ReleaseState.PUBLISHED:
                advice += f", or discard it: desdm release discard {other.name}"
            raise ConflictError(f"a release {other.name} ({other.state.value}) exists already; {advice}")
        corrected = None
        if erratum_of is not None:
            corrected = existing.get(erratum_of.lower())
            if corrected is None or corrected.state is not ReleaseState.PUBLISHED:
                raise NotFoundError(f"no published release {erratum_of}: an erratum corrects a published one")
            draft = replace(draft, erratum_of=corrected.name)
        inherited = inheritance(conn, corrected, files)
        if inherited.sources and not public:
            draft = replace(draft, proprietary=True)
            for kind, grantee, table in sorted(inherited.rights):
                accounts.add_right(conn, Right(kind, grantee, name, table, who, draft.created_at))
        hidden = (
            []
            if draft.proprietary
            else check_names(conn, draft, [("--title", draft.title), ("--text", text)])
        )
        if hidden:
            raise UsageError(
                f"{hidden[0][0]} names {hidden[0][1]}, a proprietary release, and {name} will be public: describe it "
                "without that name"
            )
        store.insert_release(conn, draft)
        event = f"{name} created, a draft" + (f" of {selection}" if selection else "")
        event += f", an erratum of {draft.erratum_of}" if draft.erratum_of else ""
        if inherited.sources:
            sources = ", ".join(inherited.sources)
            event += (
                f"; public, and made from proprietary {sources}" if public else f"; proprietary as {sources}"
            )
        record_event(conn, EventKind.RELEASE, who, event, subject=name, reason=reason or text)
    make_private(root)
    return draft


def create(
    database: Database,
    archive: Archive,
    root: Path,
    name: str,
    conditions: Mapping[str, str],
    *,
    title: str = "",
    text: str = "",
    proprietary: bool = False,
    erratum_of: str | None = None,
    public: bool = False,
    who: str,
    reason: str = "",
    progress: Callable[[str], object] = lambda text: None,
    workers: int = 1,
    steps: Sequence[Step] | None = None,
    scope: Scope | None = None,
) -> tuple[Release, Selection]:
    """Create a draft from blessed data: select files, and build tables, images and maps.

    Parameters
    ----------
    database, archive, root
        Database, archive of the source files, and directory of the release.
    name
        Name of the release: its schema in ADQL.
    title, text, proprietary, erratum_of, public, who, reason
        As of `create_empty`.
    progress
        Receives one line of text for each step.
    conditions
        Conditions of the selection, see `desdm.release.select.select`; none: every good run of pipeline coadd.
    workers
        Threads that may be used.
    steps
        Build steps; None: all of `desdm.release.build.STEPS`.
    scope
        The runs that are production; None: ``survey`` runs of every project and campaign.

    Returns
    -------
    tuple of Release, Selection
        The draft, and the files from which it was built.

    Raises
    ------
    NotFoundError
        Nothing fits the selection.
    ConflictError, UsageError
        As `create_empty`; or another process is at work on it.
    """
    # Imported late: the steps import the pixel code, which is slow and not needed for an empty draft.
    from desdm.release.build import STEPS, build

    with database.read() as conn:
        selection = select(conn, conditions, scope)
    with exclusive(root):
        draft = create_empty(
            database,
            root,
            name,
            title=title,
            text=text,
            selection=selection.text,
            proprietary=proprietary,
            erratum_of=erratum_of,
            public=public,
            files=[file.record.id for file in selection.files],
            who=who,
            reason=reason,
        )
        try:
            write_selection(root, selection)
            context = BuildContext(name, root, database, archive, selection.files, who, progress, workers)
            build(context, STEPS if steps is None else steps)
        except BaseException:
            # A draft that could not be built would prevent the next try.
            _discard(database, root, name, who=who, reason="its build failed or was interrupted")
            raise
    return draft, selection


def discard(database: Database, root: Path, name: str, *, who: str, reason: str = "") -> None:
    """Remove a draft: its rows, then its files.

    Parameters
    ----------
    root
        The release's directory, which is removed.
    who, reason
        Author and reason, for the record.

    Raises
    ------
    ConflictError
        It is published, or another process is at work on it.
    """
    with exclusive(root):
        _discard(database, root, name, who=who, reason=reason)


def _discard(database: Database, root: Path, name: str, *, who: str, reason: str) -> None:
    """Remove a draft without locking: its rows, then its files."""
    with database.write() as conn:
        if not store.delete_release(conn, name):
            raise ConflictError(f"{name} is published and never changes; it cannot be discarded")
        # Another release of this name must not be opened to those who had a right to this one.
        accounts.drop_rights_to(conn, name)
        record_event(conn, EventKind.RELEASE, who, f"{name} discarded", subject=name, reason=reason)
    shutil.rmtree(root, ignore_errors=True)
