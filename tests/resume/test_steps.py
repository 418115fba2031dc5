"""Every method's steps go to the disk and come back, and an arm that is taken up again ends as one left in peace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.methods.test_conformance import options

from editharness.editing import Arm, write_arm
from editharness.method import Host, Method
from editharness.patch import Dense, RouterPatch, WeightPatch
from editharness.registry import load_plugins
from editharness.resume.keeper import NOTHING, Keeper
from editharness.resume.steps import ArmSteps, Made
from editharness.testing.conformance.bench import Bench
from editharness.testing.conformance.compare import bitwise
from editharness.testing.conformance.trial import Trial, same_tensors
from editharness.timeline import Timeline
from editharness.types import Edit, MethodSpec, Schedule, State, Status, Step
from editharness_plugins.methods.context import FactsInContext

REGISTRY = load_plugins()
QUICK = ("memit", "grace", "ft-m", "context")
NAMES = [n for n in REGISTRY.methods if n != "none"]
METHODS = [pytest.param(n, id=n, marks=() if n in QUICK else (pytest.mark.slow,)) for n in NAMES]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITHARNESS_KEEP_SECONDS", "0")


class Written:
    """An arm of four edits by a method on a tiny model; `after` interrupts it when so many steps are applied."""

    def __init__(self, trial: Trial, keeper: Keeper, schedule: str, after: int = 0) -> None:
        self.host, spec = trial.host(), trial.spec
        self.timeline = Timeline(self.host.model, self.host.masters, digest=self.host.loaded.digest)
        self.kept = ArmSteps("m/x", keeper, REGISTRY.recipe_kinds(spec))
        self.arm: Arm | None = None
        self.steps: list[Step] = []
        how = Schedule.parse(schedule).limited(spec.max_batch)
        self.kind = "carried" if how.carry else "alone"

        def applied(step: Step) -> None:
            self.steps.append(step)
            if len(self.steps) == after:
                raise KeyboardInterrupt

        try:
            self.arm = write_arm(
                "m/x", spec, trial.method(), trial.edits[:4], how, self.host, self.timeline, applied,
                state=trial.prepared(), kept=self.kept,
            )  # fmt: skip
        except KeyboardInterrupt:
            keeper.flush()

    def patches(self) -> list[Any]:
        return [self.timeline.patch(("m/x", n, self.kind)) for n in range(1, self.timeline.steps("m/x") + 1)]


def same(one: Written, other: Written) -> str:
    assert one.arm is not None
    assert other.arm is not None
    different = [found for a, b in zip(one.patches(), other.patches(), strict=True) if (found := bitwise(a, b))]
    if one.arm.statuses != other.arm.statuses or one.arm.layout != other.arm.layout:
        different.append("statuses or layout")
    return "; ".join(different) or ("" if one.host.rng.get_state().equal(other.host.rng.get_state()) else "generator")


@pytest.mark.parametrize("schedule", ["sequential", "single"])
@pytest.mark.parametrize("name", METHODS)
def test_an_interrupted_arm_ends_as_one_left_in_peace(name: str, schedule: str, bench: Bench, tmp_path: Path) -> None:
    spec = REGISTRY.method(name)
    trial = Trial(spec, REGISTRY, "llama", options(spec, "llama"), bench)
    peace = Written(trial, NOTHING, schedule)
    broken = Written(trial, Keeper(tmp_path), schedule, after=2)
    assert broken.arm is None
    keeper = Keeper(tmp_path)
    batches = [[edit.id] for edit in trial.edits[:4]]
    together = 100 if type(trial.method()).edit_each is not Method.edit_each else 1
    done = ArmSteps("m/x", keeper, REGISTRY.recipe_kinds(spec)).done(
        batches, carry=schedule == "sequential", together=1 if schedule == "sequential" else together
    )
    assert done == (2 if schedule == "sequential" or together == 1 else 0)
    again = Written(trial, keeper, schedule)
    assert same(peace, again) == ""
    assert [step.patch is None for step in again.steps] == [step.patch is None for step in peace.steps]


def made(step: Step) -> Made:
    return Made(step, 0.5)


def test_a_step_comes_back_with_its_bits_numbers_and_generator(tmp_path: Path) -> None:
    rng = torch.Generator().manual_seed(3)
    turned = torch.randn(4, 3, dtype=torch.bfloat16).mT
    step = Step(
        WeightPatch({"w": Dense(turned)}), {"gram": torch.zeros(0, 2), "one": torch.tensor(1.5)},
        (Status("e", "done", facts={"loss": 0.1, "steps": 3}),),
    )  # fmt: skip
    kept = ArmSteps("m/x", Keeper(tmp_path))
    kept.add(1, made(kept.settled(step)), rng, carry=True)
    wanted = rng.get_state()
    back = ArmSteps("m/x", Keeper(tmp_path))
    assert back.done([["e"], ["f"]], carry=True) == 1
    found = back.step(1)
    assert bitwise(found.step.patch, step.patch) == ""
    assert same_tensors(found.step.state, step.state) == ""
    assert found.step.statuses == step.statuses
    assert found.rng is not None
    assert found.rng.equal(wanted)
    assert found.seconds == 0.5


@pytest.mark.parametrize(
    "step",
    [
        Step(RouterPatch(FactsInContext({"facts": []}, kind="unknown")), {}, (Status("e", "done"),)),
        Step(RouterPatch(FactsInContext({"facts": [{1, 2}]})), {}, (Status("e", "done"),)),
        Step(None, {"count": 3}, (Status("e", "done"),)),  # type: ignore[dict-item]
    ],
    ids=["a router of an unknown kind", "a configuration that is no JSON", "a state of numbers"],
)
def test_what_no_file_can_hold_is_made_again(step: Step, tmp_path: Path) -> None:
    kinds = REGISTRY.recipe_kinds(REGISTRY.method("context"))
    kept = ArmSteps("m/x", Keeper(tmp_path), kinds)
    kept.add(1, made(kept.settled(step)), torch.Generator(), carry=True)
    kept.add(2, made(Step(None, {}, (Status("f", "done"),))), torch.Generator(), carry=True)
    assert ArmSteps("m/x", Keeper(tmp_path), kinds).done([["e"], ["f"]], carry=True) == 0


def test_steps_without_the_state_they_end_in_are_made_again(tmp_path: Path) -> None:
    kept = ArmSteps("m/x", Keeper(tmp_path))
    for number, edit in enumerate("abc", start=1):
        state: State = {"n": torch.tensor(number)}
        kept.add(number, made(Step(None, state, (Status(edit, "done"),))), torch.Generator(), carry=True)
    assert ArmSteps("m/x", Keeper(tmp_path)).done([["a"], ["b"], ["c"], ["d"]], carry=True) == 3
    for path in tmp_path.glob("latest-*"):
        path.unlink()
    again: Callable[..., int] = ArmSteps("m/x", Keeper(tmp_path)).done
    assert again([["a"], ["b"], ["c"], ["d"]], carry=True) == 0
    assert again([["a"], ["b"], ["c"], ["d"]], carry=False) == 3
    assert again([["a"], ["b"], ["c"]], carry=True) == 3, "a whole arm needs no state"
    assert again([["a"], ["x"], ["c"]], carry=False) == 1, "other edits"


def test_many_edits_of_single_are_searched_a_hundred_at_once() -> None:
    sizes: list[int] = []

    class Batched(Method[None]):
        def edit_each(self, host: Host, edits: Sequence[Edit], state: State) -> Any:
            sizes.append(len(edits))
            yield from (Step(None, state, (Status(edit.id, "done"),)) for edit in edits)

    from editharness.host import LocalHost
    from editharness.models.load import LoadedModel, weights_digest
    from editharness.testing.tiny import tiny

    model, tokenizer = tiny("llama")
    host = LocalHost(LoadedModel(model, tokenizer, "t", None, "folder", weights_digest(model), 1, "L", Path()), seed=0)
    edits = [Edit(f"e{i}", "The capital of Kenya is", (15, 20), "Rome") for i in range(130)]
    spec = MethodSpec("batched", "batched", "", "tests:Batched")
    arm = write_arm("m/x", spec, Batched(None), edits, Schedule.parse("single"), host, Timeline(model, host.masters))
    assert len(arm.statuses) == 130
    assert sizes == [100, 30]
