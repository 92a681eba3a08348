"""Declared endpoints and parameters against the served application: routes, OpenAPI document, every parameter."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import func, insert, select
from starlette.routing import Route

from desdm.accounts.model import Action
from desdm.facility import Facility
from desdm.framework.store import number_attempt
from desdm.framework.watch.store import runs
from desdm.query.engines.open import open_engine
from desdm.schema import tables
from desdm.schema.states import AttemptState, DataState
from desdm.services import SERVICES
from desdm.services.endpoint import Endpoint
from desdm.services.parameters import Kind, Parameter
from desdm.services.soda.endpoints import FILTERS
from desdm.web.app import create_app, open_services
from desdm.web.openapi import all_endpoints, document
from desdm.web.opsendpoints import STREAM
from tests.web.conftest import Site

DID = "ivo://desdm/D1?images/DES0200-0500/DES0200-0500_g.fits.fz"
CSV = "ra,dec\n30.0,-5.0\n"
QUERY = "SELECT TOP 5 * FROM D1.objects"
#: What a request about the served releases needs beside the parameter in question.
BASE: dict[str, dict[str, str]] = {
    "/soda/sync": {"ID": DID, "CIRCLE": "30.0 -5.0 0.003"},
    "/soda/async": {"ID": DID, "CIRCLE": "30.0 -5.0 0.003"},
    "/api/cutouts": {"ra": "30.0", "dec": "-5.0", "SIZE": "0.1", "RELEASE": "D1"},
    "/api/cutouts/async": {"RELEASE": "D1"},
    "/footprint": {"ra": "30", "dec": "-5", "release": "F1"},
    "/footprint/region": {"POS": "CIRCLE 30 -5 0.1", "release": "F1"},
}
#: Values for which no example holds on every installation.
VALUES = {
    "ID": DID,
    "QUERY": QUERY,
    "CIRCLE": "30.0 -5.0 0.003",
    "POLYGON": "29.998 -5.002 30.002 -5.002 30.0 -4.998",
    "POS": "CIRCLE 30.0 -5.0 0.003",
    "RELEASE": "F1",
    "TABLE": "objects",
    "RA": "30.0",
    "DEC": "-5.0",
    "BAND": "g",
    "TIME": "56000 70000",
    "POL": "I",
    "UPLOAD": "mine,param:part",
}
#: Parameters that stand instead of others.
INSTEAD = {("/footprint", "POS"): ("ra", "dec"), ("/api/cutouts", "id"): ("ra", "dec")}
#: The job itself checks its parameters, when it runs.
UNCHECKED = ("/tap/async", "/parameters")
NUMBERS = itertools.count()
DESK = (Action.SEE_OPERATIONS, Action.OPERATE, Action.JUDGE, Action.POLICY, Action.ANSWER)


def _of_the_desk(endpoint: Endpoint) -> bool:
    """Pages about exposures and entries of the review queue, which this site does not have; tests/web/desk asks them."""
    return "{subject}" in endpoint.path or "{number}" in endpoint.path


def _cases() -> Iterator[tuple[Endpoint, str, Parameter]]:
    for _, endpoint in all_endpoints():
        if _of_the_desk(endpoint):
            continue
        for method in endpoint.methods:
            for parameter in endpoint.parameters:
                yield endpoint, method, parameter


CASES = list(_cases())
IDS = [f"{method} {endpoint.template} {parameter.name}" for endpoint, method, parameter in CASES]


def _value(endpoint: Endpoint, parameter: Parameter) -> str:
    """A value of a parameter that works on the served releases."""
    base = BASE.get(endpoint.path, {})
    if endpoint.path == "/footprint" and endpoint.body and parameter.name in ("FORMAT", "RESPONSEFORMAT"):
        return "csv"
    if endpoint.path.startswith("/sia") and parameter.example:
        return parameter.example
    return base.get(parameter.name) or parameter.example or VALUES[parameter.name.upper()]


def _pairs(endpoint: Endpoint, parameter: Parameter, *values: str) -> list[tuple[str, str]]:
    """A request that is right but for the values of one parameter."""
    left_off = {parameter.name, *INSTEAD.get((endpoint.path, parameter.name), ())}
    base = {p.name: _value(endpoint, p) for p in endpoint.parameters if p.required}
    base |= BASE.get(endpoint.path, {})
    return [*((n, v) for n, v in base.items() if n not in left_off), *((parameter.name, v) for v in values)]


def _path(site: Site, endpoint: Endpoint, headers: dict[str, str]) -> str:
    """The path of an endpoint about something that exists; a new job or table each time."""
    prefix = endpoint.path.partition("/{job}")[0]
    job = ""
    if "{job}" in endpoint.path:
        data = BASE.get(prefix) or {"QUERY": QUERY}
        made = requests.post(site.url + prefix, data, headers=headers, allow_redirects=False, timeout=30)
        job = made.headers["Location"].rpartition("/")[2]
    if endpoint.path.startswith("/api/mydb"):
        table = f"mine{next(NUMBERS)}"
        if endpoint.methods == ("POST",):
            requests.put(f"{site.url}/api/mydb/{table}", {"QUERY": QUERY}, headers=headers, timeout=30)
    else:
        table = "D1.objects"
    release = "F1" if endpoint.path.startswith("/footprint") else "D1"
    return endpoint.template.format(release=release, table=table, job=job, run=_run(site), name="table.csv")


def _run(site: Site) -> str:
    """The name of a run; there are two attempts at its unit."""
    with site.database.write() as conn:
        if "20121120_r1p02" not in {row.run for row in runs(conn, {}, None)}:
            task = select(func.coalesce(func.max(tables.task.c.id), 0) + 1)
            for _ in range(2):
                key = {"project": "OPS", "campaign": "MAIN", "pipeline": "precal", "unitname": "20121120"}
                name = number_attempt(conn, **key)
                number = conn.execute(task).scalar_one()
                conn.execute(insert(tables.task), {"id": number, "name": "run", "info_table": "pfw_attempt"})
                conn.execute(insert(tables.pfw_attempt), {
                    "reqnum": name.reqnum, "unitname": name.unitname, "attnum": name.attnum, "task_id": number,
                    "state": AttemptState.FAILED.value, "data_state": DataState.NEW.value, "operator": "tester",
                    "pipeprod": "precal", "pipever": "1", "submittime": datetime(2012, 11, 21), "numexpblk": 0,
                    "numexpjobs": 0, "numexpwrap": 0, "archive_path": name.text, "fingerprint": "0" * 64,
                    "cancel_requested": False,
                })  # fmt: skip
    return "20121120_r1p01"


def _object(site: Site) -> str:
    """The identifier of an object in an image of D1."""
    cone = {"RA": "30.0", "DEC": "-5.0", "SR": "0.05", "VERB": "1", "MAXREC": "1", "RESPONSEFORMAT": "csv"}
    header, row = requests.get(f"{site.url}/scs/D1.objects", cone, timeout=30).text.splitlines()
    pairs = zip(header.split(","), row.split(","), strict=True)
    return next(value for name, value in pairs if name not in ("ra", "dec"))


def _send(site: Site, endpoint: Endpoint, method: str, pairs: list[tuple[str, str]]) -> requests.Response:
    """Send parameters as the endpoint takes them."""
    # Pages of the desk are for people with an office; an administrator may see all of them.
    who = "admin" if endpoint.action in DESK else "collaborator"
    headers = {"Authorization": f"Bearer {site.token[who]}"}
    url = site.url + _path(site, endpoint, headers)
    kinds: dict[str, Any] = {"headers": headers, "allow_redirects": False, "timeout": 60}
    if endpoint.body and not endpoint.path.startswith("/api/mydb"):
        kinds["headers"] = {**headers, "Content-Type": "text/csv"}
        return requests.request(method, url, params=pairs, data=CSV, **kinds)
    if method == "GET":
        # The stream of events ends after minutes: its status is what counts.
        with requests.get(url, pairs, stream=endpoint.path == STREAM.path, **kinds) as answer:
            if endpoint.path != STREAM.path or answer.status_code != endpoint.status:
                assert answer.content is not None  # read before it is closed
            return answer
    kinds["headers"] = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    return requests.request(method, url, data=pairs, **kinds)


def _refused(endpoint: Endpoint, parameter: Parameter) -> bool:
    """Whether a right value is refused: filters of SODA, and an upload without its part."""
    if endpoint.path.startswith("/soda") and parameter.name in FILTERS:
        return endpoint.path == "/soda/sync"
    return endpoint.path == "/tap/sync" and parameter.name == "UPLOAD"


@pytest.mark.parametrize(("endpoint", "method", "parameter"), CASES, ids=IDS)
def test_a_right_value_is_taken_and_a_wrong_one_is_refused_by_its_name(
    site: Site, endpoint: Endpoint, method: str, parameter: Parameter
) -> None:
    right = _object(site) if parameter.name == "id" else _value(endpoint, parameter)
    answer = _send(site, endpoint, method, _pairs(endpoint, parameter, right))
    if _refused(endpoint, parameter):
        assert answer.status_code == 400 and parameter.name in answer.text
    else:
        assert answer.status_code == endpoint.status, answer.text[:300]
    own = parameter.name in ("PHASE", "RUNID", "EXECUTIONDURATION")
    if endpoint.path.endswith("/parameters") or (
        endpoint.path.endswith("/async") and method == "POST" and not own
    ):
        return  # the job checks its parameters when it is started
    for wrong in _wrong(parameter):
        answer = _send(site, endpoint, method, _pairs(endpoint, parameter, wrong))
        assert answer.status_code == 400 and f"{parameter.name}={wrong}" in answer.text, (
            wrong,
            answer.text[:300],
        )
    if not parameter.many:
        answer = _send(site, endpoint, method, _pairs(endpoint, parameter, right, f"{right}1"))
        assert answer.status_code == 400, answer.text[:300]
        assert f"{parameter.name} has 2 different values" in answer.text
    if parameter.required:
        answer = _send(site, endpoint, method, _pairs(endpoint, parameter))
        assert answer.status_code == 400 and f"{parameter.name} is missing: " in answer.text


def _wrong(parameter: Parameter) -> list[str]:
    """Values that are not of the kind, out of bounds, or none of the choices."""
    match parameter.kind:
        case Kind.WHOLE:
            return ["x", "-1", "1.5"]
        case Kind.REAL:
            bounds = [parameter.least - 1, parameter.most + 1]
            return ["x", "nan", *(repr(b) for b in bounds if abs(b) < float("inf"))]
        case Kind.TIME:
            return ["x", "2026-13-01"]
        case Kind.FLAG:
            return ["maybe"]
        case Kind.TEXT:
            return ["nosuch"] if parameter.choices else []


@pytest.mark.parametrize(
    ("endpoint", "method"),
    [
        (e, m)
        for _, e in all_endpoints()
        for m in e.methods
        if e.parameters.parameters
        and "{job}" not in e.path
        and not _of_the_desk(e)
        and not e.path.endswith("/async")
    ],
    ids=lambda value: value if isinstance(value, str) else value.template,
)
def test_an_unknown_parameter_is_refused_or_ignored_as_declared(
    site: Site, endpoint: Endpoint, method: str
) -> None:
    unknown = Parameter("COLOUR", Kind.TEXT, "not declared")
    answer = _send(site, endpoint, method, _pairs(endpoint, unknown, "red"))
    if endpoint.parameters.strict:
        assert answer.status_code == 400 and "unknown parameter COLOUR" in answer.text
    else:
        assert answer.status_code == endpoint.status, answer.text[:300]


def test_every_declared_name_is_used_by_its_service() -> None:
    for service in SERVICES:
        spec = find_spec(service.package)
        assert spec is not None and spec.origin is not None
        files = [p for p in Path(spec.origin).parent.glob("*.py") if p.name != "endpoints.py"]
        # Jobs and descriptions of tables are parts that services share.
        files += [Path(spec.origin).parents[1] / part for part in ("uws/handlers.py", "vosi/tables.py")]
        words = {
            node.value
            for path in files
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        for endpoint in service.endpoints:
            for parameter in endpoint.parameters:
                key = parameter.name.upper()
                silent = "changes nothing" in parameter.text or parameter.name in (
                    "REQUEST",
                    "LANG",
                    "ACTION",
                )
                composed = parameter in _composed(service.package)
                assert silent or composed or key in words, f"{service.package} does not use {parameter.name}"


def _composed(package: str) -> list[Parameter]:
    """Parameters that handlers go through by their set, not by name."""
    from desdm.services.soda import endpoints

    if not package.endswith(".soda"):
        return []
    named = (*endpoints.STENCILS, *endpoints.FILTERS)
    return [*endpoints.ROW, *(p for p in endpoints.SODA if p.name in named)]


def test_every_route_of_the_app_is_in_the_document_and_nothing_else(site: Site) -> None:
    facility = Facility.open(site.home)
    services = open_services(facility, open_engine(facility.config, None))
    try:
        routes = [route for route in create_app(services).routes if isinstance(route, Route)]
        assert len(routes) == len(create_app(services).routes)
    finally:
        services.supervisor.stop()
        services.pool.shutdown()
        services.engine.close()
        facility.close()
    served = {
        (re.sub(r":\w+}", "}", route.path), method.lower())
        for route in routes
        for method in route.methods or ()
        if method != "HEAD"
    }
    described = {(path, method) for path, methods in _described(site).items() for method in methods}
    assert described == served


def _described(site: Site) -> dict[str, Any]:
    paths: dict[str, Any] = requests.get(f"{site.url}/api/openapi.json", timeout=30).json()["paths"]
    return paths


def test_the_document_is_sound(site: Site) -> None:
    # OpenAPI 3.1: operationId is unique (4.8.10), each path variable has its parameter (4.8.9), none is there twice.
    operations = [(path, o) for path, methods in _described(site).items() for o in methods.values()]
    names = [operation["operationId"] for _, operation in operations]
    assert len(names) == len(set(names))
    for path, operation in operations:
        parameters = [(p["name"], p["in"]) for p in operation.get("parameters", ())]
        assert len(parameters) == len(set(parameters)), path
        assert {n for n, place in parameters if place == "path"} == set(re.findall(r"{(\w+)}", path)), path
        assert {"4XX", "5XX"} < set(operation["responses"]), path
    sync = document("http://x")["paths"]["/tap/sync"]["post"]  # type: ignore[index, call-overload]
    schema = sync["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema["required"] == ["QUERY"] and schema["properties"]["MAXREC"]["type"] == "integer"
