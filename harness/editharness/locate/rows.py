"""Rows of a value search, aligned so that every row's subject ends in the same column.

Everything left of that column never changes while the value is searched: its keys and values in the layers above are
computed once. Rows are padded on both sides; positions are given to the model, so padding moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    `start` is the column where a searched vector enters, the subjects' last tokens; edit [rows] counts from 0 within
    these rows; essence [rows]; entered [rows]: whether the vector enters the row at all.
    """

    ids: Tensor
    mask: Tensor
    position: Tensor
    labels: Tensor
    edit: Tensor
    essence: Tensor
    entered: Tensor
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

    def widths(self) -> Tensor:
        """Per row: columns from `start` to its end [rows]."""
        return self.mask[:, self.start :].sum(dim=1)

    def suffixes(self) -> list[int]:
        """Per edit: columns from the subject's last token to the end of its longest row."""
        lengths = self.widths()
        longest = torch.zeros(int(self.edit.max()) + 1, dtype=lengths.dtype, device=lengths.device)
        return [int(length) for length in longest.scatter_reduce(0, self.edit, lengths, "amax")]

    def bare(self) -> Tensor:
        """The row of every edit's bare prompt, its first."""
        edits = int(self.edit.max()) + 1
        order = torch.arange(len(self.edit), device=self.edit.device).expand(edits, -1)
        mine = (self.edit == torch.arange(edits, device=order.device)[:, None]) & ~self.essence
        return order.masked_fill(~mine, len(self.edit)).min(dim=1).values

    def contexts(self) -> Tensor:
        """The rewriting rows under a context that the vector enters [rows] bool; an edit without any: its bare row."""
        found = self.entered & ~self.essence
        found[self.bare()] = False
        alone = torch.ones(int(self.edit.max()) + 1, dtype=torch.bool, device=found.device)
        alone[self.edit[found]] = False
        found[self.bare()[alone]] = True
        return found

    def _sliced(self, kept: Tensor, left: int, right: int, edit: Tensor) -> Rows:
        wide = (self.ids, self.mask, self.position, self.labels)
        ids, mask, position, labels = (tensor[kept, left:right] for tensor in wide)
        rest = (edit[kept], self.essence[kept], self.entered[kept])
        return Rows(ids, mask, position, labels, *rest, self.start - left)


def aligned(prompts: Prompts, essence: Prompts, *, entry: Tensor | None = None, whole: bool = False) -> Rows:
    """Rows of edits (edit-major, bare prompt first, with targets) and of their "<subject> is a".

    `entry` [rows]: the token of each row where the searched vector enters, negative for nowhere; none: the subject's
    last. The essence rows end there unless they are wanted `whole`.
    """
    entry = torch.cat([prompts.subject_last, essence.subject_last]) if entry is None else entry
    last = entry.clamp(min=0)
    ends = torch.cat([prompts.mask.sum(dim=1), essence.mask.sum(dim=1) if whole else last[len(prompts) :] + 1])
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
        entered=entry >= 0,
        start=start,
    )


def unshifted(prompts: Prompts, essence: Prompts) -> Tensor:
    """Where a vector enters when an edit's rows are padded on the left but subjects are counted as without padding.

    t_j − pad_j with pad_j = T_max − len_j over the edit's own rows, essence row included [rows]; negative where that
    is padding: such a row is left alone (NAMET).
    """
    lengths = torch.cat([prompts.mask.sum(dim=1), essence.mask.sum(dim=1)])
    edit = torch.cat([prompts.edit, essence.edit])
    longest = torch.zeros(int(edit.max()) + 1, dtype=lengths.dtype).scatter_reduce(0, edit, lengths, "amax")
    return torch.cat([prompts.subject_last, essence.subject_last]) - (longest[edit] - lengths)


def inserted(prompts: Prompts, prefixes: Sequence[Sequence[int]], after: int) -> Prompts:
    """The rows with their edit's prefix (token ids) put in after their first `after` tokens.

    Everything moves along: labels and the subject's last token stand at the same tokens as before.
    """
    moved = [len(prefixes[edit]) for edit in prompts.edit.tolist()]
    width = prompts.ids.shape[1] + max(moved, default=0)
    ids, mask, labels = (
        torch.full((len(prompts), width), filler, dtype=tensor.dtype)
        for tensor, filler in ((prompts.ids, 0), (prompts.mask, 0), (prompts.labels, IGNORED))
    )
    for row, (edit, shift) in enumerate(zip(prompts.edit.tolist(), moved, strict=True)):
        ids[row, :after] = prompts.ids[row, :after]
        ids[row, after : after + shift] = torch.tensor(prefixes[edit], dtype=ids.dtype)
        ids[row, after + shift : shift + prompts.ids.shape[1]] = prompts.ids[row, after:]
        mask[row, : shift + int(prompts.mask[row].sum())] = True
        labels[row, shift : shift + prompts.labels.shape[1]] = prompts.labels[row]
    shifts = torch.tensor(moved)
    return replace(
        prompts, ids=ids, mask=mask, labels=labels, lengths=prompts.lengths + shifts,
        subject_last=prompts.subject_last + shifts,
    )  # fmt: skip


def _gathered(first: Tensor, second: Tensor, source: Tensor) -> Tensor:
    width = int(source.max()) + 1
    both = torch.zeros(len(first) + len(second), max(width, first.shape[1], second.shape[1]), dtype=first.dtype)
    both[: len(first), : first.shape[1]] = first
    both[len(first) :, : second.shape[1]] = second
    return both.gather(1, source)
