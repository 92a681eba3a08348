"""Registers staged files in the caller's transaction: name, metadata, parentage, digest and location together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Literal

from sqlalchemy import Connection

from desdm.archive import store
from desdm.archive.archive import Archive
from desdm.archive.delete import record_restored
from desdm.archive.filetypes import BY_NAME
from desdm.archive.model import FileRecord, Place, Refusal, Registered, Staged
from desdm.archive.names import LONGEST, split_name
from desdm.archive.publish import move_aside, publish, sync_directories
from desdm.archive.stage import discard, is_ours, publish_staged
from desdm.archive.store import RawFrame, Standing
from desdm.archive.suspects import inherit
from desdm.archive.twins import Pixels, frame_of, twin_finding
from desdm.errors import ConflictError, DesdmError, NotFoundError, TransientError
from desdm.schema import CopyState, desfile
from desdm.schema.database import new_ids
from desdm.schema.states import EventKind
from desdm.schema.store import Act, record_event, record_events
from desdm.survey.findings import Finding, Severity

__all__ = ["OnConflict", "record_refusals", "register"]

OnConflict = Literal["refuse", "rename"]


def register(
    conn: Connection,
    archive: Archive,
    staged: Sequence[Staged],
    *,
    who: str,
    on_conflict: OnConflict = "refuse",
) -> Registered:
    """Register staged files in the caller's transaction.

    A file that is registered already with the same bytes is *present*, which is no error, so that a deposit can
    be repeated. A name of other bytes is refused and both digests are reported; with ``rename`` (and
    for types whose deliveries repeat names) the newcomer is stored as ``<stem>-<first 8 digits of its sha-256>``
    instead, which a repetition finds again. The file that was first is never touched. Bytes that stand under a
    name without being registered, left by a deposit that was killed, are taken over if they are the same, and
    moved into ``.orphans`` with an event if they are not.

    Parameters
    ----------
    conn
        A writing transaction; if it is rolled back the bytes remain as orphans that a repetition adopts.
    who
        Person or program, for the events.
    """
    return _Registration(conn, archive, who, on_conflict).run(staged)


def record_refusals(
    conn: Connection, refused: Sequence[Refusal], *, who: str, attempt_id: int | None = None
) -> None:
    """Record each refused delivery as an event: its subject is the file's name, its reason the error's text.

    Parameters
    ----------
    refused
        Files that were not taken; none is no error.
    who
        Person or program that delivered them.
    attempt_id
        Attempt that produced them, if one did.
    """
    acts = [
        Act(name, f"{name}: delivery refused", one.reason, attempt_id)
        for one in refused
        if (name := PurePath(one.path).name)
    ]
    record_events(conn, EventKind.REFUSAL, who, acts)


def _keys(frame: RawFrame) -> set[object]:
    """Return by what a frame that may be the same exposure is looked up: pixels, begin and number."""
    number = None if frame.expnum is None else ("expnum", frame.expnum)
    keys: set[object] = {frame.digest, frame.mjd_obs, number}
    return keys - {None}


class _Registration:
    """The registration of staged files in one transaction."""

    def __init__(self, conn: Connection, archive: Archive, who: str, on_conflict: OnConflict) -> None:
        self.conn, self.archive, self.who, self.on_conflict = conn, archive, who, on_conflict
        self.records: list[FileRecord] = []
        self.present: list[FileRecord] = []
        self.refused: list[Refusal] = []
        self.new: dict[tuple[str, str], Staged] = {}
        #: second deposits of a new file in the same call
        self.twins: list[Staged] = []
        #: names refused here: they must not become parents by way of an older file of that name
        self.refused_names: set[str] = set()

    def run(self, staged: Sequence[Staged]) -> Registered:
        """Register the files and their parents; return what was stored, present before or refused."""
        store.lock_names(self.conn, alone=any(s.place is Place.CLASH for s in staged))
        to_rename = self._settle(staged, self.on_conflict == "rename")
        if to_rename:
            directories: set[str] = set()
            for each in to_rename:
                self._rename(each, directories)
            sync_directories(directories)
            self._settle(to_rename, None)
        for key, each in list(self.new.items()):
            if not self._in_place(each):
                del self.new[key]
        self._insert()
        return Registered(self.records, self.present, self.refused)

    # -- what to do with each

    def _settle(self, staged: Sequence[Staged], rename: bool | None) -> list[Staged]:
        """Sort into new, present, restored and refused; those that must be renamed first are handed back.

        ``rename`` None: they were renamed already.
        """
        standing = store.by_names(self.conn, self.archive.name, [s.filename for s in staged])
        to_rename = []
        for each in staged:
            key = (each.filename, each.compression)
            there, twin = standing.get(key), self.new.get(key)
            if there is not None and there.record.sha256 == each.sha256:
                self._same(each, there)
            elif there is None and twin is None:
                self.new[key] = each
            elif twin is not None and twin.sha256 == each.sha256:
                self.twins.append(each)
            elif rename or (each.names_repeat and rename is not None):
                to_rename.append(each)
            else:
                stands = there.record.sha256 if there is not None else twin.sha256 if twin is not None else ""
                self._refuse(
                    each,
                    ConflictError(
                        f"{each.name} is registered with other bytes: its sha-256 is {stands}, that of {each.item.source} "
                        f"is {each.sha256}; give it another name, or deposit it with --rename"
                    ),
                )
        return to_rename

    def _same(self, each: Staged, there: Standing) -> None:
        """Treat bytes that the archive has already: restore a missing copy, refuse the trash, else report it present."""
        record = there.record
        if there.state == CopyState.TRASH:
            self._refuse(
                each,
                ConflictError(
                    f"{each.name} is in the trash with the same bytes; to have it back: desdm delete --undelete {each.name}"
                ),
            )
            return
        if there.state is None:
            if not self._in_place(each):
                return
            store.add_copies(self.conn, [_copy(record.id, self.archive, each.directory)])
            if record.pfw_attempt_id is not None:
                restored = store.restore_pruned(self.conn, [record.pfw_attempt_id])
                record_restored(self.conn, restored, who=self.who)
            self._event(each.name, f"{each.name}: a copy is here again, in {each.directory}")
            self.records.append(record._replace(archive_name=self.archive.name, path=each.directory))
            return
        if there.state != CopyState.OK or (each.place is Place.CLASH and each.relpath == record.relpath):
            # Other bytes than the registered ones under its own name: damage that no audit has reported yet.
            self._restore(each, record)
        elif each.relpath != record.relpath or each.place is Place.CLASH:
            discard(self.archive, each)
        self.present.append(record)

    def _restore(self, each: Staged, record: FileRecord) -> None:
        """Good bytes for a copy that an audit reported missing or damaged."""
        target = self.archive.path(record)
        if each.relpath != record.relpath or each.place is Place.CLASH:
            source = each.temporary if each.place is Place.CLASH else self.archive.path(each)
            if target.exists():
                move_aside(target, self.archive.orphans)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not publish(str(source), str(target)):
                raise TransientError(f"{target}: another process put a file there; try again")
            sync_directories({str(target.parent)})
        store.set_copy_state(self.conn, self.archive.name, [record.id], CopyState.OK)
        self._event(
            record.name, f"{record.name}: its copy was damaged or missing and is restored from a new delivery"
        )

    def _rename(self, each: Staged, directories: set[str]) -> None:
        """Give a file whose name is in use a name with its digest, and publish it."""
        source = each.temporary if each.place is Place.CLASH else self.archive.path(each)
        stem, dot, suffix = each.filename.partition(".")
        taken = each.name
        each.filename = f"{stem[: LONGEST - 10 - len(suffix)]}-{each.sha256[:8]}{dot}{suffix}"
        if self.on_conflict != "rename":  # whoever asked for other names knows of them
            text = f"{taken} names other bytes already"
            note = Finding(Severity.NOTE, text, assumed=f"it is stored as {each.name}")
            each.findings = (*each.findings, note)
        publish_staged(self.archive, each, source, directories)

    def _in_place(self, each: Staged) -> bool:
        """Whether the bytes stand under the final name; unregistered other bytes are moved aside."""
        path = self.archive.path(each)
        if each.place is Place.CLASH:
            if path.exists():
                aside = move_aside(path, self.archive.orphans)
                self._event(
                    each.name,
                    f"{each.relpath}: bytes without registration stood there, moved to .orphans/{aside.name}",
                )
            if publish(str(each.temporary), str(path)):
                each.place = Place.PUBLISHED
                sync_directories({str(path.parent)})
        if is_ours(self.archive, each):
            return True
        self._refuse(
            each, TransientError(f"{path}: another process moved it while it was registered; try again")
        )
        return False

    def _refuse(self, each: Staged, error: DesdmError) -> None:
        """Discard a staged file and record why."""
        discard(self.archive, each)
        self.refused_names.add(each.name)
        self.refused.append(Refusal(str(each.item.source), str(error), error))
        record_refusals(self.conn, self.refused[-1:], who=self.who, attempt_id=each.item.pfw_attempt_id)

    def _event(self, name: str, text: str) -> None:
        """Record an event of the ingest of a file."""
        record_event(self.conn, EventKind.INGEST, self.who, text, subject=name)

    # -- the rows

    def _types(self, wanted: set[str]) -> None:
        """A file type that this program knows and the database does not, since it is newer, is entered on first use."""
        new = wanted - store.known_filetypes(self.conn, wanted)
        if new:
            rows = [BY_NAME[name] for name in sorted(new)]
            store.define_filetypes(
                self.conn,
                [{"filetype": k.name, "metadata_table": k.table, "description": k.text} for k in rows],
            )

    def _insert(self) -> None:
        """Insert the rows of all new files: catalogue, copies, metadata, findings and provenance."""
        files = list(self.new.values())
        ids = dict(zip((s.name for s in files), new_ids(self.conn, desfile, len(files)), strict=True))
        parents = self._parents(files, ids)
        files = [s for s in files if s.name in parents]
        self._types({s.filetype for s in files})
        mine = store.claim_names(self.conn, [_file_row(ids[s.name], s) for s in files])
        late = [s for s in files if ids[s.name] not in mine]
        if late:
            files = [s for s in files if ids[s.name] in mine]
            # Another deposit was faster: its rows stand now, and ours are present, or refused.
            self.new = {}
            for each in [*self._settle(late, False), *self.new.values()]:
                self._refuse(each, TransientError(f"{each.name}: another deposit took the name; try again"))
        metadata: dict[str, list[dict[str, Any]]] = {}
        for s in files:
            metadata.setdefault(s.table, []).append({"desfile_id": ids[s.name], **s.metadata})
        store.add_copies(self.conn, [_copy(ids[s.name], self.archive, s.directory) for s in files])
        store.add_metadata(self.conn, metadata)
        self._note_twins(files, ids)
        store.add_findings(self.conn, {ids[s.name]: s.findings for s in files if s.findings})
        store.add_edges(
            self.conn,
            [
                {"desfile_id": ids[s.name], "task_id": s.item.task_id}
                for s in files
                if s.item.task_id is not None
            ],
            [
                {"child_desfile_id": ids[s.name], "parent_desfile_id": p}
                for s in files
                for p in parents[s.name]
            ],
        )
        inherit(self.conn, sorted({p for s in files for p in parents[s.name]}))
        registered = {s.name: _record(ids[s.name], self.archive, s) for s in files}
        self.records += registered.values()
        for each in self.twins:
            if each.name not in registered:
                self._refuse(each, NotFoundError(f"{each.name}: the same file in this deposit was refused"))
                continue
            if each.relpath != registered[each.name].relpath or each.place is Place.CLASH:
                discard(self.archive, each)
            self.present.append(registered[each.name])

    def _note_twins(self, files: Sequence[Staged], ids: dict[str, int]) -> None:
        """Add a finding to each raw frame that is an exposure which is registered already."""
        frames = {s.name: frame_of(ids[s.name], s) for s in files if s.filetype == "raw"}
        if not frames:
            return
        digests = [f.digest for f in frames.values() if f.digest is not None]
        nights = sorted({str(s.metadata["nite"]) for s in files if s.name in frames and "nite" in s.metadata})
        known = [
            *store.frames_with_pixels(self.conn, digests),
            *store.frames_of_nights(self.conn, nights),
            *frames.values(),
        ]
        by_key: dict[object, list[RawFrame]] = {}
        for frame in sorted(set(known), key=lambda f: f.id):
            for key in _keys(frame):
                by_key.setdefault(key, []).append(frame)
        pixels = Pixels(self.conn, self.archive.name, self.archive.root)
        for each in files:
            if each.name not in frames:
                continue
            mine = frames[each.name]
            near = {f.id: f for key in _keys(mine) for f in by_key.get(key, [])}
            settled, others = pixels.settle(mine, sorted(near.values(), key=lambda f: f.id))
            if settled.digest != mine.digest and settled.digest is not None:
                others += store.frames_with_pixels(self.conn, [settled.digest])
                # Later files of this deposit are compared with what is recorded now.
                by_key = {key: [settled if f.id == mine.id else f for f in of] for key, of in by_key.items()}
                by_key.setdefault(settled.digest, []).append(settled)
            finding = twin_finding(settled, sorted(others, key=lambda f: f.id))
            if finding is not None:
                each.findings = (*each.findings, finding)

    def _parents(self, files: Sequence[Staged], ids: dict[str, int]) -> dict[str, tuple[int, ...]]:
        """Parents' ids by file name; a file with an unknown or refused parent is refused and left out."""
        wanted = {p for s in files for p in s.item.parents}
        if not wanted:
            return {s.name: () for s in files}
        known: dict[str, int] = {}
        outside = [p for p in wanted if p not in ids and p not in self.refused_names]
        numbers = [int(p) for p in outside if p.isdecimal() and len(p) < 10]
        known.update((str(i), i) for i in store.ids_there(self.conn, numbers))
        rows = store.by_names(self.conn, self.archive.name, [split_name(p)[0] for p in outside])
        known.update((standing.record.name, standing.record.id) for standing in rows.values())
        known.update(ids)
        good = list(files)
        while True:
            bad = [s for s in good if any(p not in known or p == s.name for p in s.item.parents)]
            if not bad:
                return {s.name: tuple({known[p] for p in s.item.parents}) for s in good}
            for each in bad:
                lacking = next(p for p in each.item.parents if p not in known or p == each.name)
                known.pop(each.name, None)
                self._refuse(
                    each, NotFoundError(f"{each.name}: its parent {lacking!r} is not in the archive")
                )
            good = [s for s in good if s.name in known]


def _file_row(number: int, s: Staged) -> dict[str, Any]:
    """Return the row of ``desfile`` of a staged file."""
    return {
        "id": number,
        "filename": s.filename,
        "compression": s.compression,
        "filetype": s.filetype,
        "filesize": s.filesize,
        "sha256": s.sha256,
        "md5sum": s.md5sum,
        "pfw_attempt_id": s.item.pfw_attempt_id,
    }


def _copy(number: int, archive: Archive, directory: str) -> dict[str, Any]:
    """Return the row of ``file_archive_info`` of a new copy."""
    return {
        "desfile_id": number,
        "archive_name": archive.name,
        "path": directory,
        "state": CopyState.OK.value,
    }


def _record(number: int, archive: Archive, s: Staged) -> FileRecord:
    """Return the record of a newly registered file."""
    band = s.metadata.get("band")
    return FileRecord(
        number,
        s.filename,
        s.compression,
        s.filetype,
        s.filesize,
        s.sha256,
        s.md5sum,
        s.item.pfw_attempt_id,
        archive.name,
        s.directory,
        band if isinstance(band, str) else None,
    )
