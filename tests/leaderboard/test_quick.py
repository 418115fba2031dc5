"""The quick table is Rich's table: the same bytes, whatever stands in the cells and however narrow it is."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from editharness.leaderboard.quick import QuickTable

LINE = st.text(st.sampled_from("ab1.–↑ 日é[]"), max_size=9)
Made = tuple[list[dict[str, object]], list[tuple[list[Text], bool]]]
STYLE = st.sampled_from(["", "bold", "italic", "dim"])


@st.composite
def texts(draw: st.DrawFn) -> Text:
    text = Text("\n".join(draw(st.lists(LINE, min_size=1, max_size=3))), style=draw(STYLE))
    if draw(st.booleans()):
        text.append_text(Text("\n" + draw(LINE), style="dim"))
    if draw(st.booleans()):
        text.append(draw(LINE), "bold")
    return text


@st.composite
def tables(draw: st.DrawFn) -> Made:
    count = draw(st.integers(1, 4))
    columns: list[dict[str, object]] = [
        {"header": draw(texts()), "justify": draw(st.sampled_from(["left", "right"])), "overflow": "fold"}
        for _ in range(count)
    ]
    columns[-1] |= draw(st.sampled_from([{}, {"width": 12}]))
    columns[0] |= draw(st.sampled_from([{}, {"no_wrap": True}]))
    row = st.tuples(st.lists(texts(), min_size=count, max_size=count), st.booleans())
    return columns, draw(st.lists(row, max_size=4))


def drawn(kind: type[Table], made: Made, **more: object) -> str:
    file = io.StringIO()
    style = box.SIMPLE_HEAD if more["width"] != 31 else box.ASCII2
    table = kind(box=style, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    columns, rows = made
    for column in columns:
        table.add_column(**column)  # type: ignore[arg-type]
    for cells, end in rows:
        table.add_row(*cells, end_section=end)
    Console(file=file, _environ={}, **more).print(table)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("colour", [{"color_system": None}, {"force_terminal": True, "color_system": "truecolor"}])
@pytest.mark.parametrize("width", [5, 31, 80])
@given(made=tables())
def test_the_same_bytes(width: int, colour: dict[str, object], made: Made) -> None:
    assert drawn(QuickTable, made, width=width, **colour) == drawn(Table, made, width=width, **colour)
