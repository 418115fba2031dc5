"""The four modules of an evaluation as switches (arXiv 2502.11177, sections 4 and 6; tables 4, 5, 6 and 8).

input       free: the edited prompt as it is;  guided: WILD's prompt
generation  forced: teacher forcing;           decoded: greedy, each token after the model's own
truncation  length: as many tokens as the target has;  natural: up to full stop, line break, end of text
metric      match: share of tokens that are right;     exact: exact match of the text (`wild-em`)

Each question is asked once in each input, 50 new tokens without a stop; every combination is computed from these
answers. Ten of the sixteen exist (`COMBINATIONS`), the others are refused by name (`combination`).

What it does not show: the judge of tables 6 and 8, and what the modules do under generalization or locality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any, ClassVar

from editharness.errors import UnknownNameError, UsageError
from editharness.forms import Form, prompts
from editharness.protocol import Answers, Column, Moment, Probe, Row
from editharness.scoring import squad_equals, words_right
from editharness.types import Schedule
from editharness_plugins.protocols.questions_failed import (
    EDITED,
    QUESTION,
    OnFailures,
    asked_as,
    score_answer,
    where,
)

SWITCHES = {
    "input": ("free", "guided"),
    "generation": ("forced", "decoded"),
    "truncation": ("length", "natural"),
    "metric": ("match", "exact"),
}
ASK = {"free": "modules_{data}_free", "guided": "modules_{data}_guided"}
SCORES: Mapping[tuple[str, str, str], str] = MappingProxyType(
    {
        ("forced", "length", "match"): "match",
        ("forced", "length", "exact"): "forced_em",
        ("decoded", "length", "match"): "decoded",
        ("decoded", "length", "exact"): "cut_em",
        ("decoded", "natural", "exact"): "em",
    }
)
"""(generation, truncation, metric) -> the score of an answer that it is."""
_TITLES = {
    "free": "edited prompt",
    "guided": "WILD's prompt",
    "forced": "teacher forcing",
    "decoded": "greedy decoding",
    "length": "target's length",
    "natural": "natural stop",
    "match": "token match ratio",
    "exact": "exact match",
}


def _impossible(generation: str, truncation: str, metric: str) -> str:
    """Why three switches do not go together; "" where they do."""
    if generation == "forced" and truncation == "natural":
        return "teacher forcing feeds the target's tokens, so nothing can be asked for past the target's length"
    if truncation == "natural" and metric == "match":
        return "the match ratio compares token by token, and a naturally stopped answer has a length of its own"
    return ""


COMBINATIONS = tuple("/".join(c) for c in product(*SWITCHES.values()) if not _impossible(*c[1:]))
REFUSED: Mapping[str, str] = MappingProxyType(
    {"/".join(c): _impossible(*c[1:]) for c in product(*SWITCHES.values()) if _impossible(*c[1:])}
)


def combination(name: str) -> tuple[str, str]:
    """(input, score) of "input/generation/truncation/metric"; raises UsageError for one that cannot be, with why."""
    if name in REFUSED:
        raise UsageError(f"modules {name}: {REFUSED[name]}")
    if name not in COMBINATIONS:
        raise UnknownNameError("combination of modules", name, COMBINATIONS)
    given, generation, truncation, metric = name.split("/")
    return given, SCORES[generation, truncation, metric]


def score_exact(doc: Mapping[str, Any], text: str) -> dict[str, float]:
    """Exact match of a text up to its natural stop; the harness asks the same of a text cut at the target's length."""
    return {"em": score_answer(doc, text)["em"]}


def score_words(doc: Mapping[str, Any], text: str) -> dict[str, float]:
    """Scores of an answer that no model gave: words in the place of tokens, forced or decoded alike."""
    target = str(doc["target"])
    match = words_right(target, text)
    cut = float(squad_equals(" ".join(text.split()[: len(target.split())]), [target]))
    return {"match": match, "decoded": match, "forced_em": cut, "cut_em": cut, **score_exact(doc, text)}


def _form(asks: Any) -> Form:
    return Form(asks, likelihoods=("target",), score=score_exact, null=score_words, matches=True)


FREE, GUIDED = _form(prompts), _form(QUESTION.asks)


class Modules(OnFailures):
    """Reliability under every combination of input, generation, truncation and metric, from one set of answers."""

    name = "modules"
    version = 1
    ranked_by = "guided/decoded/natural/exact"
    controls = ("none", "context", "constant", "echo", "target")
    glossary: ClassVar[Mapping[str, str]] = {
        name: f"reliability with {', '.join(_TITLES[part] for part in name.split('/'))}; arXiv 2502.11177, section 6"
        for name in COMBINATIONS
    }

    def probes(self, schedule: Schedule, checkpoints: Sequence[int]) -> Sequence[Probe]:
        """Both inputs, of the unedited model and at the end."""
        both: tuple[Moment, ...] = ("unedited", "final")
        return [Probe(task, "" if moment == "unedited" else EDITED, moment) for task in ASK.values() for moment in both]

    def summarise(self, row: Row, answers: Answers) -> Sequence[Column]:
        """One column per combination."""
        columns = []
        for name in COMBINATIONS:
            given, score = combination(name)
            title = ", ".join(_TITLES[part] for part in name.split("/"))
            columns.append(Column(name, title, "higher", answers.scores(ASK[given], score, **where(row))))
        return columns

    def hashed(self) -> Mapping[str, Any]:
        """Prompt, stops, length, scorers, tasks, combinations."""
        return {**asked_as(), "tasks": ASK, "combinations": COMBINATIONS}
