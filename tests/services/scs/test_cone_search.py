"""Cone search with pyvo against brute force, on both engines."""

from __future__ import annotations

import numpy as np
import pytest
import pyvo
import requests

from tests.services.conftest import ROWS
from tests.support.release import objects
from tests.support.server import Served

TRUTH = objects(ROWS)
RA, DEC, ID = (np.array(TRUTH[name]) for name in ("ra", "dec", "id"))


def within(ra: float, dec: float, radius: float) -> list[int]:
    """Numbers of the rows within a circle, by the haversine."""
    a, d, a0, d0 = np.radians(RA), np.radians(DEC), np.radians(ra), np.radians(dec)
    h = np.sin((d - d0) / 2) ** 2 + np.cos(d) * np.cos(d0) * np.sin((a - a0) / 2) ** 2
    return sorted(int(i) for i in ID[np.degrees(2 * np.arcsin(np.sqrt(np.clip(h, 0, 1)))) <= radius])


@pytest.mark.parametrize(
    ("ra", "dec", "radius"), [(30, -5, 0.2), (0, 0, 0.001), (360, 10, 0.1), (77, 90, 0.01), (1, -89.9995, 0.1), (5, 5, 180)]
)  # fmt: skip
def test_a_cone_holds_the_right_rows(service: Served, ra: float, dec: float, radius: float) -> None:
    found = pyvo.dal.SCSService(f"{service}/scs/T1.objects").search((ra, dec), radius)
    assert sorted(int(i) for i in found["id"]) == within(ra, dec, radius)


def test_radius_zero_finds_what_lies_just_there(on_duckdb: Served) -> None:
    answer = requests.get(f"{on_duckdb}/scs/T1.objects?RA=180&DEC=0&SR=0&RESPONSEFORMAT=csv", timeout=30)
    assert len(answer.text.splitlines()) == 3  # two objects at one place, and the names


def test_verb_says_how_many_columns(on_duckdb: Served) -> None:
    def names(verb: int) -> list[str]:
        asked = f"RA=30&DEC=-5&SR=0.1&RESPONSEFORMAT=csv&VERB={verb}"
        return requests.get(f"{on_duckdb}/scs/T1.objects?{asked}", timeout=30).text.splitlines()[0].split(",")

    assert names(1) == ["id", "ra", "dec"]
    assert set(TRUTH.column_names) <= set(names(3))


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ("RA=400&DEC=0&SR=1", 400, "RA=400"),
        ("RA=1&DEC=-91&SR=1", 400, "DEC"),
        ("RA=1&DEC=1&SR=nan", 400, "SR"),
        ("RA=1&DEC=1", 400, "SR"),
        ("RA=1&DEC=1&SR=1&VERB=9", 400, "VERB"),
    ],
)
def test_a_wrong_cone_is_refused(on_duckdb: Served, asked: str, status: int, said: str) -> None:
    answer = requests.get(f"{on_duckdb}/scs/T1.objects?{asked}", timeout=30)
    assert answer.status_code == status and said in answer.text and 'value="ERROR"' in answer.text
    assert requests.get(f"{on_duckdb}/scs/T1.nothing?RA=1&DEC=1&SR=1", timeout=30).status_code == 404
