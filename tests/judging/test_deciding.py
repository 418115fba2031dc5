"""One judge at work: the battery first, what is known is not asked again, and a contract that is checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from editharness.claims import objection
from editharness.errors import JudgeError, OptionError, PluginError, UnknownNameError
from editharness.judge import Item, Judge, Verdict
from editharness.judging.battery import battery
from editharness.judging.deciding import Bench, make_judge
from editharness.registry import load_plugins
from editharness.types import JudgeSpec
from editharness_plugins.judges.options import OpenAIOptions

ITEMS = [Item("Where is it?", "Oslo", text) for text in ("Oslo", "Bergen", "Oslo", "not Oslo")]


class Counting(Judge[Any]):
    """A good judge that counts what it is asked; `gives` may spoil its verdicts."""

    at_once = 5

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.asked: list[Item] = []
        self.knocked = 0
        self.most = 0

    def ready(self) -> None:
        self.knocked += 1

    def verdicts(self, items: Sequence[Item]) -> Sequence[Verdict]:
        self.asked += items
        self.most = max(self.most, len(items))
        return [self.verdict(item) for item in items]

    def verdict(self, item: Item) -> Verdict:
        return Verdict("incorrect" if objection(item.given, item.answers, question=item.question) else "correct")


class Agreeable(Counting):
    def verdict(self, item: Item) -> Verdict:
        return Verdict("correct")


class Short(Counting):
    def verdicts(self, items: Sequence[Item]) -> Sequence[Verdict]:
        return [Verdict("correct")]


class Strange(Counting):
    def verdict(self, item: Item) -> Verdict:
        return Verdict("maybe")  # type: ignore[arg-type]


class Crashing(Counting):
    def verdict(self, item: Item) -> Verdict:
        raise ZeroDivisionError("a bug")


class Absent(Counting):
    def ready(self) -> None:
        raise JudgeError("the server is away")


class Overlap(Counting):
    """Graded: shared words over all words."""

    graded = True

    def verdict(self, item: Item) -> Verdict:
        gold, given = set(item.gold.lower().split()), set(item.given.lower().split())
        return Verdict("graded", score=len(gold & given) / len(gold | given))


class Overgraded(Overlap):
    def verdict(self, item: Item) -> Verdict:
        return Verdict("graded", score=1.5)


class Undecided(Overlap):
    def verdict(self, item: Item) -> Verdict:
        return Verdict("correct")


class Ungraded(Counting):
    def verdict(self, item: Item) -> Verdict:
        return Verdict("graded", score=0.5)


def bench(judge: Judge[Any], folder: Path) -> Bench:
    return Bench(JudgeSpec("counting", "counts", "here:Counting"), judge, folder)


def test_the_battery_and_then_every_distinct_item_once(tmp_path: Path) -> None:
    judge, done = Counting(), []
    decided = bench(judge, tmp_path).decide(ITEMS, done.append)
    assert [verdict.label for verdict in decided.verdicts] == ["correct", "incorrect", "correct", "incorrect"]
    assert decided.sanity.failed == ""
    assert [item.digest for item in judge.asked[: len(battery())]] == [probe.item.digest for probe in battery()]
    assert len(judge.asked) == len(battery()) + 3
    assert judge.most == judge.at_once
    assert judge.knocked == 1
    assert sum(done) == len(ITEMS)


def test_nothing_is_asked_twice_and_nobody_need_be_there(tmp_path: Path) -> None:
    first = bench(Counting(), tmp_path).decide(ITEMS)
    again = Absent()
    assert bench(again, tmp_path).decide(ITEMS).verdicts == first.verdicts
    assert again.asked == []
    with pytest.raises(JudgeError, match="the server is away"):
        bench(again, tmp_path).decide([*ITEMS, Item("Where?", "Oslo", "new")])


def test_scores_are_given_once_and_kept(tmp_path: Path) -> None:
    first = bench(Overlap(), tmp_path).decide(ITEMS)
    assert first.sanity.failed == ""
    assert [verdict.score for verdict in first.verdicts] == [1.0, 0.0, 1.0, 0.5]
    again = Overlap()
    assert bench(again, tmp_path).decide(ITEMS) == first
    assert again.asked == []


def test_other_options_are_another_judge(tmp_path: Path) -> None:
    bench(Counting(OpenAIOptions(model="a")), tmp_path).decide(ITEMS)
    other = Counting(OpenAIOptions(model="b"))
    bench(other, tmp_path).decide(ITEMS)
    assert len(other.asked) == len(battery()) + 3


def test_a_judge_that_fails_the_battery_judges_nothing(tmp_path: Path) -> None:
    judge = Agreeable()
    decided = bench(judge, tmp_path).decide(ITEMS)
    assert decided.verdicts == ()
    assert "negated 0 of 4 right" in decided.sanity.failed
    assert len(judge.asked) == len(battery())


@pytest.mark.parametrize(
    ("judge", "problem"),
    [
        (Short(), "gave 1 verdicts on 5 answers"),
        (Strange(), "a Verdict is one of correct, incorrect, unscored"),
        (Overgraded(), r"a Verdict of a graded judge is graded with a score in \[0, 1\], or unscored"),
        (Undecided(), "a Verdict of a graded judge"),
        (Ungraded(), "a Verdict is one of correct, incorrect, unscored"),
        (Crashing(), "judge 'counting' failed: ZeroDivisionError: a bug"),
    ],
)
def test_a_broken_contract_is_named(judge: Judge[Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=problem):
        bench(judge, tmp_path).decide(ITEMS)


def test_judges_are_made_by_name_with_their_options(tmp_path: Path) -> None:
    registry = load_plugins()
    assert [*registry.judges] == ["rules", "local", "bertscore", "openai"]
    made = make_judge(registry, "openai", {"model": "m", "timeout": "3"}, tmp_path)
    assert made.judge.options == OpenAIOptions(model="m", timeout=3.0)
    with pytest.raises(UnknownNameError, match="unknown judge 'opnai': did you mean 'openai'"):
        make_judge(registry, "opnai", {}, tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'model'"):
        make_judge(registry, "local", {"modle": "x"}, tmp_path)
    with pytest.raises(OptionError, match="judge 'rules' has no options"):
        make_judge(registry, "rules", {"model": "x"}, tmp_path)
