"""The synthetic evaluation of model editing (arXiv 2502.11177, sections 4 and A.3), as most papers do it.

The very prompt that was edited, without a task round it; teacher forcing: every token of the target is asked for with
the right ones before it; as many tokens as the target has; the share of tokens that are right. Over the cases of
`wild`, so that both can be compared case by case.

What it does not show: whether the model would ever say the answer. The target's own tokens are given away, hence the
unedited model scores well above zero too (`none`), and a token that follows from the one before counts as learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from editharness.forms import Form, neighbours, paraphrases, prompts
from editharness.protocol import Answers, Column, Moment, Probe, Row
from editharness.scoring import begins, words_right
from editharness.types import Schedule
from editharness_plugins.protocols.questions_failed import (
    EDITED,
    OnFailures,
    Values,
    asked_as,
    lacking,
    where,
    within,
)

ASK = {
    "prompt": "synthetic_{data}_prompt",
    "paraphrase": "synthetic_{data}_paraphrase",
    "neighbour": "synthetic_{data}_neighbour",
}


def score_words(doc: Mapping[str, Any], text: str) -> dict[str, float]:
    """Scores of an answer that no model gave: words in the place of tokens."""
    target, old = str(doc["target"]), str(doc["old"])
    scores = {"match": words_right(target, text), "exact": float(begins(text, [target]))}
    return {**scores, "old_match": words_right(old, text), "old_exact": float(begins(text, [old]))} if old else scores


def _form(asks: Any) -> Form:
    return Form(asks, generates=False, matches=True, null=score_words)


PROMPT, PARAPHRASE, NEIGHBOUR = _form(prompts), _form(paraphrases), _form(neighbours)


class Synthetic(OnFailures):
    """Token match ratio under teacher forcing, with the prompt that was edited."""

    name = "synthetic"
    version = 1
    ranked_by = "reliability"
    glossary: ClassVar[Mapping[str, str]] = {
        "reliability": "mean by case of the share of the target's tokens that are the likeliest ones after the edited "
        "prompt and the target's tokens before them (token match ratio under teacher forcing); arXiv 2502.11177, "
        "section 4. For none*: the old answer's tokens, over the cases where the unedited model has them all right. "
        "For rows without a model: words in the place of tokens",
        "all tokens": "share of cases where every token is right: teacher-forced exact match, which gives nothing away",
        "generalization": "mean over a case's paraphrases of the token match ratio",
        "unchanged": "mean over a case's neighbours of the share of places where the likeliest token is the unedited "
        "model's, the neighbour's answer being given; the paper's locality, A.6",
        "correct": "mean over a case's neighbours of the token match ratio with the neighbour's own answer",
        "reliability at edit": "reliability right after the batch that wrote the case, before later ones; only where "
        "edits carry on",
    }

    def probes(self, schedule: Schedule, checkpoints: Sequence[int]) -> Sequence[Probe]:
        """Everything of the unedited model and at the end; the prompt also right after each edit that carries on."""
        both: tuple[Moment, ...] = ("unedited", "final")
        probes = [
            Probe(task, "" if moment == "unedited" else EDITED, moment) for task in ASK.values() for moment in both
        ]
        return [*probes, Probe(ASK["prompt"], EDITED, "at_edit")] if schedule.carry else probes

    def summarise(self, row: Row, answers: Answers) -> Sequence[Column]:
        """The columns of one row; one that no case of the data set can fill is left out."""
        name = {"none*": "old_"}.get(row, "")
        match, exact, general = (
            answers.scores(ASK[form], f"{name}{score}", **where(row))
            for form, score in (("prompt", "match"), ("prompt", "exact"), ("paraphrase", "match"))
        )
        if row == "none*":
            known = {case for case, value in exact.items() if value == 1.0}
            match, exact, general = (within(values, known) for values in (match, exact, general))
        columns = [
            Column("reliability", "token match ratio, teacher forcing", "higher", match),
            Column("all tokens", "all tokens right, teacher forcing", "higher", exact),
        ]
        if not lacking(answers, "paraphrases"):
            columns.append(Column("generalization", "paraphrases", "higher", general))
        if row != "none*" and not lacking(answers, "neighbours"):
            columns += _locality(row, answers)
        at_edit = answers.scores(ASK["prompt"], "match", arm=EDITED, moment="at_edit")
        if at_edit:
            columns.append(Column("reliability at edit", "reliability right after the edit", "higher", at_edit))
        return columns

    def hashed(self) -> Mapping[str, Any]:
        """Tasks and scorer, and how cases are chosen."""
        scorer = "share of target tokens that are the likeliest, each after the target's tokens before it"
        return {**asked_as(), "tasks": ASK, "scorer": scorer, "unchanged": "share of equal likeliest tokens"}


def _locality(row: Row, answers: Answers) -> list[Column]:
    correct = answers.scores(ASK["neighbour"], "match", **where(row))
    return [
        Column("unchanged", "neighbours' tokens as before", "higher", _unchanged(row, answers)),
        Column("correct", "neighbours' tokens right", "higher", correct),
    ]


def _unchanged(row: Row, answers: Answers) -> Values:
    """Share of equal tokens; a row without a model has none, and no value."""
    before = {(a.case, a.item): a.forced for a in answers.of(ASK["neighbour"], moment="unedited")}
    found: dict[str, list[float]] = {}
    for a in answers.of(ASK["neighbour"], **where(row)):
        unedited = before.get((a.case, a.item), ())
        if unedited and a.forced:
            same = sum(x == y for x, y in zip(unedited, a.forced, strict=True)) / len(unedited)
            found.setdefault(a.case, []).append(same)
    return {case: sum(values) / len(values) for case, values in found.items()}
