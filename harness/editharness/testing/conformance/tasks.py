"""Can a task be asked, and does it score what is said? One document, rendered and answered without a model.

    from editharness.testing import check_task

    def test_mine():
        report = check_task("mine_pocket_prompt", load_plugins())
        assert not report.findings, str(report)

The document is about the first case of the task's data set; where that is not on this machine, about pocket's, so that
nothing is ever downloaded. Two answers are made up: the expected one, and one that is surely wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from editharness.errors import EditHarnessError, UnknownNameError, UsageError
from editharness.forms import find_form
from editharness.registry import Registry
from editharness.task_index import TaskFile
from editharness.testing.conformance.checks import Check, run_checks
from editharness.testing.conformance.importing import imports_quietly
from editharness.testing.conformance.report import Fault, Report
from editharness.testing.conformance.task_subject import LOOKED_THROUGH, ROLLING, WRONG, Subject

FUNCTION = re.compile(r"!function\s+([\w.]+)\.\w+")


def check_task(
    name: str, registry: Registry, *, only: Collection[str] = (), skip: Mapping[str, str] | None = None
) -> Report:
    """Run every check (or `only` some, by name) of one lm-eval task.

    `skip` maps checks that cannot apply to the reason. Raises UnknownNameError for a name that is no task or no check,
    UsageError for a group; whatever the task itself raises is a finding.
    """
    if name not in registry.tasks:
        raise UnknownNameError("task", name, registry.tasks)
    folders = tuple(folder.spec.path for folder in registry.task_folders)
    return check_task_file(registry.tasks[name].spec, registry, folders, only=only, skip=skip)


def check_task_file(
    task: TaskFile, registry: Registry, folders: Sequence[Path], *, only: Collection[str] = (),
    skip: Mapping[str, str] | None = None,
) -> Report:  # fmt: skip
    """As `check_task`, of a task that need not be registered: lm-eval finds it in one of `folders`."""
    if task.kind == "group":
        raise UsageError(f"{task.name!r} is a group of tasks: check its members {', '.join(task.members)}")
    subject = Subject(task, registry, tuple(folders))
    debug = f"run `editharness lm-eval run --model dummy --tasks {task.name} --limit 1` and follow its error"
    return run_checks(task.name, subject.place, subject, CHECKS, only=only, skip=skip, debug=debug)


def members(registry: Registry, name: str) -> list[str]:
    """The tasks behind a name: itself, or all below a group."""
    if registry.tasks[name].spec.kind == "task":
        return [name]
    return [task for member in registry.tasks[name].spec.members for task in members(registry, member)]


def _arguments(subject: Subject) -> Iterator[Fault]:
    """The data set and the form that the YAML names exist."""
    named, form = subject.task.arguments.get("data"), subject.task.arguments.get("form")
    try:
        if named is not None:
            subject.registry.dataset(str(named))
        if form is not None:
            find_form(str(form))
    except EditHarnessError as error:
        yield Fault(
            f"dataset_kwargs: {error}",
            "the task could not find its questions",
            "name a data set (`editharness datasets`) and a form (editharness.forms.FORMS, or package.module:NAME)",
        )


def _import(subject: Subject) -> Iterator[Fault]:
    named = FUNCTION.findall("\n".join(path.read_text(encoding="utf-8") for path in _files(subject.task.path)))
    form = str(subject.task.arguments.get("form", ""))
    modules = dict.fromkeys([*named, *([form.partition(":")[0]] if ":" in form else [])])
    beside = {name: subject.task.path.parent / f"{name.replace('.', '/')}.py" for name in modules}
    found = {name: path if path.is_file() else None for name, path in beside.items()}
    return imports_quietly({name: path for name, path in found.items() if path or find_spec(name.partition(".")[0])})


def _files(path: Path) -> Iterator[Path]:
    """A YAML and those that it includes."""
    yield path
    for included in re.findall(r"^include:\s*(\S+)\s*$", path.read_text(encoding="utf-8"), re.M):
        yield from _files((path.parent / included).resolve())


def _loads(subject: Subject) -> Iterator[Fault]:
    if subject.task.arguments.get("form") and not subject.documents:
        yield Fault(
            f"none of the first {LOOKED_THROUGH} cases has a question of the form {subject.task.arguments['form']!r}",
            "there would be nothing to ask",
            "ask about a data set whose cases have what the form needs, or give the reader that field",
        )
        return
    _ = subject.loaded


def _renders(subject: Subject) -> Iterator[Fault]:
    text = subject.loaded.doc_to_text(subject.doc)
    if all(request.request_type == ROLLING for request in subject.requests):
        text = subject.loaded.doc_to_target(subject.doc)  # a text whose likelihood is measured has no question
    if not isinstance(text, str) or not text.strip():
        yield Fault(f"doc_to_text gives {text!r}", "a model would be asked nothing", "set doc_to_text: prompt")
    elif "{}" in text or "{{" in text:
        yield Fault(
            f"the question still holds a slot: {text!r}",
            "a model would be asked about the slot",
            "fill it in where the form makes its questions",
        )
    if not subject.requests:
        yield Fault("it makes no request", "a model would be asked nothing", "see output_type, or construct_requests")


def _scores(subject: Subject) -> Iterator[Fault]:
    right, wrong = subject.scored(subject.expected), subject.wrong
    for name, value in {**wrong, **right}.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            yield Fault(
                f"the score {name!r} is {value!r}",
                "a column is a mean of numbers",
                "return a finite number per name from process_results",
            )
    aims = subject.loaded.higher_is_better()
    better = [name for name in right if name in wrong and aims.get(name) is not None and right[name] != wrong[name]]
    if not better:
        yield Fault(
            f"the expected answer {subject.expected!r} scores as {WRONG!r} does: {right}",
            "no column could tell a model that knows from one that does not",
            "name in metric_list what process_results gives, and compare with doc_to_target",
        )
    for name in better:
        if (right[name] > wrong[name]) != aims[name] and not name.startswith("old"):
            yield Fault(
                f"{name!r} is {right[name]} for the expected answer, {wrong[name]} for {WRONG!r}, "
                f"and its YAML says higher_is_better: {str(aims[name]).lower()}",
                "a board would rank the wrong way round",
                "correct higher_is_better, or the scorer",
            )


def _null(subject: Subject) -> Iterator[Fault]:
    form = find_form(str(subject.task.arguments["form"]))
    made = form.null(subject.doc, str(subject.doc["target"]))
    for name, value in made.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            yield Fault(
                f"an answer without a model has the score {name!r} = {value!r}",
                "null rows stand beside every method",
                "return finite numbers from the form's `null`",
            )


def _no_form(subject: Subject) -> str:
    return "" if subject.task.arguments.get("form") else "it is not about cases"


CHECKS: tuple[Check[Subject], ...] = (
    Check("arguments", _arguments, first=True),
    Check("import", _import),
    Check("loads", _loads, first=True),
    Check("renders", _renders),
    Check("scores fakes", _scores),
    Check("answers without a model", _null, _no_form),
)
"""In the order in which an author wants to hear of faults."""
