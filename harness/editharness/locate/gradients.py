"""What a gradient step would write, token by token: for a linear map y = W k, dL/dW = Σ_t g_t k_tᵀ.

    found = token_gradients(model, modules.head, names, prompts)
    found.factors[name].keys, found.factors[name].gradients        # [N, d_in], [N, d_out], fp32

Closed forms (UltraEdit) and hypernetworks (MEND, MALMEN, RLEdit) work on these factors. One forward and one backward
pass per row; linear layers of either storage order (Linear, Conv1D); the model is left as found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from editharness.locate.forward import chunks, label_losses
from editharness.models.capture import submodule
from editharness.models.spans import IGNORED

if TYPE_CHECKING:
    from torch import Tensor, nn

    from editharness.models.spans import Prompts


@dataclass(frozen=True)
class Factors:
    """Of one linear map, by token, in the order of rows and within a row of columns.

    keys k [N, d_in] and gradients g = dL/dy [N, d_out], fp32; row [N] int64, the row of the prompts a token stands in.
    """

    keys: Tensor
    gradients: Tensor
    row: Tensor

    def of_row(self, row: int) -> Factors:
        """The tokens of one row."""
        return Factors(self.keys[self.row == row], self.gradients[self.row == row], self.row[self.row == row])


@dataclass(frozen=True)
class TokenGradients:
    """Factors by module name, and each row's loss [rows] fp32."""

    factors: Mapping[str, Factors]
    losses: Tensor


def token_gradients(
    model: nn.Module,
    head: str,
    names: Sequence[str],
    prompts: Prompts,
    tokens: Tensor | None = None,
    *,
    budget: int = 4096,
) -> TokenGradients:
    """Keys and output gradients of the linear maps `names` at `tokens` [rows, T] bool (none: where a label is asked).

    L is the sum over rows of each row's −log p of its labels (mean over them), so a row's factors do not depend on the
    rows beside it; divide `gradients` by the number of rows for the mean. Rows run in chunks of about `budget` tokens
    after padding. Raises ModelError for a module that the model has not.
    """
    asked = prompts.labels != IGNORED if tokens is None else tokens.to(prompts.ids.device)
    device = next(model.parameters()).device
    parts: dict[str, list[Factors]] = {name: [] for name in names}
    losses = torch.zeros(len(prompts), device=device)
    for chosen in chunks(prompts.mask.sum(dim=1).tolist(), budget):
        rows = torch.tensor(chosen)
        part = prompts.select(rows).to(device)
        kept = asked[rows.to(asked.device), : part.ids.shape[1]].to(device)
        with torch.enable_grad(), _watching(model, names) as seen:
            loss = label_losses(submodule(model, head), part, model)
            gradients = torch.autograd.grad(loss.sum(), [seen[name][1] for name in names])
        losses[rows.to(device)] = loss.detach()
        place = rows.to(device)[kept.nonzero()[:, 0]]
        for name, gradient in zip(names, gradients, strict=True):
            taken = (one[kept.to(one.device)].float().to(device) for one in (seen[name][0].detach(), gradient))
            parts[name].append(Factors(next(taken), next(taken), place))
    return TokenGradients({name: _in_order(parts[name]) for name in names}, losses)


def _in_order(parts: Sequence[Factors]) -> Factors:
    row = torch.cat([part.row for part in parts])
    order = row.argsort(stable=True)
    keys, gradients = (torch.cat([getattr(part, side) for part in parts]) for side in ("keys", "gradients"))
    return Factors(keys[order], gradients[order], row[order])


@contextmanager
def _watching(model: nn.Module, names: Sequence[str]) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Input and output of modules during a pass: name -> (x, y), y a node of the graph."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            # with frozen weights nothing below the first of the modules needs a graph: there it begins
            node = output if output.requires_grad else output.detach().requires_grad_()
            seen[name] = (inputs[0], node)
            return node

        return submodule(model, name).register_forward_hook(hook)

    with ExitStack() as hooks:
        for name in names:
            hooks.callback(watch(name).remove)
        yield seen
