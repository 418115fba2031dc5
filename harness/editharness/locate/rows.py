"""Rows of a value search, aligned so that every row's subject ends in the same column.

Everything left of that column never changes while the value is searched: its keys and values in the layers above are
computed once. Rows are padded on both sides; positions are given to the model, so padding moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from editharness.models.spans import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.models.spans import Prompts


@dataclass(frozen=True)
class Rows:
    """Rewriting rows and one essence row per edit.

    ids, mask, position, labels [rows, T]: position counts a row's own tokens, labels are -100 where nothing is asked.
    `start` is the column of the subjects' last tokens; edit [rows] counts from 0 within these rows; essence [rows].
    """

    ids: Tensor
    mask: Tensor
    position: Tensor
    labels: Tensor
    edit: Tensor
    essence: Tensor
    start: int

    def take(self, edits: Sequence[int]) -> Rows:
        """The rows of these edits, renumbered in this order, without needless padding."""
        number = torch.full((int(self.edit.max()) + 1,), -1, device=self.edit.device)
        number[list(edits)] = torch.arange(len(edits), device=number.device)
        kept = number[self.edit] >= 0
        used = self.mask[kept].any(dim=0).nonzero()
        left, right = int(used[0]), int(used[-1]) + 1
        return self._sliced(kept, left, right, number[self.edit])

    def without(self, gone: Tensor) -> Rows:
        """The rows of edits that are not `gone` (a mask over rows), same numbers, cut on the right."""
        right = int(self.mask[~gone].any(dim=0).nonzero()[-1]) + 1
        return self._sliced(~gone, 0, right, self.edit)

    def to(self, device: torch.device) -> Rows:
        """All tensors on `device`."""
        moved = {name: value.to(device) for name, value in vars(self).items() if name != "start"}
        return Rows(**moved, start=self.start)

    def suffixes(self) -> list[int]:
        """Per edit: columns from the subject's last token to the end of its longest row."""
        lengths = self.mask[:, self.start :].sum(dim=1)
        longest = torch.zeros(int(self.edit.max()) + 1, dtype=lengths.dtype, device=lengths.device)
        return [int(length) for length in longest.scatter_reduce(0, self.edit, lengths, "amax")]

    def bare(self) -> Tensor:
        """The row of every edit's bare prompt, its first."""
        edits = int(self.edit.max()) + 1
        order = torch.arange(len(self.edit), device=self.edit.device).expand(edits, -1)
        mine = (self.edit == torch.arange(edits, device=order.device)[:, None]) & ~self.essence
        return order.masked_fill(~mine, len(self.edit)).min(dim=1).values

    def _sliced(self, kept: Tensor, left: int, right: int, edit: Tensor) -> Rows:
        wide = (self.ids, self.mask, self.position, self.labels)
        ids, mask, position, labels = (tensor[kept, left:right] for tensor in wide)
        return Rows(ids, mask, position, labels, edit[kept], self.essence[kept], self.start - left)


def aligned(prompts: Prompts, essence: Prompts) -> Rows:
    """Rows of edits (edit-major, bare prompt first, with targets) and of their "<subject> is a", cut at the subject."""
    ends = torch.cat([prompts.mask.sum(dim=1), essence.subject_last + 1])
    last = torch.cat([prompts.subject_last, essence.subject_last])
    start = int(last.max())
    columns = torch.arange(start + int((ends - last).max()))[None, :] - (start - last)[:, None]
    mask = (columns >= 0) & (columns < ends[:, None])
    source = columns.clamp(min=0)
    return Rows(
        ids=_gathered(prompts.ids, essence.ids, source).masked_fill(~mask, 0),
        mask=mask,
        position=source,
        labels=_gathered(prompts.labels, torch.full_like(essence.labels, IGNORED), source).masked_fill(~mask, IGNORED),
        edit=torch.cat([prompts.edit, essence.edit]),
        essence=torch.arange(len(last)) >= len(prompts),
        start=start,
    )


def _gathered(first: Tensor, second: Tensor, source: Tensor) -> Tensor:
    width = int(source.max()) + 1
    both = torch.zeros(len(first) + len(second), max(width, first.shape[1], second.shape[1]), dtype=first.dtype)
    both[: len(first), : first.shape[1]] = first
    both[len(first) :, : second.shape[1]] = second
    return both.gather(1, source)
