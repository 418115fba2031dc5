"""SVG that is well formed whatever stands in names, says what it shows in words, and places points rightly."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.mechanism.charts import Group, Line, Panel, heat_map, lines, scatter
from editharness.mechanism.svg import Axes, span, ticks

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "<script>&\"'\x00\x1b[31m\ud800]]>"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def heat(values: list[list[float]], name: str = "row") -> str:
    rows, columns = [f"{name} {i}" for i in range(len(values))], [str(i) for i in range(len(values[0]))]
    return heat_map(values, rows, columns, title=name, description=name, x_label=name, legend=name)


def dots(name: str) -> str:
    group = [Group(f"{name}{i}", [(0.0, i), (1.0, 2.0)]) for i in range(3)]
    return scatter([Panel(name, name, group), Panel(name, name, group)], title=name, description=name, note=name)


def curves(name: str) -> str:
    return lines(
        [Line(name, [(1, 0.5), (10, 0.25)], [(0.4, 0.6), (0.2, 0.3)]), Line("b", [(1, 0.1), (10, 0.9)])],
        title=name, description=name, x_label=name, y_label=name,
    )  # fmt: skip


@pytest.mark.parametrize("svg", [heat([[0.1]], NASTY), dots(NASTY), curves(NASTY)], ids=["heat", "scatter", "lines"])
def test_names_are_text_and_never_markup(svg: str) -> None:
    root = ET.fromstring(svg)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "title", "desc", "style", "rect", "text", "line", "path", "circle",
    }  # fmt: skip
    assert root.get("role") == "img"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert "<script>" in (title.text or "")
    assert "prefers-color-scheme: dark" in svg


@given(st.lists(st.lists(st.floats(-1, 1), min_size=2, max_size=2), min_size=1, max_size=4))
def test_a_heat_map_shows_every_value(values: list[list[float]]) -> None:
    svg = heat(values)
    cells = [e for e in ET.fromstring(svg).iter(f"{SVG}rect") if e.get("class") in ("up", "down")]
    shown = [float(text) for text in texts(svg) if text.replace("-", "").replace(".", "").isdigit() and "." in text]
    flat = [value for row in values for value in row]
    assert len(cells) == len(flat) + 5  # the legend has five
    assert shown[: len(flat)] == pytest.approx(flat, abs=0.0051)
    largest = max(abs(value) for value in flat)
    strengths = [float(e.get("opacity", "1")) for e in cells[: len(flat)]]
    assert strengths == pytest.approx([abs(v) / largest if largest else 0 for v in flat], abs=0.006)


def test_groups_differ_in_shape_and_in_colour() -> None:
    root = ET.fromstring(dots("g"))
    marks = [e for e in root.iter() if "point" in (e.get("class") or "")]
    seen = {(e.tag.removeprefix(SVG), (e.get("class") or "").split()[0]) for e in marks}
    assert seen == {("circle", "s0"), ("rect", "s1"), ("path", "s2")}
    assert len(marks) == 3 + 2 * 3 * 2  # a legend, then two panels
    with pytest.raises(ValueError, match="one to three"):
        scatter([Panel("x", "y", [Group(str(i), [(0, 0)]) for i in range(4)])], title="t", description="d")


def test_points_are_placed_upwards_inside_their_axes() -> None:
    axes = Axes(10, 20, 100, 50, (0.0, 2.0), (-1.0, 1.0))
    assert axes.place(0, -1) == (10, 70)
    assert axes.place(2, 1) == (110, 20)
    assert axes.place(1, 0) == (60, 45)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_numbers_inside_the_range(low: float, width: float) -> None:
    found = ticks(low, low + width)
    assert 1 <= len(found) <= 12
    assert all(low - 1e-6 * width <= value <= low + width * (1 + 1e-6) for value in found) or width < 1e-9 * abs(low)
    assert all(a < b for a, b in pairwise(found))


def test_a_range_is_never_empty() -> None:
    low, high = span([3.0, 3.0])
    assert low < 3 < high
    with pytest.raises(ValueError, match="finite"):
        span([1.0, float("nan")])
