"""Checks of the servers of this installation: which run, and whether they answer."""

from __future__ import annotations

import fcntl
import os
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from desdm.config import Config
from desdm.operations.doctor.model import Check, State
from desdm.query.engines.duckdb_user_tables import fault_of

__all__ = ["check_engine_files", "check_services"]

# struct flock of Linux on 64 bits: type, whence, start, length, process.
_FLOCK = struct.Struct("hhqqi4x")
_SECONDS = 5.0
_HEALTH = "/tap/availability"


def check_services(config: Config) -> Iterator[Check]:
    """Each server that holds its lock file answers a request for its health."""
    folder = config.home / "results" / ".servers"
    alive, dead = 0, 0
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        pid = _holder(path)
        if pid is None:
            dead += 1
            continue
        alive += 1
        yield _health(pid)
    if not alive:
        yield Check("services", State.OK, "no server runs; to start one: desdm serve")
    if dead:
        yield Check(
            "locks", State.NOTE, f"{dead} lock files of servers that are gone; the next server removes them"
        )


def check_engine_files(config: Config) -> Iterator[Check]:
    """The DuckDB files of the services can be read: users' own tables, and copies of releases."""
    advice = {
        "mydb": "it holds a user's own tables: restore it from a backup",
        "serving": "it is a copy of a release: remove it, and the next server makes it anew",
    }
    count, faults = 0, 0
    for folder, what in advice.items():
        place = config.home / folder
        for path in sorted(place.glob("*.duckdb")) if place.is_dir() else ():
            count += 1
            fault = fault_of(path)
            if fault:
                faults += 1
                yield Check("engine files", State.PROBLEM, f"{path} {fault}; {what}")
    if not faults:
        yield Check("engine files", State.OK, f"{count} files of the query engine can be read")


def _holder(path: Path) -> int | None:
    """The process that holds a server's lock; None: nobody."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        query = _FLOCK.pack(fcntl.F_WRLCK, 0, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, query))
    finally:
        os.close(fd)
    return None if kind == fcntl.F_UNLCK else int(pid)


def _health(pid: int) -> Check:
    """Check that the server of that process answers its health endpoint."""
    for port in _ports(pid):
        url = f"http://127.0.0.1:{port}{_HEALTH}"
        try:
            with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
                text = answer.read(1 << 16).decode("utf-8", "replace")
        except (OSError, urllib.error.URLError) as err:
            text = f"the server (process {pid}) does not answer at {url}: {err}; restart it"
            return Check("services", State.PROBLEM, text)
        if ">true<" not in text.replace(" ", ""):
            return Check(
                "services", State.PROBLEM, f"the server (process {pid}) says that it is not available: {url}"
            )
        return Check("services", State.OK, f"the server (process {pid}) answers at port {port}")
    return Check(
        "services", State.NOTE, f"a server runs as process {pid}; its port cannot be seen by this user"
    )


def _ports(pid: int) -> list[int]:
    """Ports at which a process listens (``/proc/net/tcp``: state 0A, inode of the socket)."""
    sockets: set[str] = set()
    with suppress(OSError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = os.readlink(fd)  # noqa: PTH115 - "socket:[…]" is not a path
                if target.startswith("socket:["):
                    sockets.add(target[8:-1])
    ports = []
    with suppress(OSError):
        for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in sockets:
                ports.append(int(words[1].rpartition(":")[2], 16))
    return ports
