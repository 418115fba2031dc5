"""Pocket's texts and the hosts that the tests of ICE, IKE and SERAC share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from editharness.data.load import load_cases
from editharness.data.negated import negated_case
from editharness.host import LocalHost
from editharness.method import Method
from editharness.models.load import load_model
from editharness.registry import load_plugins
from editharness.types import Case, Edit, State


def cases(split: str) -> tuple[Case, ...]:
    """Pocket's cases of a split."""
    return tuple(case for case in load_cases(load_plugins(), "pocket").cases if case.split == split)


def edits(chosen: Sequence[Case]) -> list[Edit]:
    return [Edit(case.id, case.prompt, case.subject, case.target) for case in chosen]


def negated(case: Case) -> Edit:
    made = negated_case(case)
    assert made is not None
    assert made.negated_prompt is not None
    return replace(edits([case])[0], prompt=made.negated_prompt, negated=True)


def pocket_host() -> LocalHost:
    """Pocket's own tokenizer and window."""
    packaged = {name: entry.spec.folder for name, entry in load_plugins().models.items()}
    return LocalHost(load_model("pocket", packaged=packaged, device="cpu"), seed=0)


def prepared(method: Method[object], host: LocalHost, train: Sequence[Case]) -> State:
    """The state after `prepare`, seeded as the runner does."""
    host.reseed("prepare")
    return method.prepare(host, train)


def same(ours: State, theirs: State) -> bool:
    return set(ours) == set(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)
