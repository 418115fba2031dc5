"""What there is (methods, protocols, tasks, data sets, models, judges), as tables and pages. No torch is imported."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from editharness.cli.common import Page, Table, words
from editharness.errors import ModelError, PluginError, UnknownNameError
from editharness.options import describe, show
from editharness.presets import Preset, folder_facts, load_presets
from editharness.registry import Registered, Registry
from editharness.types import DatasetSpec, MethodSpec, ModelSpec, Source

KINDS: Mapping[str, str] = {
    "methods": "method",
    "protocols": "protocol",
    "tasks": "task",
    "datasets": "data set",
    "models": "model",
    "judges": "judge",
}
"""Listing -> the noun for one of it."""

_OPTIONS = ("option", "default", "type", "limits", "help")


def listing(registry: Registry, kind: str) -> Table:
    """All of one kind (a key of KINDS), in the order of registration."""
    makers = {
        "methods": _methods,
        "protocols": _protocols,
        "tasks": _tasks,
        "datasets": _datasets,
        "models": _models,
        "judges": _judges,
    }
    return makers[kind](registry)


def page(registry: Registry, kind: str, name: str) -> Page:
    """One thing in full; raises UnknownNameError with the nearest name."""
    makers = {
        "methods": _method,
        "protocols": _protocol,
        "tasks": _task,
        "datasets": _dataset,
        "models": _model,
        "judges": _judge,
    }
    return makers[kind](registry, name)


def path_of(registry: Registry, kind: str, name: str) -> Path:
    """The file (for a model: the folder) that one would open to read it."""
    if kind == "tasks":
        return Path(_registered(registry.tasks, kind, name).spec.path)
    if kind == "models":
        return _model_folder(registry, name)
    if kind == "datasets":
        for source in registry.dataset(name).sources:
            if source.kind == "package":
                return _in_package(source)
        return _module_file(registry.dataset(name).ref)
    refs: Mapping[str, Mapping[str, Registered[Any]]] = {
        "methods": registry.methods,
        "protocols": registry.protocols,
        "judges": registry.judges,
    }
    return _module_file(_registered(refs[kind], kind, name).spec.ref)


def tasks_folder(registry: Registry) -> Path:
    """The one folder that holds all lm-eval tasks of this distribution; a plugin's are found by name."""
    folders = [folder.spec.path for folder in registry.task_folders if folder.origin.distribution == "editharness"]
    if not folders:
        raise PluginError("the tasks of editharness are not loaded: see EDITHARNESS_DISABLE_PLUGINS")
    return Path(os.path.commonpath(folders))


def presets_of(registry: Registry) -> Iterator[tuple[MethodSpec, Preset]]:
    """Every preset of every method."""
    for entry in registry.methods.values():
        for preset in _presets(entry.spec):
            yield entry.spec, preset


def _methods(registry: Registry) -> Table:
    rows = [
        (
            s.name,
            s.title,
            s.effect,
            "any" if s.max_batch is None else s.max_batch,
            sorted(s.sees),
            list(dict.fromkeys(p.name for p in _presets(s))),
            s.paper,
            str(entry.origin),
        )
        for entry in registry.methods.values()
        for s in (entry.spec,)
    ]
    return Table("methods", ("name", "title", "changes", "batch", "sees", "presets", "paper", "from"), rows)


def _method(registry: Registry, name: str) -> Page:
    entry = _registered(registry.methods, "methods", name)
    spec = entry.spec
    facts = {
        "name": spec.name,
        "note": spec.note,
        "paper": spec.paper,
        "changes": spec.effect,
        "batch": "any" if spec.max_batch is None else spec.max_batch,
        "sees": ["prompt", "subject", "target", *sorted(spec.sees)],
        "trains": spec.trains,
        "code": spec.ref,
        "from": str(entry.origin),
    }
    options = [(o.name, show(o.default), o.type, o.limits, o.help) for o in describe(spec.options)]
    presets = [(p.name, p.model, _values(p), p.source) for p in _presets(spec)]
    return Page(
        spec.title,
        facts,
        (
            Table("options", _OPTIONS, options, empty="no options"),
            Table("presets", ("preset", "model", "values", "source"), presets, empty="no presets"),
        ),
    )


def _protocols(registry: Registry) -> Table:
    rows = [
        (s.name, s.title, s.version, s.paper, str(entry.origin))
        for entry in registry.protocols.values()
        for s in (entry.spec,)
    ]
    return Table("protocols", ("name", "title", "version", "paper", "from"), rows)


def _protocol(registry: Registry, name: str) -> Page:
    entry = _registered(registry.protocols, "protocols", name)
    spec = entry.spec
    tasks = [(f"{name}_{data}", registry.datasets[data].spec.title) for data in registry.datasets]
    facts = {
        "name": spec.name,
        "version": spec.version,
        "paper": spec.paper,
        "code": spec.ref,
        "from": str(entry.origin),
    }
    return Page(spec.title, facts, (Table("eval --task", ("task", "data set"), tasks, empty="no data sets"),))


def _tasks(registry: Registry) -> Table:
    rows = [
        (s.name, s.kind, list(s.members), list(s.tags), s.version, str(entry.origin))
        for entry in registry.tasks.values()
        for s in (entry.spec,)
    ]
    return Table("tasks", ("name", "kind", "members", "tags", "version", "from"), rows)


def _task(registry: Registry, name: str) -> Page:
    entry = _registered(registry.tasks, "tasks", name)
    spec = entry.spec
    facts = {
        "name": spec.name,
        "kind": spec.kind,
        "members": list(spec.members),
        "tags": list(spec.tags),
        "version": spec.version,
        "file": spec.path,
        "from": str(entry.origin),
    }
    return Page(spec.title or spec.name, facts)


def _datasets(registry: Registry) -> Table:
    rows = [
        (s.name, s.title, s.licence, _where(s), s.paper, str(entry.origin))
        for entry in registry.datasets.values()
        for s in (entry.spec,)
    ]
    return Table("datasets", ("name", "title", "licence", "where", "paper", "from"), rows)


def _dataset(registry: Registry, name: str) -> Page:
    entry = _registered(registry.datasets, "datasets", name)
    spec = entry.spec
    facts = {
        "name": spec.name,
        "paper": spec.paper,
        "licence": spec.licence,
        "code": spec.ref,
        "from": str(entry.origin),
    }
    sources = [(s.kind, s.where, s.file, s.sha256 or "not published") for s in spec.sources]
    return Page(spec.title, facts, (Table("sources", ("kind", "where", "file", "sha256"), sources),))


def _models(registry: Registry) -> Table:
    presets = list(presets_of(registry))
    rows: list[tuple[object, ...]] = [
        (s.name, s.title, _shipped(s), _grouped(_fitting(presets, s)))
        for entry in registry.models.values()
        for s in (entry.spec,)
    ]
    others = dict.fromkeys(m for _, p in presets for m in p.models if m not in registry.models)
    rows += [(m, "", "hub or folder", _grouped([(s, p) for s, p in presets if m in p.models])) for m in others]
    return Table("models", ("name", "title", "where", "presets"), rows)


def _model(registry: Registry, name: str) -> Page:
    published = list(presets_of(registry))
    if name in registry.models:
        found = _fitting(published, registry.models[name].spec)
    else:
        found = [(spec, preset) for spec, preset in published if name in preset.models]
    presets = [(spec.name, p.name, _values(p), p.source) for spec, p in found]
    table = Table("presets", ("method", "preset", "values", "source"), presets, empty="no presets")
    if name not in registry.models:
        if not presets:
            known = [*registry.models, *(model for _, p in published for model in p.models)]
            raise UnknownNameError("model", name, dict.fromkeys(known))
        return Page(name, {"name": name, "where": "hub or folder"}, (table,))
    entry = registry.models[name]
    spec = entry.spec
    facts = {"name": name, "folder": spec.folder, "licence": spec.licence, "from": str(entry.origin)}
    return Page(spec.title, facts, (_card(spec), table))


def _judges(registry: Registry) -> Table:
    rows = [(s.name, s.title, s.note, str(entry.origin)) for entry in registry.judges.values() for s in (entry.spec,)]
    return Table("judges", ("name", "title", "note", "from"), rows)


def _judge(registry: Registry, name: str) -> Page:
    entry = _registered(registry.judges, "judges", name)
    spec = entry.spec
    facts = {"name": spec.name, "note": spec.note, "code": spec.ref, "from": str(entry.origin)}
    options = [(o.name, show(o.default), o.type, o.limits, o.help) for o in describe(spec.options)]
    return Page(spec.title, facts, (Table("options", _OPTIONS, options, empty="no options"),))


def _card(spec: ModelSpec) -> Table:
    """The validity card that is committed beside the model."""
    columns = ("what", "wanted", "measured", "n", "passed")
    if spec.card is None or not spec.card.is_file():
        return Table("validity card", columns, [], empty="no card: it is measured when the model is built")
    try:
        content = json.loads(spec.card.read_text(encoding="utf-8"))
        entries = content["rows"] if isinstance(content, dict) else content
        rows = [tuple(entry[column] for column in columns) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PluginError(f"card {spec.card} of model {spec.name!r} cannot be read: {error!r}") from error
    return Table("validity card", columns, rows)


def _model_folder(registry: Registry, name: str) -> Path:
    entry = _registered(registry.models, "models", name)
    folder = Path(entry.spec.folder)
    if not folder.is_dir():
        raise ModelError(f"model {name!r} is not in this installation: {folder} is missing; reinstall {entry.origin}")
    return folder


def _shipped(model: ModelSpec) -> str:
    return "packaged" if model.folder.is_dir() else "packaged, not built here"


def _fitting(presets: Sequence[tuple[MethodSpec, Preset]], model: ModelSpec) -> list[tuple[MethodSpec, Preset]]:
    """The presets that a run of a packaged model would choose from: by the shape that its config.json tells."""
    facts = folder_facts(model.folder)
    return [(spec, p) for spec, p in presets if model.name in p.models or p.fits(facts)]


def _grouped(presets: Sequence[tuple[MethodSpec, Preset]]) -> list[str]:
    names: dict[str, list[str]] = {}
    for spec, preset in presets:
        names.setdefault(spec.name, []).append(preset.name)
    return [f"{method} ({words(found)})" for method, found in names.items()]


def _presets(spec: MethodSpec) -> list[Preset]:
    return load_presets(spec.presets) if spec.presets is not None else []


def _values(preset: Preset) -> list[str]:
    return [f"{key}={show(tuple(v) if isinstance(v, list) else v)}" for key, v in preset.values.items()]


def _where(spec: DatasetSpec) -> str:
    first = spec.sources[0] if spec.sources else None
    if first is None:
        return "--data FILE"
    if first.kind == "package":
        return "packaged"
    return urlsplit(first.where).netloc if first.kind == "url" else f"hub: {first.where}"


def _registered(group: Mapping[str, Registered[Any]], kind: str, name: str) -> Registered[Any]:
    if name not in group:
        raise UnknownNameError(KINDS[kind], name, group, hint=f"(see editharness {kind})")
    return group[name]


def _module_file(ref: str) -> Path:
    module = ref.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        raise PluginError(f"{ref}: there is no module {module}")
    return Path(spec.origin)


def _in_package(source: Source) -> Path:
    spec = importlib.util.find_spec(source.where)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not folders:
        raise PluginError(f"there is no package {source.where} to hold {source.file}")
    return Path(folders[0]) / source.file
