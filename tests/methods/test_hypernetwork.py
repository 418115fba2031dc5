"""What the hypernetworks share: nets, losses and their gradients, training that can be interrupted, editing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from editharness.errors import MethodError
from editharness.host import LocalHost
from editharness.locate.forward import label_losses
from editharness.method import Method
from editharness.models.load import LoadedModel, weights_digest
from editharness.options import resolve_options
from editharness.patch import Dense, LowRank, WeightPatch, apply
from editharness.presets import load_presets
from editharness.testing.conformance.bench import Bench
from editharness.testing.conformance.facts import CASES, TRAIN
from editharness.types import Edit, State
from editharness_plugins.methods.hypernetwork.learning import Adam, Learned, Learning, clipped
from editharness_plugins.methods.hypernetwork.lessons import as_edit, draw, lesson, teachable
from editharness_plugins.methods.hypernetwork.maps import Edited, changed, compact, find_maps, masters, matrix
from editharness_plugins.methods.hypernetwork.nets import Nets, malmen_block, mend_block
from editharness_plugins.methods.hypernetwork.outer import answer_pull, unrelated_pull
from editharness_plugins.methods.malmen import Malmen
from editharness_plugins.methods.mend import Mend
from editharness_plugins.methods.options.hypernetworks import MalmenOptions, MendOptions, RleditOptions
from editharness_plugins.methods.rledit import Rledit

EDITS = [as_edit(case) for case in CASES]
NO_SUBJECT = Edit("lost", "The capital of Spain is", (90, 95), "Rome")
SMALL: dict[str, Any] = {"rank": 8, "edits": 3, "lr": 1e-3, "keep_every": 1, "steps": 4}
METHODS: dict[str, Method[Any]] = {
    "mend": Mend(MendOptions(accumulate=2, scale=0.01, **SMALL)),
    "malmen": Malmen(MalmenOptions(scale=0.01, **SMALL)),
    "rledit": Rledit(RleditOptions(scale=0.01, updates=2, trajectory=3, back_depth=2, **SMALL)),
}
OPTIONS = {"mend": MendOptions, "malmen": MalmenOptions, "rledit": RleditOptions}


class Stopped(Exception):
    """The interruption."""


class StoppingHost(LocalHost):
    """A host that is interrupted right after it has kept for the `stop_after`-th time."""

    def __init__(self, loaded: LoadedModel, stop_after: int) -> None:
        super().__init__(loaded, seed=0)
        self.left = stop_after

    def keep(self, state: State) -> None:
        super().keep(state)
        self.left -= 1
        if self.left == 0:
            raise Stopped


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def trained(bench: Bench) -> Callable[[str, str], State]:
    made: dict[tuple[str, str], State] = {}

    def train(name: str, family: str) -> State:
        if (name, family) not in made:
            made[name, family] = METHODS[name].prepare(LocalHost(bench.loaded(family), seed=0), TRAIN)
        return made[name, family]

    return train


def assert_same_state(ours: State, theirs: State) -> None:
    assert set(ours) == set(theirs)
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.mark.parametrize("stop_after", [1, 3])
@pytest.mark.parametrize("name", METHODS)
def test_an_interrupted_training_ends_like_any_other(
    bench: Bench, trained: Callable[[str, str], State], tmp_path: Path, name: str, stop_after: int
) -> None:
    kept, stopping = tmp_path / "training.part", StoppingHost(bench.loaded("llama"), stop_after)
    with stopping.keeping(kept), pytest.raises(Stopped):
        METHODS[name].prepare(stopping, TRAIN)
    host = LocalHost(bench.loaded("llama"), seed=1)
    with host.keeping(kept):
        state = METHODS[name].prepare(host, TRAIN)
    assert_same_state(state, trained(name, "llama"))
    assert weights_digest(host.model) == host.loaded.digest


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("name", METHODS)
def test_what_cannot_be_edited_fails_alone(
    bench: Bench, trained: Callable[[str, str], State], name: str, family: str
) -> None:
    host, state = bench.host(family), trained(name, family)
    step = METHODS[name].edit(host, [EDITS[0], NO_SUBJECT, EDITS[2]], state)
    assert [s.outcome for s in step.statuses] == ["done", "failed", "done"]
    without = METHODS[name].edit(host, [EDITS[0], EDITS[2]], state)
    assert isinstance(step.patch, WeightPatch)
    assert isinstance(without.patch, WeightPatch)
    for weight, change in step.patch.deltas.items():
        torch.testing.assert_close(matrix(change), matrix(without.patch.deltas[weight]))
    lost = METHODS[name].edit(host, [NO_SUBJECT], state)
    assert lost.patch is None
    assert [s.outcome for s in lost.statuses] == ["failed"]
    assert weights_digest(host.model) == host.loaded.digest


@pytest.mark.parametrize("name", METHODS)
def test_numbers_that_are_none_are_not_written(bench: Bench, trained: Callable[[str, str], State], name: str) -> None:
    state = {
        key: value * torch.nan if key.endswith(".scale") else value for key, value in trained(name, "llama").items()
    }
    step = METHODS[name].edit(bench.host("llama"), EDITS[:2], state)
    assert step.patch is None
    assert [(s.outcome, s.reason) for s in step.statuses] == [("failed", "the change is not a number")] * 2
    assert step.state is state


@pytest.mark.parametrize("name", METHODS)
def test_training_that_leaves_the_numbers_stops_with_one_line(bench: Bench, name: str) -> None:
    method = type(METHODS[name])(replace(METHODS[name].options, scale=3e38))
    host = bench.host("llama")
    with pytest.raises(MethodError, match="lower lr"):
        method.prepare(host, TRAIN)
    assert weights_digest(host.model) == host.loaded.digest


@pytest.mark.parametrize("name", METHODS)
def test_without_train_cases_or_training_it_says_so(bench: Bench, name: str) -> None:
    host, method = bench.host("llama"), METHODS[name]
    with pytest.raises(MethodError, match="train cases"):
        method.prepare(host, [])
    with pytest.raises(MethodError, match=r"prepare\(\)"):
        method.edit(host, EDITS[:1], {})


@pytest.mark.parametrize("name", METHODS)
def test_presets_fit_their_options(name: str) -> None:
    folder = Path(__file__).parents[2] / "plugins/editharness_plugins/methods/presets"
    found = load_presets(folder / f"{name}.yaml")
    assert {"paper", "pocket"} <= {preset.name for preset in found}
    for preset in found:
        resolve_options(OPTIONS[name], preset.values, {})


@pytest.mark.parametrize("block", [mend_block, malmen_block])
def test_a_fresh_net_is_the_identity_and_can_learn(bench: Bench, block: Any) -> None:
    host = bench.host("llama")
    nets = Nets(find_maps(host, (0, 2), ("gate", "up", "down")), 2, 8, block)
    numbers = {name: x.requires_grad_() for name, x in nets.fresh(host.rng, host.device).items()}
    one = nets.maps[1]
    assert (one.shape, one.index) == ("32x96", 1)
    z = torch.randn(5, 128, generator=host.rng)
    keys, gradients = nets.pseudo(numbers, one, z)
    assert torch.equal(torch.cat([keys, gradients], dim=1), z)
    wanted = torch.autograd.grad((gradients**2).sum(), [numbers["32x96.1.outer"], numbers["32x96.1.shift"]])
    assert all(float(part.norm()) > 0 for part in wanted)  # a relu would be dead at its kink


def test_scale_and_shift_stand_where_each_paper_puts_them(bench: Bench) -> None:
    host = bench.host("llama")
    maps = find_maps(host, (0,), ("down",))
    z = torch.randn(4, 128, generator=host.rng)
    for block, inside in ((mend_block, True), (malmen_block, False)):
        nets = Nets(maps, 1, 8, block)
        n = {name: torch.randn(x.shape, generator=host.rng) for name, x in nets.fresh(host.rng, host.device).items()}
        u, v, b, s, t = (n[f"96x32.0.{name}"] for name in ("outer", "inner", "bias", "scale", "shift"))
        line = z @ v @ u + b
        wanted = z + (torch.relu(s[0] * line + t[0]) if inside else s[0] * torch.relu(line) + t[0])
        torch.testing.assert_close(torch.cat(nets.pseudo(n, maps[0], z), dim=1), wanted)


def test_adam_is_torchs() -> None:
    rng = torch.Generator().manual_seed(0)
    ours, adam = {"x": torch.randn(3, generator=rng)}, Adam()
    theirs = ours["x"].clone().requires_grad_()
    optimiser = torch.optim.Adam([theirs], lr=0.1)
    for _ in range(6):
        gradient = torch.randn(3, generator=rng)
        ours, adam = adam.step(ours, {"x": gradient}, {"x": 0.1})
        theirs.grad = gradient
        optimiser.step()
        torch.testing.assert_close(ours["x"], theirs.detach())


def test_clipping_bounds_the_norm_over_all_numbers() -> None:
    gradient = {"a": torch.tensor([3.0]), "b": torch.tensor([4.0])}
    made = clipped(gradient, 1.0)
    torch.testing.assert_close(torch.cat([made["a"], made["b"]]), torch.tensor([0.6, 0.8]))
    assert torch.equal(clipped(gradient, 10.0)["b"], gradient["b"])


def test_a_training_goes_on_from_its_tensors() -> None:
    rng = torch.Generator().manual_seed(3)
    learned = Learned({"8x4.scale": torch.ones(2)}, {}).seen("8x4", torch.randn(5, 12, generator=rng))
    now = Learning(learned, Adam({"8x4.scale": torch.ones(2)}, {"8x4.scale": torch.ones(2)}, 7), 4, torch.arange(3))
    state = now.to_state(rng)
    other = torch.Generator().manual_seed(9)
    read = Learning.from_state(state, other, torch.device("cpu"))
    assert (read.done, read.adam.steps, read.order.tolist()) == (4, 7, [0, 1, 2])
    assert torch.equal(torch.rand(2, generator=other), torch.rand(2, generator=rng))
    assert_same_state(read.to_state(rng), now.to_state(rng))


def test_every_case_comes_once_a_round() -> None:
    rng, order = torch.Generator().manual_seed(0), torch.zeros(0, dtype=torch.long)
    seen: list[int] = []
    for _ in range(3):
        chosen, order = draw(order, 6, 2, rng)
        seen += chosen.tolist()
    assert sorted(seen) == list(range(6))


def test_lessons_ask_what_the_option_says(bench: Bench) -> None:
    rng, case = torch.Generator().manual_seed(0), TRAIN[0]
    asked = {outer: lesson([case], outer, rng).asked for outer in ("paraphrase", "prompt", "both")}  # type: ignore[arg-type]
    assert asked["paraphrase"][0].prompt in case.paraphrases
    assert [edit.prompt for edit in asked["prompt"]] == [case.prompt]
    assert len(asked["both"]) == 2
    bare = replace(case, paraphrases=(), neighbours=())
    assert [edit.prompt for edit in lesson([bare], "paraphrase", rng).asked] == [case.prompt]
    assert lesson([bare], "paraphrase", rng).unrelated == ()
    broken = replace(case, subject=(90, 95))
    assert teachable(bench.host("llama"), [broken, case]) == [case]
    with pytest.raises(MethodError, match="none of the 1"):
        teachable(bench.host("llama"), [broken])


@pytest.mark.parametrize("family", ["llama", "gpt2", "gptj", "gpt_neox"])
def test_an_edited_model_is_the_model_with_the_patch(bench: Bench, family: str) -> None:
    host = bench.host(family)
    maps = find_maps(host, (1, 2), ("gate", "up", "down"))
    assert len({one.module for one in maps}) == len(maps)
    changes = [Dense(0.1 * torch.randn(one.d_out, one.d_in, generator=host.rng)) for one in maps]
    after = changed(masters(host.model, maps), maps, changes)
    patch = WeightPatch({w: Dense(after[w] - host.model.get_parameter(w)) for w in after})
    prompts = host.encode(EDITS)
    head = host.model.get_submodule(host.modules.head)
    with torch.no_grad():
        ours = label_losses(head, prompts, Edited(host.model, after))
        with apply(host.model, patch):
            theirs = label_losses(head, prompts, host.model)
        assert not torch.allclose(ours, label_losses(head, prompts, host.model))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_pulls_do_not_depend_on_chunks_and_vanish_without_a_change(bench: Bench) -> None:
    host = bench.host("llama")
    maps = find_maps(host, (2,), ("down",))
    before, prompts = masters(host.model, maps), host.encode(EDITS)
    after = changed(before, maps, [Dense(0.1 * torch.randn(32, 96, generator=host.rng))])
    for every in (False, True):
        whole = unrelated_pull(host, before, after, prompts, 10_000, every=every)
        parts = unrelated_pull(host, before, after, prompts, 1, every=every)
        torch.testing.assert_close(parts.loss, whole.loss)
        torch.testing.assert_close(parts.gradient[maps[0].weight], whole.gradient[maps[0].weight], rtol=1e-4, atol=1e-6)
        assert float(whole.loss) > 0
        assert abs(float(unrelated_pull(host, before, before, prompts, 10_000, every=every).loss)) < 1e-6
    whole, parts = (answer_pull(host, after, prompts, budget) for budget in (10_000, 1))
    torch.testing.assert_close(parts.gradient[maps[0].weight], whole.gradient[maps[0].weight], rtol=1e-4, atol=1e-6)


def test_the_smaller_form_of_a_change_is_kept() -> None:
    rng = torch.Generator().manual_seed(0)
    few, many = (LowRank(torch.randn(6, n, generator=rng), torch.randn(n, 4, generator=rng)) for n in (2, 3))
    assert compact(few) is few
    made = compact(many)
    assert isinstance(made, Dense)
    torch.testing.assert_close(made.delta, many.a @ many.b)
