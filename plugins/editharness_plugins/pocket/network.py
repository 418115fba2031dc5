"""The network of pocket and what updates it."""

from __future__ import annotations

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

EMBEDDING_RATE = 0.5
DECAY = 0.2
BETAS = (0.9, 0.98)


def build_model(tokenizer: PreTrainedTokenizerBase, width: int, layers: int) -> LlamaForCausalLM:
    """A small Llama with random weights."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=5 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        num_key_value_heads=width // 32,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config)


def build_optimizers(model: nn.Module, rate: float, muon: bool = True) -> list[torch.optim.Optimizer]:
    """Muon (or AdamW) for the matrices of the layers, AdamW for the rest.

    torch's Muon works in bfloat16, which is slow where the processor has none.
    """
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    tables = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" in n]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    adam = torch.optim.AdamW(
        [{"params": tables, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}],
        lr=EMBEDDING_RATE * rate,
        betas=BETAS,
    )
    if muon:
        return [torch.optim.Muon(matrices, lr=rate, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"), adam]
    return [torch.optim.AdamW(matrices, lr=rate, weight_decay=DECAY, betas=BETAS), adam]


def schedule(done: float) -> float:
    """Learning-rate factor: full to 65%, then linear down to 2%."""
    return 1.0 if done < 0.65 else max(0.02, (1.0 - done) / 0.35)
