"""Negation of knowledge queries (arXiv 2510.00625, section 5.2): does the edit survive the word "not"?

Two arms write the same targets: "X is Y" (positive) and "X is not Y" (negated). Each is asked "X is" and "X is not":

            asked "X is"   asked "X is not"
positive    PP  (efficacy)  PN  (hallucination)
negated     NP  (hall.)     NN  (efficacy)

The edit target counts as the answer in all four, by exact match of its tokens under greedy decoding (A.2). Rectified
efficacy is the mean of PP-PN, PP-NP, NN-PN, NN-NP. `none*` asks the unedited model for the old answer instead, over
the facts it knows (A.7). What it does not show: a model that says nothing of sense under "not" also scores PN = 0,
hence the columns `contained` and locality beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from editharness.data.negated import how_negated, negated_case
from editharness.protocol import Answers, Column, EvalProtocol, Moment, Probe, Row, Selection
from editharness.types import Case, Edit, Schedule
from editharness_plugins.protocols.values import Values, difference, mean_of_all, unchanged

POSITIVE, NEGATED = "positive", "negated"
ASK = {
    "prompt": "negation_{data}_pos",
    "negated": "negation_{data}_neg",
    "paraphrase": "paraphrase_{data}",
    "neighbour": "neighbour_{data}",
}
DIFFERENCES = (("PP", "PN"), ("PP", "NP"), ("NN", "PN"), ("NN", "NP"))
UNEDITED_ROWS = ("none", "none*")


class Negation(EvalProtocol):
    """Positive and negated edits, asked plainly and negated: PP, PN, NN, NP and what goes with them."""

    name = "negation"
    version = 1
    ranked_by = "rectified"
    glossary: ClassVar[Mapping[str, str]] = {
        "PP": "share of cases whose target's tokens are all the likeliest ones after the plain prompt, once the plain "
        'sentence ("X is Y") was written; section 5.2',
        "PN": 'the same after the negated prompt ("X is not"): the target is now a wrong answer; section 5.2',
        "NN": 'the same after the negated prompt, once the negated sentence ("X is not Y") was written; section 5.2',
        "NP": "the same after the plain prompt, once the negated sentence was written; section 5.2",
        "PP-PN": "PP - PN by case, over the cases that have both",
        "PP-NP": "PP - NP by case, over the cases that have both",
        "NN-PN": "NN - PN by case, over the cases that have both",
        "NN-NP": "NN - NP by case, over the cases that have both",
        "rectified": "mean by case of the four differences, of those that exist; a method without a negated arm has "
        "only PP-PN and is not ranked; section 5.2",
        "prob": "share of cases where p(target) > p(old answer), each over all its tokens; plain prompt, "
        "plain sentence written",
        "contained": "share of cases where 20 tokens of free greedy text after the negated prompt hold the target as "
        "whole words; plain sentence written",
        "generalization": "mean over a case's paraphrases of exact match as in PP; plain sentence written",
        "unchanged": "mean over a case's neighbours of: the text begins with as many words as the expected answer has, "
        "the same as the unedited model's; plain sentence written",
        "correct": "mean over a case's neighbours of exact match with the neighbour's answer; plain sentence written",
        "PP at edit": "PP right after the batch that wrote the case, before later ones; only where edits carry on",
    }

    def select(self, cases: Iterable[Case]) -> Selection:
        """Cases that can be negated; how (supplied, table, rule) is counted, as are the refused ones."""
        kept: list[Case] = []
        how: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        for case in cases:
            made = negated_case(case)
            if made is None:
                refused["no negation could be made"] += 1
            else:
                kept.append(made)
                how[how_negated(made)] += 1
        return Selection(tuple(kept), refused, how)

    def arms(self, cases: Sequence[Case]) -> Mapping[str, Sequence[Edit]]:
        """The same targets written with the plain and with the negated prompt."""
        return {
            POSITIVE: [Edit(case.id, case.prompt, case.subject, case.target) for case in cases],
            NEGATED: [negated_edit(case) for case in cases],
        }

    def probes(self, schedule: Schedule, checkpoints: Sequence[int]) -> Sequence[Probe]:
        """Both questions of both arms at the end (and right after each edit where edits carry on); the rest once."""
        moments: tuple[Moment, ...] = ("at_edit", "final") if schedule.carry else ("final",)
        core = [
            Probe(ASK[form], arm, moment)
            for form in ("prompt", "negated")
            for arm in (POSITIVE, NEGATED)
            for moment in moments
        ]
        extra = [Probe(ASK[form], POSITIVE, "final") for form in ("paraphrase", "neighbour")]
        unedited = [Probe(task, "", "unedited") for task in ASK.values()]
        return [*unedited, *core, *extra]

    def summarise(self, row: Row, answers: Answers) -> Sequence[Column]:
        """The columns of one row; a value that does not exist for a case is left out, never filled in."""
        four = _unedited_four(row, answers) if row in UNEDITED_ROWS else _edited_four(answers)
        columns = [
            Column("PP", "positive edit, asked plainly", "higher", four.get("PP", {})),
            Column("PN", "positive edit, asked negated", "lower", four.get("PN", {})),
            Column("NN", "negated edit, asked negated", "higher", four.get("NN", {})),
            Column("NP", "negated edit, asked plainly", "lower", four.get("NP", {})),
        ]
        gaps = {f"{a}-{b}": difference(four.get(a, {}), four.get(b, {})) for a, b in DIFFERENCES}
        columns += [Column(name, name, "higher", gap, proportion=False) for name, gap in gaps.items()]
        columns.append(
            Column("rectified", "mean of the four differences", "higher", mean_of_all(gaps.values()), proportion=False)
        )
        return [*columns, *_beside(row, answers)]

    def hashed(self) -> Mapping[str, Any]:
        """What moves the numbers: arms, tasks, scorer, generation length."""
        return {
            "tasks": ASK,
            "scorer": "all target tokens greedy; text: whole words, 20 new tokens, natural stop",
            "negation": "supplied, table, rules",
            "differences": DIFFERENCES,
        }


def negated_edit(case: Case) -> Edit:
    """The target written with the case's negated prompt, which must be filled in; the subject is found again."""
    prompt = case.negated_prompt or ""
    start = (
        case.subject[0] if prompt.startswith(case.subject_text, case.subject[0]) else prompt.index(case.subject_text)
    )
    return Edit(case.id, prompt, (start, start + len(case.subject_text)), case.target, negated=True)


def _edited_four(answers: Answers) -> dict[str, Values]:
    asked = {"P": ASK["prompt"], "N": ASK["negated"]}
    arms = {"P": POSITIVE, "N": NEGATED}
    return {
        edit + ask: answers.scores(asked[ask], "exact", arm=arms[edit], moment="final") for edit in "PN" for ask in "PN"
    }


def _unedited_four(row: Row, answers: Answers) -> dict[str, Values]:
    """`none`: the target, which the unedited model should not say; `none*`: the old answer, over facts it knows."""
    score = "old_exact" if row == "none*" else "exact"
    plain = answers.scores(ASK["prompt"], score, moment="unedited")
    negated = answers.scores(ASK["negated"], score, moment="unedited")
    if row == "none*":
        known = {case for case, value in plain.items() if value == 1.0}
        plain, negated = ({c: v for c, v in column.items() if c in known} for column in (plain, negated))
    return {"PP": plain, "PN": negated}


def _beside(row: Row, answers: Answers) -> list[Column]:
    """Efficacy by probability, target contained under negation, generalization, locality."""
    moment: Moment = "unedited" if row in UNEDITED_ROWS else "final"
    arm = "" if moment == "unedited" else POSITIVE
    if row == "none*":
        return []

    def get(form: str, score: str) -> Values:
        return answers.scores(ASK[form], score, arm=arm, moment=moment)

    columns = [
        Column("prob", "new answer likelier than old", "higher", get("prompt", "new_over_old")),
        Column("contained", "target within 20 tokens, asked negated", "lower", get("negated", "contained")),
        Column("generalization", "paraphrases", "higher", get("paraphrase", "exact")),
        Column("unchanged", "neighbours answered as before", "higher", unchanged(answers, ASK["neighbour"], moment)),
        Column("correct", "neighbours answered rightly", "higher", get("neighbour", "exact")),
    ]
    at_edit = answers.scores(ASK["prompt"], "exact", arm=POSITIVE, moment="at_edit")
    return [*columns, Column("PP at edit", "PP right after the edit", "higher", at_edit)] if at_edit else columns
