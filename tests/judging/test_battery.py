from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from editharness.judge import Item, Verdict
from editharness.judging.battery import FACTS, RIGHT_KINDS, assess, battery
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
