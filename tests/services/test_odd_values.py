"""Odd values of parameters that are numbers or times are refused with 400, whatever the endpoint."""

from __future__ import annotations

from urllib.parse import quote

import pytest
import requests

from desdm.errors import UsageError
from desdm.services.parameters import parse_real, parse_time
from tests.support.server import Served

NUMBERS = ("nan", "inf", "-inf", "1e400", "-1e400", "1e999999", "0x10", "1_0_", "", "NaN(3)")
TIMES = (
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01",
    "x",
    "2026-13-01",
    "10000-01-01",
)


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_is_finite(text: str) -> None:
    with pytest.raises(UsageError, match="days="):
        parse_real("days", text)


@pytest.mark.parametrize("text", TIMES)
def test_a_time_is_of_this_world(text: str) -> None:
    with pytest.raises(UsageError, match="AFTER="):
        parse_time("AFTER", text)


@pytest.mark.parametrize(
    "path",
    [
        *(f"/tap/async?AFTER={quote(text)}" for text in TIMES),
        *(f"/tap/async?LAST={quote(text)}" for text in NUMBERS if text),
        *(f"/tap/sync?LANG=ADQL&QUERY=SELECT+1+AS+a&MAXREC={quote(text)}" for text in NUMBERS if text),
        *(f"/scs/T1.objects?RA={quote(text)}&DEC=0&SR=1" for text in NUMBERS),
        *(f"/scs/T1.objects?RA=0&DEC=0&SR={quote(text)}" for text in NUMBERS),
        *(f"/sia/query?POS=CIRCLE+{quote(text)}+0+1" for text in NUMBERS),
        *(f"/sia/query?FOV={quote(text)}+1" for text in ("nan", "0x10")),
        *(f"/files?pos={quote(text)},0" for text in NUMBERS if text),
        *(f"/cutout?pos=0,0&size={quote(text)}" for text in NUMBERS if text),
        *(f"/tap/async?PHASE={quote(text)}" for text in NUMBERS if text),
    ],
)
def test_an_odd_value_is_refused(on_duckdb: Served, path: str) -> None:
    assert requests.get(on_duckdb + path, timeout=30).status_code == 400


@pytest.mark.parametrize("text", [*TIMES, ""])
@pytest.mark.parametrize("name", ["destruction", "executionduration"])
def test_an_odd_time_of_a_job_is_refused(on_duckdb: Served, name: str, text: str) -> None:
    made = requests.post(
        f"{on_duckdb}/tap/async",
        data={"LANG": "ADQL", "QUERY": "SELECT 1 AS a"},
        timeout=30,
        allow_redirects=False,
    )
    sent = requests.post(f"{made.headers['Location']}/{name}", data={name.upper(): text}, timeout=30)
    assert sent.status_code == 400
