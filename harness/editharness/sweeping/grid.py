"""From a sweep's file to its cells, each value with the place in the file that it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from editharness.cli.eval import methods_asked
from editharness.config import RunConfig
from editharness.errors import EditHarnessError, UnknownNameError, UsageError
from editharness.store import run_id
from editharness.sweeping.fields import FIELDS
from editharness.validating.lines import Step, read_text, yaml_line

if TYPE_CHECKING:
    from editharness.registry import Registry
    from editharness.types import Schedule

KEYS = ("title", "note", "plugins", "resources", "defaults", "grid", "include", "exclude")
RESOURCES = ("cpus", "gpus")
MOST_CELLS = 10_000
Place = tuple[Step, ...]


@dataclass(frozen=True)
class Given:
    """A value, and where it stands in the file."""

    value: Any
    place: Place


@dataclass(frozen=True)
class SweepFile:
    """A parsed file: its text for line numbers, its top level as YAML gives it."""

    path: Path
    text: str
    top: Mapping[str, Any]

    def fault(self, place: Sequence[Step], problem: object) -> UsageError:
        """A complaint that names file, line and field."""
        name = next((step for step in reversed(place) if isinstance(step, str)), "")
        at = f", field {name!r}" if name else ""
        return UsageError(f"{self.path}, line {yaml_line(self.text, place)}{at}: {problem}")

    @property
    def plugins(self) -> tuple[Path, ...]:
        """Files to load as plugins, as --plugin gives them; raises UsageError."""
        found = self.top.get("plugins") or []
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self.fault(["plugins"], "is no list of files: write [FILE.py]")
        return tuple(map(Path, found))

    @property
    def resources(self) -> dict[str, float]:
        """What one cell needs of a Ray cluster: cpus, gpus; raises UsageError."""
        found = self.top.get("resources") or {}
        if not isinstance(found, dict):
            raise self.fault(["resources"], "is no mapping: write {cpus: 1, gpus: 1}")
        for name, value in found.items():
            if name not in RESOURCES:
                raise self.fault(["resources", name], UnknownNameError("resource", str(name), RESOURCES))
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise self.fault(["resources", name], f"{value!r} is no number from 0")
        return {name: float(value) for name, value in found.items()}


@dataclass(frozen=True)
class SweepCell:
    """One run of a sweep."""

    config: RunConfig
    file: SweepFile = field(repr=False)
    given: Mapping[str, Given] = field(repr=False)

    @property
    def id(self) -> str:
        """The run's id, as its record will have it."""
        return run_id(self.config.method, self.config.resolved())

    @property
    def line(self) -> int:
        """Where its method stands in the file."""
        return yaml_line(self.file.text, self.given["method"].place)

    def fault(self, name: str, problem: object) -> UsageError:
        """A complaint about one field of this cell."""
        place = self.given[name].place if name in self.given else self.given["method"].place
        return self.file.fault(place, problem)

    def __str__(self) -> str:
        config = self.config
        parts = [config.method, config.task, config.model, str(config.schedule), f"{config.edits} edits"]
        parts += [f"seed {config.seed}"] + [f"preset {config.preset}"] * (config.preset is not None)
        return ", ".join(parts + [f"{key}={value}" for key, value in sorted(config.settings.items())])


def read_file(path: Path) -> SweepFile:
    """Parse a sweep's file; raises DataError or UsageError with the first line that is wrong."""
    if not path.is_file():
        raise UsageError(f"{path}: {'is a folder; name a file in it' if path.is_dir() else 'no such file'}")
    text = read_text(path)
    try:
        _once(yaml.compose(text, Loader=yaml.SafeLoader), path)
        top = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or "cannot be parsed"
        raise UsageError(f"{path}, line {mark.line + 1 if mark else 0}: no YAML: {problem}") from None
    file = SweepFile(path, text, top if isinstance(top, dict) else {})
    if not isinstance(top, dict) or not ({"grid", "include"} & top.keys()):
        raise file.fault([], "is no sweep: it has `grid:` (every combination), `include:` (single cells), or both")
    for key in top:
        if key not in KEYS:
            raise file.fault([key], UnknownNameError("key", str(key), KEYS))
    return file


def read_cells(file: SweepFile, registry: Registry, output: Path) -> tuple[list[SweepCell], list[str]]:
    """Every cell once, and a line for each that is left out as its batch is larger than all edits together."""
    base = {name: found[0] for name, found in _block(file, ["defaults"], registry, single=True).items()}
    grid = _product(file, ["grid"], base, registry) if "grid" in file.top else []
    kept, left = _fitting(_without(file, grid, registry), file)
    for number in range(len(_entries(file, "include"))):
        kept += _product(file, ["include", number], base, registry)
    cells = {cell.id: cell for given in kept for cell in [_cell(file, given, output)]}
    if not cells:
        raise file.fault(["grid"], "no cell is left")
    return list(cells.values()), left


def _block(file: SweepFile, place: list[Step], registry: Registry, *, single: bool = False) -> dict[str, list[Given]]:
    """Field -> its values, of one mapping of the file; raises UsageError."""
    found: Any = file.top.get(str(place[0])) or {}
    found = found[place[1]] if len(place) > 1 else found
    if not isinstance(found, dict):
        raise file.fault(place, f"{found!r} is no mapping: write field: value")
    return {name: _values(file, [*place, name], name, raw, registry, single) for name, raw in found.items()}


def _values(file: SweepFile, place: list[Step], name: str, raw: Any, registry: Registry, single: bool) -> list[Given]:
    if name not in FIELDS:
        raise file.fault(place, UnknownNameError("field", str(name), FIELDS))
    known = FIELDS[name]
    if name == "method" and raw == "all":
        return [Given(one, tuple(place)) for one in methods_asked("all", registry)]
    several = known.varies and isinstance(raw, list)
    if several and (single or not raw):
        raise file.fault(place, "several values belong in `grid:`" if single else "has no value")
    places = [(*place, number) for number in range(len(raw))] if several else [tuple(place)]
    found = []
    for at, one in zip(places, raw if several else [raw], strict=True):
        try:
            found.append(Given(known.read(one), at))
        except EditHarnessError as error:
            raise file.fault(at, error) from None
    return found


def _product(
    file: SweepFile, place: list[Step], base: Mapping[str, Given], registry: Registry
) -> list[dict[str, Given]]:
    """Every combination of a block's values, over the defaults."""
    values = _block(file, place, registry)
    number = prod(map(len, values.values()))
    if number > MOST_CELLS:
        raise file.fault(place, f"{number} cells: a sweep has at most {MOST_CELLS}; take several files")
    return [{**base, **dict(zip(values, chosen, strict=True))} for chosen in product(*values.values())]


def _without(file: SweepFile, grid: list[dict[str, Given]], registry: Registry) -> list[dict[str, Given]]:
    """The grid without what `exclude` names; an entry that names nothing is a mistake."""
    for number in range(len(_entries(file, "exclude"))):
        named = _block(file, ["exclude", number], registry)
        left = [given for given in grid if not (named and _matches(given, named))]
        if len(left) == len(grid):
            raise file.fault(["exclude", number], "no cell of the grid is like this")
        grid = left
    return grid


def _matches(given: Mapping[str, Given], named: Mapping[str, list[Given]]) -> bool:
    return all(name in given and given[name].value in [one.value for one in some] for name, some in named.items())


def _fitting(grid: list[dict[str, Given]], file: SweepFile) -> tuple[list[dict[str, Given]], list[str]]:
    """Where schedules or edits vary: without the cells whose batch is larger than all edits together."""
    pairs = {_batching(given) for given in grid}
    if len(pairs) < 2:
        return grid, []
    small = {(schedule, edits) for schedule, edits in pairs if schedule.size is not None and schedule.size > edits}
    lines = [f"{file.path}: left out: {schedule} with {edits} edits" for schedule, edits in small]
    return [given for given in grid if _batching(given) not in small], sorted(lines)


def _batching(given: Mapping[str, Given]) -> tuple[Schedule, int]:
    values = {name: given[name].value for name in ("schedule", "edits") if name in given}
    return values.get("schedule", RunConfig.schedule), values.get("edits", RunConfig.edits)


def _entries(file: SweepFile, key: str) -> list[Any]:
    found = file.top.get(key) or []
    if not isinstance(found, list):
        raise file.fault([key], "is no list: write `- field: value` below it")
    return found


def _cell(file: SweepFile, given: Mapping[str, Given], output: Path) -> SweepCell:
    for name in ("method", "task"):
        if name not in given:
            raise file.fault(["grid"] if "grid" in file.top else ["include"], f"a cell has no {name!r}")
    values = {FIELDS[name].attribute: one.value for name, one in given.items()}
    config = RunConfig(**values, plugins=file.plugins, output=output)
    plain = config.resolved()  # files by name: a record holds no folder of its author
    passed = {name: plain[FIELDS[name].attribute] for name in given}
    return SweepCell(replace(config, passed=passed), file, given)


def _once(node: Any, path: Path) -> None:
    """Refuse a key that stands twice in one mapping: YAML would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise UsageError(f"{path}, line {key.start_mark.line + 1}, field {key.value!r}: is given twice")
            seen.add(key.value)
            _once(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _once(value, path)
