"""BERTScore as a graded judge: F1 with the closest of the expected answers, no verdict.

A wrong answer of the right kind scores high (arXiv 2502.11177, 6.4): its column is a mean score and stands apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from editharness.errors import JudgeError
from editharness.judge import Item, Judge, Verdict
from editharness.models.load import quiet, weights_digest
from editharness.models.placing import parse_device
from editharness_plugins.bertscore import bertscore, load_encoder
from editharness_plugins.judges.options import BertscoreOptions


class Bertscore(Judge[BertscoreOptions]):
    """F1 of the given answer, the largest over gold and aliases (as the paper takes several references), 0 at least."""

    graded = True

    @cached_property
    def _encoder(self) -> tuple[Any, Any]:
        if not self.options.model:
            raise JudgeError("judge bertscore has no encoder: give --judge-set bertscore.model=FOLDER")
        device = parse_device(self.options.device)
        with quiet():
            model, tokenizer = load_encoder(self.options.model)
        return model.to(device), tokenizer

    def identity(self) -> Mapping[str, Any]:
        """The encoder's weights by their digest, and the layer; the folder's name means nothing."""
        model, _ = self._encoder
        return {"weights": weights_digest(model), "layer": self.options.layer}

    def verdicts(self, items: Sequence[Item]) -> Sequence[Verdict]:
        """One score per item; without an expected answer there is nothing to compare with, and the item is unscored."""
        answers = [[answer.strip() for answer in item.answers if answer.strip()] for item in items]
        pairs = [(n, answer) for n, item in enumerate(items) for answer in answers[n] if item.given.strip()]
        scores = bertscore(
            *self._encoder,
            [items[n].given.strip() for n, _ in pairs],
            [answer for _, answer in pairs],
            layer=self.options.layer,
            batch_size=self.options.batch_size,
        )
        best = {n: 0.0 for n, known in enumerate(answers) if known}  # an empty answer shares no token
        for (n, _), score in zip(pairs, scores, strict=True):
            best[n] = max(best[n], min(score, 1.0))
        return [_verdict(best.get(n)) for n in range(len(items))]


def _verdict(score: float | None) -> Verdict:
    return Verdict("unscored", "the gold answer is empty") if score is None else Verdict("graded", score=score)
