"""Where files that are put aside lie, how they get there, and the acknowledgement beside a delivered file."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from desdm.errors import storage_error
from desdm.modes import make_private
from desdm.operations.dts.model import Delivery
from desdm.operations.dts.paths import path_of
from desdm.schema.operationstates import DeliveryState

__all__ = ["ACK", "SIDECARS", "Places"]

#: Ending of the file that acknowledges a delivery.
ACK = ".ack"
#: Endings of files that tell of others.
SIDECARS = (".md5", ".done", ACK)
_PIECE = 4 << 20


@dataclass(frozen=True, slots=True)
class Places:
    """Directories of an installation for files that are not taken into the archive.

    Attributes
    ----------
    home
        Directory of the installation: files lie in ``quarantine/NUMBER/`` and ``duplicates/NUMBER/`` below it.
    acks
        Directory of acknowledgements; None: beside each delivered file.
    """

    home: Path
    acks: Path | None = None

    def aside(self, delivery: Delivery, state: DeliveryState) -> Path:
        """Return where the file of a delivery lies that ended in a state."""
        folder = "duplicates" if state is DeliveryState.DUPLICATE else "quarantine"
        return self.home / folder / f"{delivery.id:06d}" / delivery.filename

    def aside_now(self, delivery: Delivery) -> Path | None:
        """Return where the file of a delivery lies if it was put aside; None if it was not."""
        for state in (DeliveryState.QUARANTINED, DeliveryState.DUPLICATE):
            path = self.aside(delivery, state)
            if os.path.lexists(path):
                return path
        return None

    def place(self, delivery: Delivery) -> Path:
        """Return where the file of a delivery lies now: where it was delivered, unless it was put aside."""
        return self.aside_now(delivery) or path_of(delivery.path)

    def put_aside(self, delivery: Delivery, state: DeliveryState) -> Path | None:
        """Move the file of a delivery aside, also to another file system; return where it lies, None if it is gone.

        What is not a regular file (a link, a pipe, a directory) stays where it lies, untouched.

        Raises
        ------
        DesdmError
            It cannot be moved.
        """
        source, target = self.place(delivery), self.aside(delivery, state)
        try:
            if not os.path.lexists(source):
                return None
            if not _regular(source):
                return source
            if source != target:
                make_private(target.parent)
                _move(source, target)
            _finish_move(path_of(delivery.path), target)
        except OSError as err:
            raise storage_error(err, source) from err
        return target

    def ack_of(self, path: Path) -> Path:
        """Return the file that acknowledges the delivery of a path."""
        return (path.parent if self.acks is None else self.acks) / (path.name + ACK)

    def write_ack(self, delivery: Delivery, file: str) -> Path | None:
        """Write the acknowledgement of a delivery, whole or not at all; None where its directory is gone.

        Parameters
        ----------
        delivery
            The delivery, whose bytes are in the archive.
        file
            Name of the file in the archive.

        Raises
        ------
        DesdmError
            It cannot be written.
        """
        path = self.ack_of(path_of(delivery.path))
        document: Mapping[str, str | int | None] = {
            "delivery": delivery.id,
            "filename": delivery.filename,
            "state": delivery.state.value,
            "file": file,
            "size": delivery.filesize,
            "md5": delivery.md5_found,
            "sha256": delivery.sha256,
            "ingested_at": None if delivery.ingested_at is None else delivery.ingested_at.isoformat(),
        }
        temporary = path.with_name(f".{path.name}.part")
        try:
            if self.acks is not None:
                make_private(self.acks)
            if not path.parent.is_dir():
                return None
            with temporary.open("w", encoding="utf-8") as out:
                out.write(json.dumps(document, indent=1) + "\n")
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(path)
        except OSError as err:
            raise storage_error(err, path) from err
        return path


def _move(source: Path, target: Path) -> None:
    """Move a file; between file systems it is copied whole under another name first, so that no part is taken for it."""
    try:
        source.rename(target)
    except OSError as err:
        if err.errno != errno.EXDEV:
            raise
        temporary = target.with_name(f".{target.name}.part")
        shutil.copy2(source, temporary, follow_symlinks=False)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync(target.parent)
        source.unlink()
    _sync(target.parent)


def _finish_move(source: Path, target: Path) -> None:
    """Remove the source of a move that was killed between its copy and its end: the same bytes stand in both places."""
    if not (_regular(source) and _regular(target)) or source.samefile(target):
        return
    if source.stat().st_size == target.stat().st_size and _digest(source) == _digest(target):
        source.unlink()


def _regular(path: Path) -> bool:
    """Whether a regular file lies at a path, not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _digest(path: Path) -> str:
    """Return the sha-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Force the entries of a directory to disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
