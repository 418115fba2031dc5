"""Points where they belong, ticks that are round, ranges that are never empty, a legend that fits."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.charts.axes import Axes, legend, span, ticks
from editharness.charts.labels import extent
from editharness.charts.svg import Figure, Heading, look


def test_points_are_placed_upwards_inside_their_axes() -> None:
    axes = Axes(10, 20, 100, 50, (0.0, 2.0), (-1.0, 1.0))
    assert axes.place(0, -1) == (10, 70)
    assert axes.place(2, 1) == (110, 20)
    assert axes.place(1, 0) == (60, 45)
    assert [axes.within(value) for value in (-2, 0.5, 7)] == [-1, 0.5, 1]


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_numbers_inside_the_range(low: float, width: float) -> None:
    found = ticks(low, low + width)
    assert 1 <= len(found) <= 12
    assert all(low - 1e-6 * width <= value <= low + width * (1 + 1e-6) for value in found) or width < 1e-9 * abs(low)
    assert all(a < b for a, b in pairwise(found))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 525), (-3.2, 4.9), (2.5, 2.51)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 11
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in found)


def test_a_range_is_never_empty() -> None:
    low, high = span([3.0, 3.0])
    assert low < 3 < high
    assert span([10, 20], least=0) == (0, 21)
    assert span([0], least=0)[1] > 0
    with pytest.raises(ValueError, match="finite"):
        span([1.0, float("nan")])


def test_a_legend_goes_on_in_a_new_line() -> None:
    figure = Figure(300, Heading("t", "d"))
    legend(figure, [(f"a method with a name {n}", look(n)) for n in range(7)], line=True)
    places = [(float(e.attrib["x"]), float(e.attrib["y"])) for e in ET.fromstring(figure.text()).iter()
              if (e.text or "").startswith("a method")]  # fmt: skip
    assert len(set(places)) == 7
    assert all(x + extent("a method with a name 0") <= 300 for x, _ in places)
    assert figure.bottom == max(y for _, y in places)
