"""A real ``desdm serve`` for the tests: on a free port of loopback, gone at the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Served", "served"]

_READY = re.compile(r"at (http://127\.0\.0\.1:\d+)/")


class Served(str):
    """Base URL of a server without a slash at its end; ``process`` is the server itself."""

    process: subprocess.Popen[str]
    port: int


@contextmanager
def served(home: Path, database: str | None = None, port: int | None = None) -> Iterator[Served]:
    """Serve an installation; its base URL.

    Parameters
    ----------
    database
        PostgreSQL URL of the release tables; None: the embedded engine.
    port
        Where; None: a free one.
    """
    program = Path(sys.executable).parent / "desdm"
    command = [str(program), "--home", str(home), "serve", "--port", str(port or 0)]
    command += [] if database is None else ["--database", database]
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(os.environ)
        )
        try:
            yield _ready(server, log)
        finally:
            if server.poll() is None:
                server.send_signal(signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
                raise
            finally:
                assert server.stdout is not None
                server.stdout.close()


def _ready(server: subprocess.Popen[str], log: object) -> Served:
    assert server.stdout is not None
    end = time.monotonic() + 60
    while time.monotonic() < end:
        line = server.stdout.readline()
        found = _READY.search(line)
        if found:
            made = Served(found[1])
            made.process, made.port = server, int(found[1].rsplit(":", 1)[1])
            return made
        if not line and server.poll() is not None:
            break
    log.seek(0)  # type: ignore[attr-defined]
    raise AssertionError(f"desdm serve did not come up: {log.read()}")  # type: ignore[attr-defined]
