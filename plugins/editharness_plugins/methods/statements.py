"""Statements, prompts with their answers, as rows: read, weighed by their losses, compared with the model before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from editharness.locate.batch import encodable
from editharness.locate.forward import chunks
from editharness.method import Host
from editharness.models.spans import IGNORED
from editharness.types import Edit, State
from editharness_plugins.methods.texts import unpack_json
from editharness_plugins.methods.tuning import Forward, Weights, answer_losses, running

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.models.spans import Prompts

Statement = tuple[str, str]
"""A prompt and its answer."""
BUDGET = 256
"""Tokens per forward pass, pads included: rows of one length go together, and little is padding."""


def statements(state: State, name: str) -> list[Statement]:
    """The statements that a state holds under a name; none where it does not."""
    return [(str(prompt), str(answer)) for prompt, answer in unpack_json(state[name])] if name in state else []


def as_edits(said: Sequence[Statement]) -> list[Edit]:
    """Statements as edits; the whole prompt stands for the subject, which nothing here looks at."""
    return [Edit("statement", prompt, (0, len(prompt)), answer) for prompt, answer in said]


def readable(host: Host, said: Sequence[Statement]) -> bool:
    """Whether the model can read all these statements."""
    return not encodable(host, as_edits(said))[1]


def rows(host: Host, said: Sequence[Statement]) -> Prompts:
    """A row per statement."""
    return host.encode(as_edits(said))


def looked_at(host: Host, weights: Weights, prompts: Prompts) -> Tensor:
    """The loss of every row with these weights [rows], on the CPU; nothing is learnt."""
    with torch.no_grad():
        return row_losses(host, running(host.model, weights), prompts).cpu()


def passes(prompts: Prompts) -> Iterator[Tensor]:
    """Rows that go through the model together, by index."""
    return (torch.tensor(part) for part in chunks(prompts.mask.sum(dim=1).tolist(), BUDGET))


def row_losses(host: Host, forward: Forward, prompts: Prompts) -> Tensor:
    """−log p of the answer, mean over its tokens, per row [rows]."""
    parts = list(passes(prompts))
    losses = torch.cat([answer_losses(host, forward, prompts.select(part)) for part in parts])
    return losses[torch.cat(parts).argsort()]


def divergence(host: Host, was: Forward, now: Forward, prompts: Prompts) -> Tensor:
    """KL(p_was ‖ p_now) at every token of the answers, mean; gradients only through `now`."""
    apart = []
    for part in passes(prompts):
        near = prompts.select(part).to(host.device)
        inputs, asked = {"input_ids": near.ids, "attention_mask": near.mask, "use_cache": False}, near.labels != IGNORED
        with torch.no_grad():
            wanted = was(**inputs).logits[asked].float().log_softmax(dim=-1)
        found = now(**inputs).logits[asked].float().log_softmax(dim=-1)
        apart.append((wanted.exp() * (wanted - found)).sum(dim=-1))
    return torch.cat(apart).mean()
