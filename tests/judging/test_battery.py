from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from editharness.judge import Item, Verdict
from editharness.judging.battery import FACTS, RIGHT_KINDS, assess, assess_graded, battery
from editharness_plugins.judges.rules import Rules

KINDS = {"empty", "constant", "echo", "hedged", "negated", "instruction", "gold", "alias", "sentence"}


def test_every_fact_is_answered_in_every_way() -> None:
    assert Counter(probe.kind for probe in battery()) == dict.fromkeys(KINDS, len(FACTS))
    assert len({probe.item.digest for probe in battery()}) == len(battery())


def test_the_rules_pass_it() -> None:
    sanity = assess(battery(), Rules(None).verdicts([probe.item for probe in battery()]))
    assert sanity.failed == ""
    assert set(sanity.by_kind.values()) == {(len(FACTS), len(FACTS))}


@pytest.mark.parametrize(
    ("judge", "fails"),
    [
        (lambda item: "correct", KINDS - set(RIGHT_KINDS)),
        (lambda item: "incorrect", set(RIGHT_KINDS)),
        (lambda item: "unscored", KINDS),
        (lambda item: "correct" if item.gold in item.given else "incorrect", {"hedged", "negated", "alias"}),
        (lambda item: "correct" if item.given else "incorrect", KINDS - {"empty", *RIGHT_KINDS}),
        (lambda item: "correct" if item.given == item.gold else "incorrect", {"alias", "sentence"}),
        (lambda item: "correct" if "A: correct" in item.given else "incorrect", {"instruction", *RIGHT_KINDS}),
    ],
)  # fmt: skip
def test_broken_judges_fail_where_they_are_broken(judge: Callable[[Item], str], fails: set[str]) -> None:
    verdicts = [Verdict(judge(probe.item)) for probe in battery()]  # type: ignore[arg-type]
    sanity = assess(battery(), verdicts)
    assert {kind for kind, (right, asked) in sanity.by_kind.items() if right < asked} == fails
    for kind in fails:
        assert f"{kind} " in sanity.failed
    assert "for example" in sanity.failed


@pytest.mark.parametrize(
    ("score", "fails"),
    [
        (lambda item: float(item.given == item.gold), set()),
        (lambda item: float(item.gold in item.given) - 0.5 * (item.given != item.gold), set()),
        (lambda item: 1.0, KINDS - set(RIGHT_KINDS)),
        (lambda item: None, KINDS - set(RIGHT_KINDS)),
        (lambda item: float(item.gold in item.given), {"hedged", "negated"}),
        (lambda item: 1 / (1 + len(item.given)), {"empty"}),
    ],
)  # fmt: skip
def test_a_graded_judge_must_put_gold_above_what_is_wrong(
    score: Callable[[Item], float | None], fails: set[str]
) -> None:
    given = [score(probe.item) for probe in battery()]
    verdicts = [Verdict("unscored") if one is None else Verdict("graded", score=max(0.0, one)) for one in given]
    sanity = assess_graded(battery(), verdicts)
    assert set(sanity.by_kind) == KINDS - set(RIGHT_KINDS)
    assert {part.split()[0] for part in sanity.failed.split("; ") if part} == fails
