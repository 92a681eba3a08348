"""Every page and form of operations, quality assessment and survey x every office: allowed or refused as declared.

The walk goes over the routes of the app: a new route fails the first test until `SUBJECTS` knows the variable parts of its
path. The matrix in ``docs/services/offices.md`` is what the server answers; ``DESDM_UPDATE_DOCS=1`` writes it again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from starlette.routing import Route

from desdm.accounts.clock import now
from desdm.accounts.model import Action
from desdm.facility import Facility, initialise
from desdm.operations.qa.dispatch import open_dispatch
from desdm.quality.qa.model import NewReview
from desdm.quality.qa.store import insert_reviews
from desdm.query.engines.open import open_engine
from desdm.release.problems import open_problem
from desdm.schema.operationstates import ReviewCause, SubjectKind
from desdm.services.endpoint import Endpoint
from desdm.web.app import create_app, open_services
from desdm.web.endpoints import ENDPOINTS
from tests.archive.test_find import attempt, put
from tests.operations.test_acceptance import judge
from tests.support.desknight import PASSWORD, people_with_offices
from tests.support.server import served

DESK = re.compile(r"/(ops|qa|survey)(/|$)")
DOCUMENT = Path(__file__).parents[3] / "docs" / "services" / "offices.md"
#: Columns of the matrix, and who stands for them.
CALLERS = {
    "public": "",
    "collaborator": "carl",
    "operator": "otto",
    "qa": "ann",
    "prod_sci": "pia",
    "wg_member of the group": "wim",
    "wg_member of another": "sue",
    "admin": "ada",
}
MEMBERS = ("wg_member of the group", "wg_member of another")
#: The group of "wg_member of the group" was sent exposure 1; nothing else.
GROUP = "weak-lensing"
#: Variable part of a path → what stands in it; of subjects by the page.
SUBJECTS = {
    "{number}": "1",
    "{nite}": "20121120",
    "{run}": "D00000001_r1p01",
    "{name}": "table.csv",
    "exposure/{subject}": "exposure/1",
    "ccd/{subject}": "ccd/D00000001_c01",
    "tile/{subject}": "tile/DES0001+0001",
    "run/{subject}": "run/D00000001_r1p01",
    "file/{subject}": "file/im11.fits",
    "picture/{subject}": "picture/D00000001",
}
#: Forms with acts that differ in what they need: path → (act, action).
ACTS = {
    "/qa/problem/{number}": (
        ("note", Action.SEE_OPERATIONS),
        ("evidence", Action.SEE_OPERATIONS),
        ("confirm", Action.JUDGE),
        ("close", Action.JUDGE),
        ("severity", Action.JUDGE),
    ),
    "/qa/dispatch/{number}": (("answer", Action.ANSWER), ("withdraw", Action.JUDGE)),
}
#: What members of working groups reach: of their own group, and of any.
OF_THE_GROUP = {
    "/qa/dispatch/{number}",
    "/qa/exposure/{subject}",
    "/qa/ccd/{subject}",
    "/qa/picture/{subject}",
}
OF_ANY = {"/qa/dispatch"}
#: Pages of which members are answered as if there were nothing.
ABSENT = {"/qa/tile/{subject}", "/qa/run/{subject}", "/qa/file/{subject}"}
YES, NO, LOGIN, NOTHING = "yes", "no", "log in", "nothing there"


@dataclass(frozen=True)
class Case:
    """A page, or a form with one of its acts, and the action that it needs."""

    endpoint: Endpoint
    method: str
    act: str
    action: Action

    @property
    def path(self) -> str:
        return self.endpoint.path

    @property
    def address(self) -> str:
        path = self.path
        for variable, value in SUBJECTS.items():
            path = path.replace(variable, value)
        assert "{" not in path, f"enter the variable parts of {path} into SUBJECTS"
        return path

    def expected(self, caller: str) -> str:
        """What is declared."""
        if caller == "public":
            return LOGIN
        may = ALLOWED[caller]
        if self.action in may or (caller in MEMBERS and self.method == "GET" and self.path in OF_ANY):
            # An answer is of the group that was asked.
            if self.act == "answer":
                return {MEMBERS[0]: YES, MEMBERS[1]: NOTHING}.get(caller, NO)
            return YES
        if caller in MEMBERS and (self.method == "GET" or self.act):
            if self.path in OF_THE_GROUP and caller == MEMBERS[1]:
                return NOTHING
            if self.path in OF_THE_GROUP and self.method == "GET":
                return YES
            if self.path in ABSENT:
                return NOTHING
        return NO


SEE = {Action.SEE_OPERATIONS}
#: The declaration of the organisation: what each office may do on the desk.
ALLOWED: dict[str, set[Action]] = {
    "collaborator": set(),
    "operator": SEE | {Action.OPERATE},
    "qa": SEE | {Action.JUDGE},
    "prod_sci": SEE | {Action.OPERATE, Action.JUDGE, Action.POLICY},
    MEMBERS[0]: {Action.ANSWER},
    MEMBERS[1]: {Action.ANSWER},
    "admin": SEE | {Action.OPERATE, Action.JUDGE, Action.POLICY},
}


def _cases() -> Iterator[Case]:
    for endpoint in ENDPOINTS:
        if not DESK.match(endpoint.path):
            continue
        assert endpoint.action is not None, f"{endpoint.path} declares no action"
        for method in endpoint.methods:
            acts = ACTS.get(endpoint.path, ()) if method == "POST" else ()
            for act, action in acts or (("", endpoint.action),):
                yield Case(endpoint, method, act, action)


CASES = list(_cases())


@dataclass(frozen=True)
class Site:
    """The served installation, and a session with its form token for each caller."""

    url: str
    home: Path
    session: dict[str, requests.Session]
    csrf: dict[str, str]

    def ask(self, caller: str, case: Case) -> requests.Response:
        """The answer to a page, or to its form without anything in it but the act."""
        session = self.session[caller]
        data = {"csrf": self.csrf[caller], "act": case.act} if case.method == "POST" else None
        headers = {"Accept": "text/html"}
        answer = session.request(
            case.method, self.url + case.address, data=data, headers=headers, allow_redirects=False, timeout=60, stream=True
        )  # fmt: skip
        if "event-stream" in answer.headers.get("content-type", ""):
            answer.close()
        return answer

    def result(self, caller: str, case: Case) -> str:
        """What the caller gets."""
        answer = self.ask(caller, case)
        if answer.status_code in (401, 403):
            return LOGIN if answer.status_code == 401 else NO
        if answer.status_code == 404 and re.search(r"there is nothing at|there is no dispatch", answer.text):
            return NOTHING
        assert answer.status_code < 500, (caller, case.address, answer.text[-600:])
        return YES


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Exposure 1 with two CCDs, a tile, an entry of the review queue, a problem, and a dispatch."""
    home = tmp_path_factory.mktemp("offices") / "home"
    initialise(home)
    facility = Facility.open(home)
    people_with_offices(facility)
    scope = facility.production
    with facility.database.write() as conn:
        for number, unit, req, pipeline in ((1, "D00000001", 1, "firstcut"), (2, "DES0001+0001", 2, "coadd")):
            attempt(conn, number, unit=unit, req=req, pipeline=pipeline)
        conn.exec_driver_sql(
            "UPDATE pfw_request SET project = ?, campaign = ?", (scope.project, scope.campaign)
        )
        for ccdnum in (1, 2):
            put(conn, 10 + ccdnum, f"im1{ccdnum}.fits", 1, expnum=1, ccdnum=ccdnum, band="r", nite="20121120")
        put(conn, 20, "coadd.fits", 2, filetype="coadd", tilename="DES0001+0001", band="r")
        judge(conn, 1, "True", 1)
        entry = NewReview(SubjectKind.EXPOSURE, "D00000001", 1, "20121120", "r", ReviewCause.ASKED, "a look")
        insert_reviews(conn, [entry], now())
        open_problem(conn, "exposure", "D00000001", "a trail", who="otto")
        open_dispatch(
            conn, GROUP, "1", "is it good?", "below 1e-3", now() + timedelta(days=5), who="ann", scope=scope, now=now()
        )  # fmt: skip
    facility.close()
    with served(home) as url:
        sessions, csrf = {}, {}
        for caller, login in CALLERS.items():
            session = sessions[caller] = requests.Session()
            csrf[caller] = ""
            if login:
                fields = {"login": login, "password": PASSWORD, "next": "/"}
                session.post(f"{url}/login", data=fields, timeout=60)
                page = session.get(f"{url}/account", timeout=60).text
                csrf[caller] = re.findall(r'name="csrf" content="([^"]+)"', page)[0]
        yield Site(str(url), home, sessions, csrf)


def test_every_route_is_allowed_or_refused_as_declared(site: Site) -> None:
    wrong = []
    for case in CASES:
        for caller in CALLERS:
            result, expected = site.result(caller, case), case.expected(caller)
            if result != expected:
                wrong.append(
                    f"{case.method} {case.address} {case.act}: {caller}: {result}, declared: {expected}"
                )
    assert not wrong, "\n".join(wrong)


def test_the_table_has_every_route_of_the_app(site: Site) -> None:
    facility = Facility.open(site.home)
    services = open_services(facility, open_engine(facility.config, None))
    try:
        routes = {route.path for route in create_app(services).routes if isinstance(route, Route)}
    finally:
        services.supervisor.stop()
        services.pool.shutdown()
        services.engine.close()
        facility.close()
    assert {path for path in routes if DESK.match(path)} == {case.path for case in CASES}


def test_a_browser_without_a_login_is_sent_to_log_in_first(site: Site) -> None:
    answer = requests.get(
        f"{site.url}/qa/exposure/1?metric=fwhm",
        headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"},
        allow_redirects=False,
        timeout=60,
    )
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/login?next=%2Fqa%2Fexposure%2F1%3Fmetric%3Dfwhm"


def test_what_was_sent_to_another_group_is_answered_as_what_does_not_exist(site: Site) -> None:
    for path, absent in (
        ("/qa/exposure/1", "/qa/exposure/999999"),
        ("/qa/picture/D00000001", "/qa/picture/D00999999"),
        ("/qa/dispatch/1", "/qa/dispatch/9"),
    ):
        texts = []
        for each in (path, absent):
            answer = site.session[MEMBERS[1]].get(
                site.url + each, headers={"Accept": "text/html"}, timeout=60
            )
            assert answer.status_code == 404
            # What the caller wrote is in the answer, and nothing else differs.
            name = each.rsplit("/", 1)[1]
            (text,) = re.findall(r'<div class="note bad"><p>(.*?)</p>', answer.text)
            texts.append((len(answer.text) - len(text), re.sub(rf"\b{name}\b", "NAME", text)))
        assert texts[0] == texts[1]
    # The member of the group sees the page of its exposure, without what is not theirs.
    page = site.session[MEMBERS[0]].get(f"{site.url}/qa/exposure/1", timeout=60).text
    assert "is it good?" in page and "a trail" not in page and "/ops/" not in page


def test_a_form_of_another_site_or_session_is_refused(site: Site) -> None:
    url = f"{site.url}/qa/mark"
    session = site.session["qa"]
    fields = {"subject": "1", "verdict": "blessed", "reason": "good", "seen": "0" * 64}
    assert session.post(url, data=fields, timeout=60).status_code == 403
    other = {**fields, "csrf": site.csrf["prod_sci"]}
    assert session.post(url, data=other, timeout=60).status_code == 403
    foreign = session.post(
        url,
        data={**fields, "csrf": site.csrf["qa"]},
        headers={"Origin": "https://elsewhere.example"},
        timeout=60,
    )
    assert foreign.status_code == 403


def _matrix(site: Site) -> str:
    head = ["Page or form", *CALLERS]
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for case in CASES:
        name = f"`{case.method} {case.path}`" + (f" ({case.act})" if case.act else "")
        rows.append(f"| {name} | " + " | ".join(site.result(caller, case) for caller in CALLERS) + " |")
    return "\n".join(rows)


HEAD = """# Offices and what they may do on the desk

An office is given and ended by `desdm account office`, with a reason, and holds from the next request on. `operator` runs
production, `qa` judges data, `prod_sci` sets policies and does both, `wg_member` answers for a working group. The table
says who may see each page and send each form: `log in` is status 401 (a browser is sent to log in first), `no` is 403,
`nothing there` is 404 with the same text as for what does not exist. One member's group was sent the exposure
of these pages, the other's was not.

A retry from a page changes how data are processed, not what they are judged by: of a production run the settings of the
assessment (`assess.…`), the quality controls (`qcf.…`, `use_qcf`), the choice of data (`assessment`, `inputs.…`), `project`
and `campaign` are changed by `prod_sci` and `admin` only. A trial (`setting=run_class:study`, `qualify` or `dev`)
supersedes nothing, and may change them; a trial is made a production run at the command line only.

The author of an act is the account that sends the form. The table is written by `DESDM_UPDATE_DOCS=1 pytest
tests/web/desk/test_office_matrix.py`, and a test compares it with the server's answers.

"""


def test_the_matrix_of_the_documents_is_what_the_server_answers(site: Site) -> None:
    text = HEAD + _matrix(site) + "\n"
    if os.environ.get("DESDM_UPDATE_DOCS"):
        DOCUMENT.write_text(text, "utf-8")
    assert DOCUMENT.read_text("utf-8") == text, (
        "docs/services/offices.md differs from what the server answers; if the answers are right, write it again: "
        "DESDM_UPDATE_DOCS=1 make tests PYTEST_ARGS=tests/web/desk/test_office_matrix.py"
    )
