"""The door over HTTP: who is let in, who is refused with which status, and what is kept of it."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
import requests
from sqlalchemy import update

from desdm.accounts import people, sessions, store, tokens
from desdm.accounts.clock import now
from desdm.accounts.model import MATRIX, Action, Denial
from desdm.schema import access_token
from desdm.schema.states import EventKind, Role
from desdm.schema.store import find_events
from tests.web.conftest import PASSWORD, Site

QUERY = {
    "REQUEST": "doQuery",
    "LANG": "ADQL",
    "FORMAT": "csv",
    "QUERY": "SELECT COUNT(*) AS n FROM P1.objects",
}
ROLES = [Role.COLLABORATOR, Role.OPERATOR, Role.ADMIN]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(login: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{login}:{secret}".encode()).decode()}


def count(site: Site, headers: dict[str, str]) -> requests.Response:
    return requests.get(f"{site.url}/tap/sync", params=QUERY, headers=headers, timeout=30)


def last_denial(site: Site) -> Denial:
    with site.state.read() as conn:
        return store.denials(conn, 1)[0]


def logged_in(site: Site, login: str) -> requests.Session:
    session = requests.Session()
    answer = session.post(f"{site.url}/login", data={"login": login, "password": PASSWORD}, timeout=30)
    assert answer.status_code == 200
    assert login in answer.text
    return session


def form_token(session: requests.Session, site: Site) -> str:
    found = re.search(
        r'<meta name="csrf" content="([\w.-]+)">', session.get(f"{site.url}/api", timeout=30).text
    )
    assert found
    return found[1]


def test_a_proprietary_table_is_seen_by_right_or_by_office(site: Site) -> None:
    for name, seen in [("collaborator", False), ("granted", True), ("operator", True), ("admin", True)]:
        answer = count(site, bearer(site.token[name]))
        assert (answer.status_code == 200) == seen, (name, answer.text)
        if seen:
            assert answer.text.split() == ["n", "200"]
    answer = count(site, {})
    assert answer.status_code == 400
    assert "200" not in re.sub(r"<[^>]*>", "", answer.text)


def test_basic_takes_login_and_token(site: Site) -> None:
    token = site.token["admin"]
    assert count(site, basic("admin", token)).status_code == 200
    for login, secret in [("admin", PASSWORD), ("opera", token), ("admin", token[:-1]), ("", token)]:
        assert count(site, basic(login, secret)).status_code == 401, login


WRONG = {
    "forged": lambda site: "desdm_t_" + "A" * 43,
    "cut short": lambda site: site.token["admin"][:-1],
    "the digest from the database": lambda site: tokens.digest(site.token["admin"]),
    "expired": lambda site: made(site, expired=True),
    "revoked": lambda site: made(site, revoked=True),
    "a session's": lambda site: sessions.begin(site.database, site.state, "admin", PASSWORD),
    "SQL": lambda site: "' OR '1'='1",
}


def made(site: Site, *, expired: bool = False, revoked: bool = False) -> str:
    with site.database.write() as conn:
        secret = tokens.make(conn, people.find(conn, "admin"))
        values = {"expires_at": now()} if expired else {"revoked_at": now()} if revoked else {}
        conn.execute(
            update(access_token).where(access_token.c.digest == tokens.digest(secret)).values(**values)
        )
    return secret


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_token_is_refused_everywhere_and_kept_as_a_denial(site: Site, kind: str) -> None:
    make: Callable[[Site], str] = WRONG[kind]
    token = make(site)
    # The public may read the public page; who sends a wrong token may not, not even that.
    for path in (
        "/tap/sync",
        "/tap/tables",
        "/files",
        "/api/releases",
        "/footprint",
        "/",
        "/scs/D1.objects",
        "/sia/query",
    ):
        answer = requests.get(site.url + path, headers=bearer(token), timeout=30)
        assert answer.status_code == 401, path
        assert "Bearer" in answer.headers["WWW-Authenticate"], path
        assert answer.headers["Cache-Control"] == "no-store", path
        assert token not in answer.text, path
    denial = last_denial(site)
    assert (denial.login, denial.address, denial.action, denial.subject) == (
        "",
        "127.0.0.1",
        "GET",
        "/sia/query",
    )
    assert denial.reason.startswith("this token")
    with site.state.read() as conn:
        assert token not in " ".join(d.subject + d.reason for d in store.denials(conn, 20))


def test_a_refusal_speaks_the_language_of_who_asked(site: Site) -> None:
    wrong = bearer("x")
    votable = ET.fromstring(requests.get(f"{site.url}/tap/tables", headers=wrong, timeout=30).content)
    info = votable.find(".//{*}INFO[@name='QUERY_STATUS']")
    assert info is not None
    assert info.get("value") == "ERROR"
    assert "not known" in (info.text or "")
    said = requests.get(f"{site.url}/api/releases", headers=wrong, timeout=30).json()
    assert said["error"]["status"] == 401
    page = requests.get(site.url, headers={**wrong, "Accept": "text/html"}, timeout=30)
    assert "<form" in page.text
    for header in (
        "Bearer",
        "Bearer ",
        "Basic",
        "Basic %%%",
        "Basic YQ==",
        "Digest x",
        "Negotiate y",
        "x" * 4000,
    ):
        assert requests.get(site.url, headers={"Authorization": header}, timeout=30).status_code == 401, (
            header
        )


def test_a_session_that_ended_is_refused_and_cleared(site: Site) -> None:
    session = logged_in(site, "admin")
    secret = session.cookies["desdm_session"]
    assert (
        session.post(f"{site.url}/logout", data={"csrf": form_token(session, site)}, timeout=30).status_code
        == 200
    )
    replayed = requests.get(
        site.url, cookies={"desdm_session": secret}, headers={"Accept": "text/html"}, timeout=30
    )
    assert replayed.status_code == 401
    assert "was ended" in replayed.text
    assert 'desdm_session=""' in replayed.headers["Set-Cookie"]
    assert (
        "Basic" not in replayed.headers["WWW-Authenticate"]
    )  # else the browser would ask in a window of its own
    again = requests.post(f"{site.url}/login", data={"login": "admin", "password": PASSWORD},
                          cookies={"desdm_session": secret}, allow_redirects=False, timeout=30)  # fmt: skip
    assert again.status_code == 303


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(site: Site) -> None:
    answer = requests.post(f"{site.url}/login", data={"login": "admin", "password": PASSWORD, "next": "https://evil.example/"},
                           allow_redirects=False, timeout=30)  # fmt: skip
    assert answer.headers["Location"] == "/"
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= {
        part.strip() for part in answer.headers["Set-Cookie"].split(";")
    }


def test_a_token_made_and_revoked_on_the_account_page_is_an_event_of_its_owner(site: Site) -> None:
    session = logged_in(site, "opera")
    form = {"csrf": form_token(session, site), "scope": "read", "days": "9", "name": "plots"}
    assert session.post(f"{site.url}/account/token", data=form, timeout=30).status_code == 200
    with site.database.read() as conn:
        number = store.tokens(conn, "opera")[-1].id
    form = {"csrf": form_token(session, site), "number": str(number)}
    assert session.post(f"{site.url}/account/revoke", data=form, timeout=30).status_code == 200
    with site.database.read() as conn:
        made, revoked = find_events(conn, kind=EventKind.ACCOUNT, subject="opera")[-2:]
    assert [(e.who, e.reason) for e in (made, revoked)] == [("opera", "plots"), ("opera", "")]
    assert f"token {number}" in revoked.text


def test_another_site_cannot_make_a_browser_act(site: Site) -> None:
    session = logged_in(site, "colla")
    good = form_token(session, site)
    run = {"QUERY": "SELECT 1 AS one", "LANG": "ADQL"}
    for headers in (
        {},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "0" * 64},
        {"X-CSRF-Token": form_token(logged_in(site, "admin"), site)},
    ):
        assert session.post(f"{site.url}/tap/async", data=run, headers=headers, timeout=30).status_code == 403
        assert (
            session.post(
                f"{site.url}/account/token", data={"csrf": headers.get("X-CSRF-Token", "")}, timeout=30
            ).status_code
            == 403
        )
    assert last_denial(site).login == "colla"
    assert (
        session.post(
            f"{site.url}/tap/async", data=run, headers={"X-CSRF-Token": good}, timeout=30
        ).status_code
        == 200
    )
    foreign = {"Origin": "https://evil.example"}
    assert (
        session.post(
            f"{site.url}/account/token", data={"csrf": good, "scope": "read"}, headers=foreign, timeout=30
        ).status_code
        == 403
    )
    assert (
        requests.post(
            f"{site.url}/login", data={"login": "admin", "password": PASSWORD}, headers=foreign, timeout=30
        ).status_code
        == 403
    )
    assert session.get(f"{site.url}/logout", timeout=30).status_code == 405


def test_a_wrong_login_says_nothing_and_soon_has_to_wait(site: Site) -> None:
    def attempt(login: str, password: str) -> requests.Response:
        return requests.post(f"{site.url}/login", data={"login": login, "password": password}, timeout=30)

    one, other = attempt("collx", PASSWORD), attempt("colla", "wrong wrong wrong")
    assert one.status_code == other.status_code == 400
    assert re.findall(r'role="alert">.*', one.text) == re.findall(r'role="alert">.*', other.text)
    assert last_denial(site).action == "login"
    statuses = [attempt("nobody", "x").status_code for _ in range(14)]
    assert statuses[-1] == 429
    assert int(attempt("nobody", "x").headers["Retry-After"]) >= 1


#: A request for which an action is needed; what it answers with, when it is allowed, is not 401 or 403.
NEEDS: dict[Action, tuple[str, str, dict[str, str]]] = {
    Action.READ: ("GET", "/tap/sync", {"QUERY": "SELECT TOP 1 ra FROM D1.objects", "LANG": "ADQL"}),
    Action.ASYNC: ("POST", "/tap/async", {"QUERY": "SELECT TOP 1 ra FROM D1.objects", "LANG": "ADQL"}),
    Action.MYDB: ("GET", "/api/mydb", {}),
    Action.BATCH: ("TABLE", "/api/cutouts?RELEASE=D1&SIZE=0.1", {}),
}


@pytest.mark.parametrize("action", NEEDS, ids=[a.value for a in NEEDS])
def test_role_and_scope_decide_what_is_done(site: Site, action: Action) -> None:
    method, path, data = NEEDS[action]

    def status(headers: dict[str, str]) -> int:
        if method == "TABLE":
            csv = {**headers, "Content-Type": "text/csv"}
            return requests.post(
                site.url + path, data="ra,dec\n30.0,-5.0\n", headers=csv, timeout=30
            ).status_code
        options = {"params": data} if method == "GET" else {"data": data}
        return requests.request(method, site.url + path, headers=headers, timeout=30, **options).status_code  # type: ignore[arg-type]

    allowed = status({}) not in (401, 403)
    assert allowed == (Role.PUBLIC in MATRIX[action]), "public"
    for role in ROLES:
        login = role.value[:5]
        with site.database.write() as conn:
            person = people.find(conn, login)
            rest = tokens.actions_of(role) - {action}
            without = tokens.make(conn, person, scopes=rest)
        assert (status(bearer(site.token[role.value])) < 400) == (role in MATRIX[action]), role
        assert status(bearer(without)) == 403, role


def test_what_was_denied_is_for_staff(site: Site) -> None:
    requests.get(f"{site.url}/api/releases?secret=\x1b[31m", headers=bearer("x"), timeout=30)
    assert "\x1b" not in last_denial(site).subject
    assert "Denials" not in logged_in(site, "colla").get(f"{site.url}/account", timeout=30).text
    assert "/api/releases" in logged_in(site, "opera").get(f"{site.url}/account", timeout=30).text


def test_other_sites_may_read_the_services_and_not_the_pages(site: Site) -> None:
    foreign = {"Origin": "https://other.example"}
    for path in ("/tap/capabilities", "/files", "/api/releases", "/footprint?ra=0&dec=-44", "/feed.xml"):
        headers = requests.get(site.url + path, headers=foreign, timeout=30).headers
        assert headers["Access-Control-Allow-Origin"] == "*", path
        assert "Access-Control-Allow-Credentials" not in headers
        # A script of another site cannot read a header that is not named; csv and tsv tell OVERFLOW in one.
        named = {name.strip() for name in headers["Access-Control-Expose-Headers"].split(",")}
        assert {"X-Query-Status", "X-Maxrec"} <= named, path
    asked = requests.options(
        f"{site.url}/tap/sync", timeout=30, headers={**foreign, "Access-Control-Request-Method": "POST"}
    )
    assert asked.status_code == 204
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    for path in ("/", "/query", "/account", "/login"):
        assert (
            "Access-Control-Allow-Origin"
            not in requests.get(site.url + path, headers=foreign, timeout=30).headers
        ), path


def test_a_released_file_runs_nothing_in_a_browser(site: Site) -> None:
    policy = requests.get(f"{site.url}/files/D1/docs/notes.html", timeout=30).headers[
        "Content-Security-Policy"
    ]
    assert "sandbox" in policy
    assert "script" not in policy
    for path in ("/", "/files/D1/manifest.json", "/tap/capabilities", "/static/query.js"):
        headers = requests.get(site.url + path, timeout=30).headers
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], path


def test_the_feed_and_the_list_for_programs_are_well_formed(site: Site) -> None:
    feed = ET.fromstring(requests.get(f"{site.url}/feed.xml", timeout=30).content)
    assert feed.tag == "{http://www.w3.org/2005/Atom}feed"
    described = requests.get(f"{site.url}/api/openapi.json", timeout=30).json()
    assert described["openapi"] == "3.1.0"
    # Each address without a variable part that may be got is there.
    for path, methods in described["paths"].items():
        if "get" in methods and "{" not in path:
            assert requests.get(site.url + path, timeout=30).status_code not in (404, 405, 500), path


def test_what_is_not_there_is_said_in_the_right_form(site: Site) -> None:
    page = requests.get(f"{site.url}/nowhere", headers={"Accept": "text/html"}, timeout=30)
    assert page.status_code == 404
    assert "there is nothing at /nowhere" in page.text
    assert requests.get(f"{site.url}/api/nowhere", timeout=30).json()["error"]["status"] == 404
    for path in (
        "/static/../web/app.py",
        "/static/%2e%2e/app.py",
        "/static/aladin/../../../pyvenv.cfg",
        "/static/app.py",
    ):
        assert requests.get(site.url + path, timeout=30).status_code == 404, path


def test_a_form_that_is_no_form_of_ours_is_not_read(site: Site) -> None:
    for data in (b"login=a&password=" + b"x" * 30_000, iter([b"login=a&", b"password=b"])):
        answer = requests.post(f"{site.url}/login", data=data, timeout=30,
                               headers={"Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
        assert answer.status_code == 413
