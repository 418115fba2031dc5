"""GRACE: a codebook beside one layer; a prompt near a key gets that key's value (Hartvigsen et al., NeurIPS 2023).

The query is the layer's input at the last prompt token. With the nearest key at distance d and its radius e (eq. 1):

    d ≤ e            the layer gives the key's value there, else its own output

An edit adds a key with radius eps; where an older key is nearer than eps + e it widens that one to d (same answer) or
splits the ball (another answer: e = d/2 − 1e-5 and d/2). Then only the value is trained, on −log p(target | prompt).
Radii are in units of raw activations: eps that suits one model and layer is too wide or too narrow for another.

Defined here beyond the paper: each row of a batch has its own query, and it is decided at the prompt, also while tokens
are generated. Two answers are the same if their tokens are (the code compares means of label rows). A new answer for
a key that is there already takes its entry over: halving a distance of 0 would leave the radii to rounding. One layer
is edited; the dropout and the adversarial training of the code's other options are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from editharness.errors import EditError
from editharness.locate.forward import label_losses, only_positions
from editharness.models.capture import capture, replaced, submodule
from editharness.models.spans import IGNORED
from editharness.patch import ModulePatch
from editharness.rows import Rows, publishing
from editharness.types import Edit, State, Status, Step
from editharness_plugins.methods.grace_layer import Codebook, GraceRecipe, places
from editharness_plugins.methods.memory import OneByOne, bare, skipping
from editharness_plugins.methods.options.memories import GraceOptions

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.method import Host
    from editharness.models.spans import Prompts


class Grace(OneByOne[GraceOptions]):
    """Discrete key-value edits of one layer. State: keys, values, radii, labels of the codebook."""

    def write(self, host: Host, edit: Edit, state: State) -> Step:
        """The codebook with one more edit in it."""
        o = self.options
        path = host.modules.projection(self.layer(host), o.module)
        prompts = host.encode([edit]).to(host.device)
        if o.only_wrong and answered(host, prompts):
            return Step(None, state, (Status(edit.id, "skipped", "the model already answers so"),))
        with bare(host.model, path):
            query, output = self.seen(host, path, prompts)
            label = prompts.labels[prompts.labels != IGNORED].cpu()
            book = Codebook.of(state, len(query), len(output))
            start = output if o.init == "warm" else torch.rand(len(output), generator=host.rng)
            book, entry = book.prepared(query, label, start, o.eps, o.expand)
            value, loss = self.fit(host, path, prompts, book.values[entry])
        if not bool(value.isfinite().all()):
            raise EditError(f"edit {edit.id}: the search for a value left the numbers: lower lr")
        book = book.with_value(entry, value)
        patch = ModulePatch({path: GraceRecipe(book.tensors(), {"replace": o.replace})})
        facts = {"loss": loss, "steps": o.steps, "keys": len(book), "radius": float(book.radii[entry])}
        return Step(patch, book.tensors(), (Status(edit.id, "done", facts=facts),))

    def seen(self, host: Host, path: str, prompts: Prompts) -> tuple[Tensor, Tensor]:
        """The layer's input [d_in] and output [d_out] at the last prompt token, fp32."""
        with torch.no_grad():
            with capture(host.model, {path: "input"}, prompts.lengths - 1, stop=True) as found:
                host.model(input_ids=prompts.ids, attention_mask=prompts.mask, use_cache=False)
            query = found[path]
            output = submodule(host.model, path)(query)
        return query[0].float().cpu(), output[0].float().cpu()

    def fit(self, host: Host, path: str, prompts: Prompts, start: Tensor) -> tuple[Tensor, float]:
        """Adam on the value [d_out]; the value and its loss."""
        value = start.to(host.device, copy=True).requires_grad_()
        optimiser = torch.optim.Adam([value], lr=self.options.lr)
        with skipping(host.model, host.modules, self.layer(host)):
            for _ in range(self.options.steps):
                with torch.enable_grad():
                    loss = self.loss(host, path, prompts, value)
                (value.grad,) = torch.autograd.grad(loss, value)
                optimiser.step()
            with torch.no_grad():
                reached = float(self.loss(host, path, prompts, value))
        return value.detach().cpu(), reached

    def loss(self, host: Host, path: str, prompts: Prompts, value: Tensor) -> Tensor:
        """−log p of the target, mean over its tokens, with the value in its places."""
        put = places(Rows.of_scoring(prompts.lengths, prompts.mask), self.options.replace)[..., None]
        head = submodule(host.model, host.modules.head)
        with replaced(host.model, path, lambda output: torch.where(put, value.to(output.dtype), output)):
            return label_losses(head, prompts, host.model).mean()

    def layer(self, host: Host) -> int:
        """The edited layer: by depth where published settings edit (27 of Llama's 32)."""
        chosen = self.options.layer
        return host.modules.layers * 27 // 32 if chosen is None else chosen


@torch.no_grad()
def answered(host: Host, prompts: Prompts) -> bool:
    """Whether every target token is the model's first choice, as it is edited so far."""
    places = (prompts.labels != IGNORED).nonzero(as_tuple=True)
    head = submodule(host.model, host.modules.head)
    with publishing(Rows.of_scoring(prompts.lengths, prompts.mask)), only_positions(head, *places):
        output = host.model(input_ids=prompts.ids, attention_mask=prompts.mask, use_cache=False)
    return bool((output.logits.argmax(dim=-1) == prompts.labels[places]).all())
