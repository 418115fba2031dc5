"""Agreement of fine-tuning with the public reference implementation: weight changes 1e-4."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.methods.conftest import MODELS, Golden, change, error
from torch import Tensor

from editharness.method import Host
from editharness.models.spans import Prompts
from editharness_plugins.methods.ft_l import FtL
from editharness_plugins.methods.options.fine_tuning import FtOptions


class WithBos(FtL):
    """The reference as it ran: the target is encoded alone, so that a BOS before it is a target too."""

    def targets(self, host: Host, rows: Prompts) -> Tensor:
        found = super().targets(host, rows)
        bos = host.tokenizer("").input_ids[:1]
        return torch.cat([found.new_tensor([bos] * len(rows)).reshape(len(rows), -1), found], dim=1)


def options(golden: Golden) -> FtOptions:
    h = golden.hparams
    return FtOptions(
        layer=h["layers"][0], steps=h["num_steps"], lr=h["lr"], weight_decay=h["weight_decay"],
        norm=h["norm_constraint"] or None, batch_size=h["batch_size"],
    )  # fmt: skip


def errors(host: Host, method: FtL, golden: Golden) -> list[float]:
    found = []
    for index, step in enumerate(method.edit_each(host, golden.edits, {})):
        prefix = f"delta_{index}:"
        for key in (key for key in golden.arrays if key.startswith(prefix)):
            found.append(error(change(step.patch, key.removeprefix(prefix)), golden.arrays[key]))
    return found


@pytest.mark.parametrize(("method", "model"), [(FtL, "micro-gpt2-xl"), *((WithBos, model) for model in MODELS)])
def test_ft_l(hosts: Any, golden: Any, model: str, method: type[FtL]) -> None:
    g = golden("FT-L_T1", model)
    found = errors(hosts(model, g), method(options(g)), g)
    assert len(found) >= len(g.edits)
    assert max(found) < 1e-4


def test_our_ft_l_has_no_bos_among_its_targets(hosts: Any, golden: Any) -> None:
    """The reference's own change is another where the tokenizer has a BOS: there it asks for BOS after the prompt."""
    g = golden("FT-L_T1", "micro-llama")
    host = hosts("micro-llama", g)
    assert host.tokenizer.bos_token_id not in FtL(options(g)).targets(host, host.encode(g.edits))
    assert min(errors(host, FtL(options(g)), g)) > 0.1
