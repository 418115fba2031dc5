"""What papers claim: their printed figures as values, read from the CSV files in leaderboards/reported.

The files with figures keep the papers' own names and units. settings.csv says under which settings a figure was got,
names.csv what a paper's name is called here. Every figure becomes one `Claim`, a share in [0, 1] (or a difference).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from editharness.errors import DataError
from editharness.leaderboard.csv_rows import Row, read_rows

_ANY: Final = "*"
_DIFFERENCES: Final = ("pp_minus_pn", "pp_minus_np", "nn_minus_pn", "nn_minus_np")
_ROUNDING: Final = 0.101
"""Per cent by which a difference or a mean of figures rounded to 0.1 can miss its own rounded value."""

_KEYS: Final = ("model", "dataset", "method")
FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "negation": (*_KEYS, "pp", "pn", "nn", "np", *_DIFFERENCES, "average"),
    "negation_without_prior_regulariser": (*_KEYS, "pp", "pn", "discrepancy"),
    "factcheck": (*_KEYS, "efficacy", "accuracy"),
    "wild": ("table", "setting", *_KEYS, "metric", "evaluation", "value"),
    "wild_modules": ("table", "held_fixed", "varied", "method", "reliability"),
}
"""The files with figures and their columns."""

_SETTINGS: Final = (
    *("file", "setting", "model", "dataset", "protocol", "paper", "table", "schedule", "edits", "preset"),
    *("options", "scorer", "elsewhere"),
)


@dataclass(frozen=True)
class Settings:
    """Under which settings a paper got its figures; `options` are set against the preset ("prior=false").

    `elsewhere`: a setting that no run here has, such as a scorer that is another company's model.
    """

    paper: str
    table: str
    schedule: str
    edits: int
    preset: str
    options: str
    scorer: str
    elsewhere: str = ""


@dataclass(frozen=True)
class Claim:
    """One figure of a paper. `models` and `data_names` are the names that model and data may have here.

    `value` is a share in [0, 1], or a difference in [-1, 1]. `printed` is what the paper prints where `value`, computed
    from the other figures of the row, is another one.
    """

    protocol: str
    method: str
    column: str
    value: float
    model: str
    models: tuple[str, ...]
    data: str
    data_names: tuple[str, ...]
    settings: Settings
    printed: float | None = None


def reported_folder() -> Path:
    """Where the files are: inside an installed package, in leaderboards/reported of a checkout."""
    packaged = Path(__file__).parent / "reported"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "leaderboards" / "reported"


def read_claims(folder: Path | None = None) -> tuple[Claim, ...]:
    """Every figure in `folder`; raises DataError with file, line and field for the first that cannot be read."""
    folder = folder or reported_folder()
    names = _Names(read_rows(folder / "names.csv", ("kind", "protocol", "paper", "here")))
    settings = [(row, _settings(row)) for row in read_rows(folder / "settings.csv", _SETTINGS)]
    return tuple(
        _claim(file, figure, names, settings)
        for file, columns in FILES.items()
        for row in read_rows(folder / f"{file}.csv", columns)
        for figure in _figures(file, row)
    )


@dataclass(frozen=True)
class _Figure:
    """A figure as a file gives it, still under the paper's names."""

    row: Row
    column: str
    value: float
    facts: Mapping[str, str]
    printed: float | None = None


class _Names:
    """What names of the papers are called here."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._known: dict[tuple[str, str, str], list[str]] = {}
        for row in rows:
            kind = row.one_of("kind", ("column", "method", "data", "model"))
            key = (kind, row.filled("protocol"), row.filled("paper"))
            self._known.setdefault(key, []).append(row.filled("here"))

    def __call__(self, kind: str, protocol: str, name: str) -> tuple[str, ...]:
        """All names here of a name there; itself where none is given."""
        own = self._known.get((kind, protocol, name)) or self._known.get((kind, _ANY, name))
        return tuple(own or (name,))


def _settings(row: Row) -> Settings:
    return Settings(
        paper=row.filled("paper"),
        table=row.filled("table"),
        schedule=row.filled("schedule"),
        edits=row.count("edits"),
        preset=row.text("preset"),
        options=row.text("options"),
        scorer=row.filled("scorer"),
        elsewhere=row.text("elsewhere"),
    )


def _claim(file: str, figure: _Figure, names: _Names, settings: Sequence[tuple[Row, Settings]]) -> Claim:
    facts = {"file": file, **figure.facts}
    found = [(row, own) for row, own in settings if all(row.text(k) in (_ANY, v) for k, v in facts.items() if k in _AT)]
    if len(found) != 1:
        raise DataError(f"{figure.row.where}: {len(found)} rows of settings.csv fit it; exactly one must")
    row, own = found[0]
    protocol, model, data = row.filled("protocol"), figure.facts["model"], figure.facts["dataset"]
    table = figure.facts.get("table", own.table) if own.table == _ANY else own.table
    return Claim(
        protocol=protocol,
        method=names("method", protocol, figure.facts["method"])[0],
        column=names("column", protocol, figure.column)[0],
        value=figure.value,
        model=model,
        models=(model, *names("model", protocol, model)),
        data=data,
        data_names=names("data", protocol, data),
        settings=replace(own, table=table),
        printed=figure.printed,
    )


_AT: Final = ("file", "setting", "model", "dataset", "protocol")
"""The columns of settings.csv that say which figures a row is about."""


def _figures(file: str, row: Row) -> Iterator[_Figure]:
    if file == "wild":
        facts = {name: row.filled(name) for name in ("table", "setting", *_KEYS)}
        facts["protocol"] = row.one_of("evaluation", ("synthetic", "wild"))
        yield _Figure(row, row.filled("metric"), row.share("value"), facts)
    elif file == "wild_modules":
        facts = {"table": row.filled("table"), "model": "Llama-3-8b", "dataset": "qaedit"}
        facts["method"] = row.filled("method")
        yield _Figure(row, f"{row.filled('varied')} ({row.filled('held_fixed')})", row.share("reliability"), facts)
    else:
        yield from _percentages(file, row)


def _percentages(file: str, row: Row) -> Iterator[_Figure]:
    """A row of percentages; empty cells are not there, what follows from other cells is computed from them."""
    facts = {name: row.filled(name) for name in _KEYS}
    there = {name: value for name in FILES[file][3:] if (value := row.percent(name)) is not None}
    for name, printed in there.items():
        value = _computed(name, there, printed)
        yield _Figure(row, name, _share(value), facts, _share(printed) if value != printed else None)


def _share(percent: float) -> float:
    return round(percent / 100, 6)


def _computed(name: str, there: Mapping[str, float], printed: float) -> float:
    """The figure as its parts give it, where that is not what is printed."""
    if name == "average":
        parts = [_computed(part, there, there[part]) for part in _DIFFERENCES if part in there]
        value = sum(parts) / len(parts) if parts else printed
    elif name in _DIFFERENCES and {name[:2], name[-2:]} <= there.keys():
        value = there[name[:2]] - there[name[-2:]]
    else:
        return printed
    return round(value, 2) if abs(value - printed) > _ROUNDING else printed
