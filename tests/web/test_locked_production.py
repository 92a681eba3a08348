"""While somebody writes into production for long, people log in and keep tables, and nothing that requests meet is lost."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from desdm.accounts import store
from desdm.accounts.model import Denial
from desdm.release.problems import problems
from tests.support.wait import until
from tests.web.conftest import PASSWORD, Site


@contextmanager
def locked(site: Site, seconds: float) -> Iterator[float]:
    """Hold the write lock of production at least so long; gives when it began."""
    other = sqlite3.connect(site.home / "desdm.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    try:
        yield begun
        time.sleep(max(0.0, seconds - (time.monotonic() - begun)))
    finally:
        other.execute("ROLLBACK")
        other.close()


def log_in(site: Site, login: str) -> requests.Session:
    session = requests.Session()
    answer = session.post(
        f"{site.url}/login",
        data={"login": login, "password": PASSWORD, "next": "/"},
        headers={"Origin": site.url},
        allow_redirects=False,
        timeout=30,
    )
    assert answer.status_code == 303, answer.text
    return session


def denials(site: Site, subject: str) -> list[Denial]:
    with site.state.read() as conn:
        return [d for d in store.denials(conn, 1000) if d.subject == subject]


def test_login_tables_and_logout_while_production_is_locked(site: Site) -> None:
    token = {"Authorization": f"Bearer {site.token['operator']}"}
    with locked(site, 10):
        began = time.monotonic()
        session = log_in(site, "opera")
        page = session.get(f"{site.url}/account", timeout=30)
        assert page.status_code == 200 and "opera" in page.text
        kept = requests.put(
            f"{site.url}/api/mydb/during_lock",
            data={"QUERY": "SELECT TOP 3 coadd_object_id FROM D1.objects"},
            headers=token,
            timeout=30,
        )
        assert kept.status_code == 201, kept.text
        form = re.search(r'name="csrf" value="([\w.-]+)"', page.text)
        assert form is not None
        out = session.post(
            f"{site.url}/logout",
            data={"csrf": form[1]},
            headers={"Origin": site.url},
            allow_redirects=False,
            timeout=30,
        )
        assert out.status_code == 303
        # A write that waited for the lock would come back after its 5 s of patience, as 503.
        assert time.monotonic() - began < 5
    assert requests.delete(f"{site.url}/api/mydb/during_lock", headers=token, timeout=30).status_code == 204


def test_a_damaged_file_met_while_production_is_locked_is_listed_once_afterwards(site: Site) -> None:
    path = next((site.home / "releases" / "D1").glob("tables/*/dataset/**/*.parquet"))
    name = path.relative_to(site.home / "releases" / "D1").as_posix()
    whole, before = path.read_bytes(), path.stat()
    path.chmod(0o644)

    def listed() -> int:
        with site.database.read() as conn:
            return [p.subject for p in problems(conn)].count(f"D1/{name}")

    try:
        with locked(site, 3):
            path.write_bytes(whole[:-1])
            for _ in range(20):
                began = time.monotonic()
                assert requests.get(f"{site.url}/files/D1/{name}", timeout=30).status_code == 500
                assert time.monotonic() - began < 2
            assert listed() == 0
        assert until(listed, 45) == 1
        for _ in range(5):
            assert requests.get(f"{site.url}/files/D1/{name}", timeout=30).status_code == 500
        time.sleep(1)
        assert listed() == 1
    finally:
        path.write_bytes(whole)
        path.chmod(before.st_mode)
    assert requests.get(f"{site.url}/files/D1/{name}", timeout=30).status_code == 200


#: Requests that name a release which the caller may not see, with what is kept of each; no two of one subject.
HIDDEN = {
    "/api/releases/P1": "P1",
    "/files/p1/manifest.json": "P1",
    "/releases/P1": "P1",
    "/footprint?ra=0&dec=0&release=P1": "P1",
    "/hips/P1/color/Norder3/Allsky.png": "P1",
    "/soda/sync?ID=ivo://desdm/P1?x.fits&CIRCLE=0 0 1": "P1",
    "/tap/sync?REQUEST=doQuery&LANG=ADQL&QUERY=SELECT TOP 1 * FROM P1.objects": "P1.objects",
}


@pytest.mark.parametrize("path", HIDDEN)
def test_a_request_for_a_hidden_release_is_kept_as_a_denial_and_answered_as_for_none(
    site: Site, path: str
) -> None:
    # Each from an address of its own: a caller's entries for one release are one a minute.
    address = f"127.0.9.{list(HIDDEN).index(path) + 1}"
    source = requests.Session()
    source.mount("http://", _From(address))
    answer = source.get(site.url + path, timeout=30)
    nothing = source.get(site.url + re.sub("p1", "N0", path, flags=re.IGNORECASE), timeout=30)
    assert (answer.status_code, answer.headers["content-type"]) == (
        nothing.status_code,
        nothing.headers["content-type"],
    )

    def same(text: str) -> str:
        return re.sub(r"p1|n0", "R", text, flags=re.IGNORECASE)

    assert same(answer.text) == same(nothing.text)
    found = until(lambda: [d for d in denials(site, HIDDEN[path]) if d.address == address])
    assert len(found) == 1, path
    assert (found[0].login, found[0].action) == ("", "see release")
    assert not [d for name in ("N0", "N0.objects") for d in denials(site, name)]
    source.get(site.url + path, timeout=30)
    time.sleep(0.7)
    again = [d for d in denials(site, HIDDEN[path]) if d.address == address]
    assert len(again) <= 2  # one a minute, and a minute may have begun


def test_a_hidden_release_takes_as_long_as_none(site: Site) -> None:
    """Medians of interleaved requests differ by no more than their own scatter."""
    with requests.Session() as session:
        took: dict[str, list[float]] = {"P1": [], "N0": []}
        for _ in range(150):
            for name, times in took.items():
                began = time.perf_counter()
                assert session.get(f"{site.url}/api/releases/{name}", timeout=30).status_code == 404
                times.append(time.perf_counter() - began)
    first, second = (sorted(times) for times in took.values())
    scatter = first[110] - first[37] + second[110] - second[37]
    assert abs(first[75] - second[75]) < max(scatter, 0.001)


class _From(requests.adapters.HTTPAdapter):
    """Sends requests from an address of loopback."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: object, **kwargs: object) -> None:
        super().init_poolmanager(*args, **kwargs, source_address=(self._address, 0))  # type: ignore[no-untyped-call]
