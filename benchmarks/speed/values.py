"""Target values of many edits, against one edit at a time through the whole model: the loop that published code has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import shapes
import torch
from timing import Pair
from torch import Tensor
from torch.nn import functional as F

from editharness.locate.options import ValueOptions
from editharness.locate.values import optimise_values
from editharness.models.modules import module_map
from editharness.models.spans import encode_edits, essence_prompts
from editharness.types import Edit

OPTIONS = ValueOptions(row_tokens=8192)
SLOW = 20
"""The slow side does so many of the edits, spread over all."""


def pair(shape: str, templates: int, edits: int, least: float, name: str = "") -> Pair:
    """MEMIT's values at the last edited layer."""
    wanted = shapes.SHAPES[shape]
    model, tokenizer = shapes.make(wanted)
    facts, contexts = shapes.facts(edits, wanted.words), shapes.contexts(templates, wanted.words)
    layer, some = site(wanted), facts[:: max(1, edits // SLOW)]

    def agree(ours: Tensor, theirs: Tensor) -> str:
        apart = (ours[:: max(1, edits // SLOW)] - theirs).norm(dim=1) / theirs.norm(dim=1)
        return f"values within {float(apart.max()):.0e}"

    return Pair(
        name or f"target values, {templates} template{'s' * (templates > 1)}, {edits} edits",
        lambda: ours(model, tokenizer, facts, contexts, layer),
        lambda: torch.stack([one_by_one(model, tokenizer, edit, contexts, layer) for edit in some]),
        agree, least, slow_share=len(some) / len(facts),
    )  # fmt: skip


def site(shape: shapes.Shape) -> int:
    """The last of the layers that are edited: the middle one, as in the reference runs on this shape."""
    return shape.layers // 2


def ours(model: Any, tokenizer: Any, edits: Sequence[Edit], contexts: Sequence[str], layer: int) -> Tensor:
    """The values [n, d_h]."""
    prompts, essence = encode_edits(tokenizer, edits, contexts), essence_prompts(tokenizer, edits)
    return optimise_values(model, module_map(model), layer, prompts, essence, OPTIONS).target


def one_by_one(model: Any, tokenizer: Any, edit: Edit, contexts: Sequence[str], layer: int) -> Tensor:
    """One value: all rows of the edit in a batch, the whole model and all logits at every step."""
    prompts, essence = encode_edits(tokenizer, [edit], contexts), essence_prompts(tokenizer, [edit])
    width = max(prompts.ids.shape[1], essence.ids.shape[1])
    ids, mask = (
        torch.cat([F.pad(one, (0, width - one.shape[1])) for one in two])
        for two in ((prompts.ids, essence.ids), (prompts.mask, essence.mask))
    )
    labels = F.pad(prompts.labels, (0, width - prompts.labels.shape[1]), value=-100)
    places, rows = torch.cat([prompts.subject_last, essence.subject_last]), torch.arange(len(ids))
    delta: Tensor = torch.zeros(model.config.hidden_size, requires_grad=True)
    initial: Tensor | None = None
    before: Tensor | None = None

    def add(module: Any, inputs: Any, output: Any) -> Any:
        nonlocal initial
        stream = output if torch.is_tensor(output) else output[0]
        if initial is None:
            initial = stream[0, places[0]].detach().clone()
        stream = stream.clone()
        stream[rows, places] = stream[rows, places] + delta
        return stream if torch.is_tensor(output) else (stream, *output[1:])

    hook = model.model.layers[layer].register_forward_hook(add)
    optimiser = torch.optim.Adam([delta], lr=OPTIONS.lr)
    try:
        for step in range(OPTIONS.steps):
            optimiser.zero_grad()
            logp = model(input_ids=ids, attention_mask=mask.long(), use_cache=False).logits.log_softmax(dim=-1)
            now = logp[-1, places[-1]]
            before = now.detach().clone() if before is None else before
            asked = labels != -100
            picked = logp[:-1].gather(2, labels.clamp(min=0)[..., None])[..., 0]
            said = -((picked * asked).sum(dim=1) / asked.sum(dim=1)).mean()
            kept = OPTIONS.kl_weight * F.kl_div(before, now, log_target=True, reduction="sum")
            assert initial is not None
            loss = said + kept + OPTIONS.weight_decay * delta.norm() / initial.norm() ** 2
            if loss < OPTIONS.loss_stop or step == OPTIONS.steps - 1:
                break
            loss.backward()
            optimiser.step()
            limit = OPTIONS.clamp * initial.norm()
            with torch.no_grad():
                if delta.norm() > limit:
                    delta.mul_(limit / delta.norm())
    finally:
        hook.remove()
    assert initial is not None
    return initial + delta.detach()
