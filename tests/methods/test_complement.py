"""MEMIT with complementary forms: every wording's key and answer counts, and no probe is seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.methods.conftest import change, error

from editharness.locate.forward import label_losses
from editharness.locate.options import ComplementOptions, MemitOptions
from editharness.patch import apply
from editharness.types import Edit
from editharness_plugins.methods.complement import Complement
from editharness_plugins.methods.memit import Memit

OPTIONS: dict[str, Any] = {"steps": 6, "lr": 0.1, "templates": 0, "layers": (0, 1), "covariance_weight": 1.0}


def with_forms(edit: Edit) -> Edit:
    subject = edit.subject_text
    forms = (
        (f"As everybody knows, {subject} has to do with", edit.target),
        (f"Nobody says that {subject} has to do with", "nothing"),
        (f"{subject} has to do with {edit.target}. True or false? Answer:", "true"),
        ("A wording in which the one in question is not named", edit.target),
    )
    return replace(edit, forms=forms)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_without_forms_it_is_memit_on_the_bare_prompt(tiny_host: Any, facts: Any, family: str) -> None:
    host = tiny_host(family)
    ours = Complement(ComplementOptions(**OPTIONS)).edit(host, facts, {}).patch
    memit = Memit(MemitOptions(**OPTIONS)).edit(host, facts, {}).patch
    assert ours is not None
    assert memit is not None
    for name in memit.deltas:
        assert error(change(ours, name), change(memit, name).numpy()) < 1e-5


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_every_wording_is_a_row_with_its_own_answer_and_subject(tiny_host: Any, facts: Any, family: str) -> None:
    host, told = tiny_host(family), [with_forms(edit) for edit in facts]
    rows = Complement(ComplementOptions(**OPTIONS)).wordings(host, told)
    assert rows.edit.tolist() == [index for index in range(len(told)) for _ in range(4)]
    fewer = Complement(ComplementOptions(denials=False, **OPTIONS)).wordings(host, told)
    assert fewer.edit.tolist() == [index for index in range(len(told)) for _ in range(2)]
    last = [host.tokenizer.decode(rows.ids[i, int(rows.subject_last[i])]) for i in range(4)]
    assert all(told[0].subject_text.endswith(piece.strip()) for piece in last)


def test_all_wordings_come_nearer_to_their_answers(tiny_host: Any, facts: Any) -> None:
    host, told = tiny_host("llama"), [with_forms(edit) for edit in facts]
    method = Complement(
        ComplementOptions(
            **{**OPTIONS, "covariance_weight": 1e-4, "steps": 40, "lr": 0.5, "clamp": 8.0, "weight_decay": 0.0}
        )
    )
    rows = method.wordings(host, told)
    head = host.model.get_submodule(host.modules.head)

    def losses() -> Any:
        with torch.no_grad():
            return label_losses(head, rows, host.model)

    before = losses()
    patch = method.edit(host, told, {}).patch
    assert patch is not None
    with apply(host.model, patch):
        after = losses()
    assert torch.equal(losses(), before)
    assert after.mean() < before.mean()
    for kind in range(3):  # the edit's own prompt, the plain form, the denied one
        assert after[kind::4].mean() < before[kind::4].mean()


def test_the_keys_of_all_wordings_are_protected_later(tiny_host: Any, facts: Any) -> None:
    host, told = tiny_host("llama"), [with_forms(edit) for edit in facts]
    state = Complement(ComplementOptions(**OPTIONS)).edit(host, told, {}).state
    assert state["prior_keys.layer0"].shape[1] == 4 * len(told)
    bare = Complement(ComplementOptions(every_key=False, **OPTIONS)).edit(host, told, {}).state
    assert bare["prior_keys.layer0"].shape[1] == len(told)
