"""SIA 2 with pyvo, and by its conditions one by one; the images are two tiles in two bands, side by side."""

from __future__ import annotations

import csv
import io

import pytest
import pyvo
import requests

from tests.support.server import Served


def images_of(url: str, **asked: str | list[str]) -> list[dict[str, str]]:
    answer = requests.get(f"{url}/sia/query", {"RESPONSEFORMAT": "csv", **asked}, timeout=30)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.fixture(scope="module")
def every(images: Served) -> list[dict[str, str]]:
    return images_of(images)


def test_pyvo_finds_images_and_fetches_one(images: Served) -> None:
    service = pyvo.dal.SIA2Service(f"{images}/sia")
    found = service.search(pos=[(30.0, -4.963472, 0.001)])
    assert {record.target_name for record in found} == {"DES0200-0457"}
    assert {record["obs_collection"] for record in found} == {"D1"}
    links = next(found.iter_datalinks())
    this = next(links.bysemantics("#this", include_narrower=False))
    assert int(this.content_length) == len(requests.get(this.access_url, timeout=30).content)


def test_all_images_come_without_conditions(every: list[dict[str, str]]) -> None:
    assert len(every) == 4
    assert len({row["obs_publisher_did"] for row in every}) == 4
    assert {row["dataproduct_type"] for row in every} == {"image"}


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"POS": "CIRCLE 30 -4.9634722 0.0001"}, 2),
        ({"POS": "CIRCLE 0 80 1"}, 0),
        ({"POS": "CIRCLE 0 0 180"}, 4),
        ({"POS": "RANGE 0 360 -90 90"}, 4),
        ({"POS": "RANGE 29 31 10 +Inf"}, 0),
        ({"POS": "POLYGON 29 -6 31 -6 31 -4 29 -4"}, 4),
        ({"POS": "POLYGON 29.9999 -4.9635 30.0001 -4.9635 30.0001 -4.9633"}, 2),
        ({"POS": ["CIRCLE 0 80 1", "CIRCLE 30 -4.9634722 0.0001"]}, 2),
        ({"BAND": "5e-7"}, 2),
        ({"BAND": "-Inf +Inf"}, 4),
        ({"BAND": "1e-3 +Inf"}, 0),
        ({"TIME": "50000 60000"}, 4),
        ({"TIME": "10"}, 0),
        ({"COLLECTION": "d1"}, 4),
        ({"INSTRUMENT": "DECam", "FACILITY": "CTIO Blanco 4m"}, 4),
        ({"CALIB": ["0", "3"]}, 4),
        ({"DPTYPE": "cube"}, 0),
        ({"TARGET": "DES0200-0457"}, 2),
        ({"POL": "I"}, 0),
        ({"FOV": "0.01 1"}, 4),
        ({"SPATRES": "+Inf +Inf"}, 0),
        ({"FORMAT": "application/x-votable+xml;content=datalink"}, 4),
    ],
)
def test_each_condition_narrows(images: Served, asked: dict[str, str | list[str]], count: int) -> None:
    assert len(images_of(images, **asked)) == count


def test_an_identifier_finds_its_image(images: Served, every: list[dict[str, str]]) -> None:
    did = every[1]["obs_publisher_did"]
    assert [row["obs_publisher_did"] for row in images_of(images, ID=did)] == [did]


def test_overflow_is_told(images: Served) -> None:
    def answer(most: int) -> str:
        return requests.get(f"{images}/sia", {"MAXREC": str(most)}, timeout=30).text

    assert answer(3).count("<TR>") == 3 and "OVERFLOW" in answer(3)
    assert answer(4).count("<TR>") == 4 and "OVERFLOW" not in answer(4)
    assert answer(0).count("<TR>") == 0 and 'utype="obscore:Access.Reference"' in answer(0)


@pytest.mark.parametrize("asked", [{"POS": "BOX 1 2 3"}, {"BAND": "red"}, {"TIME": "2 1"}, {"COLOUR": "g"}])
def test_wrong_conditions_are_refused(images: Served, asked: dict[str, str]) -> None:
    answer = requests.get(f"{images}/sia/query", asked, timeout=30)
    assert answer.status_code == 400 and next(iter(asked)) in answer.text


def test_obscore_gives_the_same_images(images: Served, every: list[dict[str, str]]) -> None:
    found = pyvo.dal.TAPService(f"{images}/tap").run_sync("SELECT * FROM ivoa.obscore").to_table()
    assert sorted(found["access_url"]) == sorted(row["access_url"] for row in every)
    assert all(url.startswith(f"{images}/datalink/links?ID=") for url in found["access_url"])
