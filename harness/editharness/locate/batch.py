"""What every locate-then-edit method does round its formula: leave out what cannot be edited, write layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from editharness.errors import EditError
from editharness.locate.frozen import Site
from editharness.locate.objective import published
from editharness.locate.values import Search, Values, Vector, optimise_values
from editharness.models.modules import to_stored
from editharness.models.spans import essence_prompts
from editharness.patch import Dense, LowRank, WeightPatch, apply
from editharness.patch.values import tensors
from editharness.types import Edit, Status

if TYPE_CHECKING:
    from torch import Tensor, nn

    from editharness.locate.options import ValueOptions
    from editharness.method import Host
    from editharness.models.modules import ModuleMap
    from editharness.models.spans import Prompts


@dataclass(frozen=True)
class Found:
    """Edits with a target value [n, d_h] each, and one status for every edit that was asked for, in order."""

    edits: tuple[Edit, ...]
    target: Tensor
    statuses: tuple[Status, ...]

    def each(self) -> Iterator[tuple[Status, Edit | None, Tensor]]:
        """One (status, edit, target [1, d_h]) per edit asked for; the edit is None where there is no value."""
        place = {edit.id: index for index, edit in enumerate(self.edits)}
        for status in self.statuses:
            index = place.get(status.edit_id)
            if index is None:
                yield status, None, self.target[:0]
            else:
                yield status, self.edits[index], self.target[index : index + 1]


def find_values(
    host: Host,
    edits: Sequence[Edit],
    layer: int,
    templates: Sequence[str],
    options: ValueOptions,
    site: Site = "block",
    *,
    search: Search | None = None,
    teacher: Callable[[Sequence[Edit], Prompts], Prompts] | None = None,
    encode: Callable[[Sequence[Edit]], Prompts] | None = None,
) -> Found:
    """Target values of all edits that have one; those that cannot be encoded or whose search broke down are failed.

    Without a `search`, the published one at `site`. `teacher` makes a teacher's rows of the edits' own. `encode` gives
    the edits' rows, where these are not the prompt under the templates.
    """
    usable, failed = encodable(host, edits)
    if not usable:
        return Found((), torch.zeros(0, host.modules.hidden_size), tuple(failed[edit.id] for edit in edits))
    prompts = host.encode(usable, templates) if encode is None else encode(usable)
    values = optimise_values(
        host.model, host.modules, layer, prompts, essence_prompts(host.tokenizer, usable), options,
        search=search or Search(published(options), (Vector(site),)),
        teacher=None if teacher is None else teacher(usable, prompts),
        progress=lambda done, total: host.progress(done, total, "values"),
    )  # fmt: skip
    made = {edit.id: _status(edit, values, index) for index, edit in enumerate(usable)}
    good = [index for index, edit in enumerate(usable) if made[edit.id].outcome == "done"]
    statuses = tuple({**made, **failed}[edit.id] for edit in edits)
    return Found(tuple(usable[index] for index in good), values.target[good], statuses)


def encodable(host: Host, edits: Sequence[Edit]) -> tuple[list[Edit], dict[str, Status]]:
    """The edits whose subject and target can be placed in their prompt, and a failed status for each of the others."""
    usable, failed = [], {}
    for edit in edits:
        try:
            host.encode([edit])
        except EditError as error:
            failed[edit.id] = Status(edit.id, "failed", str(error))
        else:
            usable.append(edit)
    return usable, failed


def _status(edit: Edit, values: Values, index: int) -> Status:
    if not bool(values.target[index].isfinite().all()):
        return Status(
            edit.id, "failed", f"the search for its value left the numbers (loss {float(values.loss[index])})"
        )
    return Status(edit.id, "done", facts=values.facts(index))


@dataclass
class Draft:
    """Changes written to the live model so that later layers see them; `patch` is their sum as a value."""

    model: nn.Module
    modules: ModuleMap
    undo: ExitStack
    deltas: dict[str, LowRank | Dense] = field(default_factory=dict)

    def write(self, layer: int, change: LowRank | Dense) -> None:
        """Add Δ (math orientation) to the down projection of `layer`; raises EditError for numbers that are none."""
        name = self.modules.down_weight(layer)
        stored = in_storage(change, self.modules.transposed(layer))
        patch = WeightPatch({name: stored})
        if not all(bool(part.isfinite().all()) for part in tensors(patch)):
            raise EditError(f"layer {layer}: the solve gave numbers that are not finite")
        self.undo.enter_context(apply(self.model, patch))
        self.deltas[name] = stored

    @property
    def patch(self) -> WeightPatch:
        """All that was written; each layer once."""
        return WeightPatch(dict(self.deltas))


@contextmanager
def drafting(host: Host) -> Iterator[Draft]:
    """Lend the model for writing; on exit it has its old bits again."""
    with ExitStack() as undo:
        yield Draft(host.model, host.modules, undo)


def in_storage(change: LowRank | Dense, transposed: bool) -> LowRank | Dense:
    """Δ [d_h, d_k], in full or in factors, in the parameter's own orientation."""
    if not transposed:
        return change
    if isinstance(change, Dense):
        return Dense(to_stored(change.delta, transposed).contiguous())
    return LowRank(a=to_stored(change.b, transposed).contiguous(), b=to_stored(change.a, transposed).contiguous())


def by_depth(layers: int) -> tuple[int, ...]:
    """Layers to edit where nobody has published any: an eighth to a quarter of the way up (4-8 of 32)."""
    return tuple(range(round(layers / 8), round(layers / 4) + 1))
