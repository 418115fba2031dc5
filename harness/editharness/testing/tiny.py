"""Tiny random models of every supported family, with a real tokenizer: for tests, and for authors of methods.

    model, tokenizer = tiny("llama")
    save_tiny("gpt2", folder); load_model(str(folder))

Made in memory in a fraction of a second. They know nothing; their shapes, module types, dtypes, biases, norms, tied
weights, BOS and byte-level tokens are those of the real families. Attention windows and caps of logits are much
smaller, so that a handful of tokens meets them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from editharness.errors import UnknownNameError
from editharness.models.load import quiet

BOS, END = "<|begin_of_text|>", "<|endoftext|>"
POSITIONS = 128
WINDOW = 12
"""Tokens that local attention sees, where a family has it."""
TEXT = (
    "The Eiffel Tower is located in the city of Paris, the capital of France.",
    "Danielle Darrieux's mother tongue is French; she speaks English and Italian as well.",
    "The capital of Germany is Berlin. The capital of Italy is Rome. The capital of Spain is Madrid.",
    "Zürich and Málaga are cities in Europe, Tōkyō is a city in Asia, 東京 is its name in Japanese.",
    "Because of this, therefore, I think that you know what the company was founded by.",
    "The official language of Norway is Norwegian, and the currency of Japan is the yen.",
)


@dataclass(frozen=True)
class Family:
    """How a family's configuration is made, and whether its tokenizer puts BOS in front."""

    config: Callable[..., Any]
    bos: bool


def _llama_like(kind: str, *, tied: bool = False, **extra: Any) -> Callable[..., Any]:
    def config(hidden: int, layers: int, common: Mapping[str, Any]) -> Any:
        from transformers import AutoConfig

        return AutoConfig.for_model(
            kind,
            hidden_size=hidden,
            intermediate_size=3 * hidden,  # d_k is no multiple of 4 d_h here, nor equal to d_h
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=POSITIONS,
            tie_word_embeddings=tied,
            **extra,
            **common,
        )

    return config


def _gemma(kind: str, **extra: Any) -> Callable[..., Any]:
    def config(hidden: int, layers: int, common: Mapping[str, Any]) -> Any:
        kinds = ["full_attention" if layer % 2 else "sliding_attention" for layer in range(layers)]
        made = _llama_like(
            kind, tied=True, head_dim=16, query_pre_attn_scalar=16, sliding_window=WINDOW, layer_types=kinds, **extra
        )
        return made(hidden, layers, common)

    return config


def _gpt_like(kind: str, **extra: Any) -> Callable[..., Any]:
    def config(hidden: int, layers: int, common: Mapping[str, Any]) -> Any:
        from transformers import AutoConfig

        return AutoConfig.for_model(
            kind, n_embd=hidden, n_layer=layers, n_head=4, n_positions=POSITIONS, n_inner=4 * hidden, **extra, **common
        )

    return config


def _neox(hidden: int, layers: int, common: Mapping[str, Any]) -> Any:
    from transformers import AutoConfig

    return AutoConfig.for_model(
        "gpt_neox",
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=False,
        **common,
    )


FAMILIES: Mapping[str, Family] = {
    "llama": Family(_llama_like("llama"), bos=True),
    "qwen2": Family(_llama_like("qwen2"), bos=False),
    "qwen3": Family(_llama_like("qwen3", tied=True, head_dim=16), bos=False),
    "mistral": Family(_llama_like("mistral", sliding_window=WINDOW), bos=True),
    "gemma2": Family(_gemma("gemma2", attn_logit_softcapping=1.0, final_logit_softcapping=2.0), bos=True),
    "gemma3": Family(_gemma("gemma3_text"), bos=True),
    "phi3": Family(_llama_like("phi3"), bos=False),
    "olmo2": Family(_llama_like("olmo2"), bos=False),
    "gpt2": Family(_gpt_like("gpt2"), bos=False),
    "gptj": Family(_gpt_like("gptj", rotary_dim=4, tie_word_embeddings=False), bos=False),
    "gpt_neox": Family(_neox, bos=False),
}


def tiny(family: str, seed: int = 0, hidden: int = 32, layers: int = 3) -> tuple[Any, Any]:
    """A random fp32 model in eval mode without gradients, and its tokenizer.

    family: a key of `FAMILIES`; `hidden` a multiple of 16. torch's global generator is left as it was.
    """
    from transformers import AutoModelForCausalLM

    if family not in FAMILIES:
        raise UnknownNameError("family", family, FAMILIES)
    known = FAMILIES[family]
    tokenizer = tiny_tokenizer(bos=known.bos)
    common = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.1,  # larger than usual, so that a tiny model's answers differ from token to token
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(known.config(hidden, layers, common))
        _fill(model)
    model.eval()
    model.requires_grad_(False)
    return model, tokenizer


GAINS = ("feedforward_layernorm.weight", "q_norm.weight", "k_norm.weight")


def _fill(model: Any) -> None:
    # fresh models have zero biases and norms without gains, which would hide code that forgets one
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.1)
            if name.endswith(GAINS):
                parameter.add_(torch.randn_like(parameter), alpha=0.2)


def tiny_tokenizer(*, bos: bool) -> Any:
    """A fast byte-level BPE tokenizer of some 400 tokens, learnt from `TEXT`; any text can be encoded."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[END, BOS] if bos else [END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    steps: list[Any] = [processors.ByteLevel(trim_offsets=False)]
    if bos:
        pair = f"{BOS} $A {BOS} $B"
        special = [(BOS, tokenizer.token_to_id(BOS))]
        steps.append(processors.TemplateProcessing(single=f"{BOS} $A", pair=pair, special_tokens=special))
    tokenizer.post_processor = processors.Sequence(steps)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS if bos else END,
        eos_token=END,
        pad_token=END,
        model_max_length=POSITIONS,
        clean_up_tokenization_spaces=False,
    )


def save_tiny(family: str, folder: Path, *, seed: int = 0, hidden: int = 32, layers: int = 3) -> Path:
    """Write a tiny model and its tokenizer as transformers saves them; returns the folder."""
    model, tokenizer = tiny(family, seed=seed, hidden=hidden, layers=layers)
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
