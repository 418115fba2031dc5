"""Which module may import which, read from the source; and what stays light, seen in a fresh interpreter."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import editharness

ROOT = Path(editharness.__file__).parent
SOURCES = [ROOT, *(ROOT.parents[1] / root / f"editharness_{root}" for root in ("plugins", "tasks"))]
HEAVY = ("torch", "transformers", "lm_eval", "datasets", "numpy")

# A part of the harness may import its own layer and those before it.
LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(layer.split())
    for layer in (
        "allocation errors charts durable",
        "types cache progress reporting memory",
        "hooks options method protocol config judge claims",
        "plugin_loading task_index registry presets",
        "data models",
        "patch timeline locate",
        "scoring rows states drift answered greedy resume",
        "forms",
        "documents",
        "host inplace requests plan controls seeing",
        "lm",
        "health",
        "editing asking preparing opening",
        "abilities adapters choosing facts",
        "lending runner recording observers result judging lm_eval_model mechanism verifying",
        "export",
        "comparing submitting scaffold",
        "api cli sweeping testing validating",
        "__main__",
    )
)
# What reads and shows records must run without the rest: a board can be recomputed anywhere.
RECORDS = frozenset({"stats", "store", "leaderboard", "site"})
BELOW_RECORDS = frozenset({"errors", "types", "charts", "durable", "cache"})

LIGHT = RECORDS.union(*LAYERS[:4], {"data", "cli"})


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports when it runs: at the top or inside a function, but not for type checking only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for statement in branch.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            assert node.module is not None
            if node.module == "editharness":
                yield from (f"editharness.{alias.name}" for alias in node.names)
            else:
                yield node.module


def part(path: Path) -> str:
    """The part of the harness that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def edges() -> list[tuple[str, str, str]]:
    """(file, its part, a part that it imports), within the harness."""
    return [
        (str(path.relative_to(ROOT)), part(path), name.split(".")[1])
        for path in sorted(ROOT.rglob("*.py"))
        if path != ROOT / "__init__.py"
        for name in imports(path)
        if name.startswith("editharness.")
    ]


def layer(name: str) -> int:
    return next((i for i, names in enumerate(LAYERS) if name in names), -1)


def test_every_part_has_its_layer() -> None:
    parts = {part(path) for path in ROOT.rglob("*.py")} - {"__init__"}
    assert parts == RECORDS.union(*LAYERS), "place a new part in LAYERS; take out one that is gone"


def test_imports_run_one_way() -> None:
    wrong = [
        (file, target)
        for file, source, target in edges()
        if source not in RECORDS
        and target not in {*RECORDS, "__version__", "hookimpl"}
        and layer(target) > layer(source)
    ]
    assert not wrong


def test_records_and_boards_import_only_what_lies_below_them() -> None:
    wrong = [
        (file, target)
        for file, source, target in edges()
        if source in RECORDS and target not in RECORDS | BELOW_RECORDS
    ]
    assert not wrong


def test_only_the_top_reads_records() -> None:
    users = {source for _, source, target in edges() if target in RECORDS} - RECORDS
    assert users <= {
        "api",
        "cli",
        "observers",
        "recording",
        "result",
        "testing",
        "runner",
        "judging",
        "mechanism",
        "verifying",
        "comparing",
        "submitting",
        "export",
        "validating",
        "sweeping",
    }


def test_the_harness_imports_no_plugin() -> None:
    wrong = [
        (path.name, name)
        for path in ROOT.rglob("*.py")
        for name in imports(path)
        if name.split(".")[0] in ("editharness_plugins", "editharness_tasks")
    ]
    assert not wrong


def test_only_a_few_modules_import_lm_eval() -> None:
    users = {
        path.relative_to(ROOT.parents[1]).as_posix()
        for folder in SOURCES
        for path in folder.rglob("*.py")
        for name in imports(path)
        if name.split(".")[0] == "lm_eval"
    }
    assert users <= {
        "harness/editharness/lm.py",
        "harness/editharness/requests.py",
        "harness/editharness/lm_eval_model.py",
        "harness/editharness/cli/lm_eval.py",
        "harness/editharness/abilities.py",
        "harness/editharness/asking.py",
        "harness/editharness/runner.py",
        "harness/editharness/testing/conformance/task_subject.py",
        "harness/editharness/validating/tasks.py",
        "tasks/editharness_tasks/case_task.py",
    }


def test_public_names() -> None:
    """What a program may import from the package, and so will find there in later versions."""
    assert editharness.__all__ == [
        "Case", "CaseSet", "Result", "__version__", "edit", "edited", "evaluate", "hookimpl", "load_cases",
    ]  # fmt: skip
    assert set(editharness.__all__) <= set(dir(editharness))
    for name in editharness.__all__:
        assert getattr(editharness, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        editharness.evalute  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import editharness\nassert editharness.Case") == set()


def loaded_by(code: str, *words: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has loaded after running `code`."""
    probe = f"import json, sys\n{code}\nprint(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", probe, *words], capture_output=True, text=True, check=True, timeout=300
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_light_modules_load_nothing_heavy() -> None:
    light = [path for path in ROOT.rglob("*.py") if part(path) in LIGHT and path.name != "__init__.py"]
    names = [".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__") for path in light]
    assert len(names) > len(LIGHT)
    ours = ["editharness.locate.options", "editharness_plugins.specs", "editharness_tasks"]
    assert loaded_by("\n".join(f"import {name}" for name in [*names, *ours])) == set()


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("methods",),
        ("methods", "rome"),
        ("protocols", "negation"),
        ("metrics",),
        ("tasks",),
        ("datasets", "mcf"),
        ("data", "--help"),
        ("data", "build", "QA", "--output", "OUT"),
        ("models", "pocket"),
        ("judges", "openai"),
        ("judge", "--help"),
        ("leaderboard", "--help"),
        ("leaderboard", "FOLDER"),
        ("verify", "--help"),
        ("compare", "--help"),
        ("submit", "--help"),
        ("runs", "FOLDER"),
        ("eval", "--help"),
        ("check", "--help"),
        ("check", "memitt"),
        ("validate", "--help"),
        ("new-judge", "memit", "--output", "FOLDER"),
        ("cache", "list"),
        ("completion", "zsh"),
        ("doctor", "--offline"),
        ("trace", "--help"),
        ("geometry", "--help"),
        ("trace", "--data", "poket"),
        ("eval", "--method", "rme", "--task", "negation_pocket"),
        ("sweep", "--help"),
        ("sweep", "GRID"),
        ("edit", "--help"),
        ("edit", "--method", "grace", "--edits", "FOLDER", "--save", "OUT"),
        ("apply", "--help"),
    ],
    ids=" ".join,
)
def test_what_needs_no_model_loads_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "qa.csv").write_text("question,answer\nWho is Ada?,A\nWho is Bo?,B\n", encoding="utf-8")
    (tmp_path / "grid.yaml").write_text("grid: {method: [memit, rme], task: negation_pocket}\n", encoding="utf-8")
    places = {
        "GRID": tmp_path / "grid.yaml",
        "FOLDER": tmp_path,
        "QA": tmp_path / "qa.csv",
        "OUT": tmp_path / "cases.jsonl",
    }
    typed = [str(places.get(word, word)) for word in words]
    assert loaded_by("from editharness.cli import main\nmain(sys.argv[1:])", *typed) <= set()
