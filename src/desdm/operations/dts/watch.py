"""Watches a drop directory: what has arrived there completely is accepted."""

from __future__ import annotations

import csv
import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from desdm.accounts import clock as machine
from desdm.errors import DatabaseUnavailable, UsageError, storage_error
from desdm.operations.dts import store
from desdm.operations.dts.accept import Receiver
from desdm.operations.dts.model import Delivery
from desdm.operations.dts.paths import NotRegularFile, is_fits_name, open_regular
from desdm.operations.dts.places import SIDECARS
from desdm.operations.lease import Lease, acquire, give_up, renew

__all__ = ["Announced", "watch"]

_LOG = logging.getLogger(__name__)
#: Names of files that are still being written: hidden ones, and those of rsync, scp and browsers.
_PARTIAL = re.compile(r"^\.|\.(part|partial|tmp|filepart)$|~$")
_MD5 = re.compile(r"\b([0-9a-fA-F]{32})\b")
#: Seconds for which the watcher has its lease, and after which it is renewed.
_LEASE, _RENEW = 300.0, 15.0
#: Longest pause between two attempts to reach a database that does not answer, s.
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Announced:
    """The md5 that a sender announces for its files: in a sidecar ``FILE.md5``, else in a manifest.

    Attributes
    ----------
    by_path
        md5 by path.
    """

    by_path: Mapping[Path, str] = field(default_factory=dict)

    @classmethod
    def read(cls, manifest: Path | None) -> Announced:
        """Read a manifest: CSV with the columns ``file`` (relative to its directory) and ``md5``.

        Raises
        ------
        UsageError
            It cannot be understood.
        """
        if manifest is None:
            return cls()
        try:
            with manifest.open(encoding="utf-8-sig", newline="") as lines:
                reader = csv.DictReader(lines)
                if not {"file", "md5"} <= set(reader.fieldnames or ()):
                    raise UsageError(f"{manifest}: the first line must name the columns file and md5")
                here = manifest.absolute().parent
                return cls({here / row["file"]: row["md5"].strip() for row in reader if row["md5"]})
        except OSError as err:
            raise storage_error(err, manifest) from err

    def md5_of(self, path: Path) -> str | None:
        """Return the md5 that the sender announces for a file; None without one."""
        sidecar = path.with_name(path.name + ".md5")
        try:
            with open_regular(sidecar) as file:
                match = _MD5.search(file.read(4096).decode("ascii", errors="replace"))
        except (NotRegularFile, OSError):
            match = None
        return match.group(1).lower() if match else self.by_path.get(path.absolute())


@dataclass(slots=True)
class _Folder:
    """What a watcher knows of its drop directory.

    Attributes
    ----------
    sizes
        Size and time of last change of each file at the last look.
    ended
        The same of the files whose delivery has ended: they are not looked up again.
    """

    folder: Path
    sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)
    ended: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def look(self) -> tuple[list[Path], bool]:
        """Return the files that are complete and not known to have ended, oldest first, and whether others still grow."""
        ready, growing, sizes = [], False, {}
        for path in _files_below(self.folder):
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            now = (status.st_size, status.st_mtime_ns)
            sizes[path] = now
            if self.ended.get(path) == now:
                continue
            if self.sizes.get(path) == now or _announced_complete(path, status.st_mtime_ns):
                ready.append((status.st_mtime_ns, path))
            else:
                growing = True
        self.sizes = sizes
        self.ended = {path: seen for path, seen in self.ended.items() if path in sizes}
        return [path for _, path in sorted(ready)], growing

    def end(self, deliveries: Mapping[Path, Delivery]) -> None:
        """Note which files need not be looked up again."""
        for path, delivery in deliveries.items():
            if not delivery.open and path in self.sizes:
                self.ended[path] = self.sizes[path]


def watch(
    receiver: Receiver,
    folder: Path,
    source: str,
    *,
    interval: float = 5.0,
    until_idle: bool = False,
    announced: Announced | None = None,
    told: Callable[[Delivery], object] = lambda delivery: None,
) -> int:
    """Accept what arrives in a directory and below, and go on with deliveries that were not judged.

    A file is complete when a file ``FILE.done`` or ``FILE.md5`` that is not older stands beside it, or when its size and
    time of change are the same at two looks. Hidden files and those called ``*.part`` or ``*.tmp`` are being written.
    One watcher a directory runs at a time.

    Parameters
    ----------
    receiver
        Takes the deliveries.
    folder
        Drop directory.
    source
        Who sends.
    interval
        Seconds between two looks.
    until_idle
        Return when every file is judged.
    announced
        md5 of the files; None: of their sidecars.
    told
        Called with each delivery that ended.

    Returns
    -------
    int
        Deliveries that ended.

    Raises
    ------
    LeaseHeld
        Another process watches the directory.
    LeaseLost
        Another process has taken over, since this one did not renew its lease in time.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a directory; give the directory in which files arrive")
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    lease = acquire(receiver.database, f"dts watch {digest}", now=machine.now(), seconds=_LEASE)
    watcher = _Watcher(
        receiver, _Folder(folder.absolute()), source, announced or Announced(), told, lease, time.monotonic()
    )
    pause = interval
    try:
        while True:
            try:
                idle = watcher.turn()
                pause = interval
            except DatabaseUnavailable as err:
                _LOG.warning("the watcher waits: %s", err)
                idle, pause = False, min(2 * pause, _LONGEST_PAUSE)
            if idle and until_idle:
                return watcher.count
            time.sleep(pause)
    finally:
        give_up(receiver.database, watcher.lease)


@dataclass(slots=True)
class _Watcher:
    """A watcher at work; ``count``: deliveries that ended."""

    receiver: Receiver
    folder: _Folder
    source: str
    announced: Announced
    told: Callable[[Delivery], object]
    lease: Lease
    since: float
    count: int = 0

    def turn(self) -> bool:
        """Look once and judge what is due; return whether nothing is left to be judged."""
        self._renew(0.0)
        ready, growing = self.folder.look()
        files = [(path, self.announced.md5_of(path)) for path in ready]
        noted = (
            dict(zip(ready, self.receiver.note(files, self.source, self.lease), strict=True)) if files else {}
        )
        self.folder.end(noted)
        with self.receiver.database.read() as conn:
            numbers = store.due(conn, self.receiver.clock())
        for number in numbers:
            self._renew(_RENEW)
            delivery = self.receiver.judge(number)
            if not delivery.open:
                self.count += 1
                self.told(delivery)
        with self.receiver.database.read() as conn:
            left, silent = store.count_open(conn), store.unacknowledged(conn)
        for delivery in silent:
            self.receiver.acknowledge(delivery)
        # A file that was judged just now may have been replaced while it was read.
        return not left and not growing and not numbers

    def _renew(self, age: float) -> None:
        """Renew the lease if that was longer ago than some seconds."""
        if time.monotonic() - self.since >= age:
            self.lease = renew(self.receiver.database, self.lease, now=machine.now(), seconds=_LEASE)
            self.since = time.monotonic()


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a directory and below that are not being written and do not tell of others.

    A directory with the name of a FITS file is one of them, which is refused; what lies in it is not looked at.
    """
    for here, folders, names in os.walk(folder):
        strange = {name for name in folders if is_fits_name(name)}
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in strange)
        for name in sorted({*names, *strange}):
            if not _PARTIAL.search(name) and not name.endswith(SIDECARS):
                yield Path(here, name)


def _announced_complete(path: Path, modified_ns: int) -> bool:
    """Whether a file beside it, written after it, says that a file is complete."""
    for ending in (".done", ".md5"):
        try:
            if path.with_name(path.name + ending).stat().st_mtime_ns >= modified_ns:
                return True
        except OSError:
            continue
    return False
