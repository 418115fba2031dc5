"""The kit on protocols, data sets, judges and tasks: what is sound passes, and each broken sibling is found out."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from editharness.errors import NotCachedError, UnknownNameError, UsageError
from editharness.registry import Registry, load_plugins
from editharness.testing import check_dataset, check_judge, check_protocol, check_task
from editharness.testing.conformance import Report

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    yield load_plugins(files=[HERE / "broken_plugins.py"])
    sys.modules.pop("broken_plugins", None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "capitals.tsv"
    path.write_text("Kenya\tNairobi\tRome\nNorway\tOslo\tLima\nPeru\tLima\tCairo\nEgypt\tCairo\tOslo\n")
    return path


def found(report: Report, check: str, words: str) -> None:
    """That this check, and no other, found this; and that the finding says why and how."""
    assert {finding.check for finding in report.findings} == {check}, str(report)
    assert re.search(words, report.findings[0].fault.seen), str(report)
    assert report.findings[0].fault.why
    assert report.findings[0].fault.mend


@pytest.mark.slow
def test_a_sound_protocol_passes_and_places_are_looked_at(registry: Registry) -> None:
    spec = registry.protocol("sound-protocol")
    report = check_protocol(spec, registry, expected={"said": {"none*": (0.7, 1), "echo": (0, 0)}})
    assert not report.findings, str(report)
    assert not report.skipped
    report = check_protocol(spec, registry, expected={"said": {"echo": (0.5, 1)}, "sed": {"echo": (0, 0)}})
    assert [finding.fault.seen for finding in report.findings] == [
        "'said' of 'echo' is 0.000, not in [0.5, 1]",
        "'sed' of 'echo' is not there, not in [0, 0]",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("other-name", "spec", "is registered as 'other-name', version 1, and calls itself 'another', version 1"),
        ("no-task", "tasks", "there is no task 'gone_pocket'"),
        ("odd-hash", "hash", "holds an object whose text changes"),
        ("no-echo", "controls", "the control 'echo' has no value in any column"),
        ("unexplained", "controls", "the column 'said' has no line in the glossary"),
        ("too-large", "values", r"'said' of '.*' is 100.0 for case .*: not in \[0, 1\]"),
        ("impure", "pure", "gives other columns when it is called again"),
        ("blind", "ranked column", "'said' is 1.000 for .* the model that knows, and 1.000 for 'none'"),
        ("raises", "controls", "raised KeyError: 'nothing'"),
    ],
)
def test_a_broken_protocol_is_found_out(name: str, check: str, words: str, registry: Registry) -> None:
    found(check_protocol(registry.protocol(name), registry), check, words)


def test_a_sound_data_set_passes(registry: Registry, data: Path) -> None:
    report = check_dataset(registry.dataset("sound-data"), registry, data)
    assert not report.findings, str(report)
    assert len(report.passed) == 10


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("off_by_one", "subjects", r"case 'c0': the span \[14, 19\] cuts ' Keny' out of"),
        ("spaced", "schema", "case 'c0': prompt is empty or ends in white space"),
        ("as_before", "schema", "case 'c0': target is the old answer"),
        ("twin", "ids", "the id 'c1' is the same as an earlier one"),
        ("trained", "schema", "case 'c0': split is 'validation'"),
        ("shuffled", "same again", "read a second time, the file gives other cases"),
        ("lossy", "left out", "30 records are left out and 1 kept; record 2: target is empty"),
        ("unhashed", "hash", "the CaseSet's sha256 is empty, the file's"),
        ("unlicensed", "licence", "the licence is 'unknown'"),
    ],
)
def test_a_broken_data_set_is_found_out(name: str, check: str, words: str, registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "one.tsv"
    before = {"as_before": "Norway\tOslo\tLima\n"}.get(name, "Kenya\tNairobi\tRome\n")
    path.write_text(before + "".join(f"Place {i}\tOld {i}\tNew {i}\n" for i in range(30)))
    # every one of them calls itself by the sound one's name
    report = check_dataset(registry.dataset(name), registry, path, skip={"reads": "told by another test"})
    found(report, check, words)


def test_a_data_set_under_another_name_is_found_out(registry: Registry, data: Path) -> None:
    found(
        check_dataset(registry.dataset("spaced"), registry, data, only=("reads",)), "reads", "calls itself 'sound-data'"
    )


def test_a_data_set_without_a_file_here_is_one_line(registry: Registry) -> None:
    with pytest.raises(NotCachedError, match="pass --data sound-data=PATH"):
        check_dataset(registry.dataset("sound-data"), registry)


def test_a_sound_judge_passes(registry: Registry) -> None:
    report = check_judge(registry.judge("SoundJudge"), registry)
    assert not report.findings, str(report)
    assert len(report.passed) == 8


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("SaysYes", "battery", "the sanity battery: empty 0 of 4 right, constant 0 of 4 right"),
        ("Forgets", "contract", r"verdicts\(\) gave 35 verdicts on 36 answers"),
        ("Grades", "contract", r"gave Verdict\(label='graded'"),
        ("NewEachTime", "identity", r"identity\(\) differs between two judges with the same options"),
    ],
)
def test_a_broken_judge_is_found_out(name: str, check: str, words: str, registry: Registry) -> None:
    found(check_judge(registry.judge(name), registry), check, words)


@pytest.mark.parametrize(("name", "checks"), [("Remembers", {"order", "alone"}), ("Dices", {"same again"})])
def test_a_judge_that_depends_on_more_than_the_answer_is_found_out(
    name: str, checks: set[str], registry: Registry
) -> None:
    report = check_judge(registry.judge(name), registry)
    assert checks <= {finding.check for finding in report.findings}, str(report)


def test_a_sound_task_passes(registry: Registry) -> None:
    report = check_task("kit_sound", registry)
    assert not report.findings, str(report)
    assert report.place == "pocket's first case"


def test_a_task_about_data_that_is_not_here_is_asked_about_pocket(registry: Registry) -> None:
    report = check_task("negation_own_cloze_pos", registry)
    assert not report.findings, str(report)
    assert report.place == "pocket's first case (own_cloze is not on this machine)"


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("kit_no_data", "arguments", "unknown data set 'poket': did you mean 'pocket'"),
        ("kit_no_form", "arguments", "question form 'prompts'; did you mean 'prompt'"),
        ("kit_nothing_to_ask", "loads", "none of the first 200 cases has a question of the form"),
        ("kit_empty_question", "renders", "doc_to_text gives ''"),
        ("kit_misspelt", "loads", "raised UndefinedError: 'promt' is undefined"),
        (
            "kit_wrong_way",
            "scores fakes",
            "'exact' is 1.0 for the expected answer, 0.0 for 'Xyzzyx', and its YAML says",
        ),
        ("kit_no_score", "scores fakes", "the expected answer '.*' scores as 'Xyzzyx' does"),
        ("kit_asks_the_hub", "import", "asks the network for huggingface.co"),
    ],
)
def test_a_broken_task_is_found_out(name: str, check: str, words: str, registry: Registry) -> None:
    found(check_task(name, registry), check, words)


@pytest.mark.slow
def test_every_registered_task_passes() -> None:
    registry = load_plugins()
    names = [name for name, entry in registry.tasks.items() if entry.spec.kind == "task"]
    # in pocket a statement is the prompt with its answer, which `concat` asks
    names.remove("factcheck_pocket_statement")
    # what a YAML imports is the same for all of a folder: one check of it each
    first = {registry.tasks[name].spec.path.parent: name for name in names}
    for name in names:
        skip = {} if name in first.values() else {"import": "made for another task of the folder"}
        report = check_task(name, registry, skip=skip)
        assert not report.findings, str(report)


def test_names_that_are_none_get_the_nearest(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'kit_sound'"):
        check_task("kit_sond", registry)
    with pytest.raises(UnknownNameError, match="did you mean 'battery'"):
        check_judge(registry.judge("rules"), registry, only=("batery",))
    with pytest.raises(UsageError, match="is a group of tasks: check its members negation_pocket_pos, "):
        check_task("negation_pocket", registry)
