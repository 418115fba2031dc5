"""Life under sequential edits (arXiv 2502.11177, section 7): what is left of early edits when later ones come?

One arm writes all facts, each batch on top of those before. Every fact is asked right after its own batch (at edit)
and again at the very end (final); what is lost between the two is forgotten. At checkpoints everything written so far
is asked, and every cohort (the facts between two checkpoints) apart: the retention matrix of figure 5.

Asked twice over: the prompt, by exact match of the target's tokens under teacher forcing ("synthetic" in the paper),
and the question, answered freely and read for the target ("free", after the paper's WILD). What it does not show: a
fact that is wrong at edit cannot be forgotten, so read `forgetting` beside `at edit`; and with one order of edits, what
is early and what is hard are not told apart (give another --seed).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from editharness.forms import Ask, Form, prompts
from editharness.plan import Checkpoints
from editharness.protocol import (
    Answers,
    Column,
    EvalProtocol,
    Moment,
    Point,
    Probe,
    Row,
    Selection,
    Series,
)  # fmt: skip
from editharness.scoring import contains, same_start
from editharness.types import Case, Edit, Schedule

ARM = "edits"
PROMPT = "Please answer the question:\n\nQ: {question}\nA:"
ASK = {
    "exact": "sequential_{data}_exact",
    "free": "sequential_{data}_free",
    "paraphrase": "sequential_{data}_paraphrase",
    "neighbour": "sequential_{data}_neighbour",
}
UNEDITED_ROWS = ("none", "none*")
Values = Mapping[str, float]


def asked_freely(case: Case) -> Iterator[Ask]:
    """The case's question, or a prompt that is one, after the instruction that the paper uses (its figure 6)."""
    question = case.question or (case.prompt if case.prompt.endswith("?") else "")
    if question:
        asked = PROMPT.format(question=question)
        yield Ask(asked, case.target, case.old, case.target_aliases, case.old_aliases)


def paraphrased(case: Case) -> Iterator[Ask]:
    """The case's first other wording: one is enough at every checkpoint."""
    for prompt in case.paraphrases[:1]:
        yield Ask(prompt, case.target, case.old, case.target_aliases, case.old_aliases)


def nearby(case: Case) -> Iterator[Ask]:
    """The case's first fact that must stay as it is."""
    for near in case.neighbours[:1]:
        yield Ask(near.prompt, near.answer, aliases=near.aliases)


def read_freely(doc: Mapping[str, Any], text: str) -> dict[str, float]:
    """Whether a free answer holds the target, and whether the old answer, or another name of it, as whole words."""
    scores = {"free": float(contains(text, [str(doc["target"]), *doc["aliases"]]))}
    return (
        {**scores, "old_free": float(contains(text, [str(doc["old"]), *doc["old_aliases"]]))} if doc["old"] else scores
    )


EXACT = Form(prompts, generates=False)
FREE = Form(asked_freely, likelihoods=(), score=read_freely, null=read_freely)
PARAPHRASE = Form(paraphrased, generates=False)
NEIGHBOUR = Form(nearby, likelihoods=("target",))


class Sequential(EvalProtocol):
    """Efficacy at edit and at the end, forgetting, and everything written so far at checkpoints."""

    name = "sequential"
    version = 1
    ranked_by = "kept"
    glossary: ClassVar[Mapping[str, str]] = {
        "at edit": "share of facts whose target tokens are all greedy (teacher forcing) right after their own batch",
        "final": "the same, of the same facts, when the last batch has been written; none*: of the old answer",
        "forgetting": "per fact, at edit minus final; negative where later edits helped",
        "free at edit": "share of facts whose free answer to the question holds the target, right after their batch",
        "free final": "the same when the last batch has been written; none*: of the old answer",
        "free forgetting": "per fact, free at edit minus free final",
        "generalization": "share of facts whose first paraphrase gets all target tokens greedy, at the end",
        "unchanged": "share of facts whose first neighbour's free answer begins as the unedited model's, at the end",
        "correct": "share of facts whose first neighbour gets all tokens of its right answer greedy, at the end",
        "kept": "share of facts that are final and whose first neighbour is unchanged",
    }

    def select(self, cases: Iterable[Case]) -> Selection:
        """Every case; how many have a question that can be answered freely is counted."""
        kept = tuple(cases)
        asked = sum(any(asked_freely(case)) for case in kept)
        return Selection(kept, facts={"with a question": asked, "without a question": len(kept) - asked})

    def arms(self, cases: Sequence[Case]) -> Mapping[str, Sequence[Edit]]:
        """One arm: all facts in order."""
        return {ARM: [Edit(case.id, case.prompt, case.subject, case.target) for case in cases]}

    def checkpoints(self, ends: Sequence[int]) -> Sequence[int]:
        """Powers of ten at which a batch ends, and the end."""
        powers = {10**k for k in range(1, 10)}
        return sorted({*powers.intersection(ends), *ends[-1:]})

    def probes(self, schedule: Schedule, checkpoints: Sequence[int]) -> Sequence[Probe]:
        """Facts at edit, at checkpoints and at the end; other wordings and neighbours of a sample at checkpoints."""
        moments: tuple[Moment, ...] = ("at_edit", "final") if schedule.carry else ("final",)
        found = [Probe(task, "", "unedited") for task in ASK.values()]
        found += [Probe(ASK[form], ARM, moment) for form in ("exact", "free") for moment in moments]
        found += [Probe(ASK[form], ARM, "final") for form in ("paraphrase", "neighbour")]
        if checkpoints:
            found.append(Probe(ASK["exact"], ARM, "checkpoint", "all"))
            found += [Probe(ASK[f], ARM, "checkpoint", "sampled") for f in ("free", "paraphrase", "neighbour")]
        return found

    def summarise(self, row: Row, answers: Answers) -> Sequence[Column]:
        """The columns of one row; a value that does not exist for a case is left out, never filled in."""
        exact, free = _told(row, answers, "exact", "exact"), _told(row, answers, "free", "free")
        other = _told(row, answers, "paraphrase", "exact")
        at_edit = answers.scores(ASK["exact"], "exact", arm=ARM, moment="at_edit")
        free_at_edit = answers.scores(ASK["free"], "free", arm=ARM, moment="at_edit")
        columns = [
            Column("at edit", "target exact right after the edit", "higher", at_edit),
            Column("final", "target exact at the end", "higher", exact),
            Column("forgetting", "at edit minus final", "lower", _lost(at_edit, exact), proportion=False),
            Column("free at edit", "target said freely right after the edit", "higher", free_at_edit),
            Column("free final", "target said freely at the end", "higher", free),
            Column("free forgetting", "the same, said freely", "lower", _lost(free_at_edit, free), proportion=False),
            Column("generalization", "another wording, at the end", "higher", other),
        ]
        if row == "none*":
            return columns
        right = _told(row, answers, "neighbour", "exact")
        same = _same(answers, "unedited" if row in UNEDITED_ROWS else "final")
        kept = {case: exact[case] * same[case] for case in exact if case in same}
        return [
            *columns,
            Column("unchanged", "a neighbour answered as before, at the end", "higher", same),
            Column("correct", "a neighbour answered rightly, at the end", "higher", right),
            Column("kept", "final and unchanged, both", "higher", kept),
        ]

    def series(self, row: Row, answers: Answers) -> Sequence[Series]:
        """Of a method's row: everything written so far at each checkpoint, and the retention matrices."""
        at = sorted({a.edits for a in answers.answers if a.moment == "checkpoint"})
        if row in self.controls or not at:
            return ()
        exact = {edits: _at(answers, "exact", "exact", edits) for edits in at}
        free = {edits: _at(answers, "free", "free", edits) for edits in at}
        lines: dict[tuple[str, str], Mapping[int, Values]] = {
            ("efficacy", "target exact, of all facts written so far"): exact,
            ("free", "target said freely, of a sample of those written so far"): free,
            ("generalization", "another wording, of the sample"): {
                edits: _at(answers, "paraphrase", "exact", edits) for edits in at
            },
            ("unchanged", "a neighbour answered as before, of the sample"): {
                edits: _same(answers, "checkpoint", edits) for edits in at
            },
            ("correct", "a neighbour answered rightly, of the sample"): {
                edits: _at(answers, "neighbour", "exact", edits) for edits in at
            },
        }
        found = [
            Series(name, title, "higher", [Point(edits, None, values) for edits, values in points.items()])
            for (name, title), points in lines.items()
        ]
        matrices = {"retention": exact, "free retention": free}
        titles = {"retention": "target exact, by when it was written", "free retention": "target said freely, likewise"}
        return [
            *(one for one in found if any(point.values for point in one.points)),
            *(
                Series(name, titles[name], "higher", _matrix(matrix, answers.written))
                for name, matrix in matrices.items()
                if any(matrix.values())
            ),
        ]

    def hashed(self) -> Mapping[str, Any]:
        """What moves the numbers: tasks, prompt, scorers, generation lengths, whom checkpoints ask."""
        return {
            "tasks": ASK,
            "question": PROMPT,
            "exact": "all target tokens greedy, teacher forcing",
            "free": "target or alias as whole words, 50 new tokens, stop at a line's end",
            "neighbour": "first words, as many as the answer has, 20 new tokens",
            "asked": "first paraphrase, first neighbour; checkpoints: exact of all, the rest of 10 x 50 seeded cases",
        }


def _told(row: Row, answers: Answers, form: str, score: str) -> Values:
    """A score at the end; unedited in the rows without edits, and there by `none*` of the old answer it knows."""
    if row not in UNEDITED_ROWS:
        return answers.scores(ASK[form], score, arm=ARM, moment="final")
    if row == "none":
        return answers.scores(ASK[form], score, moment="unedited")
    known = answers.scores(ASK["exact"], "old_exact", moment="unedited")
    old = answers.scores(ASK[form], f"old_{score}", moment="unedited")
    return {case: value for case, value in old.items() if known.get(case) == 1.0}


def _at(answers: Answers, form: str, score: str, edits: int) -> Values:
    return answers.scores(ASK[form], score, arm=ARM, moment="checkpoint", edits=edits)


def _lost(before: Values, after: Values) -> Values:
    return {case: before[case] - after[case] for case in before if case in after}


def _same(answers: Answers, moment: Moment, edits: int | None = None) -> Values:
    """Whether a case's neighbour is answered with the words of the unedited model, as many as the answer has."""
    before = {(a.case, a.item): a.text for a in answers.of(ASK["neighbour"], moment="unedited")}
    found: dict[str, float] = {}
    for a in answers.of(ASK["neighbour"], moment=moment, edits=edits):
        unedited = before.get((a.case, a.item))
        if unedited is not None and a.text is not None:
            expected = answers.cases[a.case].neighbours[a.item].answer
            found[a.case] = float(same_start(a.text, unedited, expected))
    return found


def _matrix(by_edits: Mapping[int, Values], written: Mapping[str, int]) -> list[Point]:
    """Checkpoint x cohort, lower triangle: a cohort is asked from the checkpoint that ends it on."""
    at = Checkpoints(tuple(by_edits))
    points = []
    for edits, values in by_edits.items():
        for cohort, (first, last) in enumerate(at.spans()):
            own = {case: value for case, value in values.items() if at.cohort(written[case]) == cohort}
            if own:
                points.append(Point(edits, (first, last), own))
    return points
