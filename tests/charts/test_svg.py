"""SVG that is well formed whatever stands in names, says what it shows in words, and can be read without colours."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.charts.curves import Line, Spot, lines_with_bands
from editharness.charts.heat import heat_map, two_decimals
from editharness.charts.points import Group, Panel, scatter
from editharness.charts.slopes import Slope, slope_chart
from editharness.charts.svg import MUTED, Figure, Heading, look, looks

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "<script>&\"'\x00\x1b[31m\ud800]]>"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def classes(svg: str) -> list[set[str]]:
    return [set((element.get("class") or "").split()) for element in ET.fromstring(svg).iter()]


def heading(name: str) -> Heading:
    return Heading(name, name, name)


def heat(values: list[list[float | None]], name: str = "row") -> str:
    rows, columns = [f"{name} {i}" for i in range(len(values))], [str(i) for i in range(len(values[0]))]
    return heat_map(values, rows, columns, heading=heading(name), x_label=name, legend=name)


def dots(name: str, count: int = 3, *, named: bool = False) -> str:
    group = [Group(f"{name}{i}", [(0.0, i), (1.0, 2.0)]) for i in range(count)]
    return scatter(
        [Panel(name, name, group), Panel(name, name, group)], heading=heading(name), note=name, named=named
    )  # fmt: skip


def curves(name: str) -> str:
    band = [Spot(1, 0.5, 0.4, 0.6), Spot(10, 0.25, 0.2, 0.3)]
    bare = [Spot(1, 0.1), Spot(10, 0.9)]
    return lines_with_bands([Line(name, band), Line("b", bare)], heading=heading(name), x_label=name, y_label=name)


def slopes(name: str) -> str:
    return slope_chart([Slope(name, (1.0, 0.5), (name, name))], heading=heading(name), labels=(name, name), note=name)


@pytest.mark.parametrize(
    "svg",
    [heat([[0.1]], NASTY), dots(NASTY), dots(NASTY, named=True), curves(NASTY), slopes(NASTY)],
    ids=["heat", "scatter", "named scatter", "lines", "slopes"],
)
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
def test_a_heat_map_shows_every_value(values: list[list[float | None]]) -> None:
    svg = heat(values)
    cells = [e for e in ET.fromstring(svg).iter(f"{SVG}rect") if e.get("class") in ("up", "down")]
    shown = [float(text) for text in texts(svg) if text.replace("-", "").replace(".", "").isdigit() and "." in text]
    flat = [value for row in values for value in row if value is not None]
    assert len(cells) == len(flat) + 5  # the legend has five
    assert shown[: len(flat)] == pytest.approx(flat, abs=0.0051)
    largest = max(abs(value) for value in flat)
    strengths = [float(e.get("opacity", "1")) for e in cells[: len(flat)]]
    assert strengths == pytest.approx([abs(v) / largest if largest else 0 for v in flat], abs=0.006)


def test_a_heat_map_leaves_out_what_was_not_measured_and_may_be_given_its_scale() -> None:
    svg = heat_map(
        [[0.5, None]], ["r"], ["a", "b"], heading=heading("t"), x_label="x", legend="l",
        show=lambda value: f"{100 * value:.0f} %", notes=[[" (n=3)", ""]], largest=1.0,
    )  # fmt: skip
    cells = [e for e in ET.fromstring(svg).iter(f"{SVG}rect") if e.get("class") == "up"]
    assert len(cells) == 1 + 5
    assert cells[0].get("opacity") == "0.500"
    assert "50 % (n=3)" in texts(svg)
    assert texts(svg)[-2:] == ["100 %", "l"]
    assert [two_decimals(value) for value in (0.421, -0.07, 1.3, -0.001)] == [".42", "-.07", "1.30", ".00"]


def test_groups_differ_in_shape_and_in_colour() -> None:
    root = ET.fromstring(dots("g"))
    marks = [e for e in root.iter() if "point" in (e.get("class") or "")]
    seen = {(e.tag.removeprefix(SVG), (e.get("class") or "").split()[0]) for e in marks}
    assert seen == {("circle", "s0"), ("rect", "s1"), ("path", "s2")}
    assert len(marks) == 3 + 2 * 3 * 2  # a legend, then two panels
    with pytest.raises(ValueError, match="one group"):
        scatter([Panel("x", "y", [])], heading=heading("t"))


def test_forty_looks_differ_and_what_is_muted_takes_none_of_them() -> None:
    assert len({(look(n).colour, look(n).shape) for n in range(40)}) == 40
    assert look(0).dash == ""
    assert len({look(n).dash for n in range(0, 32, 8)}) == 4
    assert looks([False, True, False]) == [look(0), MUTED, look(1)]


def test_named_groups_have_their_bars_and_their_names_and_no_legend() -> None:
    groups = [Group("one", [(1, 2)], [((0, 3), (1, 4))]), Group("two", [(2, 3)], muted=True)]
    svg = scatter([Panel("x", "y", groups)], heading=heading("t"), named=True)
    found = classes(svg)
    assert sum("point" in own for own in found) == 2
    assert [own for own in found if "bar" in own] == [{"s0", "bar"}] * 2
    assert {"muted", "point"} in found
    assert {"one", "two"} <= set(texts(svg))


def test_a_curve_ends_where_a_value_is_missing_and_begins_anew() -> None:
    spots = [Spot(1, 1, 0, 2), Spot(2, 2, 1, 3), None, Spot(4, 1, 0, 9), None, Spot(5, 1), Spot(6, 1)]
    svg = lines_with_bands([Line("a", spots)], heading=heading("t"), x_label="x", y_label="y", y_range=(0, 3))
    found = classes(svg)
    assert sum("curve" in own for own in found) == 2 + 1  # one in the legend
    assert sum("band" in own for own in found) == 1
    assert sum("bar" in own for own in found) == 1
    assert sum("point" in own for own in found) == 5 + 1
    with pytest.raises(ValueError, match="one point"):
        lines_with_bands([Line("a", [None])], heading=heading("t"), x_label="x", y_label="y")


def test_a_slope_has_name_and_value_at_both_ends() -> None:
    both = [Slope("memit", (98, 44), ("98.0", "44.0")), Slope("none", (30, 0), ("30.0", "0.0"), muted=True)]
    svg = slope_chart(both, heading=heading("t"), labels=("before", "after"), y_range=(0, 100))
    assert {"memit 98.0", "44.0 memit", "none 30.0", "0.0 none", "before", "after"} <= set(texts(svg))
    assert sum("curve" in own for own in classes(svg)) == 2
    assert {"muted", "curve"} in classes(svg)
    with pytest.raises(ValueError, match="one line"):
        slope_chart([], heading=heading("t"), labels=("a", "b"))


def test_a_figure_grows_with_what_is_drawn_and_can_be_finished_twice() -> None:
    figure = Figure(200, Heading("a title that takes more than the width there is", "d"))
    before = figure.bottom
    figure.paragraph("words " * 40)
    assert figure.bottom > before
    root = ET.fromstring(figure.text())
    assert float(root.attrib["height"]) > figure.bottom
    assert figure.text() == figure.text()
