"""What there is on this machine to hold a record against: plugins, their versions, data files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from editharness.data.load import load_cases
from editharness.presets import Preset, load_presets

if TYPE_CHECKING:
    from editharness.registry import Registry
    from editharness.types import CaseSet, MethodSpec


@dataclass
class Here:
    """Plugins, and data sets by name, each read once. `files`: data set -> file, as --data gives them."""

    registry: Registry
    files: Mapping[str, Path] = field(default_factory=dict)
    offline: bool = False
    _read: dict[str, CaseSet] = field(default_factory=dict, repr=False)
    _presets: dict[str, Sequence[Preset]] = field(default_factory=dict, repr=False)

    def cases(self, name: str) -> CaseSet:
        """The data set of this name; raises DataError or UnknownNameError where it is not here."""
        if name not in self._read:
            self._read[name] = load_cases(self.registry, name, self.files.get(name), offline=self.offline)
        return self._read[name]

    def presets(self, spec: MethodSpec) -> Sequence[Preset]:
        """The presets of a method."""
        if spec.name not in self._presets:
            self._presets[spec.name] = load_presets(spec.presets) if spec.presets else []
        return self._presets[spec.name]

    @cached_property
    def forms(self) -> Mapping[str, str]:
        """lm-eval task -> the form of its questions."""
        from editharness.asking import task_forms

        return task_forms(self.registry)
