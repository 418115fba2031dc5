"""GRACE and WISE against the public implementation: at its hyperparameters the same edits succeed.

It drew its own noise and contexts, so its weights are no reference; what became of each edit is. Where it fails, noise
decides which of its tokens are right: whether greedy decoding says the target is compared, and how probable that is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.methods.conftest import MODELS, Golden

from editharness.host import LocalHost
from editharness.method import Method
from editharness.models.spans import IGNORED
from editharness.patch import apply
from editharness.rows import Rows, generating, publishing
from editharness.types import Edit
from editharness_plugins.methods.grace import Grace
from editharness_plugins.methods.options.memories import GraceOptions, WiseOptions
from editharness_plugins.methods.wise import Wise

pytestmark = pytest.mark.slow


def site(golden: Golden) -> dict[str, Any]:
    (name,) = golden.hparams["inner_params"]
    return {"layer": 2, "module": "up" if "c_fc" in name else "down"}


def grace(golden: Golden) -> Grace:
    h = golden.hparams
    return Grace(GraceOptions(**site(golden), steps=h["n_iter"], lr=h["edit_lr"], eps=h["eps"]))


def wise(golden: Golden, route: str = "prefill") -> Wise:
    h = golden.hparams
    margins = dict(zip(("alpha", "beta", "gamma"), h["act_margin"], strict=True))
    options = WiseOptions(**site(golden), steps=h["n_iter"], lr=h["edit_lr"], act_ratio=h["act_ratio"], **margins)
    return Wise(replace(options, route=route))  # type: ignore[arg-type]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["GRACE_T1", "WISE_T1", "WISE_T1 reference"])
def test_the_same_edits_succeed(
    reference: Path, hosts: Callable[..., Any], golden: Callable[..., Golden], name: str, model: str
) -> None:
    file, _, route = name.partition(" ")
    found = golden(file, model)
    host = replaced_contexts(hosts(model, found))
    method: Method[Any] = grace(found) if file == "GRACE_T1" else wise(found, route or "prefill")
    texts = unrelated(reference)
    (theirs,) = found.arrays.values()
    for edit, (_, _, _, greedy, _, logp) in zip(found.edits, theirs, strict=True):
        step = method.edit(host, [replace(edit, unrelated_text=texts[edit.id])], {})
        assert step.patch is not None
        with apply(host.model, step.patch):
            ours = asked(host, edit)
        assert ours[0] == bool(greedy), f"edit {edit.id}"
        assert ours[1] == pytest.approx(logp, abs=1.0)


def replaced_contexts(host: LocalHost) -> LocalHost:
    """A host that samples its contexts: the golden files of memories hold none."""
    return LocalHost(host.loaded, seed=0)


def unrelated(reference: Path) -> dict[str, str]:
    records = json.loads((reference / "golden/edits200.json").read_text())
    return {str(r["case_id"]): f"{r['locality_prompt']} {r['locality_ground_truth']}" for r in records}


@torch.no_grad()
def asked(host: LocalHost, edit: Edit) -> tuple[bool, float]:
    """Whether greedy decoding says the target; its mean log-probability."""
    prompts = host.encode([edit])
    columns = (prompts.labels[0] != IGNORED).nonzero()[:, 0]
    target = prompts.labels[0, columns]
    with publishing(Rows.of_scoring(prompts.lengths, prompts.mask)):
        logits = host.model(input_ids=prompts.ids).logits[0, columns]
    start = int(prompts.lengths[0])
    with generating(host.model):
        said = host.model.generate(  # type: ignore[operator]
            prompts.ids[:, :start], max_new_tokens=len(target), do_sample=False, eos_token_id=None, use_cache=False
        )
    logp = logits.log_softmax(dim=-1).gather(1, target[:, None]).mean()
    return torch.equal(said[0, start:], target), float(logp)
