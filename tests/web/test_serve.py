"""desdm serve as a process: ready when it says so, ends when it is told, sees what is published meanwhile."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.release import small_release

PROGRAM = Path(sys.executable).parent / "desdm"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_release(tmp_path_factory.mktemp("served") / "home", "T1", 300)


@contextmanager
def serving(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [str(PROGRAM), "--home", str(home), "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        found = re.fullmatch(rf"serving {re.escape(str(home))} at (http://127\.0\.0\.1:\d+)/\n", line)
        assert found, line
        yield server, found[1]
    finally:
        if server.poll() is None:
            server.kill()
        server.communicate()


def count(base: str, table: str) -> requests.Response:
    query = {"LANG": "ADQL", "FORMAT": "csv", "QUERY": f"SELECT COUNT(*) AS n FROM {table}"}
    return requests.get(f"{base}/tap/sync", params=query, timeout=30)


def test_it_answers_when_it_says_so_and_ends_cleanly_though_clients_hold_on(home: Path) -> None:
    with serving(home) as (server, base):
        # The first request, at once, is answered: ready means ready.
        assert count(base, "T1.objects").text.split() == ["n", "300"]
        port = int(base.rsplit(":", 1)[1])
        with (
            socket.create_connection(("127.0.0.1", port)) as idle,
            socket.create_connection(("127.0.0.1", port)) as deaf,
        ):
            idle.sendall(b"GET / HTTP/1.1\r\n")
            deaf.sendall(b"GET /static/aladin/aladin.js HTTP/1.1\r\nHost: x\r\n\r\n")
            began = time.monotonic()
            server.send_signal(signal.SIGTERM)
            _, complaints = server.communicate(timeout=20)
        assert server.returncode == 0, complaints
        assert time.monotonic() - began < 12
        assert complaints == ""


def test_a_release_published_meanwhile_is_served(home: Path) -> None:
    with serving(home) as (server, base):
        assert count(base, "T2.objects").status_code == 400
        small_release(home, "T2", 123)
        end = time.monotonic() + 15
        while (answer := count(base, "T2.objects")).status_code != 200 and time.monotonic() < end:
            time.sleep(0.1)
        assert answer.text.split() == ["n", "123"], answer.text
        assert "T2" in requests.get(base, timeout=30).text
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0


def test_a_busy_port_and_a_wrong_address_are_told_at_once(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for options, told in [
            (["--port", port], f"port {port} of 127.0.0.1 is in use"),
            (["--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
            (["--host", "192.0.2.1"], "cannot listen at 192.0.2.1"),
        ]:
            done = subprocess.run(
                [PROGRAM, "--home", home, "serve", *options], capture_output=True, text=True, timeout=30
            )
            assert done.returncode == 2, done.stderr
            assert told in done.stderr
            assert "Traceback" not in done.stderr
