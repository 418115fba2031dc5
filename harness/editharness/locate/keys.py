"""Keys and current values: what a layer sees and the site says at the subject's last token, averaged over contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from editharness.locate.forward import read

if TYPE_CHECKING:
    from torch import Tensor, nn

    from editharness.models.modules import ModuleMap
    from editharness.models.spans import Prompts

Average = Literal["groups", "flat"]


def keys(model: nn.Module, modules: ModuleMap, layer: int, prompts: Prompts, average: Average = "groups") -> Tensor:
    """Keys k [n, d_k] fp32 of n edits: inputs of the down projection at the subject's last token.

    `prompts` (edit-major, bare prompt first, without targets) holds every edit under every context. "groups" gives
    the bare prompt half of the weight and the other contexts together the other half (MEMIT); "flat" is the plain mean
    (ROME).
    """
    name = modules.down_projection(layer)
    return mean_of_contexts(read(model, prompts, {name: "input"})[name], edits_of(prompts), average)


def block_outputs(model: nn.Module, modules: ModuleMap, layer: int, prompts: Prompts) -> Tensor:
    """The residual stream after `layer` [rows, d_h] fp32 at the subject's last token of every row."""
    name = modules.block(layer)
    return read(model, prompts, {name: "output"})[name]


def mlp_outputs(model: nn.Module, modules: ModuleMap, layer: int, prompts: Prompts) -> Tensor:
    """The output of the MLP of `layer` [rows, d_h] fp32 at the subject's last token of every row."""
    name = modules.mlp(layer)
    return read(model, prompts, {name: "output"})[name]


def mlp_added(model: nn.Module, modules: ModuleMap, layer: int, prompts: Prompts) -> Tensor:
    """What the MLP of `layer` adds to the stream [rows, d_h] fp32 there: its output, or that behind a norm."""
    name = modules.mlp_added(layer)
    return read(model, prompts, {name: "output"})[name]


def mean_of_contexts(rows: Tensor, edits: int, average: Average) -> Tensor:
    """[n·contexts, d], edit-major with the bare prompt first -> [n, d]."""
    by_edit = rows.reshape(edits, -1, rows.shape[-1])
    if average == "flat" or by_edit.shape[1] == 1:
        return by_edit.mean(dim=1)
    return (by_edit[:, 0] + by_edit[:, 1:].mean(dim=1)) / 2


def edits_of(prompts: Prompts) -> int:
    """How many edits the rows belong to."""
    return int(torch.unique(prompts.edit).numel())
