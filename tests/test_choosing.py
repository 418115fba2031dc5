"""Which cases a run edits, with the packaged model and its own data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from editharness.choosing import SCREENED_AT_ONCE, check_tasks, screen_cases, select_cases
from editharness.config import RunConfig
from editharness.data.load import load_cases
from editharness.errors import UsageError
from editharness.models.load import LoadedModel, load_model
from editharness.protocol import Selection
from editharness.registry import load_plugins
from editharness.types import Case, CaseSet, Schedule
from editharness_plugins.protocols.negation import Negation
from editharness_plugins.protocols.wild import Wild

REGISTRY = load_plugins()


class Told:
    """A reporter that remembers how much each stage had to do."""

    def __init__(self) -> None:
        self.stages: list[int] = []

    def stage(self, name: str, total: int | None = None) -> None:
        self.stages.append(total or 0)

    def advance(self, done: int = 1) -> None:
        pass


@pytest.fixture(scope="module")
def pocket() -> CaseSet:
    return load_cases(REGISTRY, "pocket")


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model("pocket", packaged={name: one.spec.folder for name, one in REGISTRY.models.items()})


def config(edits: int, **changes: Any) -> RunConfig:
    return RunConfig(method="none", task="wild_pocket", edits=edits, schedule=Schedule.parse("single"), **changes)


def mixed(data: CaseSet) -> list[Case]:
    """Test cases, every third with the old answer as its target, which the unedited model mostly gives already."""
    cases = [case for case in data.cases if case.split == "test" and case.old][:45]
    return [replace(case, target=case.old) if n % 3 == 0 else case for n, case in enumerate(cases)]


def screened(cases: list[Case], run: RunConfig, model: LoadedModel) -> tuple[Selection, list[int]]:
    """The cases that stay, and how many questions each stage asked."""
    told = Told()
    selection = Selection(tuple(cases), {"no question": 2}, {"cases": len(cases)})
    return screen_cases(Wild(), selection, run, REGISTRY, "pocket", model, None, told), told.stages


def test_screening_keeps_the_order_and_counts_what_it_leaves_out(pocket: CaseSet, model: LoadedModel) -> None:
    cases = mixed(pocket)
    found, _ = screened(cases, config(20), model)
    order = [case.id for case in cases]
    kept = [case.id for case in found.cases]
    assert kept == sorted(kept, key=order.index)
    given = set(order[::3]) - set(kept)
    assert len(given) > 10  # pocket knows most of its own facts
    assert set(order) - set(kept) == given
    assert found.refused == {"no question": 2, "the unedited model answers rightly": len(given)}
    assert found.facts == {"cases": len(cases)}


def test_screening_stops_when_there_are_enough(pocket: CaseSet, model: LoadedModel) -> None:
    twins = [replace(case, id=f"{case.id}#{n}") for n in range(6) for case in mixed(pocket)]
    assert len(twins) > SCREENED_AT_ONCE
    found, stages = screened(twins, config(5), model)
    assert stages == [SCREENED_AT_ONCE]
    assert {case.id for case in found.cases} <= {case.id for case in twins[:SCREENED_AT_ONCE]}
    found, stages = screened(twins, config(len(found.cases) + 1), model)
    assert stages == [SCREENED_AT_ONCE, len(twins) - SCREENED_AT_ONCE]


def test_too_few_after_screening_say_why(pocket: CaseSet, model: LoadedModel) -> None:
    cases = mixed(pocket)
    with pytest.raises(
        UsageError,
        match=r"--edits 45: data set 'pocket' has only \d+ cases to edit; 2 left out: no question; "
        r"\d+ left out: the unedited model answers rightly",
    ):
        screened(cases, config(len(cases)), model)


def test_a_protocol_that_screens_nothing_asks_nothing(pocket: CaseSet, model: LoadedModel) -> None:
    selection = Selection(tuple(mixed(pocket)))
    assert screen_cases(Negation(), selection, config(5), REGISTRY, "pocket", model, None, Told()) is selection


def test_only_test_cases_in_file_order_or_in_a_seeds(pocket: CaseSet) -> None:
    test = [case.id for case in pocket.cases if case.split == "test"]
    assert len(test) < len(pocket.cases)

    def ids(seed: int) -> list[str]:
        return [case.id for case in select_cases(pocket, Wild(), config(10, seed=seed)).cases]

    assert ids(0) == test
    assert ids(1) == ids(1) != ids(2)
    assert sorted(ids(1)) == sorted(ids(2)) == sorted(test)


def test_more_edits_than_cases_say_how_many_there_are(pocket: CaseSet) -> None:
    few = replace(pocket, cases=tuple(replace(case, negated_prompt=None) for case in mixed(pocket)[:3]))
    with pytest.raises(UsageError, match="--edits 4: data set 'pocket' has only 3 cases to edit"):
        select_cases(few, Wild(), config(4))


@pytest.mark.parametrize(
    ("protocol", "data", "able"),
    [("wild", "mquake", "own"), ("negation", "own", "own_cloze"), ("portability", "mcf", "mquake")],
)
def test_a_data_set_without_questions_is_refused_before_anything_is_loaded(
    protocol: str, data: str, able: str, tmp_path: Path, refused: Callable[[list[str]], str]
) -> None:
    made = REGISTRY.resolve(REGISTRY.protocol(protocol).ref)()
    with pytest.raises(UsageError, match=f"protocol '{protocol}' has no tasks about data set '{data}': it can ask"):
        check_tasks(made, data, config(5), REGISTRY)
    check_tasks(made, able, config(5), REGISTRY)
    # neither the model nor the file is there, and yet the task is what is wrong
    words = ["--method", "none", "--task", f"{protocol}_{data}", "--model", str(tmp_path / "absent")]
    said = refused([*words, "--output", str(tmp_path / "runs")])
    assert f"has no tasks about data set '{data}': it can ask about " in said
    assert able in said


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    """What `editharness eval` says when it refuses."""
    from editharness.cli import main

    def run(words: list[str]) -> str:
        assert main(["eval", *words]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        return err.strip().splitlines()[-1]

    return run
