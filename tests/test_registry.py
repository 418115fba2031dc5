"""The registry: real distributions on disk, loaded as installed ones are, and every way in which one can be wrong."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from textwrap import dedent
from uuid import uuid4

import pytest

from editharness.errors import PluginError, UnknownNameError, UsageError
from editharness.registry import Registry, load_plugins
from editharness.types import Step

HEAD = """
from pathlib import Path
from editharness import hookimpl
from editharness.types import DatasetSpec, JudgeSpec, MethodSpec, ModelSpec, ProtocolSpec, TaskFolder
"""
METHOD = """
@hookimpl
def register_methods(register):
    register(MethodSpec({name!r}, "title", "paper", {ref!r}))
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes a distribution: its metadata, its entry point and its module; gives the module's name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, body: str, *, version: str = "1.0", entry: str | None = None) -> str:
        module = f"plug_{uuid4().hex}"
        (tmp_path / f"{module}.py").write_text(HEAD + dedent(body), encoding="utf-8")
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        lines = f"[editharness]\n{entry or name.replace('-', '_')} = {module}\n"
        (info / "entry_points.txt").write_text(lines, encoding="utf-8")
        importlib.invalidate_caches()
        return module

    return write


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Registry]:
    """Loads what was installed, and nothing else."""

    def found(disabled: tuple[str, ...] = ()) -> Registry:
        entries: list[EntryPoint] = [
            entry for dist in distributions(path=[str(tmp_path)]) for entry in dist.entry_points
        ]
        return load_plugins(entry_points=entries, disabled=disabled)

    return found


Install = Callable[..., str]
Load = Callable[..., Registry]


def test_what_a_plugin_registers_is_found_with_its_origin(install: Install, load: Load, tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    install(
        "acme-editing",
        f"""
        @hookimpl
        def register_methods(register):
            register(MethodSpec("acme", "Acme", "none", "acme.methods:Acme"))
        @hookimpl
        def register_protocols(register):
            register(ProtocolSpec("says", "Says", "none", "acme.protocols:Says"))
        @hookimpl
        def register_datasets(register):
            register(DatasetSpec("facts", "Facts", "none", "acme.data:load", "MIT", ()))
        @hookimpl
        def register_judges(register):
            register(JudgeSpec("strict", "Strict", "acme.judges:Strict"))
        @hookimpl
        def register_models(register):
            register(ModelSpec("small", "Small", Path("small"), "MIT"))
        @hookimpl
        def register_tasks(register):
            register(TaskFolder(Path({str(tmp_path / "tasks")!r})))
        """,
        version="2.1",
    )
    registry = load()
    assert registry.method("acme").ref == "acme.methods:Acme"
    assert registry.protocol("says").version == 1
    assert registry.dataset("facts").licence == "MIT"
    assert registry.judge("strict").title == "Strict"
    assert registry.model("small").folder == Path("small")
    assert [folder.spec.path for folder in registry.task_folders] == [tmp_path / "tasks"]
    assert str(registry.methods["acme"].origin) == "acme-editing 2.1"


@pytest.mark.parametrize("kind", ["method", "protocol", "dataset", "judge", "model"])
def test_an_unknown_name_gives_the_nearest(kind: str) -> None:
    registry = load_plugins()
    with pytest.raises(UnknownNameError, match=r"unknown .* 'nothing-like-it'"):
        getattr(registry, kind)("nothing-like-it")
    with pytest.raises(UnknownNameError, match="unknown method 'memitt': did you mean 'memit'"):
        registry.method("memitt")


def test_the_built_in_plugins_are_found_by_their_entry_points() -> None:
    registry = load_plugins()
    assert {"none", "context", "ft-m", "rome", "c-rome", "memit"} <= set(registry.methods)
    assert {"pocket", "mcf", "zsre", "zsre_cloze", "wcf", "mquake", "qaedit"} <= set(registry.datasets)
    assert {entry.origin.distribution for entry in registry.methods.values()} >= {"editharness"}
    assert "negation" in registry.protocols
    assert "negation_pocket_neg" in registry.tasks


def test_every_built_in_reference_can_be_imported() -> None:
    registry = load_plugins()
    refs = [entry.spec.ref for entry in registry.methods.values() if entry.origin.distribution == "editharness"]
    refs += [entry.spec.ref for entry in registry.protocols.values() if entry.origin.distribution == "editharness"]
    refs += [entry.spec.ref for entry in registry.datasets.values() if entry.origin.distribution == "editharness"]
    assert len(refs) >= 14
    for ref in refs:
        assert callable(registry.resolve(ref)), ref


def test_a_task_is_taken_apart_into_protocol_and_data() -> None:
    registry = load_plugins()
    protocol, data = registry.protocol_and_data("negation_zsre_cloze")
    assert (protocol.name, data.name) == ("negation", "zsre_cloze")
    with pytest.raises(UnknownNameError, match="unknown task 'negation_zrse': did you mean 'negation_zsre'"):
        registry.protocol_and_data("negation_zrse")


def test_a_task_that_reads_two_ways_is_refused(install: Install, load: Load) -> None:
    install(
        "ambiguous",
        """
        @hookimpl
        def register_protocols(register):
            register(ProtocolSpec("says", "", "", "m:A"))
            register(ProtocolSpec("says_all", "", "", "m:B"))
        @hookimpl
        def register_datasets(register):
            register(DatasetSpec("facts", "", "", "m:c", "MIT", ()))
            register(DatasetSpec("all_facts", "", "", "m:d", "MIT", ()))
        """,
    )
    with pytest.raises(UsageError, match="task 'says_all_facts' can be read as 2 pairs"):
        load().protocol_and_data("says_all_facts")


def test_two_plugins_of_one_method_name_are_refused_with_both_versions(install: Install, load: Load) -> None:
    install("first", METHOD.format(name="rome", ref="a:B"), version="1.1")
    install("second", METHOD.format(name="rome", ref="c:D"), version="2.2")
    with pytest.raises(PluginError) as caught:
        load()
    assert str(caught.value) == (
        "two plugins offer the method 'rome': first 1.1 and second 2.2; "
        "uninstall one, or set EDITHARNESS_DISABLE_PLUGINS=second"
    )


def test_one_plugin_that_offers_a_name_twice_is_refused(install: Install, load: Load) -> None:
    twice = '    register(MethodSpec("rome", "again", "", "a:B"))\n'
    install("first", METHOD.format(name="rome", ref="a:B") + twice)
    with pytest.raises(PluginError, match=r"first 1\.0 offers the method 'rome' twice"):
        load()


def test_entry_points_of_one_name_in_two_distributions_are_refused(install: Install, load: Load) -> None:
    install("first", METHOD.format(name="a", ref="a:B"), entry="mine")
    install("second", METHOD.format(name="b", ref="a:B"), entry="mine")
    with pytest.raises(PluginError, match=r"two plugins are named 'mine': first 1\.0 and second 1\.0"):
        load()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import no_such_module_at_all", r"plugin 'broken' of broken 3\.0 cannot be loaded: ModuleNotFoundError"),
        ("def x(:", r"plugin 'broken' of broken 3\.0 cannot be loaded: SyntaxError"),
        ("raise SystemExit(3)", r"plugin 'broken' of broken 3\.0 cannot be loaded: SystemExit: 3;"),
        ("raise SystemError('two\\nlines')", r"broken 3\.0 cannot be loaded: SystemError: two lines;"),
        ("@hookimpl\ndef register_method(register): ...", r"3\.0 does not fit: .*unknown hook 'register_method'"),
        ("@hookimpl\ndef register_methods(registre): ...", r"broken 3\.0 does not fit: .*registre"),
        ("def register_methods(register): ...", r"broken 3\.0 offers nothing: put @editharness\.hookimpl"),
        ("@hookimpl\ndef register_methods(register): 1/0", r"broken 3\.0: its register_methods failed: ZeroDivision"),
        ("@hookimpl\ndef register_methods(register): register('rome')", r"a str where a MethodSpec is wanted"),
        (METHOD.format(name="rome", ref="no_colon"), r"ref 'no_colon': write it as package\.module:Name"),
        (METHOD.format(name="my rome", ref="a:B"), r"method name 'my rome': use letters, digits"),
        (METHOD.format(name="", ref="a:B"), r"method name ''"),
        ("@hookimpl\ndef register_tasks(register): register(TaskFolder(Path('/no/such')))", r"/no/such is not there"),
    ],
)  # fmt: skip
def test_a_broken_plugin_stops_with_its_name_and_version(body: str, words: str, install: Install, load: Load) -> None:
    install("broken", body, version="3.0")
    with pytest.raises(PluginError, match=words) as caught:
        load()
    assert "\n" not in str(caught.value)
    assert "broken" in str(caught.value)


def test_a_blocked_distribution_is_not_even_imported(install: Install, load: Load) -> None:
    install("Broken.Plugin", "import no_such_module_at_all")
    install("good", METHOD.format(name="good", ref="a:B"))
    assert list(load(disabled=("broken-plugin",)).methods) == ["good"]


def test_the_environment_variable_blocks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITHARNESS_DISABLE_PLUGINS", "something, editharness")
    assert not load_plugins().methods


def test_a_task_name_in_two_plugins_is_refused(install: Install, load: Load, tmp_path: Path) -> None:
    for name in ("first", "second"):
        folder = tmp_path / f"{name}_tasks"
        folder.mkdir()
        (folder / "says.yaml").write_text("task: says_it\n", encoding="utf-8")
        install(name, f"@hookimpl\ndef register_tasks(register): register(TaskFolder(Path({str(folder)!r})))\n")
    with pytest.raises(PluginError, match=r"two plugins offer the task 'says_it': first 1\.0 and second 1\.0"):
        _ = load().tasks


def test_one_task_folder_of_two_plugins_is_refused(install: Install, load: Load, tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    body = f"@hookimpl\ndef register_tasks(register): register(TaskFolder(Path({str(tmp_path / 'tasks')!r})))\n"
    install("first", body)
    install("second", body)
    with pytest.raises(PluginError, match=r"is registered by first 1\.0 and by plugin 'second' of second 1\.0"):
        load()


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("no_such_package.rome:Rome", "acme 1.0: no_such_package.rome:Rome cannot be imported: ModuleNotFoundError"),
        ("editharness.types:Nothing", "acme 1.0: editharness.types:Nothing cannot be imported: AttributeError"),
    ],
)
def test_a_reference_that_leads_nowhere_names_its_distribution(
    ref: str, words: str, install: Install, load: Load
) -> None:
    install("acme", METHOD.format(name="acme", ref=ref))
    with pytest.raises(PluginError) as caught:
        load().resolve(ref)
    assert str(caught.value).startswith(words)


def test_observers_are_told_in_order_and_may_refuse_a_run(install: Install, load: Load) -> None:
    watcher = """
    from editharness.errors import UsageError
    heard = []
    @hookimpl
    def run_started(run):
        if run == "bad":
            raise UsageError("not this run")
    @hookimpl
    def edits_applied(run, step):
        heard.append((run, len(step.statuses)))
    @hookimpl
    def run_finished(run):
        heard.append(run)
    """
    module = importlib.import_module(install("watcher", watcher))
    registry = load()
    registry.run_started("good")
    registry.edits_applied("good", Step(None, {}, ()))
    registry.run_finished("good")
    assert module.heard == [("good", 0), "good"]
    with pytest.raises(UsageError, match="not this run"):
        registry.run_started("bad")


def test_an_observer_that_fails_is_named(install: Install, load: Load) -> None:
    install("faulty", "@hookimpl\ndef run_finished(run): raise RuntimeError('disk')\n")
    with pytest.raises(
        PluginError, match=r"plugin 'faulty' of faulty 1\.0: its run_finished failed: RuntimeError: disk"
    ):
        load().run_finished(None)


def test_a_plugin_that_is_loaded_twice_is_loaded_afresh(install: Install, load: Load) -> None:
    install("acme", METHOD.format(name="acme", ref="a:B"))
    first, second = load(), load()
    assert first.manager is not second.manager
    assert list(first.methods) == list(second.methods) == ["acme"]
