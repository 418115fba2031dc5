"""FT-M: fine-tuning one down projection on the target tokens alone (Zhang et al., "A comprehensive study", 2024).

The loss is masked to the target: −log p(target | prompt), mean over its tokens. `norm` bounds the change of every
single weight (Zhu et al., 2020). The weights being tuned are fp32 copies; the model itself is never touched.
"""

from __future__ import annotations

import torch

from editharness_plugins.methods.options.fine_tuning import FtOptions
from editharness_plugins.methods.tuning import FineTuning, Weights


class FtM(FineTuning[FtOptions]):
    """Fine-tuning with the masked objective."""

    def bound(self, weights: Weights, before: Weights) -> None:
        """Keep every weight within `norm` of where it began."""
        if self.options.norm is not None:
            with torch.no_grad():
                for name, weight in weights.items():
                    weight.clamp_(before[name] - self.options.norm, before[name] + self.options.norm)
