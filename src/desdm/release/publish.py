"""Publish a release: one switch, after which it is served and never changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from desdm.archive.model import Scope
from desdm.errors import ChecksFailed, ConflictError, NotFoundError
from desdm.release import manifest, store
from desdm.release.documents import write_documents
from desdm.release.exclusive import exclusive
from desdm.release.model import Release
from desdm.release.queries import Ask
from desdm.release.validate import errors, validate
from desdm.schema.database import Database
from desdm.schema.states import EventKind, ReleaseState
from desdm.schema.store import record_event

__all__ = ["find", "freeze", "publish", "switch", "thaw"]


def find(database: Database, name: str) -> Release:
    """Return a release by its name in any case; `NotFoundError` if there is none."""
    with database.read() as conn:
        release = {r.name.lower(): r for r in store.releases(conn)}.get(name.lower())
    if release is None:
        raise NotFoundError(f"no release {name}; see: desdm release list")
    return release


def publish(
    database: Database,
    root: Path,
    name: str,
    *,
    who: str,
    reason: str = "",
    prepare: Callable[[str], None] | None = None,
    ask: Ask | None = None,
    production: Scope | None = None,
    blessed_only: bool = False,
) -> Release:
    """Validate, document and freeze a draft, and switch it on; taken up again where an earlier try stopped.

    Parameters
    ----------
    database
        Database of the installation.
    name
        Name of the release, in any case.
    root
        The release's directory.
    who, reason
        Author and reason, for the record.
    prepare
        Makes the serving copy of the release ready before it is visible.
    ask
        Answers ADQL on the release's tables, for the model queries.
    production
        The runs that are production, whose verdicts count; None: ``survey`` runs of every project and campaign.
    blessed_only
        Whether the survey releases blessed data only.

    Returns
    -------
    Release
        The published release.

    Raises
    ------
    ConflictError
        It is published already, or another process is at work on it.
    UsageError
        A check fails; the text names each.
    """
    # Two processes that write its documents at once would freeze a mixture of them.
    with exclusive(root):
        return _publish(database, root, name, who, reason, prepare, ask, production, blessed_only)


def _publish(
    database: Database,
    root: Path,
    name: str,
    who: str,
    reason: str,
    prepare: Callable[[str], None] | None,
    ask: Ask | None,
    production: Scope | None,
    blessed_only: bool,
) -> Release:
    """Publish a release whose lock this process has."""
    release = find(database, name)
    if release.state is ReleaseState.PUBLISHED:
        raise ConflictError(f"{release.name} is published already and never changes")
    checks = validate(database, root, release, production, blessed_only=blessed_only)
    failed = errors(checks)
    if failed:
        failures = "\n  ".join(f"{c.check}: {c.subject}: {c.text}" for c in failed[:20])
        raise ChecksFailed(
            f"{release.name} cannot be published; checks that fail ({len(failed)}):\n  {failures}"
        )
    if release.state is ReleaseState.DRAFT:
        write_documents(database, root, release, checks, ask, production)
        freeze(database, root, release.name, who=who, reason=reason)
    return switch(database, release.name, who=who, reason=reason, prepare=prepare)


def freeze(database: Database, root: Path, name: str, *, who: str, reason: str = "") -> None:
    """Fix the content of a draft: measure size and digest of every file, and write the manifest.

    Parameters
    ----------
    database
        Database of the installation.
    root
        Directory of the release.
    name
        Name of the draft.
    who, reason
        Author and reason, for the record.

    Raises
    ------
    ConflictError
        The release is not a draft, or was changed meanwhile.
    """
    with database.read() as conn:
        # Documents are written at each try; all other files were measured when they were built, and checked since.
        measured = {f.path: f for f in store.files(conn, name) if f.filetype not in ("manifest", "document")}
    rest = manifest.list_files(path for path in manifest.on_disk(root) if path not in measured)
    rows = list(measured.values())
    rows += manifest.measure(root, name, rest)
    own = manifest.write_manifest(root, name, rows)
    with database.write() as conn:
        done = store.change(
            conn,
            name,
            ReleaseState.DRAFT,
            state=ReleaseState.FROZEN,
            manifest_sha256=own[0].sha256,
            frozen_at=datetime.now(UTC).replace(tzinfo=None),
        )
        now = {
            f.path: f.sha256 for f in store.files(conn, name) if f.path in measured or f.filetype == "table"
        }
        if not done or now != {path: file.sha256 for path, file in measured.items()}:
            raise ConflictError(f"{name} was changed while it was being published; publish it again")
        store.replace_files(conn, name, rows + own)
        event = f"{name} frozen: {len(rows)} files, manifest {own[0].sha256}"
        record_event(conn, EventKind.RELEASE, who, event, subject=name, reason=reason)
    _sweep(root)


def _sweep(root: Path) -> None:
    """Remove temporary files of builds that were killed; nothing can build a frozen release."""
    for path in sorted(root.rglob(".*")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def thaw(database: Database, name: str, *, who: str, reason: str = "") -> Release:
    """Make a frozen release a draft again; `ConflictError` if it is not frozen.

    Parameters
    ----------
    database
        Database of the installation.
    name
        Name of the release.
    who, reason
        Author and reason, for the record.

    Returns
    -------
    Release
        The draft.
    """
    release = find(database, name)
    with database.write() as conn:
        done = store.change(
            conn,
            release.name,
            ReleaseState.FROZEN,
            state=ReleaseState.DRAFT,
            frozen_at=None,
            manifest_sha256=None,
        )
        if done:
            event = f"{release.name} is a draft again"
            record_event(conn, EventKind.RELEASE, who, event, subject=release.name, reason=reason)
    if not done:
        raise ConflictError(f"{release.name} is {release.state.value}, not frozen")
    return find(database, name)


def switch(
    database: Database,
    name: str,
    *,
    who: str,
    reason: str = "",
    prepare: Callable[[str], None] | None = None,
) -> Release:
    """Publish a frozen release: its serving copy is made ready, then one transaction makes it visible.

    Parameters
    ----------
    name
        Name of the frozen release.
    who, reason
        Author and reason, for the record.
    prepare
        Makes the serving copy of the release ready.

    Returns
    -------
    Release
        The published release.

    Raises
    ------
    ConflictError
        The release is not frozen.
    """
    if prepare is not None:
        prepare(name)
    with database.write() as conn:
        # Caches tell publications apart by their times.
        last = max((r.published_at for r in store.releases(conn) if r.published_at), default=None)
        now = datetime.now(UTC).replace(tzinfo=None)
        if last is not None and now <= last:
            now = last + timedelta(microseconds=1)
        done = store.change(
            conn, name, ReleaseState.FROZEN, state=ReleaseState.PUBLISHED, published_by=who, published_at=now
        )
        if done:
            record_event(conn, EventKind.RELEASE, who, f"{name} published", subject=name, reason=reason)
    if not done:
        raise ConflictError(f"{name} is not frozen (any more); see: desdm release show {name}")
    return find(database, name)
