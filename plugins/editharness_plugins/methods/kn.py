"""KN: the neurons that a fact is read from, rewritten (Dai et al., "Knowledge neurons", ACL 2022).

A neuron w is a unit of an MLP, read before the non-linearity at the token that predicts the old answer o. Its
attribution is the gradient of the answer's probability along the path from 0 to its activation w̄ (eq. 3),

    Attr(w) = (w̄ / m) Σ_{k=1..m} ∂P(o | w = k/m · w̄) / ∂w

averaged over the tokens of o. Neurons above `threshold` times the largest attribution are rewritten: with e the
embeddings of tokens, the column of the down projection that neuron w drives gets

    strength · (Σ e(target) − Σ e(what the model now answers, greedily, as many tokens))

The published ports, written for BERT, differ: they take k/m from linspace(0, 1, m), which for their m = 1 is the zero
activation alone; count BOS among the answer's tokens; go on after a token of o with the model's own answer; and drop
the factor 2 for targets of several tokens. Refinement over prompts is off in all their settings: there is one prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from editharness.errors import EditError, MethodError
from editharness.locate.batch import encodable, in_storage
from editharness.locate.forward import only_positions
from editharness.method import Host, Method
from editharness.models.capture import at, capture, replaced, submodule
from editharness.models.spans import IGNORED, Prompts, target_ids
from editharness.patch import LowRank, WeightPatch
from editharness.types import Edit, State, Status, Step
from editharness_plugins.methods.options.fine_tuning import KnOptions

if TYPE_CHECKING:
    from torch import Tensor


class Kn(Method[KnOptions]):
    """Knowledge neurons, one edit at a time."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """The one edit of the batch; raises EditError where the old answer is not known."""
        if len(edits) != 1:
            raise MethodError(f"KN writes one edit at a time, not {len(edits)}: use --schedule single or sequential")
        edit, (_, failed) = edits[0], encodable(host, edits)
        if failed:
            return Step(None, state, tuple(failed.values()))
        if not edit.old:
            raise EditError("its neurons are those of the old answer, and the data set does not give it")
        scores = self.attribution(host, edit)
        if not bool(scores.max() > 0):
            raise EditError("no neuron raises the old answer's probability")
        chosen = scores > self.options.threshold * scores.max()
        patch = self.write(host, chosen, self.options.strength * self.shift(host, edit))
        return Step(patch, state, (Status(edit.id, "done", facts={"neurons": int(chosen.sum())}),))

    def attribution(self, host: Host, edit: Edit) -> Tensor:
        """Attr of every neuron [layers, d_k] fp32, mean over the old answer's tokens."""
        prefixes = each_token(host.encode([Edit(edit.id, edit.prompt, edit.subject, edit.old or "")])).to(host.device)
        scores = []
        for layer in range(host.modules.layers):
            scores.append(self.attribution_of(host, layer, prefixes).mean(dim=0))
            host.progress(layer + 1, host.modules.layers, "layers")
        return torch.stack(scores)

    def attribution_of(self, host: Host, layer: int, prompts: Prompts) -> Tensor:
        """Attr of one layer's neurons per row [rows, d_k], at each row's last token."""
        name, last = host.modules.projection(layer, "gate"), prompts.lengths - 1
        with torch.no_grad(), capture(host.model, {name: "output"}, last, stop=True) as seen:
            host.model(input_ids=prompts.ids, attention_mask=prompts.mask, use_cache=False)
        reached, total = seen[name], torch.zeros_like(seen[name], dtype=torch.float32)
        neurons = host.modules.key_size(layer)  # a fused projection holds the gate first, then what it gates
        part = torch.arange(1, self.options.steps + 1, device=host.device) / self.options.steps
        for row in range(len(prompts)):
            for scale in torch.split(part, self.options.row_limit):
                path = reached[row].repeat(len(scale), 1)
                path[:, :neurons] = (scale[:, None] * reached[row, :neurons]).to(reached.dtype)
                many = prompts.select(torch.full((len(scale),), row))
                total[row] += slopes(host, name, many, path).float().sum(dim=0)
        return (reached.float() * total / self.options.steps)[:, :neurons]

    def shift(self, host: Host, edit: Edit) -> Tensor:
        """Σ e(target) − Σ e(the model's answer) [d_h] fp32."""
        wanted = list(target_ids(host.tokenizer, edit.prompt, edit.target))
        said = answer(host, edit, len(wanted))
        source = host.modules.embedding if self.options.embedding == "input" else host.modules.head
        rows = submodule(host.model, source).get_parameter("weight").detach()
        return rows[wanted].float().sum(dim=0) - rows[said].float().sum(dim=0)

    def write(self, host: Host, chosen: Tensor, shift: Tensor) -> WeightPatch:
        """The same shift into the column of every chosen neuron [layers, d_k]: rank one per layer."""
        modules = host.modules
        return WeightPatch(
            {
                modules.down_weight(layer): in_storage(
                    LowRank(shift[:, None], chosen[layer][None].float()), modules.transposed(layer)
                )
                for layer in range(modules.layers)
                if bool(chosen[layer].any())
            }
        )


def slopes(host: Host, name: str, prompts: Prompts, path: Tensor) -> Tensor:
    """∂P(label) / ∂w per row [rows, d_k], with `path` [rows, d_k] as the activations at each row's last token."""
    row, last = torch.arange(len(prompts), device=host.device), prompts.lengths - 1
    given = path.detach().requires_grad_()

    def put(output: Tensor) -> Tensor:
        return output.index_put((row, last), given)

    head = submodule(host.model, host.modules.head)
    with torch.enable_grad(), replaced(host.model, name, put), only_positions(head, row, last):
        output = host.model(input_ids=prompts.ids, attention_mask=prompts.mask, use_cache=False)
        probability = output.logits.float().softmax(dim=-1).gather(1, at(prompts.labels, last)[:, None])
        (slope,) = torch.autograd.grad(probability.sum(), [given])
    return slope


def each_token(prompts: Prompts) -> Prompts:
    """Of one row with m labels, m rows: up to the token that predicts each label, which is asked for at its end."""
    ends = (prompts.labels[0] != IGNORED).nonzero()[:, 0]
    many = prompts.select(torch.zeros(len(ends), dtype=torch.long))
    columns = torch.arange(many.ids.shape[1])
    asked = columns == ends[:, None]
    return Prompts(
        many.ids, columns <= ends[:, None], ends + 1, many.subject_last, many.labels.where(asked, IGNORED), many.edit,
        many.group,
    )  # fmt: skip


def answer(host: Host, edit: Edit, count: int) -> list[int]:
    """The model's greedy answer to the prompt, `count` tokens."""
    prompts = host.encode([edit], targets=False).to(host.device)
    ids = prompts.ids[prompts.mask][None]
    start = ids.shape[1]
    with torch.no_grad():
        for _ in range(count):
            logits = host.model(input_ids=ids, use_cache=False).logits
            ids = torch.cat([ids, logits[:, -1:].argmax(dim=-1)], dim=1)
    found: list[int] = ids[0, start:].tolist()
    return found
