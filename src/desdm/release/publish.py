"""Publish a release: one switch, after which it is served and never changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from desdm.archive.model import Scope
from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.release import manifest, store
from desdm.release.documents import write_documents
from desdm.release.exclusive import exclusive
from desdm.release.model import Release, ReleaseFile
from desdm.release.queries import Ask
from desdm.release.validate import errors, validate
from desdm.schema.database import Database
from desdm.schema.states import EventKind, ReleaseState
from desdm.schema.store import record_event

__all__ = ["find", "freeze", "publish", "switch", "thaw"]


def find(database: Database, name: str) -> Release:
    """A release by name, whatever its case; `NotFoundError` if there is none."""
    with database.read() as conn:
        found = {r.name.lower(): r for r in store.releases(conn)}.get(name.lower())
    if found is None:
        raise NotFoundError(f"no release {name}; see: desdm release list")
    return found


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
) -> Release:
    """Validate, document and freeze a draft, and switch it on; taken up again where an earlier try stopped.

    Parameters
    ----------
    root
        The release's directory.
    who, reason
        Who publishes it, and why; they stay on record.
    prepare
        Makes the engines ready for the release before anybody can see it.
    ask
        Answers ADQL on the release's tables, for the model queries.
    production
        The runs that are production, whose verdicts count; None: ``survey`` runs of every project and campaign.

    Raises
    ------
    ConflictError
        It is published already, or another process is at work on it.
    UsageError
        A check fails; the text names each.
    """
    # Two that write its documents at the same time would freeze each other's halves.
    with exclusive(root):
        return _publish(database, root, name, who, reason, prepare, ask, production)


def _publish(
    database: Database,
    root: Path,
    name: str,
    who: str,
    reason: str,
    prepare: Callable[[str], None] | None,
    ask: Ask | None,
    production: Scope | None,
) -> Release:
    """Do the work of `publish`."""
    found = find(database, name)
    if found.state is ReleaseState.PUBLISHED:
        raise ConflictError(f"{found.name} is published already and never changes")
    checks = validate(database, root, found, production)
    wrong = errors(checks)
    if wrong:
        told = "\n  ".join(f"{c.check}: {c.subject}: {c.text}" for c in wrong[:20])
        raise UsageError(f"{found.name} cannot be published, {len(wrong)} checks fail:\n  {told}")
    if found.state is ReleaseState.DRAFT:
        write_documents(database, root, found, checks, ask, production)
        freeze(database, root, found.name, who=who, reason=reason)
    return switch(database, found.name, who=who, reason=reason, prepare=prepare)


def freeze(database: Database, root: Path, name: str, *, who: str, reason: str = "") -> None:
    """Fix the content of a draft: every file gets its size and digest, and the manifest is written."""
    with database.read() as conn:
        # Documents are written anew at each try; all else was measured when it was made, and checked since.
        known = {f.path: f for f in store.files(conn, name) if f.filetype not in ("manifest", "document")}
    rest = manifest.listed(path for path in manifest.on_disk(root) if path not in known)
    rows = [_row(name, file) for file in known.values()]
    rows += manifest.measured(root, name, rest)
    own = manifest.write_manifest(root, name, rows)
    with database.write() as conn:
        done = store.change(
            conn, name, ReleaseState.DRAFT, state=ReleaseState.FROZEN, manifest_sha256=own[0]["sha256"],
            frozen_at=datetime.now(UTC).replace(tzinfo=None),
        )  # fmt: skip
        now = {f.path: f.sha256 for f in store.files(conn, name) if f.path in known or f.filetype == "table"}
        if not done or now != {path: file.sha256 for path, file in known.items()}:
            raise ConflictError(f"{name} was changed while it was being published; publish it again")
        store.replace_files(conn, name, rows + own)
        told = f"{name} frozen: {len(rows)} files, manifest {own[0]['sha256']}"
        record_event(conn, EventKind.RELEASE, who, told, subject=name, reason=reason)
    _sweep(root)


def _sweep(root: Path) -> None:
    # What builders that were killed left behind; none can be at work on a frozen release.
    for path in sorted(root.rglob(".*")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _row(name: str, file: ReleaseFile) -> dict[str, Any]:
    values = file.record()
    return {**{k: v for k, v in values.items() if k not in ("id", "release")}, "release_name": name}


def thaw(database: Database, name: str, *, who: str, reason: str = "") -> Release:
    """Make a frozen release a draft again; `ConflictError` if it is not frozen."""
    found = find(database, name)
    with database.write() as conn:
        done = store.change(
            conn,
            found.name,
            ReleaseState.FROZEN,
            state=ReleaseState.DRAFT,
            frozen_at=None,
            manifest_sha256=None,
        )
        if done:
            told = f"{found.name} is a draft again"
            record_event(conn, EventKind.RELEASE, who, told, subject=found.name, reason=reason)
    if not done:
        raise ConflictError(f"{found.name} is {found.state.value}, not frozen")
    return find(database, name)


def switch(
    database: Database,
    name: str,
    *,
    who: str,
    reason: str = "",
    prepare: Callable[[str], None] | None = None,
) -> Release:
    """Publish a frozen release: its serving copy is made ready, then one transaction makes it visible."""
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
