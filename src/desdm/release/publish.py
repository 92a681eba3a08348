"""Publish a release: one switch, after which it is served and never changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from desdm.errors import ConflictError, NotFoundError, UsageError
from desdm.release import manifest, store
from desdm.release.model import Release, ReleaseFile
from desdm.schema.database import Database
from desdm.schema.states import ReleaseState

__all__ = ["find", "freeze", "publish", "switch"]


def find(database: Database, name: str) -> Release:
    """A release by name, whatever its case; `NotFoundError` if there is none."""
    with database.read() as conn:
        found = {r.name.lower(): r for r in store.releases(conn)}.get(name.lower())
    if found is None:
        raise NotFoundError(f"no release {name}; see: desdm release list")
    return found


def publish(
    database: Database, root: Path, name: str, *, who: str, prepare: Callable[[str], None] | None = None
) -> Release:
    """Freeze a draft and switch it on; taken up again where an earlier try stopped.

    Parameters
    ----------
    root
        The release's directory.
    prepare
        Makes the engines ready for the release before anybody can see it.

    Raises
    ------
    ConflictError
        It is published already.
    """
    found = find(database, name)
    if found.state is ReleaseState.PUBLISHED:
        raise ConflictError(f"{found.name} is published already and never changes")
    if found.state is ReleaseState.DRAFT:
        freeze(database, root, found.name)
    return switch(database, found.name, who=who, prepare=prepare)


def freeze(database: Database, root: Path, name: str) -> None:
    """Fix the content of a draft: every file gets its size and digest, and the manifest is written."""
    with database.read() as conn:
        known = {file.path: file for file in store.files(conn, name) if file.filetype != "manifest"}
        if not store.tables(conn, name) and not known:
            raise UsageError(f"{name} is empty; add data: desdm release add-table {name} …")
    rest = manifest.listed(path for path in manifest.on_disk(root) if path not in known)
    rows = [_row(name, file) for file in known.values()]
    rows += manifest.measured(root, name, rest)
    own = manifest.write_manifest(root, name, rows)
    with database.write() as conn:
        store.replace_files(conn, name, rows + own)
        store.change(
            conn, name, ReleaseState.DRAFT, state=ReleaseState.FROZEN, manifest_sha256=own[0]["sha256"],
            frozen_at=datetime.now(UTC).replace(tzinfo=None),
        )  # fmt: skip


def _row(name: str, file: ReleaseFile) -> dict[str, Any]:
    values = file.record()
    return {**{k: v for k, v in values.items() if k not in ("id", "release")}, "release_name": name}


def switch(
    database: Database, name: str, *, who: str, prepare: Callable[[str], None] | None = None
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
    if not done:
        raise ConflictError(f"{name} is not frozen (any more); see: desdm release show {name}")
    return find(database, name)
