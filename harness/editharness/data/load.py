"""From a data set's name to its cases: find the file, read it with the registered reader."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from editharness.cache import cache_folder
from editharness.data.distractors import with_distractors
from editharness.data.sources import find
from editharness.errors import DataError
from editharness.types import Case, CaseSet

if TYPE_CHECKING:
    from editharness.registry import Registry


def editable_cases(data: CaseSet, seed: int) -> list[Case]:
    """The cases that may be edited: seed 0 keeps the file's order, as papers do; any other draws its own."""
    cases = [case for case in data.cases if case.split == "test"]
    if seed:
        random.Random(seed).shuffle(cases)
    return cases


def load_cases(
    registry: Registry,
    name: str,
    path: Path | None = None,
    *,
    cache: Path | None = None,
    offline: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> CaseSet:
    """The cases of data set `name`: from `path` if given, else cache, package or public source; raises DataError."""
    spec = registry.dataset(name)
    file = find(spec, path, cache=cache or cache_folder(), offline=offline, progress=progress)
    read = cast("Callable[[Path], CaseSet]", registry.resolve(spec.ref))
    found = read(file)
    found = replace(found, cases=with_distractors(found.cases))
    if not found.cases:
        raise DataError(f"data set {name!r}: {file.name} holds no usable case ({len(found.skipped)} records left out)")
    return found
