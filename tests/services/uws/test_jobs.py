"""Asynchronous jobs over HTTP, with a toy kind: phases, waiting, abort, times, who sees what, recovery."""

from __future__ import annotations

import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import requests
import uvicorn
from starlette.applications import Starlette

from desdm.archive.archive import Archive
from desdm.config import load
from desdm.errors import DesdmError, UsageError
from desdm.facility import initialise
from desdm.schema.database import Database
from desdm.schema.service import prepare
from desdm.schema.states import Phase
from desdm.services.context import Services
from desdm.services.error_responses import handle_error
from desdm.services.parameters import NO_PARAMETERS
from desdm.services.published import Published
from desdm.services.uws import store
from desdm.services.uws.endpoints import uws_endpoints
from desdm.services.uws.handlers import uws_routes
from desdm.services.uws.model import Job, JobContext, JobKind

UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
XLINK = "{http://www.w3.org/1999/xlink}"


def toy(context: JobContext) -> None:
    """Says its text, waits until it is ended, fails, or copies what came with it."""
    deed = context.value("DEED", "say")
    if deed == "fail":
        raise UsageError("line 1, column 7: no such thing")
    if deed == "wait":
        assert context.cancel.event.wait(30)
        raise UsageError("ended from outside")
    if deed == "copy":
        (context.directory / "said.txt").write_bytes(context.uploaded("mine").read_bytes())
    else:
        (context.directory / "said.txt").write_text(" ".join(context.values("TEXT")))
    context.result("result", "said.txt", "text/plain")


@contextmanager
def running(home: Path, server: str = "here-1-a") -> Iterator[tuple[str, Services]]:
    config = load(home)
    before = set(threading.enumerate())
    database, state = Database(config.database_url), Database(config.services_state, patience=3)
    prepare(state)
    services = Services(
        config, database, Archive(config.archive_name, config.archive_root), Published(database), cast(Any, None),
        ThreadPoolExecutor(4), server, state,
    )  # fmt: skip
    app = Starlette(
        routes=uws_routes(
            uws_endpoints("/toy", "a toy", NO_PARAMETERS), JobKind("toy", toy, places=3), services
        ),
        exception_handlers={DesdmError: handle_error},
    )
    web = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=web.run)
    thread.start()
    while not web.started:
        time.sleep(0.01)
    port = web.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/toy", services
    finally:
        web.should_exit = True
        thread.join()
        services.pool.shutdown()
        eventually(lambda: set(threading.enumerate()) <= before)
        services.pages.shutdown()
        database.close()
        state.close()


def eventually(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("uws") / "home"
    initialise(made)
    return made


@pytest.fixture(scope="module")
def toys(home: Path) -> Iterator[tuple[str, Services]]:
    with running(home) as made:
        yield made


def phase(job: str) -> str:
    return requests.get(f"{job}/phase", timeout=10).text


def test_a_job_runs_and_its_result_can_be_fetched(toys: tuple[str, Services]) -> None:
    url, _ = toys
    made = requests.post(url, {"TEXT": ["a < b", "c"], "RunId": "mine", "PHASE": "RUN"}, timeout=10)
    assert made.history[0].status_code == 303
    job = made.url
    done = ET.fromstring(requests.get(job, {"WAIT": "10", "PHASE": "QUEUED"}, timeout=20).content)
    done = ET.fromstring(requests.get(job, {"WAIT": "10"}, timeout=20).content)
    assert done.findtext(f"{UWS}phase") == "COMPLETED"
    assert done.findtext(f"{UWS}runId") == "mine"
    assert [(p.get("id"), p.text) for p in done.iter(f"{UWS}parameter")] == [("TEXT", "a < b"), ("TEXT", "c")]
    result = done.find(f"{UWS}results/{UWS}result")
    assert result is not None and result.get("id") == "result"
    assert requests.get(result.get(f"{XLINK}href") or "", timeout=10).text == "a < b c"
    assert result.get("size") == "7"


def test_waiting_ends_when_the_phase_changes_and_not_before(toys: tuple[str, Services]) -> None:
    url, _ = toys
    job = requests.post(url, {"DEED": "wait", "PHASE": "RUN"}, timeout=10).url
    eventually(lambda: phase(job) == "EXECUTING")
    begun = time.monotonic()
    requests.get(job, {"WAIT": "1"}, timeout=10)
    assert 0.9 < time.monotonic() - begun < 3
    threading.Timer(0.3, lambda: requests.post(f"{job}/phase", {"PHASE": "ABORT"}, timeout=10)).start()
    ended = requests.get(job, {"WAIT": "-1"}, timeout=10).text
    assert ">ABORTED<" in ended
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("asked", [{}, {"PHASE": "PENDING"}, {"PHASE": "pending"}])
def test_waiting_holds_in_pending_until_the_job_is_started(
    toys: tuple[str, Services], asked: dict[str, str]
) -> None:
    # UWS 1.1, 2.2.1.1: the active phases are PENDING, QUEUED and EXECUTING.
    url, _ = toys
    job = requests.post(url, {"DEED": "wait"}, timeout=10).url
    begun = time.monotonic()
    assert ">PENDING<" in requests.get(job, {"WAIT": "1", **asked}, timeout=10).text
    assert 0.9 < time.monotonic() - begun < 3
    begun = time.monotonic()
    assert ">PENDING<" in requests.get(job, {"WAIT": "5", "PHASE": "EXECUTING"}, timeout=10).text
    assert time.monotonic() - begun < 0.9
    begun = time.monotonic()
    threading.Timer(0.5, lambda: requests.put(f"{job}/phase", {"PHASE": "RUN"}, timeout=10)).start()
    assert ">PENDING<" not in requests.get(job, {"WAIT": "-1", **asked}, timeout=30).text
    assert 0.4 < time.monotonic() - begun < 5
    requests.post(f"{job}/phase", {"PHASE": "ABORT"}, timeout=10)


def test_a_job_deleted_meanwhile_ends_the_wait(toys: tuple[str, Services]) -> None:
    url, _ = toys
    job = requests.post(url, {"DEED": "say"}, timeout=10).url
    begun = time.monotonic()
    threading.Timer(0.3, lambda: requests.delete(job, allow_redirects=False, timeout=10)).start()
    assert requests.get(job, {"WAIT": "20"}, timeout=30).status_code == 404
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("plain", [False, True])
def test_put_sets_what_post_sets(toys: tuple[str, Services], *, plain: bool) -> None:
    url, _ = toys
    job = requests.post(url, {"DEED": "say", "TEXT": "x"}, timeout=10).url

    def put(name: str, value: str) -> requests.Response:
        body: Any = value if plain else {name.upper(): value}
        return requests.put(f"{job}/{name}", body, allow_redirects=False, timeout=10)

    assert put("executionduration", "77").status_code == 303
    assert requests.get(f"{job}/executionduration", timeout=10).text == "77"
    assert put("destruction", "2026-01-01T00:00:00Z").status_code in (303, 200)
    job = requests.post(url, {"DEED": "say", "TEXT": "x"}, timeout=10).url
    assert put("phase", "RUN").status_code == 303
    eventually(lambda: phase(job) == "COMPLETED")
    assert put("phase", "FLY").status_code == 400
    refused = requests.put(f"{job}/parameters", {"TEXT": "y"}, timeout=10)
    assert refused.status_code == 405 and "POST" in refused.headers["Allow"]


def test_a_pending_job_takes_parameters_and_files_then_runs(toys: tuple[str, Services]) -> None:
    url, _ = toys
    job = requests.post(url, {"DEED": "copy"}, timeout=10).url
    assert phase(job) == "PENDING"
    requests.post(f"{job}/parameters", files={"mine": b"\x00whole"}, timeout=10)
    requests.post(f"{job}/phase", {"PHASE": "RUN"}, timeout=10)
    eventually(lambda: phase(job) == "COMPLETED")
    assert requests.get(f"{job}/results/result", timeout=10).content == b"\x00whole"
    late = requests.post(f"{job}/parameters", {"TEXT": "x"}, timeout=10)
    assert late.status_code == 409


def test_a_job_that_fails_says_why(toys: tuple[str, Services]) -> None:
    url, _ = toys
    job = requests.post(url, {"DEED": "fail", "PHASE": "RUN"}, timeout=10).url
    eventually(lambda: phase(job) == "ERROR")
    assert "line 1, column 7: no such thing" in requests.get(job, timeout=10).text
    assert "line 1, column 7: no such thing" in requests.get(f"{job}/error", timeout=10).text
    assert requests.get(f"{job}/results/result", timeout=10).status_code == 404


def test_a_job_is_deleted_with_its_files(toys: tuple[str, Services]) -> None:
    url, services = toys
    for delete in (
        lambda job: requests.delete(job, timeout=10),
        lambda job: requests.post(job, {"ACTION": "DELETE"}, timeout=10),
    ):
        job = requests.post(url, {"TEXT": "x", "PHASE": "RUN"}, timeout=10).url
        eventually(lambda job=job: phase(job) == "COMPLETED")  # type: ignore[misc]
        folder = services.results / job.rsplit("/", 1)[1]
        assert folder.is_dir()
        assert delete(job).status_code == 200  # the list, after a redirect
        assert requests.get(job, timeout=10).status_code == 404
        assert not folder.exists()


def test_times_can_be_set_within_the_limits(toys: tuple[str, Services]) -> None:
    url, _ = toys
    job = requests.post(url, timeout=10).url
    requests.post(f"{job}/executionduration", {"EXECUTIONDURATION": "5"}, timeout=10)
    assert requests.get(f"{job}/executionduration", timeout=10).text == "5"
    requests.post(f"{job}/executionduration", {"EXECUTIONDURATION": "99999999"}, timeout=10)
    assert requests.get(f"{job}/executionduration", timeout=10).text == "3600"
    soon = (store.now() + timedelta(days=1)).isoformat(timespec="milliseconds") + "Z"
    requests.post(f"{job}/destruction", {"DESTRUCTION": soon}, timeout=10)
    assert requests.get(f"{job}/destruction", timeout=10).text == soon
    assert requests.post(f"{job}/destruction", {"DESTRUCTION": "soon"}, timeout=10).status_code == 400


def test_a_job_that_takes_too_long_is_aborted(
    toys: tuple[str, Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desdm.services.uws.run._GRACE", 0.0)
    url, _ = toys
    job = requests.post(url, {"DEED": "wait"}, timeout=10).url
    requests.post(f"{job}/executionduration", {"EXECUTIONDURATION": "1"}, timeout=10)
    requests.post(f"{job}/phase", {"PHASE": "RUN"}, timeout=10)
    eventually(lambda: phase(job) == "ABORTED")
    assert "longer than its execution duration of 1 s" in requests.get(job, timeout=10).text


def test_the_list_can_be_narrowed(toys: tuple[str, Services]) -> None:
    url, _ = toys
    first = requests.post(url, {"RUNID": "one"}, timeout=10).url
    between = (store.now()).isoformat() + "Z"
    second = requests.post(url, {"RUNID": "two"}, timeout=10).url

    def ids(**asked: str) -> list[str | None]:
        listed = ET.fromstring(requests.get(url, asked, timeout=10).content)
        return [ref.get(f"{XLINK}href") for ref in listed.iter(f"{UWS}jobref")]

    assert ids(LAST="1") == [second]
    assert ids(AFTER=between) == [second]
    assert first in ids(PHASE="PENDING") and first not in ids(PHASE="COMPLETED")
    assert requests.get(url, {"PHASE": "DONE"}, timeout=10).status_code == 400


def test_a_stranger_runs_as_many_at_once_as_he_may_and_leaves_a_place(toys: tuple[str, Services]) -> None:
    url, _ = toys
    jobs = [requests.post(url, {"DEED": "wait", "PHASE": "RUN"}, timeout=10).url for _ in range(3)]
    eventually(lambda: [phase(j) for j in jobs] == ["EXECUTING", "EXECUTING", "QUEUED"])
    requests.post(f"{jobs[0]}/phase", {"PHASE": "ABORT"}, timeout=10)
    eventually(lambda: [phase(j) for j in jobs] == ["ABORTED", "EXECUTING", "EXECUTING"])
    for job in jobs[1:]:
        requests.delete(job, timeout=10)


def test_jobs_of_a_server_that_died_run_again_once_and_then_end(home: Path) -> None:
    services_database = Database(load(home).services_state)
    now = store.now()

    def left(job_id: str, tries: int, phase: Phase = Phase.EXECUTING) -> Job:
        return Job(
            job_id, "toy", "", "", phase, now, now, None, 60, now + timedelta(days=1), None, None, "here-9-dead",
            tries, (("TEXT", job_id),),
        )  # fmt: skip

    with services_database.write() as conn:
        for job in (left("once", 1), left("twice", 2), left("waits", 0, Phase.QUEUED)):
            store.add(conn, job)
    services_database.close()
    with running(home, "here-2-b") as (url, _):
        eventually(lambda: phase(f"{url}/once") == "COMPLETED")
        eventually(lambda: phase(f"{url}/waits") == "COMPLETED")
        assert phase(f"{url}/twice") == "ERROR"
        assert "died twice" in requests.get(f"{url}/twice", timeout=10).text


def test_a_job_past_its_destruction_is_gone(home: Path) -> None:
    database = Database(load(home).services_state)
    now = store.now()
    with database.write() as conn:
        store.add(
            conn,
            Job(
                "old",
                "toy",
                "",
                "",
                Phase.COMPLETED,
                now,
                now,
                now,
                60,
                now - timedelta(1),
                None,
                None,
                None,
                1,
            ),
        )
    database.close()
    with running(home, "here-3-c") as (url, _):
        eventually(lambda: requests.get(f"{url}/old", timeout=10).status_code == 404)
