"""The judge without a model: an alias as whole words, asserted, not negated, hedged or contradicted."""

from __future__ import annotations

from collections.abc import Sequence

from editharness.claims import objection
from editharness.judge import Item, Judge, Verdict


class Rules(Judge[None]):
    """Rules over words (editharness.claims). They miss paraphrases: read the column as a lower bound."""

    kept = False  # quicker than looking up

    def verdicts(self, items: Sequence[Item]) -> Sequence[Verdict]:
        """One verdict per item; an empty gold answer cannot be looked for and is unscored."""
        return [self._verdict(item) for item in items]

    def _verdict(self, item: Item) -> Verdict:
        if not any(answer.strip(" .\"'") for answer in item.answers):
            return Verdict("unscored", "the gold answer is empty")
        reason = objection(item.given, item.answers, rivals=item.rivals, question=item.question)
        return Verdict("incorrect", reason) if reason else Verdict("correct")
