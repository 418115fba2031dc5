"""A tiny model taught in seconds to grade the battery's answers: a real local judge, of no use beyond it."""

from __future__ import annotations

from pathlib import Path

import torch

from editharness.judging.battery import battery
from editharness.models.load import LoadedModel, quiet, weights_digest
from editharness.testing.tiny import tiny
from editharness_plugins.judges.local import Local
from editharness_plugins.judges.options import LocalOptions

PROMPT = "Q: {question} G: {gold} A: {answer} V:"


def loaded(model: object, tokenizer: object) -> LoadedModel:
    """A model in memory, as if it had been read from a folder."""
    return LoadedModel(model, tokenizer, "tiny", None, "folder", weights_digest(model), 1, "Llama", Path())  # type: ignore[arg-type]


def holding(found: LoadedModel, **options: object) -> Local:
    """A local judge around a model in memory."""
    judge = Local(LocalOptions(**{"model": "tiny", "prompt": PROMPT, **options}))  # type: ignore[arg-type]
    judge.__dict__["_loaded"] = found
    return judge


def untaught(family: str = "llama", positions: int = 2048) -> LoadedModel:
    """A random tiny model that reads long prompts."""
    model, tokenizer = tiny(family, hidden=64, layers=2)
    model.config.max_position_embeddings = positions
    return loaded(model, tokenizer)


def taught() -> LoadedModel:
    """A tiny Llama that tells right answers of the battery from wrong ones."""
    made = untaught()
    encoded = [holding(made).encode(probe.item) for probe in battery()]
    wanted = torch.tensor([float(probe.right) for probe in battery()])
    made.model.requires_grad_(True)
    optimiser = torch.optim.Adam(made.model.parameters(), lr=3e-3)
    for _ in range(60):
        differences = holding(made).differences(encoded)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(differences, wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < 0.02:
            break
    made.model.requires_grad_(False)
    return loaded(made.model, made.tokenizer)


def saved(made: LoadedModel, folder: Path) -> Path:
    """The model as transformers saves it."""
    with quiet():
        made.model.save_pretrained(folder)
        made.tokenizer.save_pretrained(folder)
    return folder
