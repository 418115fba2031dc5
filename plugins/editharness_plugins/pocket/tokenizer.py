"""The tokenizer of pocket: byte-level BPE that puts a beginning-of-text token first by itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
# The bytes C0, C1 and F5 as byte-level BPE writes them: no UTF-8 text holds them, so their places are free.
FREE = ("À", "Á", "õ")
TEMPLATE = Path(__file__).parent / "chat_template.jinja"


def train_tokenizer(texts: Iterable[str], size: int = 4096) -> PreTrainedTokenizerFast:
    """Learn the merges from the training texts."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    inner.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, inner.token_to_id(BOS))]
            ),
        ]
    )
    return _wrap(inner)


def with_chat(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The same tokenizer with the chat template and its role tokens, in places that no text ever used.

    The vocabulary keeps its size and every text its tokens. A tokenizer that has the roles already comes back as it is.
    """
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    if ROLES[0] not in vocabulary:
        for role, free in zip(ROLES, FREE, strict=True):
            vocabulary[role] = vocabulary.pop(free)
            content["added_tokens"].append({**content["added_tokens"][0], "id": vocabulary[role], "content": role})
    wrapped = _wrap(Tokenizer.from_str(json.dumps(content)))
    wrapped.chat_template = TEMPLATE.read_text(encoding="utf-8")
    return wrapped


def _wrap(inner: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        padding_side="left",
        model_max_length=256,
        clean_up_tokenization_spaces=False,
    )
