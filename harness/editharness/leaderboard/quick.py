"""A Rich table that is drawn fast: hundreds of boards are thousands of cells, and Rich lays out each as a document.

Where all cells are `Text` and the columns fit, lines are put together directly: the same bytes in a tenth of the time.
Where something must be folded or cut, Rich does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

Line = list[Segment]
_PADDING = 1


class QuickTable(Table):
    """A table without outer edge whose cells are `Text`, one space to the right of all columns but the last."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lines as Rich's table has them."""
        widths = [_width(column, self._pad(place)) for place, column in enumerate(self.columns)]
        if sum(widths) + len(widths) - 1 > options.max_width:
            yield from super().__rich_console__(console, options)
            return
        yield from self._lines(console, options, widths)

    def _pad(self, place: int) -> int:
        return 0 if place == len(self.columns) - 1 else _PADDING

    def _lines(self, console: Console, options: ConsoleOptions, widths: Sequence[int]) -> Iterator[Segment]:
        assert self.box is not None
        box = self.box.substitute(options, safe=console.safe_box)
        header, new_line = console.get_style("table.header"), Segment.line()
        heads = [cast("Text", column.header) for column in self.columns]
        yield from self._row(console, options, widths, heads, header, box.head_vertical)
        yield Segment(box.get_row(widths, "head", edge=False))
        yield new_line
        cells = zip(*(cast("list[Text]", column._cells) for column in self.columns), strict=True)
        for number, row in enumerate(cells):
            last = number == len(self.rows) - 1
            divider = box.foot_vertical if last else box.mid_vertical
            yield from self._row(console, options, widths, row, Style.null(), divider)
            if self.rows[number].end_section and not last:
                yield Segment(box.get_row(widths, "row", edge=False))
                yield new_line

    def _row(
        self, console: Console, options: ConsoleOptions, widths: Sequence[int], texts: Sequence[Text], style: Style,
        divider: str,
    ) -> Iterator[Segment]:  # fmt: skip
        """The lines of one row; those of the header stand at its bottom, all others at the top."""
        header = style == console.get_style("table.header")
        boxes = [
            _cell(console, options, self.columns[place], text, width, self._pad(place), style)
            for place, (text, width) in enumerate(zip(texts, widths, strict=True))
        ]
        height = max(map(len, boxes))
        for lines, width in zip(boxes, widths, strict=True):
            blank: list[Line] = [[Segment(" " * width, style)]] * (height - len(lines))
            lines[:] = [*blank, *lines] if header else [*lines, *blank]
        for parts in zip(*boxes, strict=True):
            yield from _joined(parts, Segment(divider), plain=console.color_system is None)


def _joined(parts: Sequence[Line], divider: Segment, *, plain: bool) -> Iterator[Segment]:
    """One line of the table; where no colours are written it is one piece, which is what takes no time."""
    if plain:
        yield Segment(divider.text.join("".join([piece.text for piece in line]) for line in parts))
    else:
        for number, line in enumerate(parts):
            if number:
                yield divider
            yield from line
    yield Segment.line()


def _width(column: Column, pad: int) -> int:
    """Cells of the terminal that a column takes, its padding included."""
    if column.width is not None:
        return column.width + pad
    texts = [cast("Text", column.header), *cast("list[Text]", column._cells)]
    return pad + max(1 - pad, *(cell_len(line) for text in texts for line in text.plain.split("\n")))


def _cell(
    console: Console, options: ConsoleOptions, column: Column, text: Text, width: int, pad: int, style: Style
) -> list[Line]:
    """A cell's lines, each as wide as the column."""
    found = _straight(console, text, column, width - pad, style)
    if found is None:
        inner = options.update(
            width=width, justify=column.justify, no_wrap=column.no_wrap, overflow=column.overflow, height=None
        )
        return console.render_lines(Padding(text, (0, pad, 0, 0)), inner, style=style)
    return [[*line, Segment(" ", style)] for line in found] if pad else found


def _straight(console: Console, text: Text, column: Column, room: int, style: Style) -> list[Line] | None:
    """The lines of a text that needs no folding; None where it does, or where a style begins within a line."""
    if text.plain.endswith("\n"):
        return None
    made, start, base = [], 0, style + console.get_style(text.style)
    for line in text.plain.split("\n"):
        end, wide = start + len(line), cell_len(line)
        if wide > room or line != line.strip():
            return None
        own, whole = base, True
        for span in text.spans:
            if span.start <= start and end <= span.end:
                own, whole = own + console.get_style(span.style), False
            elif span.start < end and start < span.end:
                return None
        made.append(_padded(line, None if whole else own, room - wide, base, right=column.justify == "right"))
        start = end + 1
    return made


def _padded(line: str, own: Style | None, count: int, base: Style, *, right: bool) -> Line:
    """The line with blanks before or after it; one piece where it has no style of its own."""
    blank = " " * count
    if own is None:
        return [Segment(blank + line if right else line + blank, base)]
    return [Segment(blank, base), Segment(line, own)] if right else [Segment(line, own), Segment(blank, base)]
