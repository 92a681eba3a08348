"""Every route of the app x every kind of caller: what of a proprietary release, of a draft and of nothing is answered.

The table of probes below must name every route of the app: a new route fails the first test until it is entered. The
matrix in ``docs/services/rights.md`` is what the server answers; ``DESDM_UPDATE_DOCS=1`` writes it again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest
import requests
from starlette.routing import BaseRoute, Mount, Route

from desdm.accounts import people, rights, tokens
from desdm.facility import Facility
from desdm.query.engines.open import open_engine
from desdm.release.addtable import add_table
from desdm.release.create import create_empty
from desdm.release.source import TableSource
from desdm.schema.states import Role
from desdm.web.app import create_app, open_services
from tests.support.release import demo_release, small_release
from tests.support.server import served

DOCUMENT = Path(__file__).parents[2] / "docs" / "services" / "rights.md"
CALLERS = ("public", "collaborator", "right on a table", "right on the release", "operator", "admin")
BLIND = ("public", "collaborator")
SEES_TABLE = ("right on a table", "right on the release", "operator", "admin")
SEES_ALL = ("right on the release", "operator", "admin")
#: Names of the same length, so that an answer to one is that to another but for the name.
SECRET, DRAFT, NOWHERE = "SECRET", "DRAFTS", "NOWHER"
#: The table of SECRET to which "right on a table" is a right, and another one, hidden from that caller.
VISIBLE, HIDDEN = "objects", "sealed"


@dataclass(frozen=True)
class Probe:
    """A request about a release ``{R}``; ``who`` gets an answer about it that the others do not get.

    ``file``: the part of the request that names a file, folder or table; who may see a part of the release gets the
    answer to one that it does not have.
    """

    path: str
    who: tuple[str, ...]
    method: str = "GET"
    data: str = ""
    file: str = ""


def _list(path: str, who: tuple[str, ...] = SEES_TABLE, method: str = "GET", data: str = "") -> Probe:
    return Probe(path, who, method, data)


IMAGE = "images/DES0200-0500/DES0200-0500_g.fits.fz"
DID = "ivo%3A%2F%2Fdesdm%2F{R}%3F" + IMAGE.replace("/", "%2F")
QUERY = "LANG=ADQL&QUERY=SELECT+count(*)+AS+n+FROM+{R}.objects"
OBSCORE = "LANG=ADQL&QUERY=SELECT+obs_id+FROM+ivoa.obscore+WHERE+obs_collection='{R}'"
SCHEMAS = "LANG=ADQL&QUERY=SELECT+table_name+FROM+tap_schema.tables+WHERE+schema_name='{R}'"
COLUMNS = "LANG=ADQL&QUERY=SELECT+column_name+FROM+tap_schema.columns+WHERE+table_name='{R}.objects'"
CIRCLE = "CIRCLE=30.0+-5.0+0.003"

#: Route → requests about a release. () : the route takes no release and tells of none.
PROBES: dict[str, tuple[Probe, ...]] = {
    "/tap/sync": (
        Probe(f"/tap/sync?{QUERY}", SEES_TABLE),
        Probe("/tap/sync", SEES_TABLE, "POST", QUERY),
        Probe(f"/tap/sync?{OBSCORE}", SEES_ALL),
        Probe(f"/tap/sync?{SCHEMAS}", SEES_TABLE),
        Probe(f"/tap/sync?{COLUMNS}", SEES_TABLE),
    ),
    "/tap/async": (),
    "/tap/availability": (),
    "/tap/capabilities": (),
    "/tap/tables": (_list("/tap/tables"),),
    "/tap/tables/{table}": (Probe("/tap/tables/{R}.objects", SEES_TABLE),),
    "/tap/examples": (_list("/tap/examples"),),
    "/scs/{table}": (
        Probe("/scs/{R}.objects?RA=30&DEC=-5&SR=0.01", SEES_TABLE),
        Probe("/scs/{R}.objects", SEES_TABLE, "POST", "RA=30&DEC=-5&SR=0.01"),
    ),
    "/scs/{table}/availability": (Probe("/scs/{R}.objects/availability", ()),),
    "/scs/{table}/capabilities": (Probe("/scs/{R}.objects/capabilities", ()),),
    "/sia": (Probe("/sia?COLLECTION={R}", SEES_ALL), Probe("/sia", SEES_ALL, "POST", "COLLECTION={R}")),
    "/sia/query": (Probe("/sia/query?COLLECTION={R}", SEES_ALL),),
    "/sia/availability": (),
    "/sia/capabilities": (),
    "/datalink": (Probe(f"/datalink?ID={DID}", SEES_ALL),),
    "/datalink/links": (
        Probe(f"/datalink/links?ID={DID}", SEES_ALL),
        Probe("/datalink/links", SEES_ALL, "POST", f"ID={DID}"),
    ),
    "/datalink/availability": (),
    "/datalink/capabilities": (),
    "/api/cutouts": (
        Probe("/api/cutouts?ra=30.0&dec=-5.0&size=0.1&RELEASE={R}&FORMAT=tar", SEES_ALL),
        Probe("/api/cutouts?RELEASE={R}&SIZE=0.1", SEES_ALL, "POST", "ra,dec\n30.0,-5.0\n"),
    ),
    "/api/cutouts/async": (),
    "/soda/sync": (
        Probe(f"/soda/sync?ID={DID}&{CIRCLE}", SEES_ALL),
        Probe("/soda/sync", SEES_ALL, "POST", f"ID={DID}&{CIRCLE}"),
    ),
    "/soda/async": (),
    "/soda/availability": (),
    "/soda/capabilities": (),
    "/hips/{release}/{name}/{path:path}": (
        Probe("/hips/{R}/color/properties", SEES_ALL),
        Probe("/hips/{R}/color/Moc.fits", SEES_ALL),
    ),
    "/footprint": (
        Probe("/footprint?ra=30&dec=-5&release={R}", SEES_ALL),
        Probe("/footprint?release={R}", SEES_ALL, "POST", "ra,dec\n30.0,-5.0\n"),
    ),
    "/footprint/region": (Probe("/footprint/region?POS=CIRCLE+30+-5+1&release={R}", SEES_ALL),),
    "/footprint/{release}/moc": (Probe("/footprint/{R}/moc", SEES_ALL),),
    "/footprint/{release}/{name}": (Probe("/footprint/{R}/tiles.json", SEES_ALL),),
    "/files": (_list("/files?release={R}"), _list("/files?limit=100000")),
    "/files/": (_list("/files/?release={R}"),),
    "/files/{release}": (),
    "/files/{release}/": (Probe("/files/{R}/", SEES_TABLE),),
    "/files/{release}/{folder:path}/": (
        Probe("/files/{R}/images/", SEES_ALL, file="images"),
        Probe("/files/{R}/tables/objects/", SEES_TABLE),
    ),
    "/files/{release}/{path:path}": (
        Probe("/files/{R}/manifest.json", SEES_TABLE),
        Probe("/files/{R}/docs/notes.html", SEES_ALL, file="docs/notes.html"),
        Probe("/files/{R}/hips/color/properties", SEES_ALL, file="hips/color/properties"),
        Probe("/files/{R}/images", SEES_ALL, file="images"),
    ),
    "/api/releases": (_list("/api/releases"),),
    "/api/releases/{release}": (Probe("/api/releases/{R}", SEES_TABLE),),
    "/api/releases/{release}/files": (Probe("/api/releases/{R}/files", SEES_TABLE),),
    "/api/mydb": (),
    "/api/mydb/{table}": (),
    "/api/whoami": (),
    "/": (_list("/"),),
    "/releases": (),
    "/releases/{release}": (Probe("/releases/{R}", SEES_TABLE),),
    "/tables/{table}": (Probe("/tables/{R}.objects", SEES_TABLE),),
    "/query": (_list("/query"),),
    "/cutout": (_list("/cutout?release={R}&pos=30.0+-5.0", SEES_ALL),),
    "/map": (_list("/map?release={R}", SEES_ALL),),
    "/map/hips/{release}/{path:path}": (
        Probe("/map/hips/{R}/color/properties", SEES_ALL),
        Probe("/map/hips/{R}/color/Norder1/Dir0/Npix17.png", SEES_ALL),
    ),
    "/pick": (_list("/pick"), Probe("/pick?release={R}", SEES_TABLE)),
    "/login": (),
    "/logout": (),
    "/account": (),
    "/account/token": (),
    "/account/revoke": (),
    "/api": (),
    "/api/openapi.json": (),
    "/feed.xml": (_list("/feed.xml"),),
    "/static/{name:path}": (),
    "/health": (),
    "/ops": (),
    "/ops/night/{nite}": (),
    "/ops/arrival": (),
    "/ops/queue": (),
    "/ops/queue/policy": (),
    "/ops/runs": (),
    "/ops/run/{run}": (),
    "/ops/run/{run}/log/{name}": (),
    "/ops/run/{run}/retry": (),
    "/ops/run/{run}/cancel": (),
    "/ops/run/{run}/compare": (),
    "/ops/log": (),
    "/ops/log/feed.xml": (),
    "/ops/stream": (),
    "/qa/review": (),
    "/qa/review/step": (),
    "/qa/review/undo": (),
    "/qa/review/ask": (),
    "/qa/review/{number}": (),
    "/qa/review/{number}/mark": (),
    "/qa/picture/{subject}": (),
    "/qa/exposure/{subject}": (),
    "/qa/ccd/{subject}": (),
    "/qa/tile/{subject}": (),
    "/qa/run/{subject}": (),
    "/qa/file/{subject}": (),
    "/qa/mark": (),
    "/qa/exclude": (),
    "/qa/problems": (),
    "/qa/problem/{number}": (),
    "/qa/problem/{number}/bundle": (),
    "/qa/report": (),
    "/qa/dispatch": (),
    "/qa/dispatch/{number}": (),
    "/survey": (),
    "/survey/{name}": (),
}
#: Jobs belong to their owner: others are refused, whatever release the job is about.
JOB = re.compile(r"/(tap|soda|api/cutouts)/async/\{job\}(/.*)?")


def with_hidden_table(probe: Probe) -> Iterator[Probe]:
    """Yield a probe, and where it names the visible table the same probe of the hidden one."""
    yield probe
    if VISIBLE in probe.path + probe.data and probe.who == SEES_TABLE:
        path, data = (text.replace(VISIBLE, HIDDEN) for text in (probe.path, probe.data))
        yield replace(probe, path=path, data=data, who=SEES_ALL, file=HIDDEN)


CASES = [
    (route, one) for route, probes in PROBES.items() for probe in probes for one in with_hidden_table(probe)
]


@dataclass(frozen=True)
class Site:
    """The served installation, and a token for each kind of caller."""

    url: str
    home: Path
    token: dict[str, str]

    def ask(self, who: str, probe: Probe, name: str) -> requests.Response:
        """The answer to a probe about a release."""
        headers = {"Authorization": f"Bearer {self.token[who]}"} if who != "public" else {}
        headers["Content-Type"] = "text/csv" if "\n" in probe.data else "application/x-www-form-urlencoded"
        return requests.request(
            probe.method, self.url + probe.path.format(R=name), data=probe.data.format(R=name) or None,
            headers=headers, timeout=60,
        )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The served installation of `rights_site`."""
    with rights_site(tmp_path_factory.mktemp("rights") / "home") as made:
        yield made


@contextmanager
def rights_site(home: Path) -> Iterator[Site]:
    """Serve OPENED, public, SECRET, proprietary with images, pictures and two tables, and DRAFTS, not published."""
    demo_release(home, SECRET, proprietary=True, before_publication=_add_hidden_table)
    small_release(home, "OPENED", 50)
    facility = Facility.open(home)
    create_empty(facility.database, facility.config.releases / DRAFT, DRAFT, title="A draft", who="tester")
    given = {"public": ""}
    with facility.database.write() as conn:
        for who, role in zip(
            CALLERS[1:], (Role.COLLABORATOR, Role.COLLABORATOR, Role.COLLABORATOR, Role.OPERATOR, Role.ADMIN), strict=True
        ):  # fmt: skip
            person = people.add(conn, f"user{len(given)}", role, who="tester")
            given[who] = tokens.make(conn, person)
        rights.grant(conn, "user2", SECRET, VISIBLE, who="tester")
        rights.grant(conn, "user3", SECRET, "*", who="tester")
    facility.close()
    with served(home) as url:
        yield Site(str(url), home, given)


def _add_hidden_table(facility: Facility, root: Path) -> None:
    """Add the hidden table to a release; its name is in its title, its columns and their texts."""
    names = (f"{HIDDEN}_id", f"{HIDDEN}_ra", f"{HIDDEN}_dec")
    units, ucds = ("", "deg", "deg"), ("meta.id;meta.main", "pos.eq.ra;meta.main", "pos.eq.dec;meta.main")
    fields = [
        pa.field(
            name, pa.float64(), metadata={"description": f"{name} of the table", "unit": unit, "ucd": ucd}
        )
        for name, unit, ucd in zip(names, units, ucds, strict=True)
    ]
    table = pa.table([[1.0], [30.0], [-5.0]], schema=pa.schema(fields))
    add_table(
        facility.database, root, root.name, HIDDEN, iter(table.to_batches()), ra=names[1], dec=names[2],
        text=f"A {HIDDEN} table", who="tester", provenance=TableSource({"made by": "tests"}),
    )  # fmt: skip


def _paths(routes: list[BaseRoute]) -> Iterator[str]:
    for route in routes:
        if isinstance(route, Mount):
            yield from (route.path + path for path in _paths(list(route.routes)))
        else:
            assert isinstance(route, Route), f"{route}: a kind of route that this test does not know"
            yield route.path


def test_every_route_of_the_app_is_in_the_table(site: Site) -> None:
    facility = Facility.open(site.home)
    services = open_services(facility, open_engine(facility.config, None))
    try:
        routes = {path for path in _paths(create_app(services).routes) if not JOB.fullmatch(path)}
    finally:
        services.supervisor.stop()
        services.pool.shutdown()
        services.engine.close()
        facility.close()
    assert routes == set(PROBES), "enter a new route into PROBES, with what it tells of a release"


def _signature(answer: requests.Response, name: str) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of an answer, the release's name and what differs by time left out."""
    headers = {k.lower(): v.replace(name, "*") for k, v in answer.headers.items() if k.lower() != "date"}
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z?", "", answer.text.replace(name, "*"))
    return answer.status_code, text, headers


def _signature_of_missing(site: Site, who: str, probe: Probe) -> tuple[int, str, dict[str, str]]:
    """What a caller gets for a file or table that SECRET does not have, under the name of the probe's."""
    other = "x" * len(probe.file)
    path, data = (text.replace(probe.file, other) for text in (probe.path, probe.data))
    status, text, headers = _signature(site.ask(who, replace(probe, path=path, data=data), SECRET), SECRET)
    return (
        status,
        text.replace(other, probe.file),
        {k: v.replace(other, probe.file) for k, v in headers.items()},
    )


@pytest.mark.parametrize(("route", "probe"), CASES, ids=[f"{p.method} {p.path}"[:70] for _, p in CASES])
def test_what_may_not_be_seen_is_answered_as_what_does_not_exist(
    site: Site, route: str, probe: Probe
) -> None:
    del route
    for who in CALLERS:
        nothing = _signature(site.ask(who, probe, NOWHERE), NOWHERE)
        draft = _signature(site.ask(who, probe, DRAFT), DRAFT)
        assert draft == nothing, f"{who}: a draft is not as nothing"
        answer = site.ask(who, probe, SECRET)
        if who in probe.who:
            assert answer.status_code in (200, 404) or answer.status_code == 400, (who, answer.text)
            assert _signature(answer, SECRET) != nothing or "{R}" not in probe.path + probe.data, who
        elif who == "right on a table" and probe.file:
            assert _signature(answer, SECRET) == _signature_of_missing(site, who, probe), who
        else:
            assert _signature(answer, SECRET) == nothing, who
            lower = site.ask(who, probe, SECRET.lower())
            assert _signature(lower, SECRET.lower()) == _signature(
                site.ask(who, probe, NOWHERE.lower()), NOWHERE.lower()
            ), who
        if who not in probe.who and "{R}" not in probe.path + probe.data:
            assert SECRET not in answer.text, who
        if who not in SEES_ALL and HIDDEN not in probe.path + probe.data:
            assert HIDDEN not in answer.text, f"{who}: the answer names the hidden table"


def test_a_job_is_its_owner_s(site: Site) -> None:
    own = {"Authorization": f"Bearer {site.token['right on the release']}"}
    made = requests.post(
        f"{site.url}/tap/async", data=QUERY.format(R=SECRET), timeout=30,
        headers={**own, "Content-Type": "application/x-www-form-urlencoded"}, allow_redirects=False,
    )  # fmt: skip
    job = made.headers["Location"]
    below = (
        "",
        "/phase",
        "/executionduration",
        "/destruction",
        "/quote",
        "/owner",
        "/error",
        "/parameters",
        "/results",
    )
    for who in ("public", "collaborator", "right on a table"):
        headers = {"Authorization": f"Bearer {site.token[who]}"} if who != "public" else {}
        for path in (*below, "/results/result"):
            answer = requests.get(job + path, headers=headers, timeout=30)
            assert answer.status_code == 404, (who, path)
            assert SECRET not in answer.text, (who, path)
        listed = requests.get(f"{site.url}/tap/async", headers=headers, timeout=30).text
        assert job.rsplit("/", 1)[1] not in listed
    assert SECRET in requests.get(job + "/parameters", headers=own, timeout=30).text


def _matrix(site: Site) -> str:
    rows = ["| Route | Request | " + " | ".join(CALLERS) + " |", "|---|---|" + "---|" * len(CALLERS)]
    for route, probe in CASES:
        nothing = {who: _signature(site.ask(who, probe, NOWHERE), NOWHERE) for who in CALLERS}
        cells = []
        for who in CALLERS:
            answer = site.ask(who, probe, SECRET)
            same = _signature(answer, SECRET) == nothing[who]
            if "{R}" in probe.path + probe.data:
                missing = probe.file and _signature(answer, SECRET) == _signature_of_missing(site, who, probe)
                shown = not same and not missing
            else:
                shown = SECRET in answer.text
            cells.append(f"yes ({answer.status_code})" if shown else f"no ({answer.status_code})")
        request = f"{probe.method} {probe.path}" + (f" with {probe.data}" if probe.data else "")
        request = request.replace("\n", " ").replace("|", "\\|")
        rows.append(f"| `{route}` | `{request}` | " + " | ".join(cells) + " |")
    rest = sorted(route for route, probes in PROBES.items() if not probes)
    told = "Routes that tell of no release: " + ", ".join(f"`{route}`" for route in rest) + "."
    return "\n".join([*rows, "", told])


HEAD = """# What a caller may see

`services/access.py` decides what a caller may see of a release, a table and a file; every endpoint, page and table asks it.
A right names one table of a proprietary release or, as `*`, all of it. A right to a table brings its rows and files;
images, pictures, footprint and documents come with the right to the release. What a caller may not see is answered as
what does not exist: the same status and the same text, in any case of the name. A release that is not published is
served to nobody, operators and admins included.

Jobs, sessions and tables of one's own belong to their owner. Operators and admins see the jobs of all, and may
abort and delete them; a job is started and changed by its owner alone, and runs with the rights of its owner.

The table says for a proprietary release whether the answer shows anything of it, and its status. It is written by
`DESDM_UPDATE_DOCS=1 pytest tests/web/test_rights_matrix.py`, and a test compares it with the server's answers.

"""


def test_the_matrix_of_the_documents_is_what_the_server_answers(site: Site) -> None:
    text = HEAD + _matrix(site) + "\n"
    if os.environ.get("DESDM_UPDATE_DOCS"):
        DOCUMENT.write_text(text, "utf-8")
    assert DOCUMENT.read_text("utf-8") == text, (
        "docs/services/rights.md differs from what the server answers; if the answers are right, write the document again: "
        "DESDM_UPDATE_DOCS=1 make tests PYTEST_ARGS=tests/web/test_rights_matrix.py"
    )
