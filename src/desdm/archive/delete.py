"""Deletes files: a plan first, then into the trash, recoverable until the grace time ends, then for good.

A deletion marks rows before it moves bytes: if it is killed in between, the file is deleted for everybody, its bytes
lie where they were, and undelete, purge and the next deletion know that.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from desdm.archive import store
from desdm.archive.archive import Archive
from desdm.archive.model import FileRecord
from desdm.archive.mounted import require_mounted
from desdm.archive.publish import digest, move_aside, publish, sync_directories
from desdm.errors import ConflictError, CorruptFile, NotFoundError
from desdm.schema import CopyState
from desdm.schema.database import Database
from desdm.schema.states import EventKind
from desdm.schema.store import Act, record_events

__all__ = ["Blocked", "Plan", "delete", "plan", "purge", "record_restored", "trash", "undelete"]

_TOLD = 5


class Blocked(NamedTuple):
    """A file that must not be deleted, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deletion would do: its files, their bytes, and what stands against it.

    Nothing is deleted while ``blocked`` holds anything.
    """

    files: tuple[FileRecord, ...]
    bytes: int
    blocked: tuple[Blocked, ...]


def plan(conn: Connection, archive: Archive, files: Sequence[FileRecord], bound: int) -> Plan:
    """Plan the deletion of these files.

    Blocked are tagged files (or files of a tagged attempt), files that tagged ones were derived from, files that
    an attempt in progress produced or uses, and a plan of more than ``bound`` files as a whole.

    Parameters
    ----------
    conn
        Connection to the database.
    archive
        Archive that holds the files.
    files
        Files to delete.
    bound
        Largest number of files in one plan.
    """
    here = [f for f in files if f.archive_name == archive.name]
    blocked = [Blocked(f.name, f"archive {archive.name} holds no copy of it") for f in files if f not in here]
    if len(here) > bound:
        text = f"{len(here)} files in one deletion, the bound is {bound} (archive.delete_bound in desdm.toml)"
        return Plan(tuple(here), sum(f.filesize for f in here), (Blocked("the plan", text), *blocked))
    ids = [f.id for f in here]
    tags = store.tags_of(conn, ids)
    busy = store.in_use(conn, ids)
    ancestors_of = _tagged_descendants(conn, ids)
    for file in here:
        if file.id in tags:
            blocked.append(Blocked(file.name, f"it is tagged {tags[file.id]}"))
        elif file.id in ancestors_of:
            blocked.append(Blocked(file.name, f"tagged data were derived from it: {ancestors_of[file.id]}"))
        elif file.id in busy:
            blocked.append(Blocked(file.name, f"attempt {busy[file.id]} is under way with it"))
    return Plan(tuple(here), sum(f.filesize for f in here), tuple(blocked))


def _tagged_descendants(conn: Connection, ids: Sequence[int]) -> dict[int, str]:
    """For each file from which tagged data were derived, what those are."""
    tagged = store.tags_of(conn, store.reached(conn, ids, up=False)) if ids else {}
    if not tagged:
        return {}
    # One walk back from all of them; which tagged file it is, is reported for the first one only.
    first = min(tagged)
    text = f"{store.files_by_id(conn, [first])[0].name} ({tagged[first]})"
    if len(tagged) > 1:
        text += f" and {len(tagged) - 1} more"
    return dict.fromkeys(set(ids).intersection(store.reached(conn, sorted(tagged), up=True)), text)


def delete(
    database: Database,
    archive: Archive,
    files: Sequence[FileRecord],
    *,
    who: str,
    reason: str,
    bound: int,
    grace_days: float,
) -> Plan:
    """Delete files into the trash, in one transaction; the plan is computed anew in it, so that no tag slips through.

    Parameters
    ----------
    database
        Database of the archive.
    archive
        Archive that holds the files.
    files
        Files to delete.
    who
        Login of the person who deletes, for the events.
    reason
        Why, for the events.
    bound
        Largest number of files in one deletion.
    grace_days
        Days during which the files can be recovered from the trash.

    Raises
    ------
    ConflictError
        If the plan is blocked; nothing is deleted then.
    """
    require_mounted(database, archive)
    with database.write() as conn:
        deletion = plan(conn, archive, files, bound)
        if deletion.blocked:
            reasons = "; ".join(f"{b.name}: {b.reason}" for b in deletion.blocked[:_TOLD])
            more = f"; and {len(deletion.blocked) - _TOLD} more" if len(deletion.blocked) > _TOLD else ""
            raise ConflictError(f"nothing was deleted: {reasons}{more}")
        now = store.now()
        rows = [
            {
                "desfile_id": f.id,
                "archive_name": archive.name,
                "deleted_by": who[:32],
                "deleted_at": now,
                "purge_after": now + timedelta(days=grace_days),
                "reason": reason,
            }
            for f in deletion.files
        ]
        if rows:
            store.put_in_trash(conn, archive.name, rows)
            _record(conn, who, deletion.files, "into the trash", reason)
            _prune(conn, who, deletion.files, reason)
    for file in deletion.files:
        _into_trash(archive, file)
    _sync(archive, deletion.files)
    return deletion


def trash(conn: Connection, archive: Archive) -> list[tuple[FileRecord, str]]:
    """Deleted files that can be recovered, with the end of their grace time (ISO, UTC)."""
    return [(record, end.isoformat(timespec="seconds")) for record, end in store.trashed(conn, archive.name)]


def undelete(
    database: Database, archive: Archive, names: Sequence[str], *, who: str, reason: str = ""
) -> list[FileRecord]:
    """Bring files back from the trash; all or none.

    Parameters
    ----------
    database
        Database of the archive.
    archive
        Archive that holds the files.
    names
        Full names of the files.
    who
        Login of the person, for the events.
    reason
        Why, for the events.

    Raises
    ------
    NotFoundError
        If one of them is not in the trash, or its bytes are gone.
    CorruptFile
        If its bytes are not as registered.
    """
    require_mounted(database, archive)
    with database.write() as conn:
        there = {record.name: record for record, _ in store.trashed(conn, archive.name)}
        for name in names:
            if name not in there:
                raise NotFoundError(f"{name} is not in the trash; see: desdm delete --trash")
        records = [there[name] for name in dict.fromkeys(names)]
        for record in records:
            _back(archive, record)
        store.restore_from_trash(conn, archive.name, [r.id for r in records], CopyState.OK)
        _record(conn, who, records, "recovered from the trash", reason)
        record_restored(conn, store.restore_pruned(conn, _attempts(records)), who=who, reason=reason)
    _sync(archive, records)
    return records


def purge(database: Database, archive: Archive, *, who: str, reason: str = "") -> list[FileRecord]:
    """Remove for good what is in the trash and whose grace time is over; identity and provenance stay.

    Bytes go first: if it is killed in between, the next purge forgets the rows.

    Parameters
    ----------
    database
        Database of the archive.
    archive
        Archive that holds the files.
    who
        Login of the person, for the events.
    reason
        Why, for the events.
    """
    require_mounted(database, archive)
    with database.write() as conn:
        now = store.now()
        over = [record for record, end in store.trashed(conn, archive.name) if end <= now]
        for record in over:
            _remove(archive, record)
        if over:
            store.drop_copies(conn, archive.name, [r.id for r in over])
            _record(conn, who, over, "removed for good", reason)
    return over


def record_restored(
    conn: Connection, restored: Sequence[tuple[int, str, str]], *, who: str, reason: str = ""
) -> None:
    """Record for each attempt (number, run, data state) that it is no longer PRUNED.

    Parameters
    ----------
    conn
        Connection to the database.
    restored
        Number, run name and earlier data state of each attempt.
    who
        Login of the person, for the events.
    reason
        Why the files were brought back, for the events.
    """
    # Nobody marks the run by this: the state is that of an earlier mark.
    text = "its files are in the archive again, was PRUNED"
    acts = [Act(run, f"{run} is {state}: {text}", reason, number) for number, run, state in restored]
    record_events(conn, EventKind.MARK, who, acts)


def _prune(conn: Connection, who: str, files: Sequence[FileRecord], reason: str) -> None:
    """Mark the attempts PRUNED that have lost their last file."""
    acts = [
        Act(run, f"{run} marked PRUNED, was {before}: its last file was deleted", reason, number)
        for number, run, before in store.prune_attempts(conn, _attempts(files))
    ]
    record_events(conn, EventKind.MARK, who, acts)


def _record(conn: Connection, who: str, files: Sequence[FileRecord], what: str, reason: str = "") -> None:
    """Record one event for each file: its row in the trash goes when it is recovered or removed for good."""
    acts = [Act(f.name, f"{f.name}, {f.filesize} bytes: {what}", reason, f.pfw_attempt_id) for f in files]
    record_events(conn, EventKind.DELETE, who, acts)


def _attempts(files: Sequence[FileRecord]) -> list[int]:
    """Return the numbers of the attempts that produced these files, in order."""
    return sorted({f.pfw_attempt_id for f in files if f.pfw_attempt_id is not None})


def _trash_path(archive: Archive, record: FileRecord) -> Path:
    """Return where the trash keeps a file."""
    return archive.trash / f"{record.id}-{record.name}"


def _into_trash(archive: Archive, record: FileRecord) -> None:
    """Move a file's bytes into the trash."""
    archive.trash.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):  # missing before already: there is nothing to keep
        publish(str(archive.path(record)), str(_trash_path(archive, record)))


def _remove(archive: Archive, record: FileRecord) -> None:
    """Remove a file's bytes for good, from the trash or from its place."""
    trash, path = _trash_path(archive, record), archive.path(record)
    if trash.exists():
        trash.unlink()
    elif path.is_file() and digest(path)[0] == record.sha256:
        # Its deletion was killed before the bytes were moved; other bytes under that name are not ours to remove.
        path.unlink()


def _back(archive: Archive, record: FileRecord) -> None:
    """Move a file's bytes back from the trash to their place."""
    trash, path = _trash_path(archive, record), archive.path(record)
    if trash.exists():
        if path.exists():
            move_aside(path, archive.orphans)
        path.parent.mkdir(parents=True, exist_ok=True)
        publish(str(trash), str(path))
    if not path.exists():
        raise NotFoundError(
            f"{record.name}: its bytes are gone from the trash; deposit it again from its source"
        )
    if digest(path)[0] != record.sha256:
        raise CorruptFile(
            f"{record.name}: its bytes in the trash are not as registered; deposit it from its source"
        )


def _sync(archive: Archive, files: Sequence[FileRecord]) -> None:
    """Force the folders of these files, and the trash, to disk."""
    if files:
        folders = {str(archive.path(f).parent) for f in files} | {str(archive.trash)}
        sync_directories({f for f in folders if Path(f).is_dir()})
