"""Make a release: a draft with a name, to which tables and files come."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from desdm.archive.archive import Archive
from desdm.archive.model import Scope
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.modes import make_private
from desdm.release import store
from desdm.release.exclusive import exclusive
from desdm.release.model import Release
from desdm.release.select import Selection, select
from desdm.release.steps import BuildContext, Step
from desdm.schema.database import Database
from desdm.schema.states import EventKind, ReleaseState
from desdm.schema.store import record_event

__all__ = ["SELECTION", "create", "create_empty", "discard"]

#: Where the selection is written down, below the release's directory.
SELECTION = "docs/selection.json"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}\Z")
#: Schemas that mean something else in a query.
_TAKEN = frozenset(
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
    who: str,
    reason: str = "",
) -> Release:
    """Make a draft without data.

    Parameters
    ----------
    root
        Its directory; made.
    erratum_of
        Published release that this one corrects.
    who, reason
        Who makes it, and why; they stay on record. Without a reason ``text`` counts, what the release is.

    Raises
    ------
    UsageError
        The name cannot be a schema in ADQL.
    ConflictError
        A release of this name stands already.
    NotFoundError
        There is no such release to correct.
    """
    if not _NAME.match(name) or name.lower() in _TAKEN or name.lower().startswith("pg_"):
        raise UsageError(
            f"release {name!r}: at most 32 letters, digits and _, a letter first, and no schema of the services "
            f"({', '.join(sorted(_TAKEN))}): the name is the tables' schema in ADQL"
        )
    made = Release(
        name=name, state=ReleaseState.DRAFT, title=title or name, text=text, selection=selection,
        erratum_of=erratum_of, proprietary=proprietary, created_by=who,
        created_at=datetime.now(UTC).replace(tzinfo=None), frozen_at=None, published_by=None, published_at=None,
        manifest_sha256=None,
    )  # fmt: skip
    with database.write() as conn:
        known = {r.name.lower(): r for r in store.releases(conn)}
        if name.lower() in known:
            found = known[name.lower()]
            mend = "take another name"
            if found.state is not ReleaseState.PUBLISHED:
                mend += f", or take it away: desdm release discard {found.name}"
            raise ConflictError(f"a release {found.name} ({found.state.value}) stands already; {mend}")
        if erratum_of is not None:
            corrected = known.get(erratum_of.lower())
            if corrected is None or corrected.state is not ReleaseState.PUBLISHED:
                raise NotFoundError(f"no published release {erratum_of}: an erratum corrects a published one")
        store.insert_release(conn, made)
        told = f"{name} created, a draft" + (f" of {selection}" if selection else "")
        told += f", an erratum of {erratum_of}" if erratum_of else ""
        record_event(conn, EventKind.RELEASE, who, told, subject=name, reason=reason or text)
    make_private(root)
    return made


def create(
    database: Database,
    archive: Archive,
    root: Path,
    name: str,
    asked: Mapping[str, str],
    *,
    title: str = "",
    text: str = "",
    proprietary: bool = False,
    erratum_of: str | None = None,
    who: str,
    reason: str = "",
    progress: Callable[[str], object] = lambda text: None,
    workers: int = 1,
    steps: Sequence[Step] | None = None,
    scope: Scope | None = None,
) -> tuple[Release, Selection]:
    """Make a draft from blessed data: select, and build its tables, images and maps.

    Parameters
    ----------
    asked
        Keys of the selection, see `desdm.release.select.select`; none: every good run of pipeline coadd.
    workers
        Threads that may be used.
    steps
        What is made; None: all of `desdm.release.build.STEPS`.
    scope
        The runs that are production; None: ``survey`` runs of every project and campaign.

    Raises
    ------
    NotFoundError
        Nothing fits the selection.
    ConflictError, UsageError
        As `create_empty`; or another process is at work on it.
    """
    # The steps bring the code of pixels with them, which nobody waits for who only makes an empty draft.
    from desdm.release.build import STEPS, build

    with database.read() as conn:
        selection = select(conn, asked, scope)
    with exclusive(root):
        made = create_empty(
            database, root, name, title=title, text=text, selection=selection.text, proprietary=proprietary,
            erratum_of=erratum_of, who=who, reason=reason,
        )  # fmt: skip
        try:
            _write_selection(root, selection)
            context = BuildContext(name, root, database, archive, selection.picked, who, progress, workers)
            build(context, STEPS if steps is None else steps)
        except BaseException:
            # A draft that could not be built would stand in the way of the next try.
            _discard(database, root, name, who=who, reason="its build failed or was interrupted")
            raise
    return made, selection


def discard(database: Database, root: Path, name: str, *, who: str, reason: str = "") -> None:
    """Take a draft away, rows first.

    Parameters
    ----------
    root
        The release's directory; removed.
    who, reason
        Who takes it away, and why; they stay on record.

    Raises
    ------
    ConflictError
        It is published, and stays for ever; or another process is at work on it.
    """
    with exclusive(root):
        _discard(database, root, name, who=who, reason=reason)


def _discard(database: Database, root: Path, name: str, *, who: str, reason: str) -> None:
    """Take a draft away, its rows first."""
    with database.write() as conn:
        if not store.delete_release(conn, name):
            raise ConflictError(f"{name} is published and never changes; it cannot be taken away")
        record_event(conn, EventKind.RELEASE, who, f"{name} discarded", subject=name, reason=reason)
    shutil.rmtree(root, ignore_errors=True)


def _write_selection(root: Path, selection: Selection) -> None:
    document = {
        "selection": selection.text,
        "files": [
            {"file": p.record.name, "sha256": p.record.sha256, "filetype": p.record.filetype, "tilename": p.tilename,
             "band": p.band, "run": p.run, "objects": p.metadata.get("objects")}
            for p in selection.picked
        ],
        "left_out": [{"what": one.what, "why": one.why} for one in selection.left],
    }  # fmt: skip
    path = root / SELECTION
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
