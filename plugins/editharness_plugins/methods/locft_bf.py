"""LocFT-BF: fine-tuning breadth-first, at one well-chosen place ("Fine-tuning Done Right in Model Editing", ICLR 2026).

FT-M's loss, but all edits are one data set: epochs of shuffled batches instead of one edit after the other,

    L = mean over a batch of −log p(target, EOS | prompt), mean over the tokens

so that no edit is driven to zero loss before the next one is seen. EOS is a token of the target: the edited model
learns to stop. One layer's down projection is tuned, or its whole block (Mistral). The published code adds a pad token
and resizes the vocabulary for it; here pads are masked and the vocabulary stays. Read from the code; the paper's tables
were not checked. Edits that arrive in batches are one data set per batch: the smaller, the nearer to FT-M.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

from editharness.errors import MethodError
from editharness.method import Host
from editharness.models.spans import IGNORED
from editharness.types import Edit
from editharness_plugins.methods.options.fine_tuning import LocFtOptions
from editharness_plugins.methods.tuning import FineTuning, parameters

if TYPE_CHECKING:
    from editharness.models.spans import Prompts


class LocFtBf(FineTuning[LocFtOptions]):
    """Fine-tuning on all edits at once."""

    def rows(self, host: Host, edits: Sequence[Edit]) -> Prompts:
        """One row per edit, which asks for target and EOS."""
        prompts = host.encode(edits)
        return with_end(prompts, self.end(host)) if self.options.append_eos else prompts

    def order(self, host: Host, count: int) -> list[int]:
        """Shuffled, anew for every pass."""
        order: list[int] = torch.randperm(count, generator=host.rng).tolist()
        return order

    def parameters(self, host: Host) -> list[str]:
        """The layer's down projection or its whole block, taken by module: layer 2 is not layer 20."""
        if self.options.tuned == "down":
            return super().parameters(host)
        return parameters(host.model, [host.modules.block(self.layer(host))])

    def end(self, host: Host) -> int:
        """The token that ends a text; raises MethodError where the tokenizer has none."""
        token = host.tokenizer.eos_token_id
        if token is None:
            raise MethodError("the tokenizer has no end-of-text token: type --set append_eos=false")
        return int(token)


def with_end(prompts: Prompts, end: int) -> Prompts:
    """The rows one column longer: the last target token becomes input, and after it `end` is asked for."""
    row, length = torch.arange(len(prompts)), prompts.mask.sum(dim=1)
    ids, mask, labels = pad(prompts.ids, (0, 1)), pad(prompts.mask, (0, 1)), pad(prompts.labels, (0, 1), value=IGNORED)
    ids[row, length] = prompts.labels[row, length - 1]
    mask[row, length] = True
    labels[row, length] = end
    return replace(prompts, ids=ids, mask=mask, labels=labels)
