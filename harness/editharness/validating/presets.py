"""YAML of option values: every key, and every value against the options of the method that it is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from editharness.errors import FileFault, UsageError
from editharness.options import resolve_options
from editharness.presets import PresetFault, load_presets
from editharness.registry import Registry
from editharness.types import MethodSpec
from editharness.validating.lines import steps, yaml_line


def validate(path: Path, registry: Registry) -> str:
    """How many presets, of which method; raises FileFault for the first that does not fit."""
    text = path.read_text(encoding="utf-8")
    try:
        presets = load_presets(path)
    except PresetFault as fault:
        line = yaml_line(text, ["presets", fault.entry - 1, *steps(fault.key)])
        mend = (
            "an entry has name, model, match {model_type, num_hidden_layers, hidden_size, vocab_size}, source, values"
        )
        reason = fault.reason if fault.key else f"entry {fault.entry} is no mapping"
        raise FileFault(path, line, fault.key, reason, mend) from None
    spec = _method(path, registry)
    if spec is None:
        return f"{len(presets)} presets; no method has the file's name, so values were not checked"
    for number, preset in enumerate(presets):
        for key, reason in _values(spec, preset.values):
            line = yaml_line(text, ["presets", number, "values", *([key] if key else [])])
            mend = f"`editharness methods {spec.name}` shows every option with its limits"
            raise FileFault(path, line, key, reason, mend)
    return f"{len(presets)} presets of {spec.name}"


def _method(path: Path, registry: Registry) -> MethodSpec | None:
    """The method whose presets these are: by the file it registered, else by the file's name."""
    for entry in registry.methods.values():
        if entry.spec.presets is not None and entry.spec.presets.resolve() == path.resolve():
            return entry.spec
    found = registry.methods.get(path.stem) or registry.methods.get(path.stem.replace("_", "-"))
    return found.spec if found else None


def _values(spec: MethodSpec, values: Any) -> Iterator[tuple[str, str]]:
    """What is wrong with the values, and the key that is to blame: "" where they do not go together."""
    if spec.options is None:
        if values:
            yield next(iter(values)), f"method {spec.name!r} has no options"
        return
    reason = _refused(spec.options, values)
    if reason:
        yield next((key for key, value in values.items() if _refused(spec.options, {key: value}) == reason), ""), reason


def _refused(options: type[Any], values: Any) -> str:
    try:
        resolve_options(options, values, {})
    except UsageError as error:
        return str(error)
    return ""
