"""The part of the validity card that is measured through the chat template, with the measures of the plain forms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from editharness_plugins.pocket.card import (
    Case,
    Line,
    Row,
    echo,
    given,
    held_out_true_false,
    known,
    measure_lines,
    question,
    right_type,
    true_false,
)
from editharness_plugins.pocket.chat import load_chat
from editharness_plugins.pocket.examiner import Examiner, Reply, generate

CHAT_SEEN: list[Line] = [
    ("chat: known", known, 0.97, None),
    ("chat: question, exact", question, 0.97, "question"),
    ("chat: echo under negation", echo, -0.05, "negated"),
    ("chat: right type under negation", right_type, 0.95, "negated"),
    ("chat: true/false, balanced", true_false, 0.95, "true_false"),
    ("chat: given in the message", given, None, None),
]
CHAT_UNSEEN: list[Line] = [
    ("chat, form never trained: question, exact", question, 0.90, "question"),
    ("chat, form never trained: echo under negation", echo, -0.10, "negated"),
    ("chat, form never trained: true/false, balanced", true_false, 0.85, "true_false"),
]
TEST_SEEN: list[Line] = [
    ("chat, test message: known", known, None, None),
    ("chat, test message: question, exact", question, None, "question"),
    ("chat, test message: true/false, balanced", true_false, 0.90, "true_false"),
    ("chat, test message new to plain text too: true/false", held_out_true_false, None, "true_false"),
]
TEST_UNSEEN: list[Line] = [
    ("chat, test message, form never trained: true/false", true_false, 0.80, "true_false"),
]
SYSTEM_SEEN: list[Line] = [
    ("chat, new system message: question, exact", question, None, "question"),
    ("chat, new system message: true/false, balanced", true_false, None, "true_false"),
]


def trained_forms() -> dict[str, str]:
    """The messages that were trained most, by the names that the measures use."""
    chat = load_chat()
    forms = {name: chat[name][0] for name in ("question", "complete", "imagine")}
    return {**forms, "true_false": chat["judged"][0]}


def unseen_forms() -> dict[str, str]:
    """Messages that no training conversation used; the first judgement is that of arXiv 2510.00625."""
    chat = load_chat()
    return {
        "question": chat["test_question"],
        "complete": chat["test_complete"],
        "true_false": chat["test_judged"],
        "held_out_true_false": chat["test_judged_new"],
    }


class Conversation(Examiner):
    """Puts each prompt as the user's message, through the tokenizer's own chat template."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, forms: dict[str, str], system: str = ""
    ) -> None:
        super().__init__(model, tokenizer)
        self.forms, self.system = forms, system

    def ask(self, prompts: Iterable[str]) -> list[Reply]:
        """The assistant's greedy replies."""
        return generate(self.model, self.tokenizer, list(prompts), encode=self.encode)

    def encode(self, prompts: list[str]) -> Any:
        """A padded batch of conversations."""
        before = [{"role": "system", "content": self.system}] if self.system else []
        conversations = [[*before, {"role": "user", "content": prompt}] for prompt in prompts]
        return self.tokenizer.apply_chat_template(
            conversations, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
        )


def measure_chat(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, cases: list[Case]) -> list[Row]:
    """Trained messages, messages that no training conversation used, and a new system message."""
    trained = trained_forms()
    return [
        *measure_lines(Conversation(model, tokenizer, trained), cases, CHAT_SEEN, CHAT_UNSEEN),
        *measure_lines(Conversation(model, tokenizer, unseen_forms()), cases, TEST_SEEN, TEST_UNSEEN),
        *measure_lines(Conversation(model, tokenizer, trained, load_chat()["test_system"]), cases, SYSTEM_SEEN, []),
    ]
