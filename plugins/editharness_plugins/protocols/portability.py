"""Portability and locality: what follows from the new fact, and what must stay as it was.

Portability: questions whose answer follows from the fact ("the capital of the country in which to find X is"), two hops
in pocket, several in MQuAKE (arXiv 2305.14795); asked freely and by exact match. Locality: facts about other subjects
(`neighbours`): answered as before (`unchanged`), answered rightly (`correct`), and how far the next word has moved from
the unedited model's, as the share of probability (`moved`) and as KL divergence (a series, in nats).

What it does not show: why a question failed. A model that cannot answer two hops of its old facts (`--abilities
pocket` asks pocket) will not do so for new ones; and in MQuAKE some questions follow only from several edits: they are
left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from editharness.forms import Form, neighbours, portability, prompts
from editharness.protocol import Answers, Column, EvalProtocol, Moment, Point, Probe, Row, Selection, Series
from editharness.scoring import begins, score_constant, score_texts
from editharness.types import Case, Edit, Schedule
from editharness_plugins.protocols.values import Values, unchanged

ARM = "positive"
RECALL, PORTABILITY, NEIGHBOUR = "portability_{data}_recall", "portability_{data}_far", "portability_{data}_near"
TASKS = (RECALL, PORTABILITY, NEIGHBOUR)


def score_said(doc: Mapping[str, Any], text: str) -> dict[str, float]:
    """As `score_texts`, and whether the text begins with the answer."""
    return {**score_texts(doc, text), "said": float(begins(text, [doc["target"], *doc["aliases"]]))}


def score_null(doc: Mapping[str, Any], text: str) -> dict[str, float]:
    """Of an answer without a model; it moves nothing."""
    return {**score_constant(doc, text), **score_said(doc, text)}


RECALLED = Form(prompts, generates=False)
FAR = Form(portability, likelihoods=("target",), score=score_said, null=score_null)
NEAR = Form(neighbours, likelihoods=("target",), score=score_said, null=score_null, drifts=True)


class Portability(EvalProtocol):
    """Does what follows from the fact follow, and does everything else stay?"""

    name = "portability"
    version = 1
    controls = ("none", "context", "constant", "echo", "target")
    ranked_by = "portability"
    glossary: ClassVar[Mapping[str, str]] = {
        "efficacy": "target is the greedy answer to the edit prompt, all tokens",
        "portability": "the free answer (greedy) to a question that follows from the fact begins with the right one; "
        "mean over a case's questions",
        "portability, exact": "the right answer is greedy token by token (teacher forcing)",
        "unchanged": "first words of the free answer to a neighbour are the unedited model's",
        "correct": "the free answer to a neighbour begins with its right answer",
        "moved": "share of probability of the next word after a neighbour's prompt that has moved from the unedited "
        "model's: half the sum of absolute differences (1,000 likeliest tokens, the rest as one)",
    }

    def select(self, cases: Iterable[Case]) -> Selection:
        """Cases with a question that follows from the fact."""
        given = list(cases)
        kept = tuple(case for case in given if case.portability)
        facts = {"with neighbours": sum(bool(case.neighbours) for case in kept)}
        return Selection(kept, {"no question follows from the fact": len(given) - len(kept)}, facts)

    def arms(self, cases: Sequence[Case]) -> Mapping[str, Sequence[Edit]]:
        """One arm: the targets written with the cases' own prompts."""
        return {ARM: [Edit(case.id, case.prompt, case.subject, case.target) for case in cases]}

    def probes(self, schedule: Schedule, checkpoints: Sequence[int]) -> Sequence[Probe]:
        """Everything before the edits, at checkpoints and at the end."""
        moments: tuple[Moment, ...] = ("final", "checkpoint") if checkpoints else ("final",)
        edited = [Probe(task, ARM, moment) for task in TASKS for moment in moments]
        return [*(Probe(task, "", "unedited") for task in TASKS), *edited]

    def summarise(self, row: Row, answers: Answers) -> Sequence[Column]:
        """The columns of one row; those that a row cannot have are left out."""
        moment: Moment = "unedited" if row == "none" else "final"

        def get(task: str, score: str) -> Values:
            return answers.scores(task, score, moment=moment)

        return [
            Column("efficacy", "target after the prompt", "higher", get(RECALL, "exact")),
            Column("portability", "what follows is said", "higher", get(PORTABILITY, "said")),
            Column("portability, exact", "what follows, token by token", "higher", get(PORTABILITY, "exact")),
            Column("unchanged", "neighbours answered as before", "higher", unchanged(answers, NEIGHBOUR, moment)),
            Column("correct", "neighbours answered rightly", "higher", get(NEIGHBOUR, "said")),
            Column("moved", "probability of the next word moved", "lower", get(NEIGHBOUR, "moved")),
        ]

    def series(self, row: Row, answers: Answers) -> Sequence[Series]:
        """KL divergence of the neighbours' next word, in nats, over the number of edits."""
        asked = sorted({a.edits for a in answers.of(NEIGHBOUR) if "kl" in a.scores and a.moment != "unedited"})
        points = [Point(edits, None, values) for edits in asked if (values := _edited_kl(answers, edits))]
        if row == "none" or not points:
            return ()
        return [Series("neighbour KL", "KL(unedited ‖ edited)", "lower", points, proportion=False, unit="nats")]

    def hashed(self) -> Mapping[str, Any]:
        """What moves the numbers."""
        return {
            "tasks": TASKS,
            "said": "free answer begins with the answer or an alias, whole words; greedy, 20 new tokens",
            "unchanged": "first words, as many as the expected answer has",
            "moved": "total variation over the unedited model's 1,000 likeliest tokens and the rest",
        }


def _edited_kl(answers: Answers, edits: int) -> Values:
    found: dict[str, list[float]] = {}
    for a in answers.of(NEIGHBOUR, edits=edits):
        if a.moment != "unedited" and "kl" in a.scores:
            found.setdefault(a.case, []).append(a.scores["kl"])
    return {case: sum(values) / len(values) for case, values in found.items()}
