"""Puts the prompts of a form to a model and grades its greedy replies: what the validity card measures with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from editharness_plugins.pocket.relations import load_yaml

Encode = Callable[[list[str]], Any]
BATCH = 200
NEW_TOKENS = 16


@dataclass(frozen=True)
class Reply:
    """A greedy continuation, and whether it ended by itself."""

    text: str
    stopped: bool


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    new_tokens: int = NEW_TOKENS,
    encode: Encode | None = None,
) -> list[Reply]:
    """Greedy continuations of many prompts, batched with padding on the left; `encode` makes a batch of prompts."""
    tokenizer.padding_side = "left"
    encode = encode or (lambda texts: tokenizer(texts, padding=True, return_tensors="pt"))
    replies = []
    for start in range(0, len(prompts), BATCH):
        batch = encode(prompts[start : start + BATCH]).to(model.device)
        with torch.no_grad():
            out = model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=new_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        for row in out[:, batch["input_ids"].shape[1] :]:
            text = str(tokenizer.decode(row, skip_special_tokens=True))
            replies.append(Reply(text, bool((row == tokenizer.eos_token_id).any())))
    return replies


class Examiner:
    """Puts the prompts of a form to a model and grades the replies."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.forms: dict[str, str] = {"complete": "{prompt}", **load_yaml()["forms"]}

    def ask(self, prompts: Iterable[str]) -> list[Reply]:
        """Greedy replies."""
        return generate(self.model, self.tokenizer, list(prompts))

    def complete(self, prompts: Iterable[str]) -> list[str]:
        """The prompts of sentences to be completed, in the form in which that is asked."""
        return [self.forms["complete"].format(prompt=prompt) for prompt in prompts]

    def exact(self, prompts: Iterable[str], answers: Iterable[str]) -> list[bool]:
        """Whether each reply is the answer and nothing else, ended by the model itself."""
        pairs = zip(self.ask(prompts), answers, strict=True)
        return [reply.stopped and reply.text == f" {answer}" for reply, answer in pairs]

    def says(self, prompts: Iterable[str], answers: Iterable[str]) -> list[bool]:
        """Whether each reply begins with the answer."""
        pairs = zip(self.ask(prompts), answers, strict=True)
        return [starts_with(reply.text, answer) for reply, answer in pairs]

    def verdicts(self, statements: list[str], template: str, word: str) -> list[bool]:
        """Whether the model gives the verdict `word` on each statement."""
        return self.says([template.format(statement=s) for s in statements], [word] * len(statements))


def starts_with(text: str, answer: str) -> bool:
    """Whether a continuation begins with an answer as whole words."""
    rest = text[len(answer) + 1 :]
    return text.startswith(f" {answer}") and not rest[:1].isalnum()
