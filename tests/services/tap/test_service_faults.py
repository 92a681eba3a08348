"""What a client sees when things break: the database gone, the server killed, a client that never reads."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import pytest
import requests
from astropy.io import votable

from desdm.errors import DatabaseUnavailable
from desdm.query.engines.model import Cancel
from desdm.services.streaming import Stream
from desdm.services.threads import Threads
from tests.support.loops import run
from tests.support.postgres import Cluster
from tests.support.release import small_release
from tests.support.server import Served, served

#: Four million rows, of which a stream shows some at once.
MANY = "SELECT a.id, a.ra, a.name, b.dec FROM T1.objects AS a, T1.objects AS b"
SLOW = "SELECT COUNT(*) AS n FROM T1.objects AS a, T1.objects AS b, T1.objects AS c WHERE SIN(a.ra*b.ra*c.ra) > 2"


def eventually(true: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def phase(job: str) -> str:
    return requests.get(f"{job}/phase", timeout=10).text


def memory(pid: int) -> int:
    """Bytes of a process in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def running(postgres: Cluster, database: str = "%") -> int:
    with postgres.connect() as conn:
        found = conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ILIKE '%%objects%%' "
            "AND pid <> pg_backend_pid() AND datname LIKE %s",
            (database,),
        ).fetchone()
    assert found is not None
    return int(cast(int, found[0]))


@pytest.mark.parametrize("form", ["votable", "csv"])
def test_a_database_that_goes_away_in_the_middle_is_told_or_breaks_the_answer(
    on_postgresql: Served, postgres: Cluster, form: str
) -> None:
    given = {"LANG": "ADQL", "QUERY": MANY, "RESPONSEFORMAT": form}
    with requests.get(f"{on_postgresql}/tap/sync", given, stream=True, timeout=30) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_content(65536)
        read = [next(pieces)]
        with postgres.connect() as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND query ILIKE '%objects%'"
            )
        if form == "votable":
            # DALI 1.1, 4.4.1: an INFO after the TABLE, in a document that is valid.
            read.extend(pieces)
            infos = votable.parse(io.BytesIO(b"".join(read))).resources[0].infos
            assert [i.value for i in infos if i.name == "QUERY_STATUS"] == ["OK", "ERROR"]
        else:
            with pytest.raises(requests.RequestException):
                read.extend(pieces)
    again = requests.get(
        f"{on_postgresql}/tap/sync",
        {"LANG": "ADQL", "QUERY": "SELECT COUNT(*) AS n FROM T1.objects"},
        timeout=30,
    )
    assert again.status_code == 200


def test_a_client_that_leaves_ends_its_query(on_postgresql: Served, postgres: Cluster) -> None:
    for query in (MANY, SLOW):
        client = socket.create_connection(("127.0.0.1", on_postgresql.port))
        asked = urlencode({"LANG": "ADQL", "QUERY": query, "MAXREC": "20000000"})
        client.sendall(f"GET /tap/sync?{asked} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        eventually(lambda: running(postgres) > 0)
        client.close()
        eventually(lambda: running(postgres) == 0)


def test_a_client_that_never_reads_costs_no_memory(on_duckdb: Served) -> None:
    pid = on_duckdb.process.pid
    requests.get(f"{on_duckdb}/tap/sync", {"LANG": "ADQL", "QUERY": MANY, "MAXREC": "100000"}, timeout=30)
    before = memory(pid)
    client = socket.create_connection(("127.0.0.1", on_duckdb.port))
    asked = urlencode({"LANG": "ADQL", "QUERY": MANY, "MAXREC": "20000000"})
    client.sendall(f"GET /tap/sync?{asked} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    try:
        time.sleep(1.5)
        assert memory(pid) - before < 200e6
        spent = processor_seconds(pid)
        time.sleep(0.5)
        assert processor_seconds(pid) - spent < 0.25
    finally:
        client.close()


def test_a_client_that_takes_nothing_for_long_ends_the_query() -> None:
    ended = Cancel()
    pool = ThreadPoolExecutor(1)

    def pieces() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000

    async def never(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    async def receive() -> dict[str, str]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    services = cast(Any, SimpleNamespace(threads=Threads(pool, 1)))
    let_go: list[bool] = []
    held = ExitStack()
    held.callback(let_go.append, True)
    stream = Stream(services, pieces(), held, ended, "text/csv", stall=0.2)
    with pytest.raises(TimeoutError):
        run(stream({"type": "http"}, receive, never))
    assert ended.event.is_set() and let_go == [True]
    pool.shutdown()


def test_an_answer_that_breaks_is_not_ended() -> None:
    pool = ThreadPoolExecutor(1)
    sent: list[dict[str, Any]] = []

    def pieces() -> Iterator[bytes]:
        yield b"first"
        raise DatabaseUnavailable("gone")

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    services = cast(Any, SimpleNamespace(threads=Threads(pool, 1)))
    stream = Stream(services, pieces(), ExitStack(), Cancel(), "text/csv")
    with pytest.raises(ConnectionError):
        run(stream({"type": "http"}, receive, send))
    assert [m.get("more_body") for m in sent] == [None, True]
    pool.shutdown()


@pytest.mark.parametrize("on_site", [False, True])
def test_a_server_told_to_end_ends_its_queries(tmp_path: Path, postgres: Cluster, on_site: bool) -> None:
    home = small_release(tmp_path / "home", rows=2000)
    name = postgres.database()
    database = postgres.url(name).render_as_string(hide_password=False) if on_site else None
    with served(home, database) as url:
        requests.post(f"{url}/tap/async", {"LANG": "ADQL", "QUERY": SLOW, "PHASE": "RUN"}, timeout=10)
        client = socket.create_connection(("127.0.0.1", url.port))
        asked = urlencode({"LANG": "ADQL", "QUERY": SLOW})
        client.sendall(f"GET /tap/sync?{asked} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        time.sleep(0.7)
        url.process.terminate()
        assert url.process.wait(15) == 0
        client.close()
    if on_site:
        eventually(lambda: running(postgres, name) == 0)
    postgres.drop(name)


def test_jobs_of_a_killed_server_are_right_after_its_restart(tmp_path: Path) -> None:
    home = small_release(tmp_path / "home", rows=2000)
    with served(home) as url:
        port = url.port

        def job(query: str) -> str:
            given = {"LANG": "ADQL", "QUERY": query, "PHASE": "RUN"}
            return requests.post(f"{url}/tap/async", given, timeout=10).url

        done = job("SELECT TOP 3 id FROM T1.objects ORDER BY id")
        eventually(lambda: phase(done) == "COMPLETED")
        pending = requests.post(
            f"{url}/tap/async", {"LANG": "ADQL", "QUERY": "SELECT 1 AS one"}, timeout=10
        ).url
        aborted, slow = job(SLOW), job(SLOW)
        eventually(lambda: phase(aborted) == phase(slow) == "EXECUTING")
        requests.post(f"{aborted}/phase", {"PHASE": "ABORT"}, timeout=10)
        url.process.kill()
        url.process.wait()
    with served(home, port=port):
        eventually(lambda: phase(slow) == "EXECUTING")
        assert phase(done) == "COMPLETED" and phase(pending) == "PENDING" and phase(aborted) == "ABORTED"
        assert requests.get(f"{done}/results/result", timeout=10).status_code == 200
        requests.post(f"{slow}/phase", {"PHASE": "ABORT"}, timeout=10)
        requests.post(f"{pending}/phase", {"PHASE": "RUN"}, timeout=10)
        eventually(lambda: phase(pending) == "COMPLETED")
