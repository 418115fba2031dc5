"""The task index: what YAML files declare, without lm_eval."""

from __future__ import annotations

from pathlib import Path

import pytest

from editharness.errors import PluginError
from editharness.registry import load_plugins
from editharness.task_index import index_folder
from editharness.types import Origin

ORIGIN = Origin("acme", "1.0")


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_tasks_and_groups_are_found_in_folders_below(tmp_path: Path) -> None:
    write(
        tmp_path,
        base="output_type: generate_until\nmetadata: {version: 2.0}\nprocess: !function utils.f\n",
        a="include: base.yaml\ntask: one\ntag: [x, y]\ntask_alias: One\n",
        sub__b="task: two\nclass: !function utils.Two\n",
        group="group: both\ntask: [one, {task: two}, {group: inner, task: [one]}]\n",
    )
    found = {task.name: task for task in index_folder(tmp_path, ORIGIN)}
    assert set(found) == {"one", "two", "both"}
    assert (found["one"].kind, found["one"].version, found["one"].tags) == ("task", "2.0", ("x", "y"))
    assert found["one"].title == "One"
    assert found["both"].members == ("one", "two", "inner")
    assert found["two"].path == tmp_path / "sub" / "b.yaml"


def test_an_included_file_lends_its_keys_but_not_its_name(tmp_path: Path) -> None:
    write(tmp_path, a="task: one\nmetadata: {version: 1}\n", b="include: a.yaml\ntask: two\n", c="include: a.yaml\n")
    assert {task.name: task.version for task in index_folder(tmp_path, ORIGIN)} == {"one": "1", "two": "1"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("task: [", "acme 1.0: task file"),
        ("just text", "holds no keys"),
        ("", "holds no keys"),
        ("include: nothing.yaml\ntask: x", "No such file"),
        ("include: x.yaml\ntask: x", "includes itself"),
        ("task: [a, b]", "'task' must be a name"),
    ],
)
def test_unusable_yaml_stops_and_is_named(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError) as caught:
        index_folder(write(tmp_path, x=text), ORIGIN)
    assert words in str(caught.value)
    assert "acme 1.0" in str(caught.value)


def test_our_index_agrees_with_lm_eval_about_our_folders() -> None:
    from lm_eval.tasks._index import TaskIndex

    registry = load_plugins()
    theirs = TaskIndex.build([folder.spec.path for folder in registry.task_folders])
    declared = {name: entry for name, entry in theirs.items() if entry.yaml_path is not None}
    assert {name: task.spec.path for name, task in registry.tasks.items()} == {
        name: entry.yaml_path for name, entry in declared.items()
    }


def test_a_tasks_data_set_and_form_are_known(tmp_path: Path) -> None:
    (task,) = index_folder(write(tmp_path, a="task: one\ndataset_kwargs: {data: mcf, form: negated}\n"), ORIGIN)
    assert task.arguments == {"data": "mcf", "form": "negated"}
