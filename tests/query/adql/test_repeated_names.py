"""Names that repeat in a select list: every written name keeps its value, and no query takes one of several by chance.

PostgreSQL refuses an ambiguous name too ("ORDER BY "n" is ambiguous", "column reference "n" is ambiguous").
"""

from __future__ import annotations

import pytest

from desdm.errors import QueryError
from desdm.query.formats.rows import distinct_names
from tests.query.adql.conftest import Bench

T = "T1.objects"


@pytest.mark.parametrize(
    ("names", "distinct"),
    [
        (["a", "a", "a_2"], ["a", "a_3", "a_2"]),
        (["a", "a_2", "a"], ["a", "a_2", "a_3"]),
        (["a", "A", "a", "A_2"], ["a", "A_3", "a_4", "A_2"]),
        (["a", "b"], ["a", "b"]),
        ([], []),
    ],
)
def test_no_number_makes_a_name_that_is_written(names: list[str], distinct: list[str]) -> None:
    assert distinct_names(names) == distinct


def test_a_written_alias_keeps_its_value(bench: Bench) -> None:
    query = bench.query("SELECT 1 AS a, 2 AS a, 3 AS a_2")
    assert [c.name for c in query.columns] == ["a", "a_3", "a_2"]
    assert bench.ask("SELECT 1 AS a, 2 AS a, 3 AS a_2") == [(1, 2, 3)]
    assert bench.ask("SELECT a_2 FROM (SELECT 1 AS a, 2 AS a, 3 AS a_2) t") == [(3,)]
    assert bench.ask("WITH t AS (SELECT 1 AS a, 2 AS A, 3 AS a_2) SELECT a_2 FROM t") == [(3,)]


def test_the_columns_of_a_join_keep_their_names(bench: Bench) -> None:
    rows = bench.ask(
        "SELECT ra_2 FROM (SELECT o.*, u.* FROM (SELECT 1 AS ra, 5 AS k) o JOIN (SELECT 5 AS k, 2 AS ra, 3 AS ra_2) u "
        "ON o.k = u.k) t"
    )
    assert rows == [(3,)]


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT id AS n, ra AS n FROM {T} ORDER BY n",
        f"SELECT id, ra AS id FROM {T} ORDER BY id",
        f"SELECT id AS n, nexp AS n FROM {T} GROUP BY n",
        f"SELECT MAX(id) AS n, COUNT(*) AS n FROM {T} HAVING n > 3",
        f"SELECT n FROM (SELECT id AS n, ra AS n FROM {T}) t",
        f"WITH t AS (SELECT id AS n, ra AS N FROM {T}) SELECT t.n FROM t",
        f"SELECT id AS n, ra AS n FROM {T} UNION SELECT id, ra FROM {T} ORDER BY n",
    ],
)
def test_a_name_of_two_values_is_refused_where_it_is_used(bench: Bench, query: str) -> None:
    with pytest.raises(QueryError, match="several items of the select list"):
        bench.query(query)


def test_a_name_of_one_value_may_repeat(bench: Bench) -> None:
    assert bench.ask(f"SELECT TOP 1 id AS n, id AS n FROM {T} ORDER BY n") == bench.ask(
        f"SELECT TOP 1 id, id FROM {T} ORDER BY 1"
    )
    assert bench.ask("SELECT n FROM (SELECT 7 AS n, 7 AS n) t") == [(7,)]
    assert bench.ask("SELECT n, m FROM (SELECT 1 AS n, 2 AS m, 3 AS m_2) t") == [(1, 2)]
