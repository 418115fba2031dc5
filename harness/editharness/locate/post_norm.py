"""Where a norm stands between an MLP and the residual stream (Gemma 2 and 3, OLMo 2): what the MLP must write.

    stream += N(m),   N(x) = g x / rms(x),   m = W k + b

Values of MEMIT and its relatives are points of the residual stream, but W writes m. N keeps m's direction alone, so a
change r of the stream is a change d of m for which N(m + d) points where N(m) + r does; m keeps its length:

    m + d = rms(m) u / rms(u),   u = (N(m) + r) / g

To first order that is Nʹ(m) d = r without r's part along the radius, which no d can write. Adding r to m as if there
were no norm would be wrong by the factor g / rms(m) in every channel. ROME's and PMET's values are outputs of the MLP
itself, before N, and need none of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from editharness.models.modules import ModuleMap

SILENT = 1e-4
"""Channels whose gain is below this share of the largest are left as they are: nothing that is written there passes."""


def written(model: nn.Module, modules: ModuleMap, layer: int, key: Tensor, change: Tensor) -> Tensor:
    """Changes of the stream [d_h, n] as changes of what the down projection writes at the keys [d_k, n]: [d_h, n].

    The same where nothing stands between the two.
    """
    if modules.post_norm is None:
        return change
    down = model.get_submodule(modules.down_projection(layer))
    norm = model.get_submodule(modules.mlp_added(layer))
    with torch.no_grad():
        weight = down.get_parameter("weight")
        m = down(key.mT.to(weight)).float()
        gain = norm(torch.ones_like(m[:1]))
        wanted = norm(m) + change.mT.to(m)
    length = _rms(m)
    heard = gain.abs() > SILENT * gain.abs().max()
    u = torch.where(heard, wanted / torch.where(heard, gain, 1.0), m / length)
    moved: Tensor = (length * u / _rms(u) - m).mT.to(change)
    return moved


def _rms(rows: Tensor) -> Tensor:
    return rows.square().mean(dim=1, keepdim=True).sqrt()
