"""FT-L: fine-tuning one down projection at the last prompt token (Zhu et al., 2020; the baseline of ROME and MEMIT).

The model sees the prompt alone, and every target token is asked for at the prompt's last token x_p:

    L = −(1/m) Σ_j log p(y_j | x),    subject to ‖W − W0‖_∞ ≤ norm   (without `norm`: unconstrained)

So for a target of m > 1 tokens L stays above log m, `loss_stop` is never met and all steps are made. W0 is the weight
at the call: in a sequence of batches the ball is centred anew on the edited weight, as in the references, so the drift
from the unedited model may reach `norm` times the batches. What we do otherwise: a BOS that the tokenizer puts before
the target when it is encoded alone is no target (in EasyEdit it is one), nor are the pads of shorter targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from editharness.method import Host
from editharness.models.capture import at
from editharness.models.spans import IGNORED
from editharness_plugins.methods.ft_m import FtM
from editharness_plugins.methods.tuning import Forward

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.models.spans import Prompts


class FtL(FtM):
    """Fine-tuning with all target tokens at one position."""

    def losses(self, host: Host, forward: Forward, rows: Prompts) -> Tensor:
        """−log p of each target token right after the prompt, mean over the tokens, per edit [n]."""
        targets = self.targets(host, rows).to(host.device)
        asked = targets != IGNORED
        picked = after_prompt(forward, rows.to(host.device)).gather(1, targets.clamp(min=0))
        return -(picked * asked).sum(dim=1) / asked.sum(dim=1)

    def targets(self, host: Host, rows: Prompts) -> Tensor:
        """Target tokens [n, T], in any columns; IGNORED where there is none."""
        return rows.labels


def after_prompt(forward: Forward, rows: Prompts) -> Tensor:
    """log p of every token right after the prompt [n, vocabulary] fp32; the model sees no target."""
    longest = int(rows.lengths.max())
    mask = torch.arange(longest, device=rows.ids.device) < rows.lengths[:, None]
    # all logits, of which one column is used: the order of operations is then the references', bit for bit
    logits = forward(input_ids=rows.ids[:, :longest], attention_mask=mask, use_cache=False).logits
    last: Tensor = at(logits, rows.lengths - 1).float()
    return last.log_softmax(dim=-1)
