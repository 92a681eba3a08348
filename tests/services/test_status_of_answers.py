"""What every service says of a cut answer and of an error, in each format: with pyvo, astropy, stilts and plain HTTP."""

from __future__ import annotations

import io
import subprocess
import time
from collections.abc import Mapping

import pyarrow.parquet as pq
import pytest
import pyvo
import requests
from astropy.io import fits, votable
from pyvo.dal.exceptions import DALQueryError

from tests.support.server import Served

FORMATS = ("votable", "votable/td", "fits", "parquet", "csv", "tsv")
CUT = [
    ("/sia", {"POS": "CIRCLE 30 -5 5", "MAXREC": "1"}),
    ("/scs/D1.objects", {"RA": "30", "DEC": "-5", "SR": "5", "MAXREC": "1"}),
    ("/tap/sync", {"LANG": "ADQL", "QUERY": "SELECT * FROM ivoa.obscore", "MAXREC": "1"}),
    ("/tap/sync", {"LANG": "ADQL", "QUERY": "SELECT * FROM D1.objects", "MAXREC": "0"}),
    ("/files", {"LIMIT": "1"}),
]


def status_of(body: bytes, headers: Mapping[str, str], form: str) -> str:
    """QUERY_STATUS where the format has it; of several the last one counts."""
    if form.startswith("votable"):
        infos = votable.parse(io.BytesIO(body)).resources[0].infos
        return str([i.value for i in infos if i.name == "QUERY_STATUS"][-1])
    if form == "fits":
        return str(fits.getheader(io.BytesIO(body), 1)["QSTATUS"])
    if form == "parquet":
        return str(pq.ParquetFile(io.BytesIO(body)).metadata.metadata[b"QUERY_STATUS"].decode())
    return headers.get("X-Query-Status", "OK")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("path", "asked"), CUT)
def test_a_cut_answer_says_so_in_each_format(
    images: Served, path: str, asked: dict[str, str], form: str
) -> None:
    name = "FORMAT" if path == "/files" else "RESPONSEFORMAT"
    answer = requests.get(f"{images}{path}", {**asked, name: form}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert status_of(answer.content, answer.headers, form) == "OVERFLOW"
    everything = {k: v for k, v in asked.items() if k not in ("MAXREC", "LIMIT")}
    whole = requests.get(f"{images}{path}", {**everything, name: form}, timeout=30)
    assert status_of(whole.content, whole.headers, form) == "OK"


@pytest.mark.parametrize("form", ["votable", "votable/td"])
def test_sia_names_its_standard_and_utypes_in_both_serialisations(images: Served, form: str) -> None:
    answer = requests.get(f"{images}/sia", {"POS": "CIRCLE 30 -5 5", "RESPONSEFORMAT": form}, timeout=30)
    found = votable.parse(io.BytesIO(answer.content))
    assert "ivo://ivoa.net/std/SIA#query-2.0" in [i.value for i in found.resources[0].infos]
    assert found.get_first_table().get_field_by_id("s_ra").utype.startswith("obscore:Char.SpatialAxis")


def test_the_csv_of_a_job_tells_that_it_was_cut(images: Served) -> None:
    asked = {
        "LANG": "ADQL",
        "QUERY": "SELECT * FROM D1.objects",
        "MAXREC": "1",
        "RESPONSEFORMAT": "csv",
        "PHASE": "RUN",
    }
    job = requests.post(f"{images}/tap/async", asked, timeout=30).url
    while requests.get(f"{job}/phase", timeout=10).text in ("QUEUED", "EXECUTING"):
        time.sleep(0.05)
    answer = requests.get(f"{job}/results/result", timeout=10)
    assert answer.headers["X-Query-Status"] == "OVERFLOW" and len(answer.text.splitlines()) == 2
    assert "_STATUS" not in requests.get(f"{job}/parameters", timeout=10).text


FAILING = [
    ("SELECT TOP 1 1/0 AS x FROM T1.objects", "division by zero"),
    ("SELECT SQRT(mag_r - 1000) AS x FROM T1.objects", "SQRT"),
    ("SELECT LOG(0 * id) AS x FROM T1.objects", "LOG"),
    ("SELECT CAST(name AS INTEGER) AS x FROM T1.objects", "cannot be converted"),
    ("SELECT id FROM T1.objects WHERE 1 / (id - id) = 1 ORDER BY id", "division by zero"),
    ("SELECT flag, SUM(1 / (flag - flag)) AS s FROM T1.objects GROUP BY flag", "division by zero"),
]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("query", "reason"), FAILING)
def test_an_error_before_the_first_row_is_a_document_with_a_status(
    service: Served, query: str, reason: str, form: str
) -> None:
    answer = requests.get(
        f"{service}/tap/sync", {"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": form}, timeout=30
    )
    assert 400 <= answer.status_code < 500 and "votable" in answer.headers["Content-Type"]
    infos = votable.parse(io.BytesIO(answer.content)).resources[0].infos
    assert [
        i.content for i in infos if i.name == "QUERY_STATUS" and i.value == "ERROR" and reason in i.content
    ]


def test_pyvo_and_stilts_tell_the_reason(service: Served) -> None:
    query = FAILING[0][0]
    with pytest.raises(DALQueryError, match="division by zero"):
        pyvo.dal.TAPService(f"{service}/tap").run_sync(query)
    done = subprocess.run(
        ["stilts", "tapquery", "sync=true", f"tapurl={service}/tap", f"adql={query}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode and "division by zero" in done.stderr


def test_an_error_after_the_first_rows_ends_a_valid_votable(on_duckdb: Served) -> None:
    # The row that divides by zero is the last of four million.
    last = "a.id = b.id AND a.id = (SELECT MAX(id) FROM T1.objects)"
    query = f"SELECT a.id, CASE WHEN {last} THEN 1 / (a.id - b.id) ELSE 0 END AS x FROM T1.objects AS a, T1.objects AS b"
    asked = {"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": "votable/td", "MAXREC": "5000000"}
    answer = requests.get(f"{on_duckdb}/tap/sync", asked, timeout=120)
    assert answer.status_code in (200, 400)
    statuses = [
        i.value
        for i in votable.parse(io.BytesIO(answer.content)).resources[0].infos
        if i.name == "QUERY_STATUS"
    ]
    assert statuses[-1] == "ERROR"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("T1.objects?RA=30&DEC=-5", "SR"),
        ("T1.objects?RA=30&DEC=-95&SR=1", "DEC=-95"),
        ("T1.objects?RA=30&DEC=-5&SR=200", "SR=200"),
        ("T1.objects?RA=x&DEC=-5&SR=1", "RA=x"),
        ("T1.nothing?RA=1&DEC=1&SR=1", "T1.nothing"),
        ("T1.objects?RA=1&DEC=1&SR=1&RESPONSEFORMAT=xml2", "RESPONSEFORMAT"),
        ("T1.objects?RA=1&RA=2&DEC=1&SR=1", "RA"),
        ("T1.objects?RA=1&DEC=1&SR=1&MAXREC=-1", "MAXREC"),
        ("T1.objects?RA=1&DEC=1&SR=1&VERB=7", "VERB"),
    ],
)
def test_the_errors_of_cone_search_stand_where_its_clients_look(
    service: Served, path: str, reason: str
) -> None:
    # SCS 1.03, section 2.3: one INFO or PARAM with the name Error, whose value is the text.
    answer = requests.get(f"{service}/scs/{path}", timeout=30)
    assert answer.status_code >= 400
    found = [
        i.value for i in votable.parse(io.BytesIO(answer.content)).resources[0].infos if i.name == "Error"
    ]
    assert len(found) == 1 and reason in found[0]


def test_a_token_that_is_not_known_is_an_error_of_cone_search_too(service: Served) -> None:
    answer = requests.get(
        f"{service}/scs/T1.objects?RA=1&DEC=1&SR=1", headers={"Authorization": "Bearer nobody"}, timeout=30
    )
    assert answer.status_code == 401 and b'name="Error"' in answer.content


def test_pyvo_tells_why_a_cone_search_fails(service: Served) -> None:
    with pytest.raises(DALQueryError, match="SR=200"):
        pyvo.dal.SCSService(f"{service}/scs/T1.objects").search((30, -5), 200)
