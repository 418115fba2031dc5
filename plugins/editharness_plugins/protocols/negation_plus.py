"""Complements beyond "not": does the edit survive "never", "no longer", "it is false that", an antonym, a contrast?

arXiv 2510.00625 (section 5.2) tests one denial, "is not". Here the ordinary edit "X is Y" is asked in pairs of prompts
that differ in few words, one affirming it, one denying it (`editharness.data.complements`, docs/negation_plus.md):

    K affirmed     target is the greedy answer where the wording affirms it     right
    K denied       target is the greedy answer where the wording denies it      hallucinated
    K gap          K affirmed - K denied, per case
    K less likely  log p(target | denying) < log p(target | affirming)
    K prob gap     [target likelier than the old answer | affirming] - [the same | denying]

K is never, no longer, false that, antonym, contrast, question (the negated question). `complement gap` is a case's mean
gap over the kinds that it has. Contradictory pairs ("Is K in Asia?") are answered yes or no, which is another ability:
there "yes" takes the target's place, and they have no share in the mean. Beside them stand the probability versions of
the paper's four, "new likelier than old" (PP, PN, NN, NP), and the shift p_edited(target) - p_unedited(target), a
difference of probabilities, so that it lies in [-1, 1].

`none*` asks the unedited model for the old answers of facts that it knows: what can be reached without any edit. What
this does not show: a model that says nothing of sense denies everything (its gap is 0, though, for it affirms nothing).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from editharness.data.negated import negated_case
from editharness.protocol import Answers, Column, EvalProtocol, Moment, Probe, Row, Selection
from editharness.types import Case, Edit, Schedule
from editharness_plugins.protocols.complement_columns import (
    ARMS,
    FOUR,
    PLAIN,
    kind_columns,
    known_facts,
    overall_columns,
    plain_columns,
    told_pairs,
    yes_no_columns,
)
from editharness_plugins.protocols.complement_forms import (
    AFFIRMED,
    ANTONYM,
    ASKED,
    CONTRADICTORY,
    CONTRAST,
    CONTRAST_OLD,
    CUE,
    DENIED,
    FALSE_THAT,
    IN_MEAN,
    NEGATED_QUESTION,
    NEVER,
    NO,
    NO_LONGER,
    OLD_TASK,
    TASKS,
    YES,
)
from editharness_plugins.protocols.negation import NEGATED, POSITIVE, negated_edit

__all__ = [
    "ANTONYM", "CONTRADICTORY", "CONTRAST", "CONTRAST_OLD", "FALSE_THAT", "NEGATED_QUESTION", "NEVER", "NO_LONGER",
    "NegationPlus",
]  # fmt: skip

_EXAMPLE = Case(
    "", "The capital of Kenya is", (15, 20), "Rome", "Nairobi",
    question="What is the capital of Kenya?", statement="The capital of Kenya is {}",
)  # fmt: skip


class NegationPlus(EvalProtocol):
    """The ordinary edit, affirmed and denied in seven ways; and probabilities under both edits of `negation`."""

    name = "negation_plus"
    version = 2
    ranked_by = "complement gap"
    controls = ("none", "none*", "context", "constant", "echo", "target", "always yes", "always no")
    says: ClassVar[Mapping[Row, str]] = {"always yes": YES, "always no": NO}
    glossary: ClassVar[Mapping[str, str]] = {
        "complement gap": "a case's mean of (affirmed - denied) over the kinds that it has, without contradictory",
        "affirmed": "a case's mean share of affirming prompts whose greedy answer is the target, over those kinds",
        "denied": "a case's mean share of denying prompts whose greedy answer is the target, over those kinds",
        "contained": "a case's mean share of denying prompts where the target comes within 20 tokens, over those kinds",
        "less likely": "a case's mean share of pairs where the target is less likely when denied, over those kinds",
        "prob affirmed": "a case's mean share of affirming prompts where the target is likelier than the old answer",
        "prob denied": "a case's mean share of denying prompts where the target is likelier than the old answer",
        "prob gap": "prob affirmed - prob denied per case: a gap even where the greedy answer opens with another word",
        **{name: f"target is the greedy answer, all tokens, as in `negation` ({name})" for name in ("PP", "PN")},
        "PP-PN": "PP - PN per case: the gap of the plain \"not\", to compare the other kinds with",
        "old PN": "the old answer is the greedy answer after the negated prompt: after the edit that is right, never a "
        "failure",
        "right type PN": "share of cases whose text after the negated prompt begins with an answer of their relation: "
        "a target, old or neighbour's answer of the cases asked, so read it beside `none`; a model that has gone mute "
        'under "not" has none',
        **{f"prob {name}": f"{name} by probability: the target is likelier than the old answer" for name in FOUR},
        **{
            f"shift {name}": f"p(target) edited - p(target) unedited, under the edit and question of {name}"
            for name in FOUR
        },
        **{
            f"{kind.replace('_', ' ')} {part}": text
            for kind in TASKS
            for part, text in (
                (AFFIRMED, "share right: the affirming prompt's answer is the target (contradictory: yes)"),
                (DENIED, "share hallucinated: the denying prompt's answer is the target (contradictory: yes)"),
                ("gap", "affirmed - denied per case"),
                ("less likely", "share of pairs where the target (contradictory: yes) is less likely when denied"),
                ("prob gap", "[target likelier than old, affirmed] - [the same, denied]; contradictory: yes, than no"),
            )
        },
        "contradictory yes affirmed": "\"yes\" is likelier than \"no\" where yes is right",
        "contradictory yes denied": "\"yes\" is likelier than \"no\" where no is right",
        "contradictory unread": "share of free answers to both questions that begin with neither yes nor no",
    }  # fmt: skip

    def select(self, cases: Iterable[Case]) -> Selection:
        """Cases that can be negated and have at least one pair; pairs are counted by kind, refused cases by reason."""
        kept: list[Case] = []
        pairs: Counter[str] = Counter(dict.fromkeys(ASKED, 0))
        refused: Counter[str] = Counter()
        for case in cases:
            made, has = negated_case(case), [kind for kind, form in ASKED.items() if any(form.asks(case))]
            if made is None or not set(has) & set(IN_MEAN):
                refused["no negation could be made" if made is None else "no complement could be made"] += 1
                continue
            kept.append(made)
            pairs.update(has)
        return Selection(tuple(kept), refused, pairs)

    def arms(self, cases: Sequence[Case]) -> Mapping[str, Sequence[Edit]]:
        """The arms of `negation`; the negated one is asked plainly and negated only."""
        return {
            POSITIVE: [Edit(case.id, case.prompt, case.subject, case.target) for case in cases],
            NEGATED: [negated_edit(case) for case in cases],
        }

    def probes(self, schedule: Schedule, checkpoints: Sequence[int]) -> Sequence[Probe]:
        """All pairs before the edits and at their end, at checkpoints too."""
        moments: tuple[Moment, ...] = ("final", "checkpoint") if checkpoints else ("final",)
        asked = [*PLAIN.values(), *TASKS.values()]
        unedited = [Probe(task, "", "unedited") for task in (*asked, OLD_TASK)]
        positive = [Probe(task, POSITIVE, moment) for task in asked for moment in moments]
        return [*unedited, *positive, *(Probe(task, NEGATED, "final") for task in PLAIN.values())]

    def summarise(self, row: Row, answers: Answers) -> Sequence[Column]:
        """The columns of one row; a kind that a data set does not have is an empty column."""
        known = known_facts(answers) if row == "none*" else None
        told = {kind: told_pairs(kind, row, answers, known) for kind in TASKS}
        return [
            *overall_columns(told),
            *plain_columns(row, answers, known),
            *kind_columns(told),
            *yes_no_columns(row, answers, known),
        ]

    def hashed(self) -> Mapping[str, Any]:
        """What moves the numbers: arms, tasks, the rules (by what they make of one example), cue, scorer, lengths."""
        return {
            "tasks": {**TASKS, "contrast_old": OLD_TASK, **PLAIN},
            "arms": ARMS,
            "example": {kind: [[ask.kind, ask.prompt] for ask in form.asks(_EXAMPLE)] for kind, form in ASKED.items()},
            "cue": CUE,
            "mean over": IN_MEAN,
            "scorer": "all target tokens greedy; text: whole words, 20 new tokens, natural stop; first word yes or no",
            "right type": "text begins with an answer of the relation, of the cases asked",
            "shift": "exp(logprob edited) - exp(logprob unedited)",
        }
