"""A job runs with the rights of its owner, who receives its result, whoever starts it (UWS 1.1, section 3)."""

from __future__ import annotations

import time

import pytest
import requests

from desdm.accounts import store, tokens
from desdm.accounts.model import Action, Caller
from desdm.services.uws.owner import ACTIONS, narrowed
from tests.support.jobs import job_with
from tests.web.conftest import Site

#: Rows of the proprietary release, and how its job is refused: as that of a table that does not exist.
QUERY = "SELECT TOP 2 * FROM P1.objects"
HIDDEN = "there is no table P1.objects"


def send(site: Site, role: str, method: str, path: str, **data: str) -> requests.Response:
    """Send a request as a role; empty: anonymous."""
    headers = {"Authorization": f"Bearer {site.token[role]}"} if role else {}
    return requests.request(method, path, data=data, headers=headers, allow_redirects=False, timeout=30)


def pending(site: Site, role: str) -> str:
    """Address of a job that a role has created and not started."""
    answer = send(site, role, "POST", f"{site.url}/tap/async", LANG="ADQL", FORMAT="csv", QUERY=QUERY)
    assert answer.status_code == 303
    return answer.headers["Location"]


def end_of(site: Site, role: str, job: str) -> str:
    """Phase in which a job ends."""
    until = time.monotonic() + 20
    while (phase := send(site, role, "GET", f"{job}/phase").text) in ("QUEUED", "EXECUTING"):
        assert time.monotonic() < until
        time.sleep(0.05)
    return phase


@pytest.mark.parametrize("path", ["phase", "parameters", "executionduration", "destruction"])
@pytest.mark.parametrize("staff", ["operator", "admin"])
def test_staff_may_not_start_or_change_the_job_of_another(site: Site, staff: str, path: str) -> None:
    job = pending(site, "collaborator")
    values = {
        "phase": {"PHASE": "RUN"},
        "parameters": {"MAXREC": "1"},
        "executionduration": {"EXECUTIONDURATION": "5"},
        "destruction": {"DESTRUCTION": "2100-01-01T00:00:00Z"},
    }
    before = send(site, "collaborator", "GET", job).text
    answer = send(site, staff, "POST", f"{job}/{path}", **values[path])
    assert answer.status_code == 403 and "alone may start or change it" in answer.text
    assert send(site, "collaborator", "GET", job).text == before
    assert send(site, staff, "GET", job).status_code == 200
    assert send(site, staff, "POST", f"{job}/phase", PHASE="ABORT").status_code == 303
    assert send(site, staff, "DELETE", job).status_code == 303


@pytest.mark.parametrize("starter", ["granted", "operator"])
def test_an_anonymous_job_runs_without_the_rights_of_its_starter(site: Site, starter: str) -> None:
    job = pending(site, "")
    send(site, starter, "POST", f"{job}/phase", PHASE="RUN")
    assert end_of(site, "", job) in ("PENDING", "ERROR")
    assert send(site, "", "GET", f"{job}/results/result").status_code == 404
    error = send(site, "", "GET", f"{job}/error")
    assert error.status_code == 404 or HIDDEN in error.text


def test_the_owner_s_job_has_the_owner_s_rights(site: Site) -> None:
    job = pending(site, "granted")
    assert send(site, "granted", "POST", f"{job}/phase", PHASE="RUN").status_code == 303
    assert end_of(site, "granted", job) == "COMPLETED"
    assert len(send(site, "granted", "GET", f"{job}/results/result").text.splitlines()) == 3


@pytest.fixture
def only_async(site: Site) -> str:
    """Enter a token of ``granted`` without the scope read, and return its name among the tokens."""
    with site.database.write() as conn:
        person = store.people(conn, "granted")[0]
        site.token["only_async"] = tokens.make(conn, person, scopes={Action.ASYNC})
    return "only_async"


def test_a_token_without_read_neither_reads_nor_receives_rows(site: Site, only_async: str) -> None:
    job = pending(site, "granted")
    assert send(site, "granted", "POST", f"{job}/phase", PHASE="RUN").status_code == 303
    assert end_of(site, "granted", job) == "COMPLETED"
    answer = send(site, only_async, "GET", f"{job}/results/result")
    assert answer.status_code == 403 and "scope read" in answer.text
    # A job has the scopes of the token that made it, also if a wider one starts it.
    job = pending(site, only_async)
    send(site, "granted", "POST", f"{job}/phase", PHASE="RUN")
    assert end_of(site, "granted", job) in ("PENDING", "ERROR")
    assert send(site, "granted", "GET", f"{job}/results/result").status_code == 404


def test_a_job_that_another_server_runs_keeps_the_scopes_of_its_token() -> None:
    owner = Caller("granted", actions=frozenset({Action.READ, Action.ASYNC, Action.UPLOAD}))
    assert narrowed(owner, job_with((ACTIONS, "async,upload"))).actions == {Action.ASYNC, Action.UPLOAD}
    assert narrowed(owner, job_with((ACTIONS, ""))).actions == frozenset()
    # More than the role allows now is not given: the role may have changed since.
    assert narrowed(owner, job_with((ACTIONS, "async,people"))).actions == {Action.ASYNC}
    assert narrowed(owner, job_with()).actions == owner.actions
