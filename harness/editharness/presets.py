"""Presets: the option values that a paper or a code base publishes for one model, each with its source.

    presets:                                  # presets/<method>.yaml
      - name: paper
        model: gpt2-xl
        match: {model_type: gpt2, num_hidden_layers: 48, hidden_size: 1600}
        source: "kmeng01/rome hparams/ROME/gpt2-xl.json"
        values: {layers: [17], steps: 20}

A preset fits a model when every entry of `match` is so in the model's configuration: no name of a model is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

from editharness.errors import OptionError, PluginError, UnknownNameError, UsageError
from editharness.options import resolve_options
from editharness.types import MethodSpec

FACTS = ("model_type", "num_hidden_layers", "hidden_size", "vocab_size")
"""What a preset may match on; the names are those of a transformers configuration."""

_SHORT = {"layers": "num_hidden_layers"}
_FIRST = ("pocket", "paper")


class PresetFault(PluginError):
    """A preset that does not fit: its place in the file (from 1) and the key, "" where it is the entry itself."""

    def __init__(self, where: str, entry: int, key: str, reason: str) -> None:
        super().__init__(f"{where}, entry {entry}: {reason}")
        self.entry, self.key, self.reason = entry, key, reason


@dataclass(frozen=True)
class Preset:
    """Published values for one model. `model` (or several, commas between) is for people; `match` decides."""

    name: str
    model: str
    match: Mapping[str, str | int]
    source: str
    values: Mapping[str, Any]

    @property
    def models(self) -> tuple[str, ...]:
        """The names of its models."""
        return tuple(name.strip() for name in self.model.split(","))

    def fits(self, facts: Mapping[str, Any]) -> bool:
        """Whether this preset is for a model with these facts."""
        return all(facts.get(key) == value for key, value in self.match.items())


@dataclass(frozen=True)
class Resolved:
    """The options of a run and where they come from. `tuned` is False where no preset fits the model."""

    options: Any
    preset_name: str
    source: str
    tuned: bool
    values: Mapping[str, Any]
    overridden: tuple[str, ...] = ()


def model_facts(config: object) -> dict[str, Any]:
    """The facts that presets match on, from a model's configuration object (or a mapping)."""
    if isinstance(config, Mapping):
        return {key: config.get(key) for key in FACTS}
    return {key: getattr(config, key, None) for key in FACTS}


def folder_facts(folder: Path) -> dict[str, Any]:
    """The same from a folder's config.json, without loading the model; all unknown where there is none. PluginError."""
    path = folder / "config.json"
    if not path.is_file():
        return model_facts({})
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PluginError(f"model configuration {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise PluginError(f"model configuration {path} holds no object")
    return model_facts(content)


def load_presets(path: Path) -> list[Preset]:
    """The presets of a YAML file in its order; raises PluginError, one line, for anything malformed."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PluginError(f"preset file {path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise PluginError(f"preset file {path}: {' '.join(str(error).split())}") from error
    entries = content.get("presets") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise PluginError(f"preset file {path}: its one key must be 'presets', a list")
    presets = [_preset(entry, f"preset file {path}", i) for i, entry in enumerate(entries, start=1)]
    _refuse_twins(presets, path)
    return presets


def choose(presets: Sequence[Preset], name: str | None, facts: Mapping[str, Any]) -> Preset | None:
    """The preset for a model: the one asked for, else `pocket` or `paper` or the first that fits; None: untuned.

    Of two that fit, the one that matches on more facts wins. Raises UnknownNameError for a name that no preset has and
    UsageError for one that has no values for this model: the user asked for it, so nothing else may stand in.
    """
    fitting = sorted((p for p in presets if p.fits(facts)), key=lambda p: (_rank(p.name), -len(p.match)))
    if name is None:
        return fitting[0] if fitting else None
    if name not in {p.name for p in presets}:
        raise UnknownNameError("preset", name, {p.name for p in presets})
    for preset in fitting:
        if preset.name == name:
            return preset
    models = ", ".join(p.model for p in presets if p.name == name)
    known = ", ".join(f"{key} {facts[key]}" for key in FACTS if facts.get(key) is not None)
    raise UsageError(
        f"preset {name!r} has no values for this model ({known}), only for {models}: "
        "leave --preset out for defaults by depth, or give values with --set"
    )


def resolve(
    spec: MethodSpec, preset: Preset | None, overrides: Mapping[str, Any], *, rows: int | None = None
) -> Resolved:
    """The options of a method: defaults, then the preset, then what was typed; raises OptionError, UnknownNameError.

    With `rows` 1 (`eval --exact`) nothing is searched in a batch: `row_tokens`, where a method has it, is 1.
    """
    if spec.options is None:
        if overrides:
            raise OptionError(f"method {spec.name!r} has no options: leave --set {next(iter(overrides))} out")
        return Resolved(None, "", "", tuned=True, values={})
    if preset is not None:
        _check_values(spec.name, spec.options, preset)
    options = resolve_options(spec.options, preset.values if preset else {}, overrides)
    if rows == 1 and hasattr(options, "row_tokens"):
        options = replace(options, row_tokens=1)
    return Resolved(
        options=options,
        preset_name=preset.name if preset else "",
        source=preset.source if preset else "",
        tuned=preset is not None,
        values=asdict(options) if is_dataclass(options) and not isinstance(options, type) else {},
        overridden=tuple(overrides),
    )


def _check_values(method: str, options_type: type[Any], preset: Preset) -> None:
    """A fault in a preset is its author's, not that of whoever typed the command."""
    try:
        resolve_options(options_type, preset.values, {})
    except UsageError as error:
        raise PluginError(f"preset {preset.name!r} of {method} for {preset.model}: {error}") from error


def _preset(entry: Any, where: str, number: int) -> Preset:
    if not isinstance(entry, dict):
        raise PresetFault(where, number, "", "a preset has the keys name, model, match, source, values")
    wanted: dict[str, type] = {"name": str, "model": str, "match": dict, "source": str, "values": dict}
    for key in entry:
        if key not in wanted:
            raise PresetFault(where, number, str(key), str(UnknownNameError("key", str(key), wanted)))
    for key, kind in wanted.items():
        if not isinstance(entry.get(key), kind):
            noun = "text" if kind is str else "a mapping"
            raise PresetFault(where, number, key, f"{key!r} must be {noun}")
    match = _match(entry["match"], where, number)
    return Preset(entry["name"], entry["model"], match, entry["source"], entry["values"])


def _match(match: Mapping[Any, Any], where: str, number: int) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for key, value in match.items():
        name, place = _SHORT.get(key, key), f"match.{key}"
        if name not in FACTS:
            raise PresetFault(where, number, place, str(UnknownNameError("fact", str(key), [*FACTS, *_SHORT])))
        if isinstance(value, bool) or not isinstance(value, str if name == "model_type" else int):
            kind = "text" if name == "model_type" else "a whole number"
            raise PresetFault(where, number, place, f"{key!r} must be {kind}")
        found[name] = value
    return found


def _refuse_twins(presets: Sequence[Preset], path: Path) -> None:
    seen: set[tuple[str, tuple[tuple[str, str | int], ...]]] = set()
    for preset in presets:
        key = (preset.name, tuple(sorted(preset.match.items())))
        if key in seen:
            raise PluginError(f"preset file {path}: two presets {preset.name!r} match the same model ({preset.model})")
        seen.add(key)


def _rank(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)
