"""What `editharness.evaluate` gives back: one run's numbers, shown as the board that the command line prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from editharness.stats import ColumnScore
    from editharness.store.record import RunRecord


@dataclass(frozen=True, repr=False)
class Result:
    """One run: its record, and where it lies on disk (None: it was not written).

    In a terminal and a notebook it shows itself as a board.
    """

    record: RunRecord
    path: Path | None = None

    @property
    def columns(self) -> Mapping[str, ColumnScore]:
        """The method's scores by column: value, 95 % interval (low, high), number of cases n."""
        return self.row(self.record.method.name)

    def row(self, name: str) -> Mapping[str, ColumnScore]:
        """The scores of one row: the method, or a control ("none", "context", ...); raises UnknownNameError."""
        from editharness.errors import UnknownNameError

        found = self.record.row(name)
        if found is None:
            raise UnknownNameError("row", name, [row.row for row in self.record.rows])
        return {column.name: column for column in found.columns}

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values, as record.json holds it."""
        return self.record.to_json()

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {_short(column.value)}" for name, column in self.columns.items())
        return f"<Result {self.record.method.name} on {self.record.task}: {scores}>"

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=StringIO(), width=120, color_system=None, force_terminal=False)
        return self._drawn(console)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.console import Console
        from rich.text import Text

        colours = None if console.no_color or console.color_system is None else "standard"
        own = Console(file=StringIO(), width=options.max_width, color_system=colours, force_terminal=bool(colours))  # type: ignore[arg-type]
        yield Text.from_ansi(self._drawn(own))

    def _repr_html_(self) -> str:
        from rich.console import Console

        console = Console(file=StringIO(), width=120, record=True, force_jupyter=False)
        self._drawn(console)
        form = '<pre style="overflow-x: auto; line-height: normal">{code}</pre>'
        return console.export_html(inline_styles=True, code_format=form)

    def _drawn(self, console: Console) -> str:
        from editharness.leaderboard.board import Entry
        from editharness.leaderboard.terminal import show

        show([Entry(self.record, self.path.parent if self.path else None)], console)
        file = console.file
        return file.getvalue() if isinstance(file, StringIO) else ""


def _short(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"
