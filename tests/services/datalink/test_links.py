"""Links of an image: judged by stilts, followed to the file, its picture and a cutout."""

from __future__ import annotations

import subprocess

import pytest
import pyvo
import requests
from pyvo.dal.adhoc import DatalinkResults

from tests.support.server import Served


@pytest.fixture(scope="module")
def did(images: Served) -> str:
    query = "SELECT TOP 1 obs_publisher_did FROM ivoa.obscore ORDER BY obs_id"
    return str(pyvo.dal.TAPService(f"{images}/tap").run_sync(query)["obs_publisher_did"][0])


def test_stilts_finds_no_fault(images: Served, did: str) -> None:
    address = requests.Request("GET", f"{images}/datalink/links", params={"ID": did}).prepare().url
    done = subprocess.run(
        ["stilts", "datalinklint", f"votable={address}"], capture_output=True, text=True, timeout=60
    )
    assert "Errors: 0; Warnings: 0;" in done.stdout and "Failures: 0" in done.stdout, done.stdout


def test_links_lead_to_what_they_say(images: Served, did: str) -> None:
    address = requests.Request("GET", f"{images}/datalink/links", params={"ID": did}).prepare().url
    links = DatalinkResults.from_result_url(address)
    kinds = [row["semantics"] for row in links]
    assert kinds[0] == "#this" and {"#preview", "#cutout", "#auxiliary"} <= set(kinds)
    for link in links:
        if link["access_url"]:
            answer = requests.head(str(link["access_url"]), timeout=30)
            assert answer.status_code == 200, link["access_url"]
            if link["semantics"] in ("#this", "#preview"):
                assert int(answer.headers["content-length"]) == int(link["content_length"])
                assert answer.headers["content-type"] == link["content_type"]


def test_faults_stand_in_rows_beside_what_is_right(images: Served, did: str) -> None:
    given = [("ID", "ivo://desdm/D1?nothing"), ("ID", did), ("ID", "ivo://elsewhere/x")]
    answer = requests.post(f"{images}/datalink/links", given, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-votable+xml;content=datalink"
    assert answer.text.count("NotFoundFault") == 2 and answer.text.count("#this") == 3


def test_without_identifier_there_are_no_links(images: Served) -> None:
    answer = requests.get(f"{images}/datalink", timeout=30)
    assert answer.status_code == 200 and "<TR>" not in answer.text and "<FIELD" in answer.text
    assert requests.get(f"{images}/datalink?RESPONSEFORMAT=csv", timeout=30).status_code == 400
