"""What a record names exists: the method and its plugin's version, the preset's values, protocol, data, versions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from editharness.config import RunConfig
from editharness.errors import EditHarnessError
from editharness.presets import Preset, choose, folder_facts, resolve
from editharness.store import MethodFacts, RunRecord
from editharness.store.portable import portable
from editharness.types import MethodSpec
from editharness.verifying.findings import Finding
from editharness.verifying.here import Here

PACKAGES = ("python", "editharness", "torch", "transformers", "lm_eval")
"""Whose versions a record must name."""
OURS = "editharness"


def check_versions(path: Path, record: RunRecord, here: Here) -> Iterator[Finding]:
    """Every version is one, ours is not from the future, and the method's is that of the plugin that offers it here."""
    for package in PACKAGES:
        if package not in record.versions:
            yield Finding("error", path, f"versions.{package}", "missing: a run names what it was made with")
    named = {f"versions.{name}": version for name, version in record.versions.items()}
    for place, text in {**named, "method.version": record.method.version}.items():
        if _version(text) is None and not (place == "method.version" and _is_file(record.method)):
            yield Finding("error", path, place, f"{text[:40]!r} is no version")
    method, ours = record.method, record.versions.get(OURS)
    if method.distribution == OURS and method.version != ours:
        yield Finding("error", path, "method.version", f"is {method.version}, and versions.editharness {ours}")
    yield from _plugin(path, record, here)


def check_method(path: Path, record: RunRecord, config: RunConfig, here: Here) -> Iterator[Finding]:
    """Title, paper, what the method sees, and the options that its preset has for this model."""
    entry = here.registry.methods.get(record.method.name)
    if entry is None or entry.origin.version != record.method.version:
        return  # `check_versions` has said so
    spec, method = entry.spec, record.method
    facts: dict[str, tuple[object, object]] = {
        "title": (method.title, spec.title),
        "paper": (method.paper, spec.paper),
        "sees": (method.sees, tuple(sorted(spec.sees))),
    }
    for name, (said, known) in facts.items():
        if said != known:
            yield Finding("error", path, f"method.{name}", f"is {said!r}, and {entry.origin} says {known!r}")
    yield from _options(path, record, config, spec, here)


def _plugin(path: Path, record: RunRecord, here: Here) -> Iterator[Finding]:
    method = record.method
    entry = here.registry.methods.get(method.name)
    if entry is None:
        level: Any = "error" if method.distribution == OURS else "warning"
        mend = "it was a file, --plugin" if _is_file(method) else f"pip install {method.distribution}=={method.version}"
        advice = f"its options were not checked: {mend}"
        yield Finding(level, path, "method.name", f"no plugin here offers {method.name!r}, so {advice}")
        return
    if entry.origin.distribution != method.distribution:
        problem = f"is {method.distribution!r}, and here {entry.origin.distribution} offers {method.name!r}"
        yield Finding("error", path, "method.distribution", problem)
        return
    said, known = _version(method.version), _version(entry.origin.version)
    if said is None or known is None or said == known:
        return
    if said > known:
        yield Finding("error", path, "method.version", f"{said} is later than the installed {known}: install it first")
    else:
        yield Finding("warning", path, "method.version", f"made with {said}, here is {known}: options were not checked")


def _is_file(method: MethodFacts) -> bool:
    """Whether the method came from one file (--plugin): its version is the hash of the file's content."""
    return method.distribution.endswith(".py") and re.fullmatch(r"sha256:[0-9a-f]{12}", method.version) is not None


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _options(path: Path, record: RunRecord, config: RunConfig, spec: MethodSpec, here: Here) -> Iterator[Finding]:
    said = record.method
    try:
        presets = _presets(record, spec, config.preset, here)
        possible = [resolve(spec, preset, config.settings, rows=config.batch_size) for preset in presets]
    except EditHarnessError as error:
        yield Finding("error", path, "method.preset.name", str(error))
        return
    names = sorted({one.preset_name for one in possible})
    mine = [one for one in possible if one.preset_name == said.preset.name]
    if not mine:
        told = " or ".join(repr(name) for name in names) or "none"
        yield Finding("error", path, "method.preset.name", f"is {said.preset.name!r}, and for this model it is {told}")
        return
    if all(portable(one.values) != said.options for one in mine):
        different = sorted(_different(portable(mine[0].values), said.options))
        problem = f"preset {said.preset.name!r} and the settings typed do not give these: {', '.join(different)} differ"
        yield Finding("error", path, "method.options", problem)
    if all((one.source, one.tuned) != (said.preset.source, said.preset.tuned) for one in mine):
        yield Finding("error", path, "method.preset", f"is not what {said.distribution} says of {said.preset.name!r}")


def _different(known: dict[str, Any], said: Any) -> set[str]:
    return {key for key in {*known, *said} if key not in known or key not in said or known[key] != said[key]}


def _presets(record: RunRecord, spec: MethodSpec, asked: str | None, here: Here) -> Sequence[Preset | None]:
    """The presets that may have been in force. Of a model that is not packaged the facts are not known: any of all."""
    presets = here.presets(spec)
    packaged = here.registry.models.get(record.model.name)
    if packaged is not None:
        return [choose(presets, asked, folder_facts(packaged.spec.folder))]
    return [preset for preset in presets if asked in (None, preset.name)] + ([None] if asked is None else [])
