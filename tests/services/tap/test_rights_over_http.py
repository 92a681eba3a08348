"""What is proprietary is seen, named and queried only by those with a right to it; jobs only by their owner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from desdm.accounts import people, rights, tokens
from desdm.accounts.model import Action
from desdm.facility import Facility
from desdm.schema.states import Role
from tests.support.release import small_release
from tests.support.server import Served, served

Headers = dict[str, str]
ANYBODY: Headers = {}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, dict[str, Headers]]]:
    """A server with release T1 for all and T2 for those with a right; headers of people by login."""
    home = small_release(tmp_path_factory.mktemp("rights") / "home", "T1", rows=50)
    small_release(home, "T2", rows=60, proprietary=True)
    facility = Facility.open(home)
    headers = {}
    with facility.database.write() as conn:
        for login in ("with", "without", "reader"):
            person = people.add(conn, login, Role.COLLABORATOR, who="tester")
            scopes = {Action.READ} if login == "reader" else None
            headers[login] = {"Authorization": f"Bearer {tokens.make(conn, person, scopes=scopes)}"}
        rights.grant(conn, "with", "T2", who="tester")
    facility.close()
    with served(home) as url:
        yield url, headers


def query(url: str, text: str, headers: Headers) -> requests.Response:
    given = {"LANG": "ADQL", "QUERY": text, "RESPONSEFORMAT": "csv"}
    return requests.post(f"{url}/tap/sync", given, headers=headers, timeout=30)


def test_only_the_right_opens_a_proprietary_table(two: tuple[Served, dict[str, Headers]]) -> None:
    url, people_ = two
    count = "SELECT COUNT(*) AS n FROM T2.objects"
    assert query(url, count, people_["with"]).text.split() == ["n", "60"]
    for who in (ANYBODY, people_["without"]):
        answer = query(url, count, who)
        assert answer.status_code == 400 and "60" not in answer.text.replace("line 1", "")
        assert (
            requests.get(f"{url}/scs/T2.objects?RA=1&DEC=1&SR=1", headers=who, timeout=30).status_code == 404
        )


def test_its_name_is_told_only_to_those_who_may_see_it(two: tuple[Served, dict[str, Headers]]) -> None:
    url, people_ = two
    tables = "SELECT table_name FROM tap_schema.tables WHERE table_name LIKE 'T%'"
    columns = "SELECT DISTINCT table_name FROM tap_schema.columns"
    schemas = "SELECT schema_name FROM tap_schema.schemas"
    assert "T2.objects" in query(url, tables, people_["with"]).text
    for who in (ANYBODY, people_["without"]):
        for text in (tables, columns, schemas):
            answer = query(url, text, who)
            assert answer.status_code == 200 and "T1" in answer.text and "T2" not in answer.text
        for path in ("tap/tables", "tap/examples"):
            assert "T2" not in requests.get(f"{url}/{path}", headers=who, timeout=30).text
        assert requests.get(f"{url}/tap/tables/T2.objects", headers=who, timeout=30).status_code == 404


@pytest.mark.parametrize(("table", "column"), [("schemas", "schema_index"), ("tables", "table_index")])
def test_the_numbers_of_what_is_visible_have_no_gaps(
    two: tuple[Served, dict[str, Headers]], table: str, column: str
) -> None:
    """A gap would tell that something is hidden, how much, and where its name sorts."""
    url, people_ = two
    counts = {}
    for who in ("with", "without"):
        answer = query(url, f"SELECT {column} FROM tap_schema.{table}", people_[who])
        numbers = sorted(map(int, answer.text.split()[1:]))
        assert numbers == list(range(len(numbers)))
        counts[who] = len(numbers)
    assert counts["with"] > counts["without"]


def test_a_job_that_fails_leaves_no_part_of_a_result(
    two: tuple[Served, dict[str, Headers]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    url, people_ = two
    given = {"LANG": "ADQL", "QUERY": "SELECT SQRT(-ra) AS x FROM T1.objects", "PHASE": "RUN"}
    job = requests.post(f"{url}/tap/async", given, headers=people_["with"], timeout=30).url
    text = ""
    while ">ERROR<" not in text:
        text = requests.get(job, {"WAIT": "10"}, headers=people_["with"], timeout=30).text
        assert ">COMPLETED<" not in text
    (results,) = tmp_path_factory.getbasetemp().glob("rights[0-9]/home/results")
    assert results.is_dir() and list(results.rglob("*.part")) == []


def test_a_job_is_its_owners(two: tuple[Served, dict[str, Headers]]) -> None:
    url, people_ = two
    given = {
        "LANG": "ADQL",
        "QUERY": "SELECT COUNT(*) AS n FROM T2.objects",
        "PHASE": "RUN",
        "RESPONSEFORMAT": "csv",
    }
    job = requests.post(f"{url}/tap/async", given, headers=people_["with"], timeout=30).url
    while ">COMPLETED<" not in requests.get(job, {"WAIT": "10"}, headers=people_["with"], timeout=30).text:
        pass
    assert "60" in requests.get(f"{job}/results/result", headers=people_["with"], timeout=30).text
    number = job.rsplit("/", 1)[1]
    # As everything hidden, it is answered as what does not exist.
    absent = requests.get(f"{url}/tap/async/{'0' * len(number)}", headers=ANYBODY, timeout=30)
    for who, status in ((ANYBODY, 404), (people_["without"], 404)):
        answer = requests.get(job, headers=who, timeout=30)
        assert answer.text.replace(number, "0" * len(number)) == absent.text
        for path in ("", "/results/result", "/phase", "/parameters"):
            assert requests.get(job + path, headers=who, timeout=30).status_code == status
        assert requests.delete(job, headers=who, timeout=30).status_code == status
        assert number not in requests.get(f"{url}/tap/async", headers=who, timeout=30).text
        stolen = {"LANG": "ADQL", "QUERY": "SELECT * FROM TAP_UPLOAD.r", "UPLOAD": f"r,{job}/results/result"}
        assert requests.post(f"{url}/tap/sync", stolen, headers=who, timeout=30).status_code == status
    assert number in requests.get(f"{url}/tap/async", headers=people_["with"], timeout=30).text


def test_a_token_does_no_more_than_its_scopes(two: tuple[Served, dict[str, Headers]]) -> None:
    url, people_ = two
    reader = people_["reader"]
    assert query(url, "SELECT 1 AS one", reader).status_code == 200
    assert (
        requests.post(
            f"{url}/tap/async", {"QUERY": "SELECT 1 AS one"}, headers=reader, timeout=30
        ).status_code
        == 403
    )
    given = {"LANG": "ADQL", "QUERY": "SELECT * FROM TAP_UPLOAD.t", "UPLOAD": "t,param:t"}
    sent = requests.post(f"{url}/tap/sync", given, files={"t": b"a\n1\n"}, headers=reader, timeout=30)
    assert sent.status_code == 403
    assert requests.get(f"{url}/api/mydb", headers=reader, timeout=30).status_code == 403
