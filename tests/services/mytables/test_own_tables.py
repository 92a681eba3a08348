"""Tables of one's own: made of a file and of a query, joined, extended, dropped; nobody else sees them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest
import requests

from desdm.accounts import people, tokens
from desdm.facility import Facility
from desdm.schema.states import Role
from tests.support.release import small_release
from tests.support.server import Served, served

Headers = dict[str, str]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Headers, Headers]]:
    """A server, and the headers of two collaborators."""
    home = small_release(tmp_path_factory.mktemp("mydb") / "home", rows=500)
    facility = Facility.open(home)
    made = []
    with facility.database.write() as conn:
        for login in ("ada", "ben"):
            person = people.add(conn, login, Role.COLLABORATOR, who="tester")
            made.append({"Authorization": f"Bearer {tokens.make(conn, person)}"})
    facility.close()
    with served(home) as url:
        yield url, made[0], made[1]


def rows(url: str, query: str, headers: Headers) -> list[dict[str, str]]:
    given = {"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": "csv"}
    answer = requests.post(f"{url}/tap/sync", given, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_a_table_lives_from_upload_to_drop(known: tuple[Served, Headers, Headers]) -> None:
    url, ada, ben = known
    own = f"{url}/api/mydb/stars"
    made = requests.put(
        own, b"key,ra,dec\n1,30.0,-5.0\n2,31,-5\n", headers={**ada, "Content-Type": "text/csv"}, timeout=30
    )
    assert made.status_code == 201 and made.json()["rows"] == 2
    assert (
        requests.put(own, b"key\n1\n", headers={**ada, "Content-Type": "text/csv"}, timeout=30).status_code
        == 409
    )
    more = requests.post(
        own, b"key,ra,dec\n3,32,-5\n", headers={**ada, "Content-Type": "text/csv"}, timeout=30
    )
    assert more.status_code == 200 and more.json()["rows"] == 3
    assert [row["key"] for row in rows(url, "SELECT key FROM mydb.stars ORDER BY key", ada)] == [
        "1",
        "2",
        "3",
    ]
    listed = requests.get(f"{url}/api/mydb", headers=ada, timeout=30).json()
    assert [table["name"] for table in listed["tables"]] == ["stars"]
    assert 0 < listed["used"] < listed["quota"]
    assert requests.get(f"{url}/api/mydb", headers=ben, timeout=30).json()["tables"] == []
    stolen = {"LANG": "ADQL", "QUERY": "SELECT key FROM mydb.stars"}
    assert requests.post(f"{url}/tap/sync", stolen, headers=ben, timeout=30).status_code == 400
    assert requests.post(f"{url}/tap/sync", stolen, timeout=30).status_code == 400
    assert "mydb.stars" in requests.get(f"{url}/tap/tables", headers=ada, timeout=30).text
    assert "mydb.stars" not in requests.get(f"{url}/tap/tables", timeout=30).text
    assert requests.delete(own, headers=ada, timeout=30).status_code == 204
    assert requests.delete(own, headers=ada, timeout=30).status_code == 404


def test_a_query_makes_a_table_that_joins_the_release(known: tuple[Served, Headers, Headers]) -> None:
    url, ada, _ = known
    query = "SELECT TOP 20 id, mag_r FROM T1.objects WHERE mag_r IS NOT NULL ORDER BY mag_r"
    made = requests.put(f"{url}/api/mydb/bright", {"QUERY": query}, headers=ada, timeout=30)
    assert made.status_code == 201 and made.json()["rows"] == 20
    assert made.json()["columns"][1]["unit"] == "mag"
    joined = rows(url, "SELECT COUNT(*) AS n FROM mydb.bright AS b JOIN T1.objects AS t ON t.id = b.id", ada)
    assert joined == [{"n": "20"}]


def test_anybody_has_no_tables(known: tuple[Served, Headers, Headers]) -> None:
    url, ada, _ = known
    for answer in (
        requests.get(f"{url}/api/mydb", timeout=30),
        requests.put(f"{url}/api/mydb/t", b"a\n1\n", timeout=30),
    ):
        assert answer.status_code == 401 and "account" in answer.json()["error"]
    wrong = requests.put(f"{url}/api/mydb/bad-name", b"a\n1\n", headers=ada, timeout=30)
    assert wrong.status_code == 400
