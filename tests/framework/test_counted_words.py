"""Counts in texts: one of a thing has no plural."""

from __future__ import annotations

import pytest

from desdm.numbers import counted


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "job", "0 jobs"),
        (1, "job", "1 job"),
        (2, "row", "2 rows"),
        (1, "message of level 1", "1 message of level 1"),
        (3, "message of level 1", "3 messages of level 1"),
    ],
)
def test_one_of_a_thing_has_no_plural(count: int, noun: str, text: str) -> None:
    assert counted(count, noun) == text
