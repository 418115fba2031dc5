"""What can be known to be wrong with a cell before the first one runs, with the line and field that is to blame."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from editharness.choosing import check_tasks, select_cases
from editharness.cli.eval import known_checkpoints, known_data, known_options
from editharness.data.load import load_cases
from editharness.errors import DataError, EditHarnessError, NotCachedError, UnknownNameError, UsageError
from editharness.models.find import find_model
from editharness.sweeping.grid import SweepCell

if TYPE_CHECKING:
    from editharness.config import RunConfig
    from editharness.protocol import EvalProtocol
    from editharness.registry import Registry
    from editharness.types import CaseSet


@dataclass
class DataHere:
    """Data sets that need no network, each file read once."""

    registry: Registry
    _read: dict[tuple[str, Path | None], CaseSet | NotCachedError] = field(default_factory=dict)

    def cases(self, name: str, file: Path | None) -> CaseSet:
        """The cases; raises NotCachedError where they are not here, DataError where they cannot be read."""
        key = (name, file)
        if key not in self._read:
            try:
                self._read[key] = load_cases(self.registry, name, file, offline=True)
            except NotCachedError as error:
                self._read[key] = error
        found = self._read[key]
        if isinstance(found, NotCachedError):
            raise found
        return found


def check_names(cell: SweepCell, registry: Registry) -> None:
    """Raise UsageError for a method or a task that does not exist; nothing heavy is imported for that."""
    checks: Mapping[str, Callable[[], object]] = {
        "method": lambda: registry.method(cell.config.method),
        "task": lambda: registry.protocol_and_data(cell.config.task),
    }
    _complain(cell, checks.items())


def check_cell(cell: SweepCell, registry: Registry, data: DataHere, *, offline: bool) -> None:
    """Raise UsageError for the first thing that the run would refuse; `offline`: nothing could be fetched for it.

    Its names are known: see `check_names`.
    """
    _complain(cell, _checks(cell.config, registry, data, offline))


def _complain(cell: SweepCell, checks: Iterable[tuple[str, Callable[[], object]]]) -> None:
    for name, check in checks:
        try:
            check()
        except EditHarnessError as error:
            raise cell.fault(name, error) from None


def _checks(
    config: RunConfig, registry: Registry, data: DataHere, offline: bool
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each check with the field that it is about; the later ones rely on the earlier."""
    spec = registry.method(config.method)
    yield "options", lambda: known_options(spec, replace(config, preset=None))
    yield "preset", lambda: known_options(spec, config)
    yield "data", lambda: known_data(config.data, registry.datasets)
    yield "train", lambda: _is_file(config.train)
    yield "corpus", lambda: _is_file(config.corpus)
    yield "model", lambda: _known_model(config, registry, offline)
    yield "limit", lambda: _limit(config)
    yield "checkpoints", lambda: known_checkpoints(spec, config)
    protocol_spec, dataset = registry.protocol_and_data(config.task)
    protocol = cast("EvalProtocol", registry.resolve(protocol_spec.ref)())
    yield "task", lambda: check_tasks(protocol, dataset.name, config, registry)
    yield "edits", lambda: _enough(config, protocol, data, dataset.name, offline)


def _is_file(path: Path | None) -> None:
    if path is not None and not path.is_file():
        raise DataError(f"{path}: no such file")


def _limit(config: RunConfig) -> None:
    if config.limit is not None and config.limit > config.edits:
        raise UsageError(f"{config.limit}: only {config.edits} facts are written; ask at most that many")


def _known_model(config: RunConfig, registry: Registry, offline: bool) -> None:
    """A packaged name, a folder, or what may be a hub id; where nothing can be fetched it must be here."""
    packaged: Mapping[str, Any] = {name: entry.spec.folder for name, entry in registry.models.items()}
    here = config.model in packaged or Path(config.model).is_dir()
    if not here and "/" not in config.model and difflib.get_close_matches(config.model, packaged, n=1, cutoff=0.7):
        raise UnknownNameError("model", config.model, packaged)
    if here or offline or config.model.startswith((".", "/", "~")):
        find_model(config.model, revision=config.revision, offline=True, packaged=packaged)


def _enough(config: RunConfig, protocol: EvalProtocol, data: DataHere, name: str, offline: bool) -> None:
    try:
        select_cases(data.cases(name, config.data.get(name)), protocol, config)
    except NotCachedError:
        if offline:
            raise
