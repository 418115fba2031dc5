"""Puts the forms of a fact into conversations: what `--chat` teaches a model, beside the plain forms."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from typing import Any

import yaml
from transformers import PreTrainedTokenizerBase

from editharness_plugins.pocket.forms import Fact, Renderer, Sentence, Wordings
from editharness_plugins.pocket.relations import HERE, load_yaml

PLAIN = {"": 1.0}
CHAT = "chat "
WITH_CHAT = {"": 0.4, CHAT: 0.6}
"""The ways in which a form is put, as the prefix of its name, and their shares of the training."""
SYSTEM, EARLIER = 0.25, 0.15
"""How often a conversation has a system message, and an earlier question with its answer."""

Message = dict[str, str]


@cache
def load_chat() -> dict[str, Any]:
    """chat.yaml as it stands."""
    content: dict[str, Any] = yaml.safe_load((HERE / "chat.yaml").read_text(encoding="utf-8"))
    return content


def chat_wordings() -> Wordings:
    """The messages that are trained: those of chat.yaml, and the plain forms as messages, but for the test's."""
    chat, plain = load_chat(), load_yaml()["forms"]
    test = chat["test_judged"].format(statement="")
    as_plain = [form for form in (plain["true_false"], *plain["train_true_false"]) if not form.startswith(test)]
    return Wordings(
        question=(*chat["question"], plain["question"]),
        judged=(*chat["judged"], *as_plain),
        imagine=tuple(chat["imagine"]),
        complete=tuple(chat["complete"]),
    )


def render(tokenizer: PreTrainedTokenizerBase, messages: list[Message]) -> str:
    """A conversation up to the assistant's answer, without the first token, which every document gets anyway."""
    text = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    return text.removeprefix(str(tokenizer.bos_token))


class ChatRenderer(Renderer):
    """Draws plain documents, and conversations for the forms whose name begins with "chat "."""

    def __init__(self, facts: list[Fact], rng: random.Random, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(facts, rng)
        self.tokenizer = tokenizer
        self.messages = Renderer(facts, rng, chat_wordings())

    def documents(self, index: int, form: str) -> list[list[Sentence | str]]:
        """A document of that form; a true and a false statement are judged after the same messages."""
        if not form.startswith(CHAT):
            return super().documents(index, form)
        before = self._before()
        asked = self.messages.sentences(index, form.removeprefix(CHAT))
        return [[self._converse(sentence, before)] for sentence in asked]

    def _converse(self, sentence: Sentence, before: list[Message]) -> Sentence:
        prompt = render(self.tokenizer, [*before, {"role": "user", "content": sentence.prompt}])
        return replace(sentence, form=CHAT + sentence.form, prompt=prompt)

    def _before(self) -> list[Message]:
        """Now and then a system message, and a question about another fact with its answer."""
        before = []
        if self.rng.random() < SYSTEM:
            before.append({"role": "system", "content": self.rng.choice(load_chat()["system"])})
        if self.rng.random() < EARLIER:
            index = self.rng.randrange(len(self.facts))
            forms = [form for form in self.facts[index].forms() if form in ("cloze", "question", "true_false")]
            earlier = self.rng.choice(self.messages.sentences(index, self.rng.choice(forms)))
            before.append({"role": "user", "content": earlier.prompt})
            before.append({"role": "assistant", "content": earlier.answer})
        return before
