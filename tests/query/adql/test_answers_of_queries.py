"""Every query of the corpus is answered rightly on both engines, and described as its columns are."""

from __future__ import annotations

import pytest

from tests.query.adql.conftest import Bench, Expected, Row, alike
from tests.query.adql.cookbook import COOKBOOK
from tests.query.adql.corpus import QUERIES as PLAIN

QUERIES = [*PLAIN, *COOKBOOK]


@pytest.mark.parametrize(("text", "expected"), QUERIES, ids=[f"{i:03d}" for i in range(len(QUERIES))])
def test_each_query_has_the_answer_that_the_rows_give(
    bench: Bench, rows: list[Row], text: str, expected: Expected
) -> None:
    found = bench.ask(text)
    ordered = "ORDER BY" in text.upper() and not text.upper().startswith("SELECT * FROM (")
    assert alike(found, expected(rows), ordered), text


def test_there_are_enough_queries() -> None:
    assert len(QUERIES) >= 100
    assert len({text for text, _ in QUERIES}) == len(QUERIES)
