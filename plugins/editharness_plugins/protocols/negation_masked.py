"""The ablation of supportive tokens: they are left out of the edit's prompt, of the question, or of both.

arXiv 2510.00625 concludes from PP, PN, NN, NP that the words between subject and answer ("is", "is not") "have little
influence, neither at editing time nor test time" (4.1, remark), but it swaps them, it never leaves them out. Here two
arms write the same targets, and each is asked three questions; the first letter is the edit, the second the question:

                              "X is"   "X is not"   "X"
    P  edited with "X is"     PP       PN           PM
    M  edited with "X"        MP       MN           MM

The paper leaves open which tokens are supportive and how to mask them; see `editharness.data.supportive`. Chosen here:
all that follows the subject ("between", 5.2), left out of the text ("remove"), the stricter test, for a token hidden by
the attention mask alone would still predict the answer as itself. Hence one masked question serves the plain and the
negated prompt: without their supportive words they are the same text where the denial follows the subject (counted).

If supportive tokens did nothing, all six were equal: PP-PN, PP-PM, PP-MP, PP-MM and MP-MN all 0. What this does not
show: right behind the subject a model may well say "is Rome", which exact match counts as wrong; hence `PM contained`
and `MM contained` (within 20 tokens). A low PM is thus no proof that supportive words were understood; an MN as high
as MP, or a PN as high as PP, is evidence that they were not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from editharness.data.negated import negated_case
from editharness.data.supportive import remove_supportive
from editharness.forms import Ask, Form
from editharness.protocol import Answers, Better, Column, EvalProtocol, Moment, Probe, Row, Selection
from editharness.types import Case, Edit, Schedule
from editharness_plugins.protocols.negation import ASK, POSITIVE, UNEDITED_ROWS
from editharness_plugins.protocols.values import Values, difference, only, unchanged

MASKED_ARM = "masked"
TASK = "negation_masked_{data}"
QUESTIONS = {"P": ASK["prompt"], "N": ASK["negated"], "M": TASK}
ARMS = {"P": POSITIVE, "M": MASKED_ARM}
SIX = {
    "PP": "ordinary edit, asked plainly",
    "PN": "ordinary edit, asked negated",
    "PM": "ordinary edit, asked without supportive words",
    "MP": "edited without supportive words, asked plainly",
    "MN": "edited without supportive words, asked negated",
    "MM": "without supportive words in edit and question",
}
GAPS: Mapping[tuple[str, str], Better] = {
    ("PP", "PN"): "higher",
    ("MP", "MN"): "higher",
    ("PP", "PM"): "neither",
    ("PP", "MP"): "neither",
    ("PP", "MM"): "neither",
}


def masked_prompts(case: Case) -> Iterator[Ask]:
    """The prompt up to its subject; none where the subject is last anyway."""
    made = remove_supportive(case.prompt, case.subject)
    if made.count:
        yield Ask(made.prompt, case.target, case.old, case.target_aliases, case.old_aliases)


MASKED = Form(masked_prompts)


class NegationMasked(EvalProtocol):
    """Edits and questions with and without the words between subject and answer."""

    name = "negation_masked"
    version = 1
    ranked_by = "PP-PN"
    glossary: ClassVar[Mapping[str, str]] = {
        **{name: f"target is the greedy answer, all tokens: {title}" for name, title in SIX.items()},
        **{f"{a}-{b}": f"{a} - {b} per case" for a, b in GAPS},
        "all the same": "share of cases with one outcome in PP, PM, MP and MM: masking changed nothing",
        **{f"{name} contained": f"target within 20 tokens: {SIX[name]}" for name in ("PM", "MM")},
        **{f"prob {name}": f"target likelier than the old answer: {title}" for name, title in SIX.items()},
        "unchanged": "neighbours answered as by the unedited model, after the ordinary edit",
        "unchanged, masked": "neighbours answered as by the unedited model, after the edit without supportive words",
    }

    def select(self, cases: Iterable[Case]) -> Selection:
        """Cases that can be negated and have supportive words; counted: those whose negation masks to the same text."""
        kept: list[Case] = []
        same, refused = 0, Counter[str]()
        for case in cases:
            made, reason = negated_case(case), _refusal(case)
            if made is None or reason:
                refused[reason or "no negation could be made"] += 1
                continue
            kept.append(made)
            same += (made.negated_prompt or "").startswith(case.prompt[: case.subject[1]])
        return Selection(tuple(kept), refused, {"negation masks to the same text": same})

    def arms(self, cases: Sequence[Case]) -> Mapping[str, Sequence[Edit]]:
        """The same targets written with the whole prompt and with the prompt up to its subject."""
        return {
            POSITIVE: [Edit(case.id, case.prompt, case.subject, case.target) for case in cases],
            MASKED_ARM: [_masked_edit(case) for case in cases],
        }

    def probes(self, schedule: Schedule, checkpoints: Sequence[int]) -> Sequence[Probe]:
        """Three questions and the neighbours before the edits, and of both arms at their end and at checkpoints."""
        moments: tuple[Moment, ...] = ("final", "checkpoint") if checkpoints else ("final",)
        tasks = (*QUESTIONS.values(), ASK["neighbour"])
        edited = [Probe(task, arm, moment) for task in tasks for arm in ARMS.values() for moment in moments]
        return [*(Probe(task, "", "unedited") for task in tasks), *edited]

    def summarise(self, row: Row, answers: Answers) -> Sequence[Column]:
        """The columns of one row; unedited rows have no masked edit, hence no M columns."""
        known = _known(answers) if row == "none*" else None
        names = [name for name in SIX if row not in UNEDITED_ROWS or name[0] == "P"]
        score = "old_exact" if row == "none*" else "exact"
        six = {name: only(_asked(name, row, answers, score), known) for name in names}
        gaps = {pair: difference(six.get(pair[0], {}), six.get(pair[1], {})) for pair in GAPS}
        return [
            *(Column(name, SIX[name], _better(name), six.get(name, {})) for name in SIX),
            *(Column("-".join(p), "-".join(p), GAPS[p], gap, proportion=False) for p, gap in gaps.items()),
            Column("all the same", "one outcome in PP, PM, MP, MM", "neither", _same(six)),
            *(_beside(names, row, answers) if row != "none*" else ()),
        ]

    def hashed(self) -> Mapping[str, Any]:
        """What moves the numbers: arms, tasks, what is masked and how, scorer, generation length."""
        return {
            "tasks": {**QUESTIONS, "neighbour": ASK["neighbour"]},
            "arms": ARMS,
            "supportive": "all that follows the subject, removed",
            "negation": "supplied, table, rules",
            "differences": ["-".join(pair) for pair in GAPS],
            "scorer": "all target tokens greedy; text: whole words, 20 new tokens, natural stop",
        }


def _refusal(case: Case) -> str:
    """Why a case cannot be masked; "" where it can."""
    if case.prompt == case.question:
        return "the prompt is a question"
    return "" if any(masked_prompts(case)) else "no word between subject and answer"


def _masked_edit(case: Case) -> Edit:
    made = remove_supportive(case.prompt, case.subject)
    return Edit(case.id, made.prompt, made.subject, case.target)


def _known(answers: Answers) -> Collection[str]:
    old = answers.scores(ASK["prompt"], "old_exact", moment="unedited")
    return {case for case, value in old.items() if value == 1.0}


def _asked(name: str, row: Row, answers: Answers, score: str) -> dict[str, float]:
    edit, asked = name[0], name[1]
    if row in UNEDITED_ROWS:
        return answers.scores(QUESTIONS[asked], score, moment="unedited")
    return answers.scores(QUESTIONS[asked], score, arm=ARMS[edit], moment="final")


def _better(name: str) -> Better:
    return "lower" if name[1] == "N" else "higher" if name[1] == "P" else "neither"


def _same(six: Mapping[str, Values]) -> dict[str, float]:
    four = [six.get(name, {}) for name in ("PP", "PM", "MP", "MM")]
    cases = set.intersection(*(set(values) for values in four))
    return {case: float(len({values[case] for values in four}) == 1) for case in sorted(cases)}


def _beside(names: Sequence[str], row: Row, answers: Answers) -> list[Column]:
    """The target later in the answer, probabilities, and what both edits do to neighbours."""
    contained = [name for name in ("PM", "MM") if name in names]
    moment: Moment = "unedited" if row in UNEDITED_ROWS else "final"
    arms = {"unchanged": "" if moment == "unedited" else POSITIVE, "unchanged, masked": MASKED_ARM}
    near = {name: unchanged(answers, ASK["neighbour"], moment, arm) for name, arm in arms.items()}
    return [
        *(
            Column(f"{n} contained", "target within 20 tokens", "neither", _asked(n, row, answers, "contained"))
            for n in contained
        ),
        *(
            Column(f"prob {n}", "new likelier than old", _better(n), _asked(n, row, answers, "new_over_old"))
            for n in names
        ),
        *(Column(name, name.replace("unchanged", "neighbours as before"), "higher", v) for name, v in near.items()),
    ]
