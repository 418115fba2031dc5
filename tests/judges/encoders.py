"""A tiny BERT that is trained in a moment to tell cities from rivers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from editharness.models.load import quiet
from editharness.testing.tiny import tiny_tokenizer

CITIES, RIVERS = ["Rome", "Oslo", "Lima", "Bern"], ["Nile", "Volga", "Seine", "Rhine"]


def trained() -> tuple[Any, Any]:
    """A two-layer encoder and its tokenizer; words of one kind lie near each other."""
    from transformers import BertConfig, BertModel

    tokenizer = tiny_tokenizer(bos=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
        )
        model = BertModel(config, add_pooling_layer=False)
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        rows = tokenizer(CITIES + RIVERS, return_tensors="pt", padding=True)
        kind = torch.tensor([1.0] * 4 + [-1.0] * 4)
        model.eval()  # no dropout
        for _ in range(60):
            hidden = torch.nn.functional.normalize(model(**rows).last_hidden_state, dim=-1)
            own = rows["attention_mask"][..., None]
            mean = (hidden * own).sum(1) / own.sum(1)
            loss = ((mean @ mean.T - kind[:, None] * kind[None, :]) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    assert float(loss.detach()) < 0.3
    return model, tokenizer


def saved(model: Any, tokenizer: Any, folder: Path) -> Path:
    """The encoder as transformers saves it."""
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
