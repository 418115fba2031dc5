"""WISE: edits go to a side memory of one layer, and a router chooses per prompt (Wang et al., NeurIPS 2024).

A side memory W' begins as the layer's weight W and learns the fact under several contexts, with margins on its score
Δ(x) = ‖act(W x) − act(W' x)‖₂, so that unrelated text scores low and the edits' prompts high:

    L = −log p(target | x) + [Δ_out − Δ_in + γ]₊ + [Δ_out − α]₊ + [β − Δ_in]₊

SGD moves only a random share of the entries (the mask), drawn anew for every shard of `save_freq` edits; after
`merge_freq` edits shards are merged by TIES. A memory answers where its score reaches `act_ratio` times the lowest
score of its own edits, the highest score first.

Defined here beyond the paper, since the authors' code decides once per forward call for a whole padded batch: a row is
decided by its own real tokens; under route=prefill by those of its prompt, once, and training scores those; under
route=reference by all tokens so far at every step. Δ leaves padding out, the answer's loss is the mean over its tokens
(the code counts one position more), weight decay stays inside the mask. An edit's score is the lowest of its rows', so
that the bare prompt reaches it (the code takes their mean). Replay (the paper's appendix B.3) is left out.
The shards of retrieve=false are merged when they are read, as in the code; the unfinished one stays apart.
Follows the authors' code, which applies act to the layer's output; the paper's equations were not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from editharness.errors import EditError
from editharness.locate.forward import label_losses
from editharness.models.capture import capture, submodule
from editharness.models.spans import encode_text
from editharness.patch import ModulePatch
from editharness.types import Edit, State, Status, Step
from editharness_plugins.methods.memory import OneByOne, bare, skipping
from editharness_plugins.methods.options.memories import WiseOptions
from editharness_plugins.methods.wise_layer import Scorer, WiseRecipe, project
from editharness_plugins.methods.wise_shards import Shards

if TYPE_CHECKING:
    from torch import Tensor, nn

    from editharness.method import Host
    from editharness.models.spans import Prompts

STILL, LOW = 1e-4, 0.02
"""An edit is done when its loss moves less than the one and lies below the other."""


class Wise(OneByOne[WiseOptions]):
    """Side memories of one layer. State: see `Shards`."""

    def write(self, host: Host, edit: Edit, state: State) -> Step:
        """The memories with one more edit in the side memory."""
        o = self.options
        path = host.modules.projection(self.layer(host), o.module)
        with bare(host.model, path) as layer:
            shards = Shards.of(state, layer.get_parameter("weight").float().cpu()).opened(o, host.rng)
            task = self.task(host, path, layer, edit)
            side, loss, score, steps = self.fit(host, task, shards)
        if not bool(side.isfinite().all()):
            raise EditError(f"edit {edit.id}: the side memory left the numbers: lower lr")
        shards = shards.learnt(side, score).closed(o)
        weights, lowest, unfinished = shards.read(o)
        config = {"route": o.route, "ratio": o.act_ratio, "side": unfinished, **vars(task.scorer)}
        patch = ModulePatch({path: WiseRecipe({"weights": weights, "lowest": lowest}, config)})
        facts = {"loss": loss, "score": score, "steps": steps, "memories": len(weights)}
        return Step(patch, shards.tensors(), (Status(edit.id, "done", facts=facts),))

    def task(self, host: Host, path: str, layer: nn.Module, edit: Edit) -> _Task:
        """What an edit's search never changes: rows, and the layer's input on them and on the unrelated text."""
        if edit.unrelated_text is None:
            raise EditError(f"edit {edit.id}: wise needs a text about something else")
        prompts = host.encode([edit], ("{}", *self.contexts(host))).to(host.device)
        columns = torch.arange(prompts.ids.shape[1], device=host.device)
        scope = columns < prompts.lengths[:, None] if self.options.route == "prefill" else prompts.mask
        other = torch.tensor([encode_text(host.tokenizer, edit.unrelated_text)[0]], device=host.device)
        inside = _input(host, path, prompts.ids, prompts.mask)
        outside = _input(host, path, other, torch.ones_like(other))
        scorer = Scorer(_activation(host), self.options.long)
        return _Task(path, layer, prompts, scorer, inside, scope, outside)

    def fit(self, host: Host, task: _Task, shards: Shards) -> tuple[Tensor, float, float, int]:
        """Masked SGD on the side memory: its weight, the last loss, its score on the edit, and the steps taken."""
        o = self.options
        base, mask, side = (x.to(host.device) for x in (shards.base, shards.mask, shards.side))
        before, steps = float("inf"), 0
        with skipping(host.model, host.modules, self.layer(host)):
            while True:
                side = side.detach().requires_grad_()
                with torch.enable_grad():
                    inside, outside = task.scores(side)
                    loss = self.answer_loss(host, task, side) + self.margins(inside, outside)
                now = float(loss.detach())
                if steps == o.steps or (abs(now - before) <= STILL and now <= LOW):
                    break
                (gradient,) = torch.autograd.grad(loss, side)
                side = side.detach() - o.lr * mask * (gradient + o.weight_decay * side.detach())
                side = side if o.norm is None else side.clamp(base - o.norm, base + o.norm)
                before, steps = now, steps + 1
        return side.detach().cpu(), now, float(inside.detach().min()), steps

    def answer_loss(self, host: Host, task: _Task, side: Tensor) -> Tensor:
        """−log p of the target with the side memory in place: mean over its tokens, then over contexts."""
        weight = {f"{task.path}.weight": side.to(task.inside.dtype)}

        def model(**inputs: Tensor | bool) -> object:
            return torch.func.functional_call(host.model, weight, kwargs=inputs)

        return label_losses(submodule(host.model, host.modules.head), task.prompts, model).mean()

    def margins(self, inside: Tensor, outside: Tensor) -> Tensor:
        """The three margins on scores of the edit's rows [R] and the unrelated text [1], each over those it binds."""
        o = self.options
        return _bound(outside - inside + o.gamma) + _bound(outside - o.alpha) + _bound(o.beta - inside)

    def contexts(self, host: Host) -> tuple[str, ...]:
        """Sampled contexts, half of 5 and half of 10 tokens."""
        long = self.options.templates // 2
        return (*host.templates(self.options.templates - long, 5), *host.templates(long, 10))

    def layer(self, host: Host) -> int:
        """The edited layer: by depth where published settings edit (27 of Llama's 32)."""
        chosen = self.options.layer
        return host.modules.layers * 27 // 32 if chosen is None else chosen


@dataclass(frozen=True)
class _Task:
    """An edit's rows; the layer's input on them [R, T, d_in], the columns that count, and its input on other text."""

    path: str
    layer: nn.Module
    prompts: Prompts
    scorer: Scorer
    inside: Tensor
    scope: Tensor
    outside: Tensor

    def scores(self, side: Tensor) -> tuple[Tensor, Tensor]:
        """Δ of the edit's rows [R] and of the unrelated text [1]."""
        every = torch.ones(self.outside.shape[:2], dtype=torch.bool, device=self.outside.device)
        return self._score(side, self.inside, self.scope), self._score(side, self.outside, every)

    def _score(self, side: Tensor, hidden: Tensor, scope: Tensor) -> Tensor:
        return self.scorer.score(self.layer(hidden), project(self.layer, side, hidden), scope)


def _bound(margin: Tensor) -> Tensor:
    """Mean over what is positive; 0 where nothing is."""
    binds = margin > 0
    return (margin * binds).sum() / binds.sum().clamp(min=1)


@torch.no_grad()
def _input(host: Host, path: str, ids: Tensor, mask: Tensor) -> Tensor:
    with capture(host.model, {path: "input"}, stop=True) as seen:
        host.model(input_ids=ids, attention_mask=mask, use_cache=False)
    return seen[path]


def _activation(host: Host) -> str:
    """The name of the model's activation, as its configuration has it."""
    config = host.model.config
    keys = ("hidden_activation", "hidden_act", "activation_function")  # Gemma's first: its hidden_act is the old name
    named = next((found for key in keys if (found := getattr(config, key, None))), None)
    if not isinstance(named, str):
        raise EditError("the model's configuration names no activation")
    return named
