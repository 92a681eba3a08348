"""Checks of directories and files: modes, room, whether the archive takes a file, what deposits left behind."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import make_url

from desdm.archive.archive import Archive
from desdm.archive.flight import live_since
from desdm.archive.mounted import require_mounted
from desdm.config import FILENAME, Config
from desdm.errors import DesdmError, StorageUnavailable, storage_error
from desdm.modes import OpenPath, open_paths
from desdm.operations.doctor.model import Check, State
from desdm.schema.database import Database

__all__ = ["check_archive", "check_leftovers", "check_modes", "check_space", "open_places"]

#: Less room than this is a problem (bytes; share of the inodes).
_LEAST_BYTES = 2 << 30
_LEAST_INODES = 0.02
#: Age from which a staged file without a deposit is left over (s).
_OLD = 3600.0


def open_places(config: Config) -> list[OpenPath]:
    """Directories and files of an installation that group or others may reach; a server says so when it starts.

    With a front server (``services.accel``) the group may read the releases.
    """
    places = [config.home, config.home / FILENAME, config.archive_root, config.runs, config.home / "results"]
    for text in (config.database_url, config.services_state):
        url = make_url(text)
        if url.get_backend_name() == "sqlite" and url.database:
            places += [config.home / (url.database + ending) for ending in ("", "-wal", "-shm")]
    group = stat.S_IRGRP | stat.S_IXGRP if config.services_accel else 0
    releases = [config.releases]
    if config.releases.is_dir():
        releases += sorted(path for path in config.releases.iterdir() if path.is_dir())
    return [*open_paths(places), *open_paths(releases, group)]


def check_modes(config: Config) -> Iterator[Check]:
    """Nobody but the owner reaches the installation."""
    open_paths = open_places(config)
    for path in open_paths:
        yield Check("modes", State.PROBLEM, path.text)
    if not open_paths:
        yield Check("modes", State.OK, "only its owner reaches the installation")


def check_space(config: Config) -> Iterator[Check]:
    """Room and inodes of each file system that the installation lies on."""
    devices: set[int] = set()
    for path in (config.home, config.archive_root, config.runs, config.releases):
        if not path.exists() or path.stat().st_dev in devices:
            continue
        devices.add(path.stat().st_dev)
        disk = os.statvfs(path)
        free = disk.f_bavail * disk.f_frsize
        inodes = disk.f_favail / disk.f_files if disk.f_files else 1.0
        text = f"{path}: {free / 2**30:.1f} GiB and {100 * inodes:.0f} % of the inodes are free"
        if free < _LEAST_BYTES or inodes < _LEAST_INODES:
            yield Check(
                "space",
                State.PROBLEM,
                f"{text}; make room: desdm delete, or remove old runs of {config.runs}",
            )
        else:
            yield Check("space", State.OK, text)


def check_archive(archive: Archive, database: Database) -> Iterator[Check]:
    """The archive's root is the one that holds its files, and takes one."""
    try:
        require_mounted(database, archive)
    except StorageUnavailable as err:
        yield Check("archive", State.PROBLEM, str(err))
        return
    except DesdmError:
        # Of the database's faults its own check tells.
        pass
    try:
        if not archive.root.is_dir():
            yield Check(
                "archive",
                State.PROBLEM,
                f"{archive.root} is not a directory; mount it, or correct archive.root",
            )
            return
        with tempfile.NamedTemporaryFile(dir=archive.root, prefix=".doctor-") as file:
            file.write(b"x" * 8192)
            file.flush()
            os.fsync(file.fileno())
            skew = Path(file.name).stat().st_mtime - time.time()
    except OSError as err:
        yield Check("archive", State.PROBLEM, str(storage_error(err, archive.root)))
        return
    yield Check("archive", State.OK, f"{archive.root} can be written")
    if abs(skew) > 5.0:
        text = f"the clock of {archive.root} differs by {skew:.0f} s from this machine's; set both by NTP"
        yield Check("clock", State.PROBLEM, text)
    else:
        yield Check("clock", State.OK, f"the file system's clock agrees within {abs(skew):.1f} s")


def check_leftovers(archive: Archive) -> Iterator[Check]:
    """Staged files of deposits that are over, and bytes that were moved aside."""
    try:
        since = live_since(archive)
        staged = (
            [p for p in archive.staging.iterdir() if p.name != "flights"] if archive.staging.is_dir() else []
        )
        old = [p for p in staged if p.is_file() and time.time() - p.stat().st_mtime > _OLD]
        aside = len(list(archive.orphans.iterdir())) if archive.orphans.is_dir() else 0
    except OSError as err:
        yield Check("staging", State.PROBLEM, str(storage_error(err, archive.staging)))
        return
    if old and since is None:
        text = f"{len(old)} files of deposits that are over lie in {archive.staging}; the next ingest removes them"
        yield Check("staging", State.NOTE, text)
    else:
        yield Check(
            "staging", State.OK, "a deposit is under way" if since else "nothing is left over of deposits"
        )
    if aside:
        text = f"{aside} unregistered files were moved aside into {archive.orphans}; look at them and remove them"
        yield Check("orphans", State.NOTE, text)
