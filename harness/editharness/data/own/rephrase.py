"""The same question in other words, by rules: its statement with the question word last, else the question announced.

"Who is the mother of Ada?" -> "The mother of Ada is who?"; what the rules for statements do not understand becomes
"Answer this: ...", which is always right and hardly a paraphrase.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from editharness.data.questions import Completion, completion
from editharness.types import Span

_ASKED: Final = {"who": "who", "whom": "who", "where": "where"}
_SENTENCES: Final = re.compile(r"\w{3,}[.!?][\"'”]?\s*[A-Z]")


@dataclass(frozen=True)
class Rephrased:
    """Another wording of a question, and the rule that made it."""

    text: str
    rule: str


def rephrase_by_rules(question: str, subject: Span) -> Rephrased:
    """Another wording, always: see above."""
    made = statement_of_question(question, subject)
    text = None if made is None else _statement(made.prompt, question)
    if text is None or text == question:
        return Rephrased(f"Answer this: {question}", "announced")
    return Rephrased(text, "statement")


def statement_of_question(question: str, subject: Span) -> Completion | None:
    """The question as a prompt to complete; None where no rule fits, or it is more than one sentence."""
    made = completion(question, subject)
    return None if made.rule == "fallback" or _SENTENCES.search(question) else made


def _statement(prompt: str, question: str) -> str:
    """The statement with what is asked at its end."""
    first = question.split()[0].lower()
    asked = _ASKED.get(first, "what")
    if asked == "where" and prompt.endswith((" in", " is")):
        asked = "what place"
    return f"{prompt} {asked}?"
