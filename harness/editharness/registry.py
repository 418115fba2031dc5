"""Which methods, protocols, data sets, tasks and judges there are, and who offers them. Nothing here imports torch.

Every distribution with an entry point in the group "editharness" is loaded, ours like any other. Two things of one
name, a plugin that cannot be imported, a hook that does not exist: stop, and name the distribution and its version.
A leaderboard cannot go on with a plugin renamed, overridden or left out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pluggy

from editharness import __version__
from editharness.errors import EditHarnessError, PluginError, UnknownNameError, UsageError
from editharness.plugin_loading import Plugin, load_all, one_line
from editharness.task_index import TaskFile, index_folder
from editharness.types import (
    DatasetSpec,
    JudgeSpec,
    MethodSpec,
    ModelSpec,
    Origin,
    ProtocolSpec,
    Step,
    TaskFolder,
)

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from pathlib import Path

S = TypeVar("S")


@dataclass(frozen=True)
class Registered(Generic[S]):
    """What a plugin registered, and the distribution it came from."""

    spec: S
    origin: Origin


@dataclass(frozen=True)
class Registry:
    """All that is registered, by name, in the order of registration (ours first, then by distribution)."""

    methods: Mapping[str, Registered[MethodSpec]]
    protocols: Mapping[str, Registered[ProtocolSpec]]
    datasets: Mapping[str, Registered[DatasetSpec]]
    models: Mapping[str, Registered[ModelSpec]]
    judges: Mapping[str, Registered[JudgeSpec]]
    task_folders: tuple[Registered[TaskFolder], ...]
    plugins: tuple[Plugin, ...]
    manager: pluggy.PluginManager = field(repr=False)
    handed: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What a Python session hands over: a method's class by its ref, a loaded model by its name."""

    def method(self, name: str) -> MethodSpec:
        """The method of this name; raises UnknownNameError with the nearest."""
        return _named(self.methods, "method", name).spec

    def protocol(self, name: str) -> ProtocolSpec:
        """The protocol of this name; raises UnknownNameError with the nearest."""
        return _named(self.protocols, "protocol", name).spec

    def dataset(self, name: str) -> DatasetSpec:
        """The data set of this name; raises UnknownNameError with the nearest."""
        return _named(self.datasets, "data set", name).spec

    def model(self, name: str) -> ModelSpec:
        """The packaged model of this name; raises UnknownNameError with the nearest."""
        return _named(self.models, "packaged model", name).spec

    def judge(self, name: str) -> JudgeSpec:
        """The judge of this name; raises UnknownNameError with the nearest."""
        return _named(self.judges, "judge", name).spec

    def protocol_and_data(self, task: str) -> tuple[ProtocolSpec, DatasetSpec]:
        """`<protocol>_<data>`, as typed after --task, taken apart; names may hold underscores themselves."""
        pairs = [(p, d) for p in self.protocols for d in self.datasets if f"{p}_{d}" == task]
        if not pairs:
            known = [f"{p}_{d}" for p in self.protocols for d in self.datasets]
            raise UnknownNameError("task", task, known, hint="(a task is <protocol>_<data set>)")
        if len(pairs) > 1:
            readings = " and ".join(f"{p} + {d}" for p, d in pairs)
            raise UsageError(f"task {task!r} can be read as {len(pairs)} pairs: {readings}; disable a plugin")
        protocol, data = pairs[0]
        return self.protocols[protocol].spec, self.datasets[data].spec

    @property
    def hooks(self) -> Any:
        """pluggy's relay of all hooks; observers are called through `run_started` and its siblings."""
        return self.manager.hook

    @cached_property
    def tasks(self) -> Mapping[str, Registered[TaskFile]]:
        """Every lm-eval task and group in the registered folders; raises PluginError where two have one name."""
        found: dict[str, Registered[TaskFile]] = {}
        for folder in self.task_folders:
            for task in index_folder(folder.spec.path, folder.origin):
                _add(found, "task", Registered(task, folder.origin))
        return MappingProxyType(found)

    def with_method(self, spec: MethodSpec, code: Any) -> Registry:
        """This registry and one more method, whose class is handed over; PluginError for a name that is taken."""
        methods = dict(self.methods)
        _add(methods, "method", Registered(spec, Origin(spec.ref.partition(":")[0], "(handed over)")))
        return replace(self, methods=MappingProxyType(methods), handed={**self.handed, spec.ref: code})

    def observed_by(self, name: str, observer: object) -> Registry:
        """This registry and one more that hears of runs: an object with `run_*` hooks."""
        self.manager.register(observer, name)
        plugin = Plugin(name, Origin("editharness", __version__), observer)
        return replace(self, plugins=(*self.plugins, plugin))

    def with_model(self, name: str, loaded: Any) -> Registry:
        """This registry, in which `name` is a model that is loaded already."""
        return replace(self, handed={**self.handed, name: loaded})

    def resolve(self, ref: str) -> Any:
        """Import what "package.module:Name" refers to; raises PluginError naming the distribution it came from."""
        if ref in self.handed:
            return self.handed[ref]
        module, _, path = ref.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in path.split("."):
                found = getattr(found, part)
        except EditHarnessError:
            raise
        except Exception as error:
            raise PluginError(f"{self._whose(ref)}{ref} cannot be imported: {one_line(error)}") from error
        return found

    def recipe_kinds(self, spec: MethodSpec) -> dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Any]]:
        """What `patch.load` takes for a method's patches: kind -> the function that rebuilds its module or router."""
        if not spec.recipe:
            return {}
        recipe = self.resolve(spec.recipe)
        return {recipe.kind: lambda tensors, config: recipe(tensors=tensors, config=config)}

    def run_started(self, run: Any) -> None:
        """Tell every plugin that a run is about to load its model; any of them may refuse it."""
        self._tell("run_started", run=run)

    def edits_applied(self, run: Any, step: Step) -> None:
        """Tell every plugin that a batch was written into one arm."""
        self._tell("edits_applied", run=run, step=step)

    def run_finished(self, run: Any) -> None:
        """Tell every plugin that the record is written."""
        self._tell("run_finished", run=run)

    def _tell(self, hook: str, **arguments: Any) -> None:
        for plugin in self.plugins:
            _call(self.manager, plugin, hook, arguments)

    def _whose(self, ref: str) -> str:
        for group in (self.methods, self.protocols, self.datasets, self.judges):
            for entry in group.values():
                if entry.spec.ref == ref:
                    return f"{entry.origin}: "
        return ""


def load_plugins(
    *, entry_points: Iterable[EntryPoint] | None = None, disabled: Iterable[str] | None = None,
    files: Iterable[Path] = (),
) -> Registry:  # fmt: skip
    """Load every plugin and gather what each registers; raises PluginError for the first that cannot be used.

    `entry_points` defaults to those installed; `disabled` (distribution names) to EDITHARNESS_DISABLE_PLUGINS, commas
    between; `files` are plugins that are no package, as --plugin gives them. A second call loads afresh.
    """
    manager, plugins = load_all(entry_points=entry_points, disabled=disabled, files=files)
    methods: dict[str, Registered[MethodSpec]] = {}
    protocols: dict[str, Registered[ProtocolSpec]] = {}
    datasets: dict[str, Registered[DatasetSpec]] = {}
    models: dict[str, Registered[ModelSpec]] = {}
    judges: dict[str, Registered[JudgeSpec]] = {}
    folders: dict[str, Registered[TaskFolder]] = {}
    for plugin in plugins:
        gather = _Gather(manager, plugin)
        gather.by_name("register_methods", "method", MethodSpec, methods)
        gather.by_name("register_protocols", "protocol", ProtocolSpec, protocols)
        gather.by_name("register_datasets", "data set", DatasetSpec, datasets)
        gather.by_name("register_models", "model", ModelSpec, models)
        gather.by_name("register_judges", "judge", JudgeSpec, judges)
        gather.folders(folders)
    return Registry(
        methods=MappingProxyType(methods),
        protocols=MappingProxyType(protocols),
        datasets=MappingProxyType(datasets),
        models=MappingProxyType(models),
        judges=MappingProxyType(judges),
        task_folders=tuple(folders.values()),
        plugins=plugins,
        manager=manager,
    )


@dataclass(frozen=True)
class _Gather:
    """Collects what one plugin registers."""

    manager: pluggy.PluginManager
    plugin: Plugin

    def by_name(self, hook: str, kind: str, wanted: type[S], into: dict[str, Registered[S]]) -> None:
        """Call one `register_*` hook of this plugin; refuses what is no `wanted`, malformed, or taken."""

        def register(spec: S) -> None:
            self._check(spec, wanted)
            name = str(getattr(spec, "name", ""))
            ref = str(getattr(spec, "ref", "no:reference"))  # a model has a folder instead
            module, colon, attribute = ref.partition(":")
            if not (module and colon and attribute):
                raise PluginError(f"{self.plugin}: {kind} {name!r} has ref {ref!r}: write it as package.module:Name")
            if not name or name != name.strip() or any(c in name for c in " ,/\\:="):
                raise PluginError(f"{self.plugin}: {kind} name {name!r}: use letters, digits, '-' and '_'")
            _add(into, kind, Registered(spec, self.plugin.origin))

        _call(self.manager, self.plugin, hook, {"register": register})

    def folders(self, into: dict[str, Registered[TaskFolder]]) -> None:
        """Call `register_tasks` of this plugin; a folder must be there and belong to one plugin."""

        def register(folder: TaskFolder) -> None:
            self._check(folder, TaskFolder)
            if not folder.path.is_dir():
                raise PluginError(f"{self.plugin}: its task folder {folder.path} is not there")
            key = str(folder.path.resolve())
            if key in into:
                raise PluginError(f"task folder {folder.path} is registered by {into[key].origin} and by {self.plugin}")
            into[key] = Registered(folder, self.plugin.origin)

        _call(self.manager, self.plugin, "register_tasks", {"register": register})

    def _check(self, spec: object, wanted: type[object]) -> None:
        if not isinstance(spec, wanted):
            raise PluginError(f"{self.plugin} registered a {type(spec).__name__} where a {wanted.__name__} is wanted")


def _call(manager: pluggy.PluginManager, plugin: Plugin, hook: str, arguments: Mapping[str, Any]) -> None:
    """One hook of one plugin, so that whatever goes wrong has a name to it."""
    others = [other for other in manager.get_plugins() if other is not plugin.module]
    try:
        manager.subset_hook_caller(hook, others)(**arguments)
    except EditHarnessError:
        raise
    except Exception as error:
        raise PluginError(f"{plugin}: its {hook} failed: {one_line(error)}") from error


def _add(into: dict[str, Registered[S]], kind: str, entry: Registered[S]) -> None:
    name = entry.spec.name  # type: ignore[attr-defined]  # every spec that comes here has a name
    if name in into:
        first, second = into[name].origin, entry.origin
        raise PluginError(
            f"two plugins offer the {kind} {name!r}: {first} and {second}; "
            f"uninstall one, or set EDITHARNESS_DISABLE_PLUGINS={second.distribution}"
            if first != second
            else f"{first} offers the {kind} {name!r} twice"
        )
    into[name] = entry


def _named(group: Mapping[str, Registered[S]], kind: str, name: str) -> Registered[S]:
    if name not in group:
        raise UnknownNameError(kind, name, group)
    return group[name]
