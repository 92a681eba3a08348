"""Copies files out of the archive and verifies each against its digest on the way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from desdm.archive import catalog
from desdm.archive.archive import Archive
from desdm.archive.model import FileRecord, Refusal
from desdm.archive.publish import digest, publish, storage_error
from desdm.errors import ConflictError, CorruptFile, DesdmError, NotFoundError, TransientError

__all__ = ["Fetched", "copy_out", "fetch"]


class Fetched(NamedTuple):
    """What a fetch did: (record, path) of each file that is in the folder now, and what could not be had."""

    files: list[tuple[FileRecord, Path]]
    refused: list[Refusal]


def fetch(conn: Connection, archive: Archive, names: Sequence[str], folder: Path) -> Fetched:
    """Copy files by full name into a folder; each is verified, the others go on when one fails."""
    done = Fetched([], [])
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        try:
            record = catalog.by_name(conn, name)
            if record is None:
                raise NotFoundError(f"no file {name} in the archive; see: desdm files")
            target = folder / record.name
            copy_out(archive, record, target)
            done.files.append((record, target))
        except TransientError:
            raise
        except DesdmError as err:
            done.refused.append(Refusal(name, str(err), err))
    return done


def copy_out(archive: Archive, record: FileRecord, target: Path) -> None:
    """Copy one file to ``target``, never over another one; a target with the same bytes is left as it is.

    Raises
    ------
    NotFoundError
        If the archive has no copy of it.
    CorruptFile
        If its bytes differ from the registered digest; nothing is left at ``target`` then.
    ConflictError
        If other bytes stand at ``target``.
    StorageFull
        If there is no room.
    """
    if record.archive_name != archive.name:
        raise NotFoundError(f"{record.name}: archive {archive.name} holds no copy of it (deleted for good?)")
    partial = target.with_name(f".{target.name}.{os.getpid():x}.part")
    try:
        found = _copy(archive.path(record), partial)
        if found != record.sha256:
            raise CorruptFile(
                f"{record.name}: its copy in {archive.name} has sha-256 {found}, registered is {record.sha256}; "
                "run desdm audit, and deposit it again from its source"
            )
        if not publish(str(partial), str(target)) and digest(target)[0] != record.sha256:
            raise ConflictError(f"{target} exists with other bytes; remove it or choose another folder")
    except FileNotFoundError as err:
        raise NotFoundError(f"{record.name}: its copy in {archive.name} is missing; run desdm audit") from err
    except OSError as err:
        raise (storage_error(err, target) or TransientError(f"{target}: {err}; try again")) from err
    finally:
        partial.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> str:
    sha = hashlib.sha256()
    with source.open("rb", buffering=0) as reading, target.open("wb", buffering=0) as writing:
        while piece := reading.read(4 << 20):
            sha.update(piece)
            view = memoryview(piece)
            while view:
                view = view[writing.write(view) :]
        os.fsync(writing.fileno())
    return sha.hexdigest()
