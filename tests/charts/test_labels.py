"""Names beside points: all there, inside, and none on another or on a mark."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.charts.labels import Box, beside, extent, printable, spread, wrapped

AREA = Box(0, 0, 600, 480)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(10, 590), st.integers(10, 470)), min_size=1, max_size=30))
def test_names_cover_neither_each_other_nor_a_mark(points: list[tuple[int, int]]) -> None:
    names = [f"method-{number}" for number in range(len(points))]
    labels = beside(points, names, AREA)
    boxes = [
        Box(label.x, label.y - 8, label.x + extent(name, 11), label.y + 2)
        for label, name in zip(labels, names, strict=True)
    ]
    assert all(AREA.holds(box) for box in boxes)
    assert not any(one.meets(other) for one, other in combinations(boxes, 2))
    assert not any(box.meets(Box(x - 3, y - 3, x + 3, y + 3)) for box in boxes for x, y in points)


def test_a_name_with_room_stands_right_of_its_point_and_where_there_is_none_at_all_too() -> None:
    (label,) = beside([(100, 100)], ["rome"], AREA)
    assert label.lead is None
    assert (label.x, round(label.y)) == (107, 104)
    (cramped,) = beside([(5, 5)], ["rome"], Box(0, 0, 10, 10))
    assert (cramped.x, cramped.lead) == (12, None)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=10))
def test_heights_are_spread_in_order_and_within(wanted: list[float]) -> None:
    found = spread(wanted, 10, 0, 100)
    assert all(-1e-9 <= height <= 100 + 1e-9 for height in found)
    assert all(b - a >= 10 - 1e-9 for a, b in pairwise(sorted(found)))
    pairs = [(w, f) for w, f in zip(wanted, found, strict=True)]
    assert all(f < g for (w, f), (v, g) in combinations(sorted(pairs), 2) if w < v)


@given(st.text(max_size=200), st.floats(20, 300))
def test_lines_fit_and_lose_nothing(text: str, room: float) -> None:
    lines = wrapped(text, room)
    assert all(extent(line) <= room for line in lines)
    assert "".join("".join(lines).split()) == "".join(printable(text).split())


@pytest.mark.parametrize(("text", "said"), [("a\x00b", "a\ufffdb"), ("\ud800", "\ufffd"), ("tab\t", "tab\t")])
def test_what_xml_cannot_hold_is_replaced(text: str, said: str) -> None:
    assert printable(text) == said
