"""RLEdit: the trajectory of edited weights, when Adam steps, and what it shares with MALMEN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from editharness.patch import Dense, WeightPatch
from editharness.testing.conformance.bench import Bench, BenchHost
from editharness.testing.conformance.facts import TRAIN
from editharness.types import State
from editharness_plugins.methods.hypernetwork.learning import Learned, Learning
from editharness_plugins.methods.hypernetwork.lessons import as_edit
from editharness_plugins.methods.hypernetwork.maps import masters, matrix
from editharness_plugins.methods.malmen import Malmen
from editharness_plugins.methods.options.hypernetworks import MalmenOptions, RleditOptions
from editharness_plugins.methods.rledit import Rledit

SHARED: dict[str, Any] = {"layers": (1, 2), "rank": 8, "blocks": 2, "lr": 1e-3, "scale": 0.01, "edits": 3}
# one wording and one neighbour: which of them a lesson draws makes no difference
PLAIN = [replace(case, neighbours=case.neighbours[:1]) for case in TRAIN]


class KeepingHost(BenchHost):
    """A host that holds on to everything it was given to keep."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.loaded("llama"), 0, {})
        self.kept: list[State] = []

    def keep(self, state: State) -> None:
        self.kept.append(dict(state))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("models"))


def trained(bench: Bench, **options: Any) -> tuple[KeepingHost, State]:
    host = KeepingHost(bench)
    return host, Rledit(RleditOptions(**SHARED, keep_every=1, outer="prompt", **options)).prepare(host, PLAIN)


def numbers(state: State) -> list[torch.Tensor]:
    return [value for name, value in sorted(state.items()) if name.startswith("net.")]


def same(ours: Sequence[torch.Tensor], theirs: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("updates", "after"), [(0, ()), (1, (4,)), (2, (2, 4)), (4, (1, 2, 3, 4))])
def test_adam_steps_evenly_over_the_training(bench: Bench, updates: int, after: tuple[int, ...]) -> None:
    host, _ = trained(bench, steps=4, updates=updates, back_depth=2)
    states = [numbers(state) for state in host.kept]
    moved = tuple(n + 1 for n in range(1, 4) if not same(states[n], states[n - 1]))
    assert moved == tuple(n for n in after if n > 1)
    assert int(host.kept[-1]["adam.steps"]) == updates
    left = [name for name in host.kept[-1] if name.startswith("extra.gradient.")]
    assert bool(left) == (updates == 0)


def test_without_updates_the_moments_alone_are_learnt(bench: Bench) -> None:
    host, state = trained(bench, steps=3, updates=0, back_depth=1)
    method = Rledit(RleditOptions(**SHARED))
    assert all(not bool(value.any()) for name, value in state.items() if name.endswith(".outer"))
    assert int(state["seen.32x96.count"]) > 0
    assert method.edit(host, [as_edit(TRAIN[0])], state).patch is not None


def test_the_trajectory_walks_over_edited_weights_and_starts_anew(bench: Bench) -> None:
    host, _ = trained(bench, steps=3, updates=0, back_depth=2, trajectory=2)
    method = Rledit(RleditOptions(**SHARED))
    maps = method.maps(host)
    unedited = masters(host.model, maps)
    walked = [{one.weight: state[f"extra.weight.{one.weight}"] for one in maps} for state in host.kept]
    groups = [state["extra.groups"] for state in host.kept]
    assert [tuple(group.shape) for group in groups] == [(1, 3), (2, 3), (1, 3)]
    assert torch.equal(groups[1][1], groups[0][0])
    before: dict[int, dict[str, torch.Tensor]] = {0: unedited, 1: walked[0], 2: unedited}
    nets = method.nets(maps)
    for index, state in enumerate(host.kept):
        learned = Learned.from_state(state, host.device)
        chosen = [as_edit(PLAIN[int(i)]) for i in groups[index][0]]
        patch = WeightPatch({w: Dense(before[index][w] - unedited[w]) for w in unedited})
        with host.recording(*unedited), torch.no_grad():
            for weight, delta in patch.deltas.items():
                host.model.get_parameter(weight).add_(matrix(delta))
            found = method.factors(host, host.model, maps, chosen)
        for one in maps:
            wanted = before[index][one.weight] + matrix(method.change(nets, learned, one, found.factors[one.module]))
            torch.testing.assert_close(walked[index][one.weight], wanted, rtol=1e-4, atol=1e-5)


def test_with_one_group_and_no_trajectory_it_is_malmen(bench: Bench) -> None:
    shared = {**SHARED, "edits": len(PLAIN), "steps": 3, "outer": "prompt", "loc_weight": 0.6, "clip": 1.0}
    theirs = Malmen(MalmenOptions(**shared, projections=("gate", "up"))).prepare(bench.host("llama"), PLAIN)
    options = RleditOptions(**shared, trajectory=1, back_depth=1, updates=3)
    ours = Rledit(options).prepare(bench.host("llama"), PLAIN)
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=2e-4)


def test_older_groups_count_less(bench: Bench) -> None:
    host = bench.host("llama")
    options = RleditOptions(**SHARED, outer="prompt", discount=0.5)
    method, cases = Rledit(options), [*PLAIN]
    before = masters(host.model, method.maps(host))
    alone, both = (
        method.reward(host, cases, torch.tensor(groups), before, before).loss for groups in ([[0]], [[0], [0]])
    )
    torch.testing.assert_close(both, 1.5 * alone)


def test_it_resumes_in_the_middle_of_a_trajectory(bench: Bench) -> None:
    host, _ = trained(bench, steps=3, updates=1, back_depth=2)
    now = Learning.from_state(host.kept[1], host.rng, host.device)
    assert now.done == 2
    assert {name.partition(".")[0] for name in now.extra} == {"groups", "weight", "gradient"}
