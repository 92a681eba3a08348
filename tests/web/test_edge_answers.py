"""One policy at the HTTP edge: releases that are not there, methods, missing scopes, statuses and ranges as declared."""

from __future__ import annotations

import json
import re
import time

import pytest
import requests

from desdm.accounts import store, tokens
from desdm.accounts.model import Action
from desdm.services.error_responses import error_form
from tests.services.test_error_responses import message_of
from tests.web.conftest import Site

HTML = {"Accept": "text/html"}
DENIAL = "this token does not allow reading: it lacks the scope read"


@pytest.mark.parametrize("path", ["/cutout?pos=30+-5&release=", "/map?release=", "/pick?release="])
def test_a_page_of_a_release_that_is_not_there_is_not_that_of_another(site: Site, path: str) -> None:
    hidden = requests.get(f"{site.url}{path}P1", headers=HTML, timeout=30)
    nothing = requests.get(f"{site.url}{path}P9", headers=HTML, timeout=30)
    assert hidden.status_code == nothing.status_code == 404
    assert hidden.text.replace("P1", "P9") == nothing.text
    # As at /api/releases/P9.
    elsewhere = requests.get(f"{site.url}/api/releases/P9", timeout=30).json()["detail"]
    assert elsewhere in nothing.text
    assert not re.search(r"\b(D1|F1)\b", nothing.text), "another release is shown"


@pytest.mark.parametrize("path", ["/cutout?pos=30+-5", "/map", "/pick", "/cutout?pos=30+-5&release="])
def test_a_page_without_a_release_has_the_newest(site: Site, path: str) -> None:
    answer = requests.get(site.url + path, headers=HTML, timeout=30)
    assert answer.status_code == 200 and "F1" in answer.text


def test_the_map_page_tells_the_depth_at_a_position_without_a_script(site: Site) -> None:
    page = requests.get(f"{site.url}/map?release=F1&pos=0.01+-43.99", headers=HTML, timeout=30).text
    values = requests.get(f"{site.url}/footprint?ra=0.01&dec=-43.99&release=F1", timeout=30).json()
    g = values["bands"]["g"]
    row = re.search(r"<tr><td>g</td>(.*?)</tr>", page)
    assert row is not None
    cells = re.findall(r">([^<]+)</td>", row[1])
    assert cells == [f"{g['depth']:.2f}", str(g["nexp"]), f"{g['fraction']:.2f}"]
    outside = requests.get(f"{site.url}/map?release=F1&pos=200+45", headers=HTML, timeout=30)
    assert outside.status_code == 200 and "Outside the footprint" in outside.text
    none = requests.get(f"{site.url}/map?release=D1&pos=30+-5", headers=HTML, timeout=30)
    assert none.status_code == 200 and "no footprint map" in none.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/tap/sync"),
        ("DELETE", "/tap/sync"),
        ("PATCH", "/tap/async"),
        ("PUT", "/scs/D1.objects"),
        ("DELETE", "/sia/query"),
        ("PUT", "/datalink/links"),
        ("DELETE", "/soda/sync"),
        ("DELETE", "/files/D1/manifest.json"),
        ("POST", "/hips/D1/color/properties"),
        ("PUT", "/api/cutouts"),
        ("PATCH", "/api/mydb/mine"),
    ],
)
def test_a_wrong_method_is_answered_in_the_form_of_the_path(site: Site, method: str, path: str) -> None:
    answer = requests.request(method, site.url + path, timeout=30)
    form = error_form(path)
    assert answer.status_code == 405 and form is not None
    assert f"{method} is not a method of {path}" in message_of(form, 405, answer.content)
    assert answer.headers["Allow"] and method not in answer.headers["Allow"].split(", ")


def test_a_wrong_method_of_a_page_is_a_page_for_a_browser(site: Site) -> None:
    page = requests.post(f"{site.url}/map", headers=HTML, timeout=30)
    assert page.status_code == 405 and page.headers["Content-Type"].startswith("text/html")
    assert "POST is not a method of /map" in page.text and page.headers["Allow"]
    program = requests.post(f"{site.url}/map", timeout=30)
    assert program.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("parameters", "status", "reason"),
    [
        ({"id": "1"}, 404, "no object with this id"),
        ({"ra": "02:00:00", "dec": "-05:00:00"}, 400, "ra=02:00:00: a number is wanted"),
        ({}, 400, "give a position: ra and dec in degrees (ICRS), or the id of an object"),
        ({"ra": "30"}, 400, "give a position"),
        ({"ra": "400", "dec": "-5"}, 400, "ra=400: a number from 0 to 360 is wanted"),
        ({"ra": "30", "dec": "-5", "FORMAT": "zzz"}, 400, "FORMAT=zzz: "),
        ({"ra": "30", "dec": "-5", "SIZE": "0"}, 400, "SIZE=0: a number above 0 is wanted"),
        ({"ra": "30", "dec": "-5", "SIZE": "61"}, 400, "SIZE=61: a number from 0 to 60 is wanted"),
        ({"ra": "30", "dec": "-5", "bands": "z"}, 400, "no image in z here"),
        ({"id": "1", "TABLE": "NOSUCH9.objects"}, 404, "no table objects in release NOSUCH9"),
    ],
)
def test_an_error_of_one_cutout_is_a_problem_document(
    site: Site, parameters: dict[str, str], status: int, reason: str
) -> None:
    answer = requests.get(f"{site.url}/api/cutouts", {"RELEASE": "D1", **parameters}, timeout=30)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status and problem["detail"].startswith(reason)
    assert "nan" not in answer.text and "RESPONSEFORMAT" not in answer.text


def test_one_cutout_outside_is_answered_as_documented(site: Site) -> None:
    answer = requests.get(f"{site.url}/api/cutouts?RELEASE=D1&ra=100&dec=5", timeout=30)
    assert answer.status_code == 404 and answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {
        "status": "outside",
        "error": "outside footprint",
        "region": "BOX 100 5 1 1 arcmin",
    }


@pytest.fixture(scope="module")
def noread(site: Site) -> dict[str, str]:
    """Header with a token that has every scope of a collaborator but read."""
    scopes = {Action.ASYNC, Action.BATCH, Action.MYDB, Action.UPLOAD}
    with site.database.write() as conn:
        person = store.people(conn, "granted")[0]
        return {"Authorization": f"Bearer {tokens.make(conn, person, scopes=scopes)}"}


QUERY = {"LANG": "ADQL", "QUERY": "SELECT table_name FROM tap_schema.tables"}


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("GET", "/tap/sync", None),
        ("POST", "/tap/async", {**QUERY, "PHASE": "RUN"}),
        ("GET", "/tap/tables", None),
        ("GET", "/tap/tables/D1.objects", None),
        ("GET", "/scs/D1.objects?RA=30&DEC=-5&SR=1", None),
        ("GET", "/sia?POS=CIRCLE+30+-5+1", None),
        ("GET", "/api/cutouts?ra=30&dec=-5&RELEASE=D1", None),
        ("GET", "/footprint?ra=30&dec=-5", None),
        ("GET", "/files", None),
        ("GET", "/files/D1/manifest.json", None),
        ("GET", "/api/releases", None),
        ("GET", "/api/releases/D1", None),
        ("PUT", "/api/mydb/t1", {"QUERY": "SELECT TOP 1 * FROM D1.objects"}),
        ("GET", "/releases/D1", None),
        ("GET", "/tables/D1.objects", None),
        ("GET", "/cutout", None),
        ("GET", "/map?release=D1", None),
        ("GET", "/map/hips/D1/color/properties", None),
        ("GET", "/pick", None),
        ("GET", "/query", None),
    ],
)
def test_a_token_that_may_not_read_is_denied_in_one_wording(
    site: Site, noread: dict[str, str], method: str, path: str, data: dict[str, str] | None
) -> None:
    answer = requests.request(method, site.url + path, data=data, headers=noread, timeout=30)
    assert answer.status_code == 403, answer.text[:300]
    assert DENIAL in answer.text


def test_a_job_of_a_token_that_may_not_read_is_created_and_not_started(
    site: Site, noread: dict[str, str]
) -> None:
    made = requests.post(f"{site.url}/tap/async", QUERY, headers=noread, allow_redirects=False, timeout=30)
    job = made.headers["Location"]
    assert made.status_code == 303
    started = requests.post(f"{job}/phase", {"PHASE": "RUN"}, headers=noread, timeout=30)
    assert started.status_code == 403 and DENIAL in started.text
    time.sleep(0.2)
    assert requests.get(f"{job}/phase", headers=noread, timeout=30).text == "PENDING"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/footprint/region?POS=CIRCLE+30+-5+.01&ra=30", "unknown parameter RA"),
        ("/footprint?ra=30&dec=-5&ra_column=x", "unknown parameter RA_COLUMN"),
        ("/footprint?ra=400&dec=-5", "ra=400: a number from 0 to 360 is wanted"),
        ("/footprint/F1/moc?nexp=-1", "nexp=-1: a number of at least 0 is wanted"),
        ("/footprint/F1/moc?fraction=2", "fraction=2: a number from 0 to 1 is wanted"),
        ("/tap/tables?detail=foo", "detail=foo: min or max is wanted"),
        ("/sia?CALIB=x", "CALIB=x: a whole number is wanted"),
        ("/sia?MAXREC=99999999999999999999999", "a whole number of at most 18 digits is wanted"),
    ],
)
def test_a_parameter_without_effect_or_beyond_its_range_is_refused(
    site: Site, path: str, reason: str
) -> None:
    answer = requests.get(site.url + path, timeout=30)
    assert answer.status_code == 400 and reason in answer.text


def test_the_document_has_the_types_statuses_and_bounds_of_the_server(site: Site) -> None:
    paths = requests.get(f"{site.url}/api/openapi.json", timeout=30).json()["paths"]
    asked = {
        "/sia": {"POS": "CIRCLE 30 -5 1"},
        "/sia/query": {"POS": "CIRCLE 30 -5 1"},
        "/scs/{table}": {"RA": "30", "DEC": "-5", "SR": "0.1"},
    }
    for path, parameters in asked.items():
        declared = paths[path]["get"]["responses"]["200"]["content"]
        for form in ("votable", "csv", "tsv", "fits", "parquet"):
            url = site.url + path.format(table="D1.objects")
            answer = requests.get(url, {**parameters, "RESPONSEFORMAT": form}, timeout=60)
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].partition(";")[0] in declared, (path, form)
    assert {"200", "204", "303"} <= set(paths["/soda/sync"]["get"]["responses"])
    assert "application/json" in paths["/api/cutouts"]["get"]["responses"]["404"]["content"]
    moved = requests.get(f"{site.url}/releases", allow_redirects=False, timeout=30).status_code
    assert str(moved) in paths["/releases"]["get"]["responses"] and moved == 301
    assert "303" in paths["/account"]["get"]["responses"]
    for path in ("/tap/async", "/tap/async/{job}/parameters", "/soda/async"):
        form = paths[path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert "required" not in form, json.dumps(form)[:200]
    made = requests.post(f"{site.url}/tap/async", {"LANG": "ADQL"}, allow_redirects=False, timeout=30)
    assert made.status_code == 303
    sizes = [p["schema"] for p in paths["/api/cutouts"]["get"]["parameters"] if p["name"] == "SIZE"]
    assert sizes == [{"type": "number", "exclusiveMinimum": 0, "maximum": 60.0}]
