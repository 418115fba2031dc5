"""Agreement with the public reference implementation of PMET: values 1e-4 (median 1e-5), weight changes 1e-4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tests.methods.conftest import Golden, assert_values, change, error
from torch import Tensor

from editharness.host import LocalHost
from editharness.locate.keys import keys, mlp_outputs
from editharness.locate.options import PmetOptions
from editharness.locate.values import optimise_values
from editharness.models.spans import IGNORED, Prompts, encode_text, essence_prompts
from editharness.patch import WeightPatch
from editharness.types import Edit
from editharness_plugins.methods.pmet import Pmet

pytestmark = pytest.mark.slow

AMPLIFIED = (2, 4, 9)
"""Edits of the Llama file whose search amplifies rounding: their values move by 5e-4 to 7e-3 when an edit is searched
alone instead of in a batch, and fp64 is as far from the reference as fp32 is. A wrong convention is off by 0.3 to 1."""


def pmet(g: Golden) -> Pmet:
    return Pmet(PmetOptions(**g.memit_options()))


def assert_keys_and_current(host: LocalHost, g: Golden) -> None:
    first, last = g.hparams["layers"][0], g.hparams["layers"][-1]
    bare = host.encode(g.edits, targets=False)
    assert error(keys(host.model, host.modules, first, bare), g.arrays[f"ks_L{first}"]) < 1e-5
    assert error(mlp_outputs(host.model, host.modules, last, bare), g.arrays[f"curz_before_L{first}"]) < 1e-5


def assert_changes(patch: WeightPatch, g: Golden) -> None:
    for name, theirs in ((key.partition(":")[2], value) for key, value in g.arrays.items() if key.startswith("delta:")):
        assert error(change(patch, name), theirs) < 1e-4


def test_pmet(hosts: Any, golden: Any) -> None:
    g = golden("PMET_T1_n10", "micro-gpt2-xl")
    host, method = hosts("micro-gpt2-xl", g), pmet(g)
    assert_keys_and_current(host, g)
    assert_values(method.values(host, g.edits).target, g.arrays["z"])
    step = method.edit(host, g.edits, {})
    assert [s.outcome for s in step.statuses] == ["done"] * len(g.edits)
    assert_changes(step.patch, g)


def test_pmet_with_a_target_that_has_no_space(hosts: Any, golden: Any) -> None:
    """The reference puts a space before the target for GPT models only; its rows are made by hand here."""
    g = golden("PMET_T1_n10", "micro-llama")
    host, method = hosts("micro-llama", g), pmet(g)
    assert_keys_and_current(host, g)
    found = optimise_values(
        host.model, host.modules, method.layers(host)[-1], unspaced(host, g.edits),
        essence_prompts(host.tokenizer, g.edits), method.options, search=method.search(),
    )  # fmt: skip
    stable = [i for i in range(len(g.edits)) if i not in AMPLIFIED]
    assert_values(found.target[stable], g.arrays["z"][stable])
    for i in AMPLIFIED:
        assert error(found.target[i], g.arrays["z"][i]) < 0.1
    patch, _ = method.write(host, g.edits, torch.from_numpy(g.arrays["z"]), {})
    assert_changes(patch, g)


def unspaced(host: LocalHost, edits: Sequence[Edit]) -> Prompts:
    """Rows as the reference makes them: the target joined to the prompt as text, its tokens at the end as labels."""
    prompts = host.encode(edits, targets=False)
    rows: list[tuple[Tensor, Tensor]] = []
    for edit in edits:
        target = torch.tensor(host.tokenizer.encode(edit.target, add_special_tokens=False))
        ids = torch.tensor(encode_text(host.tokenizer, edit.prompt + host.tokenizer.decode(target[:-1]))[0])
        labels = torch.full_like(ids, IGNORED)
        labels[-len(target) :] = target
        rows.append((ids, labels))
    pad = torch.nn.utils.rnn.pad_sequence
    ids, labels = (
        pad([row[part] for row in rows], batch_first=True, padding_value=filler)
        for part, filler in ((0, 0), (1, IGNORED))
    )
    lengths = torch.tensor([len(row[0]) for row in rows])
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    return Prompts(ids, mask, prompts.lengths, prompts.subject_last, labels, prompts.edit, prompts.group)
