"""The parser of declared parameters: names, repetition, blank values, kinds, bounds, choices."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desdm.errors import UsageError
from desdm.services.parameters import Kind, Parameter, ParameterSet

DECLARED = ParameterSet(
    (
        Parameter("ra", Kind.REAL, "right ascension", "deg", required=True, least=0, most=360),
        Parameter("Q", Kind.REAL, "softening", default="8", least=0),
        Parameter("MAXREC", Kind.WHOLE, "rows"),
        Parameter("AFTER", Kind.TIME, "time"),
        Parameter("PNG", Kind.FLAG, "pictures"),
        Parameter("OUTSIDE", Kind.TEXT, "outside", default="flag", choices=("flag", "Blank", "keep")),
        Parameter("PHASE", Kind.TEXT, "phases", many=True, choices=("RUN", "ABORT")),
        Parameter("ID", Kind.TEXT, "identifiers", many=True),
        Parameter("FORMAT", Kind.TEXT, "format", default="fits"),
    )
)
STRICT = ParameterSet(DECLARED.parameters, strict=True)
RIGHT = [("RA", "30")]


def test_values_are_of_their_kinds() -> None:
    values = STRICT.read(
        [("RA", "+3e1"), ("MAXREC", " 5 "), ("AFTER", "2026-01-31T13:00:00+01:00"), ("PNG", "Yes"),
         ("OUTSIDE", "BLANK"), ("PHASE", "run"), ("PHASE", "ABORT"), ("ID", "a"), ("ID", "b"), ("FORMAT", "png")]
    )  # fmt: skip
    assert (values.required_real("RA"), values.whole("MAXREC")) == (30.0, 5)
    assert values.time("AFTER") == datetime(2026, 1, 31, 12)
    assert values.flag("PNG") is True and values.text("OUTSIDE") == "Blank"
    assert values.texts("PHASE") == ["RUN", "ABORT"] and values.texts("ID") == ["a", "b"]
    assert values.text("FORMAT") == "png"


@pytest.mark.parametrize("blank", [[], [""], ["  ", ""]])
def test_a_blank_value_is_as_an_absent_one(blank: list[str]) -> None:
    keys = ("Q", "MAXREC", "AFTER", "PNG", "OUTSIDE", "FORMAT")
    values = DECLARED.read([*RIGHT, *((key, text) for key in keys for text in blank)])
    assert (values.real("Q"), values.whole("MAXREC"), values.time("AFTER")) == (8.0, None, None)
    assert values.flag("PNG") is False and values.flag("PNG", True) is True
    assert (values.text("OUTSIDE"), values.text("FORMAT")) == ("flag", "fits")
    assert not any(values.has(key) for key in keys) and values.has("RA")


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "ra is missing: right ascension"),
        ([("RA", " ")], "ra is missing: right ascension"),
        ([("RA", "1"), ("RA", "2")], "ra has 2 different values; give it once"),
        ([("RA", "x")], "ra=x: a number is wanted (finite, deg)"),
        ([("RA", "nan")], "ra=nan: a number is wanted (finite, deg)"),
        ([("RA", "361")], "ra=361: a number from 0 to 360 is wanted (deg)"),
        ([*RIGHT, ("Q", "-1")], "Q=-1: a number of at least 0 is wanted"),
        ([*RIGHT, ("MAXREC", "1.0")], "MAXREC=1.0: a whole number that is not negative is wanted"),
        ([*RIGHT, ("PNG", "maybe")], "PNG=maybe: 1 or 0 is wanted"),
        ([*RIGHT, ("OUTSIDE", "x")], "OUTSIDE=x: flag, Blank or keep is wanted"),
        ([*RIGHT, ("PHASE", "RUN"), ("PHASE", "x")], "PHASE=x: RUN or ABORT is wanted"),
    ],
)
def test_what_is_wrong_is_said_by_name(pairs: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        DECLARED.read(pairs)
    assert str(raised.value) == message


def test_other_names_are_ignored_or_refused() -> None:
    assert DECLARED.read([*RIGHT, ("COLOUR", "red")]).required_real("RA") == 30.0
    with pytest.raises(UsageError, match="unknown parameter COLOUR; known: ra, Q, MAXREC"):
        STRICT.read([*RIGHT, ("COLOUR", "red")])


def test_the_same_value_may_be_repeated() -> None:
    assert DECLARED.read([*RIGHT, *RIGHT, ("FORMAT", "png"), ("FORMAT", "png")]).text("FORMAT") == "png"


def test_a_handler_reads_what_is_declared_as_it_is_declared() -> None:
    values = DECLARED.read(RIGHT)
    with pytest.raises(KeyError):
        values.text("COLOUR")
    with pytest.raises(AssertionError, match="RA is declared as number"):
        values.text("RA")


@given(st.lists(st.tuples(st.sampled_from([*DECLARED.by_key, "OTHER"]), st.text(max_size=30)), max_size=12))
def test_any_request_is_parsed_or_refused_with_a_message(pairs: list[tuple[str, str]]) -> None:
    try:
        values = DECLARED.read(pairs)
    except UsageError as err:
        assert any(str(err).startswith(p.name) for p in DECLARED)
    else:
        assert 0 <= values.required_real("RA") <= 360
