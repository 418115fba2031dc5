"""Second moments that others have published, in the .npz files that ROME and MEMIT keep (`rome/layer_stats.py`).

Such a file holds `mom2.mom2` [d_k, d_k], the sum of k kᵀ over a corpus, and `mom2.count`, its tokens; its name begins
with the module's: "transformer.h.13.mlp.c_proj_float32_mom2_100000.npz".
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from editharness.errors import DataError
from editharness.locate.moments import Moments

if TYPE_CHECKING:
    from editharness.models.modules import ModuleMap

SUM, COUNT = "mom2.mom2", "mom2.count"


def read_npz(path: Path, size: int) -> Moments:
    """C of such a file, which must be of keys of `size`; raises DataError with what is wrong. Nothing is unpickled."""
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in (SUM, COUNT) if name not in file]
            if missing:
                raise DataError(f"{path}: has no {missing[0]!r}: give a second moment file of ROME or MEMIT")
            total, count = np.asarray(file[SUM]), int(file[COUNT])
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as .npz ({type(error).__name__}: {error})") from error
    if total.shape != (size, size):
        raise DataError(f"{path}: is of shape {total.shape}, and keys of this layer have {size} entries")
    if count < 1 or not np.isfinite(total).all():
        raise DataError(f"{path}: counts {count} tokens or holds numbers that are not finite")
    if not np.allclose(total, total.T, rtol=1e-3, atol=1e-5 * float(np.abs(total).max())):
        raise DataError(f"{path}: is not symmetric, so it is no second moment")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    c = torch.from_numpy(total.astype(np.float64)) / count
    return Moments(((c + c.mT) / 2).float().double(), count, {"file": path.name, "sha256": digest})


def layer_of(path: Path, modules: ModuleMap) -> int:
    """The layer that a file's name tells; raises DataError where it tells none of this model's."""
    for layer in range(modules.layers):
        if path.name.startswith(f"{modules.down_projection(layer)}_"):
            return layer
    first = modules.down_projection(0)
    raise DataError(f"{path}: the name does not begin with a module such as {first}_: say which with --layer N")
