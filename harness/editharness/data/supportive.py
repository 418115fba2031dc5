"""Supportive tokens (arXiv 2510.00625) and prompts without them.

The paper names one decisive token, "often the last token of the subject" (section 3), and calls supportive "other
supportive tokens in the context" (4.1) and "the supportive tokens between the decisive token and edit target" (5.2);
its only examples are "is" and "is not". It never masks them: it swaps them (PP, PN, NN, NP) and concludes from small
differences that they "have little influence, neither at editing time nor test time" (4.1, remark). Masking them is the
direct test of that claim. Left open by the paper, and therefore a choice to be named beside every result:

scope   between  all that follows the subject (5.2); the default
        context  all that is not the subject (4.1)
how     remove   the words are left out: "The mother tongue of Danielle Darrieux"
        replace  each word becomes the same filler: "The mother tongue of Danielle Darrieux _"
        attend   the words stay but no later token may look at them: use `supportive_spans` alone

For `attend` whoever holds the tokens must (1) find the tokens whose character offsets overlap a span, (2) set their
attention-mask entries to 0 as keys, for every query after them, the target's tokens included, at edit time, at test
time or both, (3) pass the position ids of the unmasked prompt: transformers derives them from the mask otherwise, and
every later token would move, (4) leave each masked token able to see itself: the last prompt token predicts the
target's first token and is itself supportive, so its own identity still reaches the prediction. What (4) lets through
is why `remove` is the stricter test. With scope "between" all up to the subject's last token, hence the key there, is
the same; with "context" it is not.

With `remove` a prompt and its negation become the same text where they differ in supportive words only, so PP and PN
must then be equal: the ablation compares each of them with its own unmasked score, never with the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from editharness.errors import UsageError
from editharness.types import Span

Scope = Literal["between", "context"]
_WORD: Final = re.compile(r"\S+")


@dataclass(frozen=True)
class Masked:
    """A prompt without its supportive words, its subject's place, and how many words were masked."""

    prompt: str
    subject: Span
    count: int


def supportive_spans(prompt: str, subject: Span, scope: Scope = "between") -> tuple[Span, ...]:
    """Character spans of the supportive words of a prompt, in order; a word glued to the subject ("'s") is one."""
    before = _WORD.finditer(prompt, 0, subject[0]) if scope == "context" else ()
    found = [match.span() for match in before]
    return (*found, *(match.span() for match in _WORD.finditer(prompt, subject[1])))


def remove_supportive(prompt: str, subject: Span, scope: Scope = "between") -> Masked:
    """The prompt cut off after its subject ("between"), or the subject alone ("context")."""
    start = subject[0] if scope == "between" else 0
    kept = prompt[subject[0] - start : subject[1]]
    return Masked(kept, (start, len(kept)), len(supportive_spans(prompt, subject, scope)))


def replace_supportive(prompt: str, subject: Span, filler: str, scope: Scope = "between") -> Masked:
    """Every supportive word replaced by `filler`, a word without white space; the white space stays as it was.

    Raises UsageError where the filler is empty or holds white space.
    """
    if not _WORD.fullmatch(filler):
        raise UsageError(f"filler {filler!r} for supportive tokens: use one word without white space, such as _")
    spans = supportive_spans(prompt, subject, scope)
    before, name, after = prompt[: subject[0]], prompt[subject[0] : subject[1]], prompt[subject[1] :]
    if scope == "context":
        before = _WORD.sub(lambda _: filler, before)
    text = before + name + _WORD.sub(lambda _: filler, after)
    return Masked(text, (len(before), len(before) + len(name)), len(spans))
