"""Models with random weights of a wanted shape, a vocabulary of made-up words, and facts about them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from editharness.types import Edit

BOS, END = "<s>", "</s>"
LINE_END = 40
"""Every so many words one ends its line, so that answers end at different steps."""


@dataclass(frozen=True)
class Shape:
    """Of a Llama: sizes, layers, words."""

    hidden: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    words: int


SHAPES = {
    "small": Shape(256, 1024, 6, 8, 8, 4000),
    "narrow": Shape(64, 256, 6, 4, 4, 4000),
    "deep": Shape(256, 1024, 12, 8, 8, 4000),
    "wide": Shape(512, 2048, 6, 8, 8, 4000),
    "llama-3-8b": Shape(4096, 14336, 32, 32, 8, 128256),
}


def make(shape: Shape, device: str = "cpu", dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """The model in eval mode and its tokenizer; weights are the same on every call."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.words, hidden_size=shape.hidden, intermediate_size=shape.inner,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.key_heads,
        max_position_embeddings=512, tie_word_embeddings=False, initializer_range=0.06,
        bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(device):
        torch.set_default_dtype(dtype)
        try:
            model = LlamaForCausalLM(config)
        finally:
            torch.set_default_dtype(torch.float32)
    model.requires_grad_(False)
    return model.eval(), tokenizer(shape.words)


def word(number: int) -> str:
    """The word of a token id; every `LINE_END`th ends its line."""
    return f"w{number}\n" if number % LINE_END == 0 else f"w{number}"


def tokenizer(words: int) -> Any:
    """One token a word; text is split at spaces."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {BOS: 0, END: 1} | {word(number): number for number in range(2, words)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=END))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(" "), "removed")
    made.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=BOS, eos_token=END, pad_token=END, model_max_length=512,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def some_words(lot: random.Random, count: int, words: int) -> str:
    """So many words that do not end a line."""
    lines = words // LINE_END
    return " ".join(word(lot.randrange(1, lines) * LINE_END + lot.randrange(1, LINE_END)) for _ in range(count))


def facts(count: int, words: int, seed: int = 0) -> list[Edit]:
    """Edits with subjects of 1 to 4 words, prompts of 4 to 14 and targets of 1 or 2, as real ones have."""
    lot = random.Random(seed)
    made = []
    for number in range(count):
        subject, before, after = (some_words(lot, lot.randint(*span), words) for span in ((1, 4), (1, 3), (2, 7)))
        target = some_words(lot, lot.randint(1, 2), words)
        span = (len(before) + 1, len(before) + 1 + len(subject))
        made.append(Edit(str(number), f"{before} {subject} {after}", span, target))
    return made


def contexts(count: int, words: int, seed: int = 1) -> list[str]:
    """The bare prompt and `count` - 1 contexts of ten words."""
    lot = random.Random(seed)
    return ["{}", *(f"{some_words(lot, 10, words)} {{}}" for _ in range(count - 1))]


def texts(count: int, words: int, span: tuple[int, int], seed: int = 2) -> Sequence[str]:
    """Texts with a number of words within the span."""
    lot = random.Random(seed)
    return [some_words(lot, lot.randint(*span), words) for _ in range(count)]
