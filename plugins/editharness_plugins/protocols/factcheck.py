"""Fact-checking (arXiv 2510.00625, section 5.3): does the edited model call the fact that it says true?

The edit target is no longer the answer: a statement is made of prompt and target, and the model is asked whether it is
true or false. The paper's accuracy (A.3) is the share of "true", leaving out cases with no verdict before the edit and
cases called true both before and after. Its denominator depends on the edited answers, and a model that calls
everything true scores 100 %. Hence, beside it, over every case:

    balanced      ½ [new called true] + ½ [old called false]                      always true: 50 %
    balanced 3    ½ [new called true] + ¼ [old called false] + ¼ [other called false]
    fixed         share called true, of those called false before the edit (the same cases for every method)
    f→t ... t→f   the four ways from the verdict before to the verdict after

`other` is a wrong answer of the same type that nobody wrote. What it does not show: whether the model can use the
fact; and a model that could not tell true from false before is not worse for it (see `none*`: old facts, unedited).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from editharness.data.questions import completion
from editharness.forms import Ask, Form, prompts
from editharness.protocol import Answers, Column, EvalProtocol, Moment, Point, Probe, Row, Selection, Series
from editharness.scoring import score_constant
from editharness.types import Case, Edit, Schedule
from editharness_plugins.protocols.values import Values, weighted

ARM = "positive"
JUDGE = "Judge whether the following statement is true or false: {}"
RECALL, CONCAT, STATEMENT = "factcheck_{data}_recall", "factcheck_{data}_concat", "factcheck_{data}_statement"
EFFICACY = "target after the prompt"


def verdict(text: str) -> str:
    """ "true" or "false" where the first line that says something holds one of the words and no "not"; else ""."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    words = re.findall(r"\w+", line.casefold())
    found = {word for word in words if word in ("true", "false")}
    return found.pop() if len(found) == 1 and not {"not", "isn", "neither"} & set(words) else ""


def score_verdict(doc: Mapping[str, object], text: str) -> dict[str, float]:
    """Which verdict the text gives; all 0 where none can be read."""
    said = verdict(text)
    return {"true": float(said == "true"), "false": float(said == "false"), "read": float(said != "")}


def concatenated(case: Case, answer: str) -> str:
    """Prompt and answer as they stand, the paper's statement; a prompt that is a question is rewritten, as there."""
    rewritten = declared(case, answer) if _is_question(case) else None
    return rewritten or f"{case.prompt} {answer}"


def declared(case: Case, answer: str) -> str | None:
    """The case's statement with this answer: its own, or its question rewritten by rule; None where it has neither."""
    if case.statement:
        return case.statement.replace("{}", answer)
    return f"{completion(case.prompt, case.subject).prompt} {answer}" if _is_question(case) else None


def _is_question(case: Case) -> bool:
    return case.prompt == case.question or case.prompt.rstrip().endswith("?")


def _judged(case: Case, statement: Any, *, chat: bool = True) -> Iterator[Ask]:
    for kind, answer in (("new", case.target), ("old", case.old), ("other", case.distractor)):
        made = statement(case, answer) if answer else None
        if made is not None:
            yield Ask(JUDGE.format(made), answer, kind=kind)


def judged_concatenated(case: Case) -> Iterator[Ask]:
    """Statements of new, old and another answer, made by putting the answer behind the prompt."""
    return _judged(case, concatenated)


def judged_declared(case: Case) -> Iterator[Ask]:
    """Statements in full sentences, where they differ from prompt and answer put together."""
    if declared(case, case.target) != concatenated(case, case.target):
        yield from _judged(case, declared)


CUE = "{}.\nAnswer:"
CONCATENATED = Form(judged_concatenated, likelihoods=(), score=score_verdict, null=score_verdict, chat=True, cue=CUE)
DECLARED = Form(judged_declared, likelihoods=(), score=score_verdict, null=score_verdict, chat=True, cue=CUE)
RECALLED = Form(prompts, likelihoods=("target", "old"), generates=False, null=score_constant)


class FactCheck(EvalProtocol):
    """Is the statement of the fact called true, and only that one?"""

    name = "factcheck"
    version = 1
    ranked_by = "balanced 3"
    controls = ("none", "none*", "context", "constant", "echo", "target", "always true", "always false")
    says: ClassVar[Mapping[Row, str]] = {"always true": "true", "always false": "false"}
    glossary: ClassVar[Mapping[str, str]] = {
        "accuracy": "share called true after the edit, without cases that had no verdict before and cases called true "
        "before and after (arXiv 2510.00625, A.3); its n differs by method",
        "efficacy": "target is the greedy answer to the edit prompt, all tokens",
        "balanced": "½ [new statement called true] + ½ [old statement called false]",
        "balanced 3": "½ [new called true] + ¼ [old called false] + ¼ [another wrong answer of the type called false]",
        "fixed": "share called true after the edit, of the statements called false before it",
        "f→t": "share of statements with a verdict before and after that went from false to true",
        "f→f": "share that stayed false",
        "t→t": "share that stayed true",
        "t→f": "share that went from true to false",
        "unread": "share of new statements without a readable verdict after the edit",
        "accuracy, sentence": "accuracy over statements rewritten as full sentences, where that changes them",
        "balanced 3, sentence": "balanced 3 over statements rewritten as full sentences, where that changes them",
    }

    def select(self, cases: Iterable[Case]) -> Selection:
        """All cases; counted: what statements can be made of them."""
        kept = tuple(cases)
        rewritten = sum(_is_question(case) for case in kept)
        facts = {"old answer": sum(bool(c.old) for c in kept), "other answer": sum(bool(c.distractor) for c in kept)}
        return Selection(kept, facts={**facts, "question rewritten": rewritten})

    def arms(self, cases: Sequence[Case]) -> Mapping[str, Sequence[Edit]]:
        """One arm: the targets written with the cases' own prompts."""
        return {ARM: [Edit(case.id, case.prompt, case.subject, case.target) for case in cases]}

    def probes(self, schedule: Schedule, checkpoints: Sequence[int]) -> Sequence[Probe]:
        """Everything before the edits and at their end; statements at checkpoints too."""
        moments: tuple[Moment, ...] = ("final", "checkpoint") if checkpoints else ("final",)
        edited = [Probe(task, ARM, moment) for task in (CONCAT, STATEMENT, RECALL) for moment in moments]
        return [*(Probe(task, "", "unedited") for task in (CONCAT, STATEMENT, RECALL)), *edited]

    def summarise(self, row: Row, answers: Answers) -> Sequence[Column]:
        """The columns of one row; `none*` asks for the old answers of facts that the unedited model knows."""
        if row == "none*":
            return _known(answers)
        moment: Moment = "unedited" if row == "none" else "final"
        columns = _columns(CONCAT, moment, answers)
        recalled = answers.scores(RECALL, "exact", moment=moment)
        efficacy = Column("efficacy", EFFICACY, "higher", recalled)
        return [columns[0], efficacy, *columns[1:], *_sentences(moment, answers)]

    def series(self, row: Row, answers: Answers) -> Sequence[Series]:
        """Balanced accuracy of everything written by then, at checkpoints and at the end."""
        asked = sorted({(a.edits, a.moment) for a in answers.of(CONCAT) if a.moment == "checkpoint"})
        if row in ("none", "none*") or not asked:
            return ()
        last = max((a.edits for a in answers.of(CONCAT, moment="final")), default=0)
        places: list[tuple[int, Moment]] = [*asked, (last, "final")]
        points = {edits: Point(edits, None, _balanced(moment, answers, edits)) for edits, moment in places}
        return [Series("balanced 3", "new called true, old and another one false", "higher", list(points.values()))]

    def hashed(self) -> Mapping[str, Any]:
        """What moves the numbers: prompt, cue, statements, how a verdict is read."""
        return {
            "tasks": [RECALL, CONCAT, STATEMENT],
            "message": JUDGE,
            "cue": CONCATENATED.cue,
            "verdict": "first line with text; one of true, false and no negation",
            "kinds": ["new", "old", "other"],
            "generation": "greedy, 16 new tokens",
        }


def _balanced(moment: Moment, answers: Answers, edits: int) -> Values:
    new, old, other = (
        answers.scores(CONCAT, score, kind=kind, moment=moment, edits=edits)
        for kind, score in (("new", "true"), ("old", "false"), ("other", "false"))
    )
    return weighted((new, 0.5), (old, 0.25), (other, 0.25))


def _sentences(moment: Moment, answers: Answers) -> list[Column]:
    """The two main columns over full sentences, where such were asked about."""
    if not answers.scores(STATEMENT, "read", moment=moment):
        return []
    return [
        Column(f"{c.name}, sentence", f"{c.title}, in full sentences", c.better, c.values)
        for c in _columns(STATEMENT, moment, answers)
        if c.name in ("accuracy", "balanced 3")
    ]


def _columns(task: str, moment: Moment, answers: Answers) -> list[Column]:
    """The columns of the statements that `task` asks about."""

    def get(kind: str, score: str, when: Moment = moment) -> Values:
        return answers.scores(task, score, kind=kind, moment=when)

    before, after, read_before, read = (
        get("new", "true", "unedited"), get("new", "true"), get("new", "read", "unedited"), get("new", "read"),
    )  # fmt: skip
    counted = [c for c in after if read_before.get(c) and not (before[c] and after[c])]
    was_false = [c for c in after if read_before.get(c) and not before[c]]
    new, old, other = get("new", "true"), get("old", "false"), get("other", "false")
    both = [c for c in after if read_before.get(c) and read[c]]
    ways = {
        f"{a}→{b}": {c: float((before[c] == (a == "t")) and (after[c] == (b == "t"))) for c in both}
        for a, b in ("ft", "ff", "tt", "tf")
    }
    return [
        Column("accuracy", "called true (paper's exclusions)", "higher", {c: after[c] for c in counted}),
        Column("balanced", "new called true, old false", "higher", weighted((new, 0.5), (old, 0.5))),
        Column("balanced 3", "and another one false", "higher", weighted((new, 0.5), (old, 0.25), (other, 0.25))),
        Column("fixed", "called true, of those false before", "higher", {c: after[c] for c in was_false}),
        *(Column(name, f"verdict before and after: {name}", "neither", values) for name, values in ways.items()),
        Column("unread", "no verdict could be read", "lower", {c: 1.0 - value for c, value in read.items()}),
    ]


def _known(answers: Answers) -> list[Column]:
    """The unedited model on the old statements of facts that it knows (A.7); the new ones are wrong for it."""
    knows = {c for c, value in answers.scores(RECALL, "old_exact", moment="unedited").items() if value == 1.0}

    def get(kind: str, score: str) -> Values:
        return {c: v for c, v in answers.scores(CONCAT, score, kind=kind, moment="unedited").items() if c in knows}

    read, true, new, other = get("old", "read"), get("old", "true"), get("new", "false"), get("other", "false")
    efficacy = dict.fromkeys(sorted(knows), 1.0)
    return [
        Column("accuracy", "called true (paper's exclusions)", "higher", {c: v for c, v in true.items() if read[c]}),
        Column("efficacy", EFFICACY, "higher", efficacy),
        Column("balanced", "new called true, old false", "higher", weighted((true, 0.5), (new, 0.5))),
        Column("balanced 3", "and another one false", "higher", weighted((true, 0.5), (new, 0.25), (other, 0.25))),
        Column("unread", "no verdict could be read", "lower", {c: 1.0 - value for c, value in read.items()}),
    ]
