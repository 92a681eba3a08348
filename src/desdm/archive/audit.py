"""Re-reads every byte of the archive and compares it with what is registered, and looks for files that are not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from desdm.archive import store
from desdm.archive.archive import Archive
from desdm.archive.delete import record_restored
from desdm.archive.flight import live_since
from desdm.archive.model import FileRecord
from desdm.archive.mounted import require_mounted
from desdm.archive.names import split_name
from desdm.archive.suspects import AUDIT, lift_of_cause, mark_descendants
from desdm.archive.verify import Damage, Expected, damage
from desdm.errors import CorruptFile
from desdm.schema import CopyState
from desdm.schema.database import Database
from desdm.schema.states import EventKind
from desdm.schema.store import record_event

__all__ = ["AuditReport", "audit"]

_CHUNK = 1000


@dataclass(slots=True)
class AuditReport:
    """Result of an audit: names of registered files by class, and paths of files that are not registered.

    ``corrupt``: same size, other bytes; ``truncated``, ``grown``: other size; ``missing``: no file;
    ``misplaced``: something else than a regular file has its name; ``orphan``: a file without a row. ``suspect``: files
    that this audit marked because they were derived from a damaged one, each once; ``causes``: their damaged ancestors.
    """

    checked: int = 0
    bytes: int = 0
    corrupt: list[str] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)
    grown: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    orphan: list[str] = field(default_factory=list)
    suspect: list[str] = field(default_factory=list)
    causes: dict[str, list[str]] = field(default_factory=dict)

    def add_suspects(self, names: Iterable[str], cause: str) -> None:
        """Add files that were derived from a damaged one."""
        for name in names:
            if name not in self.causes:
                self.suspect.append(name)
            ancestors = self.causes.setdefault(name, [])
            if cause not in ancestors:
                ancestors.append(cause)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (
            self.corrupt or self.truncated or self.grown or self.missing or self.misplaced or self.orphan
        )


def audit(
    database: Database,
    archive: Archive,
    *,
    who: str,
    workers: int = 1,
    progress: Callable[[int], object] | None = None,
    patience: float = 30.0,
) -> AuditReport:
    """Verify an archive; safe while deposits and deletions run, without false alarms.

    Memory is bounded by a thousand records, whatever the size of the archive. The state of each copy is marked,
    back to ok too when it is well again, and every finding is an event.

    Parameters
    ----------
    who
        Person or program, for the events.
    workers
        Threads that hash.
    progress
        Called with the number of files checked since the last call.
    patience
        How long (s) a file without a row that is younger than a deposit under way is waited for.
    """
    require_mounted(database, archive)
    report = AuditReport()
    with ThreadPoolExecutor(workers) as pool:
        after = 0
        while True:
            with database.read() as conn:
                copies = store.copies_after(conn, archive.name, after, _CHUNK)
            if not copies:
                break
            after = copies[-1][0].id
            _check(
                database,
                archive,
                copies,
                list(pool.map(lambda c: _damage(archive, c[0]), copies)),
                report,
                who,
            )
            if progress is not None:
                progress(len(copies))
    paths = _walk(archive.root)
    while batch := list(islice(paths, _CHUNK)):
        report.orphan += _orphans(database, archive, batch, patience)
    if report.orphan:
        with database.write() as conn:
            for path in report.orphan:
                text = f"{path}: orphan, a file without registration"
                record_event(conn, EventKind.AUDIT, who, text, subject=path.rpartition("/")[2])
    return report


def _damage(archive: Archive, record: FileRecord) -> Damage | None:
    """Return what is wrong with a copy; a file that cannot be read at all counts as corrupt."""
    try:
        return damage(archive.path(record), Expected(record.filesize, record.sha256))
    except CorruptFile:
        return Damage.CORRUPT


def _check(
    database: Database,
    archive: Archive,
    copies: Sequence[tuple[FileRecord, str]],
    damages: Sequence[Damage | None],
    report: AuditReport,
    who: str,
) -> None:
    """Compare a batch of checked copies with their records and enter the differences in the report."""
    report.checked += len(copies)
    report.bytes += sum(record.filesize for record, _ in copies)
    changed = [
        (record, state, damaged)
        for (record, state), damaged in zip(copies, damages, strict=True)
        if damaged is not None or state != CopyState.OK
    ]
    if not changed:
        return
    with database.write() as conn:
        # Looked at again under the writer's lock: it may have been deleted or restored in the meantime.
        names = [record.filename for record, _, _ in changed]
        standing = store.by_names(conn, archive.name, names)
        returned: set[int] = set()
        for record, state, _ in changed:
            there = standing.get((record.filename, record.compression))
            if there is None or there.state in (None, CopyState.TRASH):
                continue
            damaged = _damage(archive, there.record)
            mark = {None: CopyState.OK, Damage.MISSING: CopyState.MISSING}.get(damaged, CopyState.CORRUPT)
            if damaged is not None:
                getattr(report, damaged).append(record.name)
            if mark is CopyState.CORRUPT:
                assert damaged is not None
                doubtful = mark_descendants(conn, record, damaged)
                report.add_suspects((m.filename for m in doubtful if m.desfile_id != record.id), record.name)
            elif damaged is None:
                lift_of_cause(conn, [record.id], AUDIT, f"{record.name} is as registered again")
            if mark != there.state:
                store.set_copy_state(conn, archive.name, [record.id], mark)
                if there.state == CopyState.MISSING and record.pfw_attempt_id is not None:
                    returned.add(record.pfw_attempt_id)
            if damaged is not None or state != CopyState.OK:
                text = f"{record.name}: {damaged or CopyState.OK}"
                record_event(conn, EventKind.AUDIT, who, text, record.pfw_attempt_id, subject=record.name)
        if returned:
            record_restored(conn, store.restore_pruned(conn, sorted(returned)), who=who)


def _walk(root: Path) -> Iterator[tuple[str, float]]:
    """(path relative to the root, time of its last change) of everything that is no directory."""
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    if not folder and entry.name in (".stage", ".orphans", ".trash"):
                        continue
                    relative = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(relative)
                    else:
                        yield relative, entry.stat(follow_symlinks=False).st_ctime
        except FileNotFoundError:
            continue


def _unregistered(database: Database, archive: Archive, paths: Sequence[str]) -> set[str]:
    """Return the paths of the archive that no row of the catalogue names."""
    with database.read() as conn:
        standing = store.by_names(
            conn, archive.name, [split_name(path.rpartition("/")[2])[0] for path in paths]
        )
    known = {there.record.relpath for there in standing.values() if there.state is not None}
    return {path for path in paths if path not in known}


def _orphans(
    database: Database, archive: Archive, changes: Sequence[tuple[str, float]], patience: float
) -> list[str]:
    """Return the files without a row, waiting up to `patience` seconds for deposits in progress."""
    changed = dict(changes)
    suspects = _unregistered(database, archive, list(changed))
    end = time.monotonic() + patience
    while suspects:
        since = live_since(archive)
        # The question is repeated after the look at the locks: a deposit that was over by then has its rows.
        suspects = _unregistered(database, archive, sorted(suspects))
        suspects = {path for path in suspects if os.path.lexists(archive.root / path)}
        waiting = since is not None and any(changed[path] >= since - 1.0 for path in suspects)
        if not waiting or time.monotonic() > end:
            break
        time.sleep(0.1)
    return sorted(suspects)
