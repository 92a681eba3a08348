"""What the public is told of an error of the database says what is really wrong."""

from __future__ import annotations

import duckdb
import pytest

from desdm.query.engines.faults import public_error


@pytest.mark.parametrize("expression", ["+".join(["1"] * 10_000), "||".join(["'a'"] * 5_000)])
def test_an_expression_that_is_too_deep_is_not_called_one_of_unlike_kinds(expression: str) -> None:
    with pytest.raises(duckdb.Error) as caught:
        duckdb.connect().execute(f"SELECT {expression}")
    text = str(public_error(str(caught.value)))
    assert "too many terms" in text and "CAST" not in text


def test_what_postgresql_says_of_depth_is_understood() -> None:
    """The text of its error 54001 (statement_too_complex)."""
    assert "too many terms" in str(public_error("stack depth limit exceeded"))
