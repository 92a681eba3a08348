"""TAP over HTTP with other people's clients: answers against brute force, jobs, uploads, limits, errors."""

from __future__ import annotations

import csv
import io
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import pyvo
import requests
from astropy.table import Table

from tests.services.conftest import ROWS
from tests.support.release import objects
from tests.support.server import Served

TRUTH = {name: np.array(column) for name, column in objects(ROWS).to_pydict().items()}


def separation(ra: float, dec: float) -> np.ndarray:
    """Degrees between a position and every row of the truth, by the angle between vectors."""

    def vector(a: np.ndarray, d: np.ndarray) -> np.ndarray:
        a, d = np.radians(a), np.radians(d)
        return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], -1)

    here, there = vector(np.array(ra), np.array(dec)), vector(TRUTH["ra"], TRUTH["dec"])
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(here, there), axis=-1), there @ here))


def rows(url: str, query: str, **asked: str) -> list[dict[str, str]]:
    given = {"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": "csv", **asked}
    answer = requests.post(f"{url}/tap/sync", given, timeout=60)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_pyvo_gets_what_brute_force_finds(service: Served) -> None:
    tap = pyvo.dal.TAPService(f"{service}/tap")
    found = tap.run_sync(
        "SELECT id, mag_g FROM T1.objects WHERE mag_g < 20.5 AND flag = 3 ORDER BY id"
    ).to_table()
    with np.errstate(invalid="ignore"):
        wanted = (TRUTH["mag_g"].astype(float) < 20.5) & (TRUTH["flag"] == 3)
    assert found["id"].tolist() == TRUTH["id"][wanted].tolist()
    assert found["id"].description == "identifier of the object"
    assert found["mag_g"].unit == "mag"


@pytest.mark.parametrize(
    ("ra", "dec", "radius"),
    [(0, 0, 0.001), (359.99, 10, 0.2), (0, 90, 0.01), (200, -90, 0.002), (180, 0, 0), (12, 34, 180), (30, -5, 0.3),
     (0.01, 0, 30)],
)  # fmt: skip
def test_a_cone_holds_what_brute_force_finds(service: Served, ra: float, dec: float, radius: float) -> None:
    wanted = sorted(TRUTH["id"][separation(ra, dec) <= radius].tolist())
    assert wanted or radius == 0.001
    found = rows(
        service,
        f"SELECT id FROM T1.objects WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, {radius}))",
    )
    assert sorted(int(row["id"]) for row in found) == wanted


def test_a_job_of_pyvo_runs_and_is_deleted(service: Served) -> None:
    tap = pyvo.dal.TAPService(f"{service}/tap")
    job = tap.submit_job("SELECT flag, COUNT(*) AS n FROM T1.objects GROUP BY flag ORDER BY flag")
    job.run().wait(timeout=30)
    job.raise_if_error()
    assert job.result_uri.endswith("/results/result")
    found = job.fetch_result().to_table()
    assert found["n"].tolist() == [int((TRUTH["flag"] == f).sum()) for f in found["flag"]]
    url = job.url
    job.delete()
    assert requests.get(url, timeout=10).status_code == 404


def test_an_upload_is_joined(service: Served) -> None:
    near = np.flatnonzero(separation(30, -5) < 0.5)[:50]
    mine = Table({"key": near, "ra": TRUTH["ra"][near] + 0.0001, "dec": TRUTH["dec"][near]})
    query = (
        "SELECT m.key, t.id FROM TAP_UPLOAD.mine AS m JOIN T1.objects AS t "
        "ON 1 = CONTAINS(POINT(t.ra, t.dec), CIRCLE(m.ra, m.dec, 0.0005)) ORDER BY m.key, t.id"
    )
    wanted = sorted(
        (int(key), int(i)) for key, ra, dec in mine for i in TRUTH["id"][separation(ra, dec) <= 0.0005]
    )
    assert len(wanted) >= len(near)
    tap = pyvo.dal.TAPService(f"{service}/tap")
    for run in (tap.run_sync, tap.run_async):
        found = run(query, uploads={"mine": mine}).to_table()
        assert list(zip(found["key"].tolist(), found["id"].tolist(), strict=True)) == wanted


def test_astroquery_and_stilts_answer_alike(on_duckdb: Served, tmp_path: Path) -> None:
    from astroquery.utils.tap import TapPlus

    query = "SELECT id, name FROM T1.objects WHERE nexp IS NULL ORDER BY id"
    wanted = [
        int(i) for i, n in zip(TRUTH["id"], objects(ROWS)["nexp"].to_pylist(), strict=True) if n is None
    ]
    # Its list of tables wants attributes that only ESA's services write; queries work with any.
    plus = TapPlus(url=f"{on_duckdb}/tap")
    assert plus.launch_job(query).get_results()["id"].tolist() == wanted
    assert plus.launch_job_async(query).get_results()["id"].tolist() == wanted
    out = tmp_path / "out.csv"
    for words in (["sync=true"], ["sync=false", "poll=200"]):
        done = subprocess.run(
            ["stilts", "tapquery", f"tapurl={on_duckdb}/tap", f"adql={query}", f"out={out}", *words],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert [int(row["id"]) for row in csv.DictReader(out.read_text().splitlines())] == wanted


def test_overflow_is_told_only_when_there_is_more(service: Served) -> None:
    def answer(maxrec: int, query: str = "SELECT id FROM T1.objects") -> bytes:
        given = {"LANG": "ADQL", "QUERY": query, "MAXREC": str(maxrec)}
        return requests.get(f"{service}/tap/sync", given, timeout=30).content

    assert b'value="OVERFLOW"' in answer(ROWS - 1)
    assert b'value="OVERFLOW"' not in answer(ROWS)
    assert b'value="OVERFLOW"' not in answer(10, "SELECT TOP 10 id FROM T1.objects")
    assert b'value="OVERFLOW"' in answer(9, "SELECT TOP 10 id FROM T1.objects")
    empty = answer(0)
    assert b"<FIELD" in empty and b'value="OVERFLOW"' in empty


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"QUERY": "SELEKT 1"}, "line 1"),
        ({"QUERY": "SELECT nosuch FROM T1.objects"}, "nosuch"),
        ({"QUERY": "SELECT 1 AS one", "LANG": "SQL"}, "LANG"),
        ({"QUERY": ""}, "QUERY is missing"),
        ({"QUERY": "SELECT 1 AS one", "MAXREC": "-1"}, "MAXREC"),
        ({"QUERY": "SELECT 1 AS one", "RESPONSEFORMAT": "word"}, "RESPONSEFORMAT"),
        ({"QUERY": "SELECT * FROM TAP_UPLOAD.t", "UPLOAD": "t,http://example.org/t.vot"}, "not read from here"),
        ({"QUERY": "SELECT * FROM TAP_UPLOAD.t", "UPLOAD": "t,param:absent"}, "absent"),
        ({"QUERY": "SELECT * FROM TAP_UPLOAD.t", "UPLOAD": "t"}, "a comma"),
        ({"QUERY": "SELECT 1/0 AS x FROM T1.objects LIMIT 5"}, "LIMIT"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_told_as_dali_says(
    service: Served, given: dict[str, str], said: str
) -> None:
    answer = requests.post(f"{service}/tap/sync", {"LANG": "ADQL", **given}, timeout=30)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/x-votable+xml")
    assert b'name="QUERY_STATUS" value="ERROR"' in answer.content
    assert said in answer.text
    assert "/tmp" not in answer.text and "Traceback" not in answer.text


@pytest.mark.parametrize("serialization", ["BINARY2", "binary2", "TABLEDATA"])
def test_a_serialization_is_returned_as_the_capabilities_declare_it(
    on_duckdb: Served, serialization: str
) -> None:
    mime = f"application/x-votable+xml;serialization={serialization}"
    query = {"LANG": "ADQL", "QUERY": "SELECT 1 AS one", "FORMAT": mime}
    answer = requests.post(f"{on_duckdb}/tap/sync", query, timeout=30)
    declared = requests.get(f"{on_duckdb}/tap/capabilities", timeout=30).text
    assert answer.headers["content-type"].lower() == mime.lower()
    assert f"<mime>{answer.headers['content-type']}</mime>" in declared


def test_parameters_have_any_case_and_media_types_come_back(on_duckdb: Served) -> None:
    answer = requests.get(
        f"{on_duckdb}/tap/sync",
        {"lang": "adql-2.1", "query": "SELECT 1 AS one", "Format": "text/xml"},
        timeout=30,
    )
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert "<TD>1</TD>" in answer.text


def test_a_job_aborted_ends_in_the_database(service: Served) -> None:
    slow = (
        "SELECT COUNT(*) AS n FROM T1.objects AS a, T1.objects AS b, T1.objects AS c "
        "WHERE SIN(a.ra) * SIN(b.ra) * SIN(c.ra) > 2"
    )
    job = requests.post(
        f"{service}/tap/async", {"LANG": "ADQL", "QUERY": slow, "PHASE": "RUN"}, timeout=10
    ).url
    end = time.monotonic() + 10
    while requests.get(f"{job}/phase", timeout=10).text != "EXECUTING":
        assert time.monotonic() < end
        time.sleep(0.02)
    requests.post(f"{job}/phase", {"PHASE": "ABORT"}, timeout=10)
    assert requests.get(f"{job}/phase", timeout=10).text == "ABORTED"
    begun = time.monotonic()
    assert rows(service, "SELECT COUNT(*) AS n FROM T1.objects")[0]["n"] == str(ROWS)
    assert time.monotonic() - begun < 5
    requests.delete(job, timeout=10)


def test_a_job_that_takes_too_long_is_aborted_with_its_reason(service: Served) -> None:
    slow = (
        "SELECT COUNT(*) AS n FROM T1.objects AS a, T1.objects AS b, T1.objects AS c "
        "WHERE SIN(a.ra) * SIN(b.ra) * SIN(c.ra) > 2"
    )
    given = {"LANG": "ADQL", "QUERY": slow, "EXECUTIONDURATION": "1", "PHASE": "RUN"}
    job = requests.post(f"{service}/tap/async", given, timeout=10).url
    while ">EXECUTING<" in (said := requests.get(job, {"WAIT": "10"}, timeout=20).text) or ">QUEUED<" in said:
        pass
    assert ">ABORTED<" in said
    assert "errorSummary" in said


def test_the_result_of_a_job_can_be_the_upload_of_a_query(on_duckdb: Served) -> None:
    given = {"LANG": "ADQL", "QUERY": "SELECT TOP 7 id FROM T1.objects ORDER BY id", "PHASE": "RUN"}
    job = requests.post(f"{on_duckdb}/tap/async", given, timeout=10).url
    while ">COMPLETED<" not in requests.get(job, {"WAIT": "10"}, timeout=20).text:
        pass
    found = rows(on_duckdb, "SELECT COUNT(*) AS n FROM TAP_UPLOAD.r", UPLOAD=f"r,{job}/results/result")
    assert found == [{"n": "7"}]


def test_harmful_uploads_are_refused(on_duckdb: Served) -> None:
    laughs = (
        '<?xml version="1.0"?><!DOCTYPE v [<!ENTITY a "ha">'
        + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
        + "]><VOTABLE>&i;</VOTABLE>"
    )
    given = {"LANG": "ADQL", "QUERY": "SELECT * FROM TAP_UPLOAD.t", "UPLOAD": "t,param:t"}
    begun = time.monotonic()
    answer = requests.post(f"{on_duckdb}/tap/sync", given, files={"t": laughs.encode()}, timeout=30)
    assert answer.status_code == 400 and b"ERROR" in answer.content
    assert time.monotonic() - begun < 2

    def endless() -> object:
        piece = b"\0" * 1_000_000
        boundary = b'--x\r\nContent-Disposition: form-data; name="t"; filename="t"\r\n\r\n'
        yield boundary
        for _ in range(120):
            yield piece

    try:
        answer = requests.post(
            f"{on_duckdb}/tap/sync", data=endless(), headers={"Content-Type": "multipart/form-data; boundary=x"},
            timeout=60,
        )  # fmt: skip
        assert answer.status_code == 413
    except requests.ConnectionError:
        # The server hung up on it while it still spoke.
        pass
    assert rows(on_duckdb, "SELECT COUNT(*) AS n FROM T1.objects") == [{"n": str(ROWS)}]


def test_many_ask_at_once(service: Served) -> None:
    wrong: list[str] = []

    def ask(flag: int) -> None:
        found = rows(service, f"SELECT COUNT(*) AS n FROM T1.objects WHERE flag = {flag}")
        if found[0]["n"] != str(int((TRUTH["flag"] == flag).sum())):
            wrong.append(str(found))

    threads = [threading.Thread(target=ask, args=(n % 8,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
