"""Brings bytes into the archive: read once, hashed while copied, identified from the same buffer, published whole."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import stat as modes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desdm import errors
from desdm.archive import checksum
from desdm.archive.archive import Archive
from desdm.archive.content import Content
from desdm.archive.filetypes import BY_NAME
from desdm.archive.flight import Flight
from desdm.archive.headers import header_findings
from desdm.archive.identify import directory_of, metadata_of, recognise, typed
from desdm.archive.model import Deposit, Place, Refusal, Staged
from desdm.archive.names import check_directory, check_name, split_name
from desdm.archive.publish import digest, move_aside, publish, sync_directories
from desdm.errors import DesdmError, FileTypeError, NotFoundError, UsageError

__all__ = ["discard", "is_ours", "publish_staged", "stage"]

#: Larger files are copied in pieces and their headers read from the mapped copy, so that memory stays bounded.
_WHOLE = 64 << 20
_PIECE = 4 << 20
#: Files whose bytes are forced to disk together: the first fsync takes the others' journal entries along.
_TOGETHER = 256


@dataclass(slots=True)
class _Landed:
    """A staged file whose copy may not be on disk yet."""

    staged: Staged
    #: descriptor of the copy that is still to be forced to disk; -1 if none
    fd: int


def stage(archive: Archive, items: Sequence[Deposit]) -> tuple[list[Staged], list[Refusal]]:
    """Bring files into the archive, up to but without their registration.

    Each is read once: both digests are taken while it is copied, its headers come from the same buffer. After
    fsync it gets its final name, which never overwrites a file. What cannot be taken is refused by itself; the
    others go on.

    Parameters
    ----------
    archive
        Where to.
    items
        What.

    Returns
    -------
    list of Staged, list of Refusal
        In the order of ``items``.

    Raises
    ------
    StorageFull
        If there is no room; everything of this call is taken back then.
    """
    try:
        flight = Flight(archive)
    except OSError as err:
        raise errors.storage_error(err, archive.staging) from err
    staged: list[Staged] = []
    refused: list[Refusal] = []
    directories: set[str] = set()
    try:
        for start in range(0, len(items), _TOGETHER):
            landed: list[_Landed] = []
            try:
                for item in items[start : start + _TOGETHER]:
                    got = _try(archive, flight, item, refused)
                    if got is not None:
                        landed.append(got)
                        staged.append(got.staged)
                _force(landed)
            finally:
                for each in landed:
                    if each.fd >= 0:
                        os.close(each.fd)
            for each in landed:
                if each.staged.place is Place.STAGED:
                    publish_staged(archive, each.staged, each.staged.temporary, directories)
        sync_directories(directories)
    except BaseException as err:
        # In reverse, so that a file that was moved here twice goes back to where it came from.
        for each_staged in reversed(staged):
            discard(archive, each_staged)
        flight.clear()
        flight.close()
        if isinstance(err, OSError):
            raise errors.storage_error(err, archive.root) from err
        raise
    if not staged:
        flight.close()
    return staged, refused


def discard(archive: Archive, staged: Staged) -> None:
    """Take back what this deposit alone brought; a source that was moved goes back to its place.

    What another deposit has put under the name in the meantime is left alone.
    """
    path = archive.path(staged)
    if staged.place is Place.PUBLISHED:
        if not is_ours(archive, staged):
            return
        if not staged.moved:
            path.unlink()
        elif not publish(str(path), str(staged.item.source)):
            move_aside(path, archive.orphans)
    elif staged.place is not Place.FOUND and not staged.moved:
        staged.temporary.unlink(missing_ok=True)


def is_ours(archive: Archive, staged: Staged) -> bool:
    """Whether the file under the final name is the one that was staged or in place already, and not another's since."""
    try:
        status = os.stat(archive.path(staged))  # noqa: PTH116 - hot
    except FileNotFoundError:
        return False
    return status.st_ino == staged.inode and status.st_size == staged.filesize


def _try(archive: Archive, flight: Flight, item: Deposit, refused: list[Refusal]) -> _Landed | None:
    """Stage one file; an error that concerns this file alone is added to `refused`, and None returned."""
    try:
        return _land(archive, flight, item)
    except UsageError as err:
        error: DesdmError = err
    except FileNotFoundError:
        error = NotFoundError(f"{item.source}: no such file")
    except PermissionError as err:
        if err.filename != item.source:
            raise  # the archive's own place is closed: no file of this call can be taken
        error = UsageError(f"{item.source}: permission denied")
    except ValueError as err:  # a NUL in a path
        error = FileTypeError(f"{str(item.source)!r} is not a path: {err}")
    refused.append(Refusal(str(item.source), str(error), error))
    return None


def _land(archive: Archive, flight: Flight, item: Deposit) -> _Landed:
    """Copy (or take over) one file into ``.stage`` and identify it."""
    name = check_name(item.filename or os.path.basename(item.source))  # noqa: PTH119 - hot
    if item.directory:
        check_directory(item.directory)
    try:
        source = os.open(item.source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        place = _moved_before(archive, flight, item, name) if item.move else None
        if place is None:
            raise
        return place
    except OSError as err:
        if err.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM) or isinstance(err, PermissionError):
            raise
        raise FileTypeError(f"{item.source} cannot be opened: {os.strerror(err.errno or 0)}") from err
    try:
        status = os.fstat(source)
        if not modes.S_ISREG(status.st_mode):
            raise FileTypeError(f"{item.source} is not a regular file")
        temporary = flight.temporary()
        if item.move and _movable(item.source, temporary):
            return _take_over(flight, item, name, source)
        return _copy(flight, item, name, source, status.st_size, temporary)
    finally:
        os.close(source)


def _copy(flight: Flight, item: Deposit, name: str, source: int, size: int, temporary: str) -> _Landed:
    """Copy a source into the staging folder, hashed while it is read, and identify it."""
    sha, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # One byte more than it should have: a file that grows while it is read does not slip through.
        data = _read(item, source, size + 1) if size <= _WHOLE else b""
        copied = len(data)
        if size <= _WHOLE and copied <= size:
            sha.update(data)
            md5.update(data)
            _write(target, data)
            staged = _identify(flight, item, name, data, copied, temporary)
        else:
            sha.update(data)
            md5.update(data)
            _write(target, data)
            while piece := _piece(item, source, _PIECE):
                sha.update(piece)
                md5.update(piece)
                _write(target, piece)
                copied += len(piece)
            with _mapped(target, copied) as mapping:
                staged = _identify(flight, item, name, mapping, copied, temporary)
    except BaseException:
        os.close(target)
        os.unlink(temporary)  # noqa: PTH108
        raise
    staged.sha256, staged.md5sum = sha.hexdigest(), md5.hexdigest()
    staged.inode = os.fstat(target).st_ino
    return _Landed(staged, target)


def _take_over(flight: Flight, item: Deposit, name: str, source: int) -> _Landed:
    """Hash a source that will be moved; it stays where it is until it gets its final name."""
    temporary = str(item.source)
    sha, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    size = 0
    pieces: list[bytes] = []
    while piece := _piece(item, source, _PIECE):
        sha.update(piece)
        md5.update(piece)
        size += len(piece)
        if size <= _WHOLE:
            pieces.append(piece)
    if size <= _WHOLE:
        staged = _identify(flight, item, name, b"".join(pieces), size, temporary)
    else:
        del pieces
        with _mapped(source, size) as mapping:
            staged = _identify(flight, item, name, mapping, size, temporary)
    staged.sha256, staged.md5sum = sha.hexdigest(), md5.hexdigest()
    os.fsync(source)
    staged.moved, staged.inode = True, os.fstat(source).st_ino
    return _Landed(staged, -1)


def _movable(source: Path, temporary: str) -> bool:
    """Whether a rename can bring the file into the archive: not so across mounts, even of one device."""
    try:
        os.link(source, temporary)
    except OSError:
        return False
    os.unlink(temporary)  # noqa: PTH108
    return True


def _moved_before(archive: Archive, flight: Flight, item: Deposit, name: str) -> _Landed | None:
    """A source that an earlier, killed deposit moved already: its file stands under the final name."""
    if item.filetype not in BY_NAME or not item.directory:
        return None
    path = archive.root / item.directory / name
    if not path.is_file():
        return None
    sha, size = digest(path)
    with path.open("rb", buffering=0) as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
        with _mapped(file.fileno(), size) as mapping:
            staged = _identify(flight, item, name, mapping, size, "")
    staged.sha256, staged.md5sum, staged.place = sha, md5.hexdigest(), Place.FOUND
    staged.inode = path.stat().st_ino
    return _Landed(staged, -1)


def _identify(flight: Flight, item: Deposit, name: str, data: Any, size: int, temporary: str) -> Staged:
    """Return a staged file with its type, metadata, folder and findings."""
    content = Content(name, data, size, delivered=item.pfw_attempt_id is None)
    kind = typed(content, item.filetype) if item.filetype else recognise(content)
    row = metadata_of(kind, content, item.metadata)
    directory = item.directory or check_directory(directory_of(kind, row))
    content.findings.extend(checksum.stale(content))
    if content.delivered:
        content.findings.extend(header_findings(content))
    filename, compression = split_name(name)
    return Staged(
        item=item,
        filename=filename,
        compression=compression,
        filetype=kind.name,
        table=kind.table,
        filesize=size,
        sha256="",
        md5sum="",
        metadata=row,
        directory=directory,
        temporary=Path(temporary),
        place=Place.STAGED,
        findings=tuple(dict.fromkeys(content.findings)),
        names_repeat=kind.names_repeat,
        flight=flight,
    )


def _force(landed: Sequence[_Landed]) -> None:
    """Force the bytes of staged files to disk."""
    for each in landed:
        if each.fd >= 0:
            os.fsync(each.fd)


def publish_staged(archive: Archive, staged: Staged, source: Path, directories: set[str]) -> None:
    """Give staged bytes, which are at ``source``, their final name, and say in ``staged.place`` how that went.

    Parameters
    ----------
    archive
        Archive that holds the files.
    staged
        Staged file; its ``place`` is set to the result.
    source
        Where its bytes are, on the same file system.
    directories
        Receives the folders that must be synced.
    """
    directory = f"{archive.root}/{staged.directory}" if staged.directory else str(archive.root)
    target = f"{directory}/{staged.name}"
    if directory not in directories:
        _make(archive, directory, directories)
    while not publish(str(source), target):
        try:
            status = os.stat(target)  # noqa: PTH116
            same = status.st_size == staged.filesize and digest(target)[0] == staged.sha256
        except FileNotFoundError:
            continue  # it went away between the two looks: ours may have the name now
        if not same:
            staged.temporary, staged.place = source, Place.CLASH
            return
        if not staged.moved:
            source.unlink()
        staged.place, staged.inode = Place.FOUND, status.st_ino
        # Whoever put it there may have died before forcing it to disk.
        with open(target, "rb") as file:  # noqa: PTH123
            os.fsync(file.fileno())
        return
    staged.place = Place.PUBLISHED


def _make(archive: Archive, directory: str, directories: set[str]) -> None:
    """Create a folder of the archive, and note the folders that must be synced."""
    path = Path(directory)
    missing = [p for p in (path, *path.parents) if p.is_relative_to(archive.root) and not p.is_dir()]
    path.mkdir(parents=True, exist_ok=True)
    directories.update(str(p.parent) for p in missing)
    directories.add(directory)


def _piece(item: Deposit, fd: int, limit: int) -> bytes:
    """The next bytes of a source; one that cannot be read (a bad disk block) is refused by its name, not the archive's."""
    try:
        return os.read(fd, limit)
    except OSError as err:
        raise FileTypeError(f"{item.source} cannot be read: {os.strerror(err.errno or 0)}") from err


def _read(item: Deposit, fd: int, limit: int) -> bytes:
    """Read up to `limit` bytes of a source."""
    data = _piece(item, fd, limit)
    if len(data) == limit or not data:
        return data
    # A regular file gives all at once, unless it is on a network file system or changes.
    pieces = [data]
    have = len(data)
    while have < limit and (piece := _piece(item, fd, limit - have)):
        pieces.append(piece)
        have += len(piece)
    return b"".join(pieces) if len(pieces) > 1 else data


def _write(fd: int, data: bytes) -> None:
    """Write all bytes to a file descriptor."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


@contextmanager
def _mapped(fd: int, size: int) -> Iterator[Any]:
    """Map a file into memory for reading; empty bytes for an empty file."""
    if not size:
        yield b""
        return
    mapping = mmap.mmap(fd, size, prot=mmap.PROT_READ)
    try:
        yield mapping
    finally:
        with suppress(BufferError):  # a view of it is still alive; it goes with the view
            mapping.close()
