"""The layout of graphs in layers: each box right of what it comes from, none on another, few crossings."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from desdm.operations.report.layers import Box, arrange, depths


def test_a_box_stands_right_of_everything_that_it_comes_from() -> None:
    nodes = ["raw", "flat", "detrend", "catalog", "coadd"]
    edges = [
        ("raw", "detrend"),
        ("flat", "detrend"),
        ("detrend", "catalog"),
        ("detrend", "coadd"),
        ("catalog", "coadd"),
    ]
    assert depths(nodes, edges) == {"raw": 0, "flat": 0, "detrend": 1, "catalog": 2, "coadd": 3}


def test_a_circle_ends() -> None:
    found = depths(["a", "b"], [("a", "b"), ("b", "a"), ("a", "a")])
    assert sorted(found.values()) == [0, 1]


def test_crossed_lines_are_uncrossed() -> None:
    left, right = [Box("a", 10, 0), Box("b", 10, 0)], [Box("x", 10, 1), Box("y", 10, 1)]
    for origin, to in ((left[0], right[1]), (left[1], right[0])):
        origin.after.append(to)
        to.before.append(origin)
    arrange({0: left, 1: right}, 5)
    where = {b.name: b.y for b in (*left, *right)}
    assert (where["a"] < where["b"]) == (where["y"] < where["x"])


@given(
    st.lists(st.lists(st.integers(10, 80), min_size=1, max_size=6), min_size=2, max_size=5),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=30),
)
def test_no_box_lies_on_another(heights: list[list[int]], ties: list[tuple[int, int]]) -> None:
    layers = {i: [Box(f"{i}.{k}", h, i) for k, h in enumerate(column)] for i, column in enumerate(heights)}
    for a, b in ties:
        i = a % (len(heights) - 1)
        origin, to = layers[i][b % len(layers[i])], layers[i + 1][a % len(layers[i + 1])]
        if to not in origin.after:
            origin.after.append(to)
            to.before.append(origin)
    height = arrange(layers, 8)
    for boxes in layers.values():
        assert min(b.y for b in boxes) >= -1e-6 and max(b.y + b.height for b in boxes) <= height + 1e-6
        for upper, lower in pairwise(boxes):
            assert upper.y + upper.height + 8 <= lower.y + 1e-6
