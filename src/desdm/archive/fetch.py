"""Copies files out of the archive and verifies each against its digest on the way."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from desdm.archive import catalog
from desdm.archive.archive import Archive
from desdm.archive.model import FileRecord, Refusal
from desdm.archive.publish import digest, publish
from desdm.errors import (
    ConflictError,
    CorruptFile,
    DesdmError,
    NotFoundError,
    TransientError,
    storage_error,
)

__all__ = ["Fetched", "copy_out", "fetch"]


class Fetched(NamedTuple):
    """What a fetch did: (record, path) of each file that is in the folder now, and what could not be had."""

    files: list[tuple[FileRecord, Path]]
    refused: list[Refusal]


def fetch(conn: Connection, archive: Archive, names: Sequence[str], folder: Path) -> Fetched:
    """Copy files by full name into a folder; each is verified, the others go on when one fails.

    Parameters
    ----------
    conn
        Connection to the database.
    archive
        Archive that holds the files.
    names
        Full names of the files.
    folder
        Existing folder that receives the copies.
    """
    done = Fetched([], [])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise storage_error(err, folder) from err
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

    Parameters
    ----------
    archive
        Archive that holds the files.
    record
        File to copy.
    target
        Path of the copy.

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
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        sha256 = _copy(archive, record, partial)
        if sha256 != record.sha256:
            raise CorruptFile(
                f"{record.name}: its copy in {archive.name} has sha-256 {sha256}, registered is {record.sha256}; "
                "run desdm audit, and deposit it again from its source"
            )
        if not publish(str(partial), str(target)) and digest(target)[0] != record.sha256:
            raise ConflictError(f"{target} exists with other bytes; remove it or choose another folder")
    except OSError as err:
        raise storage_error(err, target) from err
    finally:
        partial.unlink(missing_ok=True)


def _copy(archive: Archive, record: FileRecord, target: Path) -> str:
    """Copy a file and return its digest; an error of the archive's copy is distinguished from one of the target."""
    sha = hashlib.sha256()
    source = archive.path(record)

    def read(file: io.RawIOBase) -> bytes:
        try:
            return file.read(4 << 20) or b""
        except OSError as err:
            raise storage_error(err, source) from err

    try:
        reading = source.open("rb", buffering=0)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise NotFoundError(f"{record.name}: its copy in {archive.name} is missing; run desdm audit") from err
    except IsADirectoryError as err:
        raise CorruptFile(f"{record.name}: {source} is a directory; run desdm audit") from err
    with reading, target.open("wb", buffering=0) as writing:
        while piece := read(reading):
            sha.update(piece)
            view = memoryview(piece)
            while view:
                view = view[writing.write(view) :]
        os.fsync(writing.fileno())
    return sha.hexdigest()
