from __future__ import annotations

from editharness.judge import Item
from editharness_plugins.judges.rules import Rules


def test_verdicts_come_in_order_with_their_reasons() -> None:
    items = [
        Item("What is the capital of Kenya?", "Rome", "Roma.", ("Roma",), ("Nairobi",)),
        Item("What is the capital of Kenya?", "Rome", "It is not Rome.", ("Roma",), ("Nairobi",)),
        Item("What is the capital of Kenya?", "Rome", "Rome. Formerly Nairobi.", ("Roma",), ("Nairobi",)),
        Item("What is the capital of Kenya?", "Rome", "Rome and Nairobi", ("Roma",), ("Nairobi",)),
        Item("What is the capital of Kenya?", "", "Rome"),
    ]
    found = Rules(None).verdicts(items)
    assert [verdict.label for verdict in found] == ["correct", "incorrect", "correct", "incorrect", "unscored"]
    assert found[1].reason == "the answer is negated"
    assert found[3].reason == "another answer is asserted: Nairobi"
