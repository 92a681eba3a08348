"""Range headers mean what RFC 9110 says, and nothing that anybody writes makes an answer longer than the file."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from desdm.services.bulk.conditions import precondition_status, ranges_count
from desdm.services.bulk.ranges import Unsatisfiable, parse

CHANGED = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
SAME, BEFORE, AFTER = (f"Sun, 22 Nov 2026 {h}:00:00 GMT" for h in ("12", "11", "13"))


@pytest.mark.parametrize(
    ("header", "spans"),
    [
        # The examples of RFC 9110, 14.1.2, of a representation of 10,000 bytes.
        ("bytes=0-499", [(0, 500)]),
        ("bytes=500-999", [(500, 1000)]),
        ("bytes=-500", [(9500, 10000)]),
        ("bytes=9500-", [(9500, 10000)]),
        ("bytes=0-0,-1", [(0, 1), (9999, 10000)]),
        ("bytes= 0-999, 4500-5499, -1000", [(0, 1000), (4500, 5500), (9000, 10000)]),
        ("bytes=500-600,601-999", [(500, 601), (601, 1000)]),
        ("bytes=500-700,601-999", [(500, 1000)]),
        # Further: any order is kept, an end beyond the end is the end, what begins beyond it is left out.
        ("Bytes=9000-,0-9", [(9000, 10000), (0, 10)]),
        ("bytes=9000-99999", [(9000, 10000)]),
        ("bytes=-99999", [(0, 10000)]),
        ("bytes=0-0,20000-", [(0, 1)]),
        # What is no range is as no header (14.2): the whole file.
        (None, None),
        ("items=0-5", None),
        ("bytes", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=5-2", None),
        ("bytes=a-b", None),
        ("bytes=0-5,x", None),
        ("bytes=" + "9" * 5000 + "-", None),
        ("bytes=" + ",".join(f"{i}-{i}" for i in range(0, 1000, 2)), None),
    ],
)
def test_a_range_header_names_these_bytes(header: str | None, spans: list[tuple[int, int]] | None) -> None:
    found = parse(header, 10_000)
    assert (None if found is None else [tuple(s) for s in found]) == spans


@pytest.mark.parametrize("header", ["bytes=10000-", "bytes=20000-30000", "bytes=-0", "bytes=10000-,20000-"])
def test_ranges_beyond_the_end_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse(header, 10_000)


@given(st.text(alphabet="0123456789-, bytes=", max_size=40), st.integers(0, 500))
def test_no_header_makes_an_answer_longer_than_the_file(text: str, size: int) -> None:
    try:
        spans = parse("bytes=" + text, size)
    except Unsatisfiable:
        return
    asked = [b for s in spans or [] for b in range(s.start, s.stop)]
    assert len(asked) == len(set(asked)) <= size
    assert all(0 <= b < size for b in asked)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"if-none-match": '"a"'}, 304),
        ({"if-none-match": 'W/"a"'}, 304),
        ({"if-none-match": '"x", "a"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"'}, 200),
        ({"if-none-match": '"x"', "if-modified-since": SAME}, 200),
        ({"if-modified-since": SAME}, 304),
        ({"if-modified-since": BEFORE}, 200),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-match": '"a"'}, 200),
        ({"if-match": '"x"'}, 412),
        ({"if-match": 'W/"a"'}, 412),
        ({"if-unmodified-since": BEFORE}, 412),
        ({"if-unmodified-since": AFTER}, 200),
    ],
)
def test_conditions_lead_to_this_status(headers: dict[str, str], status: int) -> None:
    assert precondition_status(Headers(headers), '"a"', CHANGED) == status


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        (None, True),
        ('"a"', True),
        ('"x"', False),
        ('W/"a"', False),
        (SAME, True),
        (AFTER, False),
        ("?", False),
    ],
)
def test_if_range_lets_ranges_count_only_for_this_very_file(said: str | None, counts: bool) -> None:
    headers = Headers({} if said is None else {"if-range": said})
    assert ranges_count(headers, '"a"', CHANGED) is counts
