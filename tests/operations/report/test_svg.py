"""The plotting kit: ticks that people like, scales that turn data into pixels, and text that cannot break out."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desdm.operations.report.svg import Plot, Scale, hour_texts, nice_ticks, number_text, tick_texts


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (-0.03, 0.02, [-0.03, -0.02, -0.01, 0, 0.01, 0.02]),
        (16.2, 26.9, [18, 20, 22, 24, 26]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round_numbers_within_the_axis(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_every_axis_gets_some_ticks_and_none_outside(low: float, span: float) -> None:
    high = low + span
    if high <= low:
        return
    ticks = nice_ticks(low, high)
    assert 1 <= len(ticks) <= 12
    assert all(low - 1e-6 * span <= t <= high + 1e-6 * span for t in ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-2.5, "−2.5"),
        (12345.6, "12346"),
        (0.00012, "0.00012"),
        (3.2e-7, "3.2e−7"),
        (1.5e9, "1.5e9"),
        (30.0, "30"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number_text(value) == text


def test_a_scale_maps_its_ends_and_a_logarithm_its_decades() -> None:
    scale = Scale.of([0.0, 10.0], 100, 200, pad=0.0)
    assert (scale(0), scale(5), scale(10)) == (100, 150, 200)
    decades = Scale.of([0.01, 1.0], 200, 100, log=True, pad=0.0)
    assert decades(0.1) == pytest.approx(150)
    assert decades.many(np.array([0.01, 1.0])) == pytest.approx([200, 100])
    assert [round(t, 6) for t in decades.ticks(5)] == [0.01, 0.1, 1.0]


@pytest.mark.parametrize("values", [[], [float("nan")], [3.0], [0.0, 0.0]])
def test_hardly_any_data_still_make_an_axis(values: list[float]) -> None:
    for log in (False, True):
        scale = Scale.of(values, 0, 100, log=log)
        assert scale.low < scale.high and scale.ticks(5)


def test_a_plot_is_xml_whatever_its_texts_hold() -> None:
    plot = Plot('<b>&"', "x [<mag>]", "y & z")
    plot.scale_x([0, 1])
    plot.scale_y([0, 1])
    plot.points([0.5, float("nan"), 99], [0.5, 0.5, 0.5], "b-g")
    plot.marker(0.2, 0.3, "b-r", "</title><script>alert(1)</script>")
    plot.note(10, 10, "<i>")
    tree = ET.fromstring(plot.render())
    texts = [node.text for node in tree.iter() if node.tag == "text"]
    assert "x [<mag>]" in texts and "y & z" in texts
    assert not [node for node in tree.iter() if node.tag == "script"]
    dots = next(node for node in tree.iter() if node.get("class") == "dots b-g")
    assert dots.get("d", "").count("M") == 1  # the point outside and the one that is no number are left out


@pytest.mark.parametrize(
    ("low", "high"),
    [(29.0601, 29.0629), (29.06, 29.5), (0.0, 1.0), (1e5, 1.00001e5), (-3.0, 3.0), (29.06, 29.0600001)],
)
def test_ticks_of_an_axis_are_told_apart_and_say_where_they_stand(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    texts, offset = tick_texts(ticks)
    assert len(set(texts)) == len(texts) == len(ticks) > 1

    def number(text: str) -> float:
        return float(text.replace("−", "-"))

    base = number(offset) if offset else 0.0
    for text, value in zip(texts, ticks, strict=True):
        assert base + number(text) == pytest.approx(value, abs=1e-3 * (ticks[1] - ticks[0]))
        assert len(text) <= 8


def test_times_of_ticks_tell_them_apart() -> None:
    assert hour_texts([23.0, 23.5, 24.0, 24.5]) == ["23", "23.5", "0", "0.5"]
    # Two exposures within a minute: 23.332, 23.334 h are 23:19:55 and 23:20:02.
    assert hour_texts([23.332, 23.334]) == ["23:19:55", "23:20:02"]
