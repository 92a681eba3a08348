"""A PostgreSQL cluster of our own for the tests: on loopback, in a temporary folder, gone at the end."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL

__all__ = ["Cluster", "cluster"]


def _program(name: str) -> str:
    found = shutil.which(name)
    if found:
        return found
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    assert installed, f"{name} is not installed: these tests need PostgreSQL (Debian package postgresql)"
    return str(installed[-1])


class Cluster:
    """A running cluster; `database` makes a fresh database in it, `crash` and `start` are for tests of faults."""

    def __init__(
        self, port: int, password: str, launch: Callable[[], subprocess.Popen[bytes]], log: Path
    ) -> None:
        self.port, self.password = port, password
        self._launch, self._log = launch, log
        self._numbers = count(1)
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.server = self._launch()
        _wait(self, self.server, self._log)

    def crash(self) -> None:
        """Stop the server at once, without a checkpoint and without a word to its clients."""
        self.server.send_signal(signal.SIGQUIT)
        self.server.wait(60)

    def url(self, name: str) -> URL:
        """SQLAlchemy URL of a database."""
        return URL.create("postgresql+psycopg", "desdm", self.password, "127.0.0.1", self.port, name)

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection to the maintenance database."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="desdm",
            password=self.password,
            dbname="postgres",
            autocommit=True,
        )

    def database(self, template: str = "template1") -> str:
        """Name of a fresh database, a copy of ``template``."""
        name = f"t{os.getpid()}_{next(self._numbers)}"
        with self.connect() as conn:
            conn.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop(self, name: str) -> None:
        """Drop a database, with whoever is still connected to it."""
        with self.connect() as conn:
            conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _unprivileged() -> str | None:
    """The server refuses to run as root: who it runs as then; None if we are not root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster and stop it at the end."""
    user = _unprivileged()
    # Not in pytest's own folder, which other users cannot enter.
    home = Path(tempfile.mkdtemp(prefix="desdm-pg-", dir="/tmp"))
    secret = home / "password"
    secret.write_text(secrets.token_hex(16))
    if user is not None:
        entry = pwd.getpwnam(user)
        for path in (home, secret):
            os.chown(path, entry.pw_uid, entry.pw_gid)
    group = None if user is None else pwd.getpwnam(user).pw_gid
    who = {} if user is None else {"user": user, "group": group, "extra_groups": []}
    data = home / "data"
    try:
        subprocess.run(
            [_program("initdb"), "-D", data, "-U", "desdm", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8",
             "--locale=C", "-N"],
            check=True, capture_output=True, cwd="/", **who,
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = {
            "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off",
            "max_connections": 60, "shared_buffers": "32MB", "logging_collector": "off",
        }  # fmt: skip

        def launch() -> subprocess.Popen[bytes]:
            with (home / "log").open("ab") as log:
                return subprocess.Popen(
                    [_program("postgres"), "-D", data, *(f"--{k}={v}" for k, v in settings.items())],
                    stdout=subprocess.DEVNULL, stderr=log, stdin=subprocess.DEVNULL, cwd="/", **who,
                )  # fmt: skip

        made = Cluster(port, secret.read_text(), launch, home / "log")
        try:
            yield made
        finally:
            made.server.send_signal(signal.SIGINT)
            made.server.wait(60)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait(made: Cluster, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        assert server.poll() is None, log.read_text()
        try:
            made.connect().close()
        except psycopg.OperationalError:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        else:
            return
