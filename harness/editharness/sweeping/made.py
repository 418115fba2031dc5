"""Which cells need not be made: their record is there and says what a run of today would say of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from editharness.errors import NotCachedError, RecordError
from editharness.store import RunRecord, find_records, read_record
from editharness.store.portable import portable
from editharness.verifying.here import Here
from editharness.verifying.installed import check_method, check_versions

if TYPE_CHECKING:
    from editharness.protocol import EvalProtocol
    from editharness.registry import Registry
    from editharness.sweeping.checking import DataHere
    from editharness.sweeping.grid import SweepCell


def records_of(output: Path) -> list[tuple[Path, RunRecord]]:
    """Every record below a folder that can be read; none where it is not there."""
    found = []
    with suppress(RecordError):  # an empty folder
        for path in find_records([output]) if output.is_dir() else []:
            with suppress(RecordError):  # not readable: its cell is made again
                found.append((path, read_record(path)))
    return found


def find_made(
    cells: Sequence[SweepCell], records: Sequence[tuple[Path, RunRecord]], registry: Registry, data: DataHere
) -> dict[str, Path]:
    """Cell id -> its newest record that has the same identity."""
    wanted = {cell.id: cell for cell in cells}
    here, found = Here(registry), dict[str, Path]()
    for path, record in sorted(records, key=lambda pair: pair[1].created):
        first = record.id.rpartition("-")[0]
        cell = wanted.get(record.id) or wanted.get(first)
        if cell is not None and _same(cell, path, record, here, data):
            found[cell.id] = path
    return found


def _same(cell: SweepCell, path: Path, record: RunRecord, here: Here, data: DataHere) -> bool:
    """The same settings, method, options in force, protocol and data file."""
    config, registry = cell.config, here.registry
    if record.config.resolved != portable(config.resolved()):
        return False
    protocol_spec, dataset = registry.protocol_and_data(config.task)
    protocol = cast("EvalProtocol", registry.resolve(protocol_spec.ref)())
    if (protocol_spec.version, protocol.digest()) != (record.protocol.version, record.protocol.hash):
        return False
    with suppress(NotCachedError):  # not here to be compared
        if data.cases(dataset.name, config.data.get(dataset.name)).sha256 != record.data.sha256:
            return False
    findings = [*check_method(path, record, config, here), *check_versions(path, record, here)]
    return not any(finding.level == "error" for finding in findings)


def begun(cells: Sequence[SweepCell]) -> Mapping[str, Path]:
    """Cell id -> the folder in which an interrupted run has kept what it made."""
    places = {cell.id: cell.config.output / f".{cell.id}.part" for cell in cells}
    return {name: place for name, place in places.items() if place.is_dir()}
