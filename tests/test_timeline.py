from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from editharness.errors import MethodError
from editharness.models.load import weights_digest
from editharness.models.modules import module_map
from editharness.patch import Dense, LowRank, ModulePatch, RouterPatch, WeightPatch, apply, join
from editharness.testing.tiny import tiny
from editharness.timeline import Timeline
from editharness.types import StateId

UNEDITED: StateId = ("", 0, "carried")
STEPS = 5
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)


@dataclass(frozen=True)
class Zero:
    """A recipe whose module gives zeros; building it fails where its configuration says so."""

    config: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    kind: str = "zero"

    def build(self, original: nn.Module) -> nn.Module:
        if self.config.get("fails"):
            raise OSError("no such codebook")
        return _Zero()


class _Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


@dataclass(frozen=True)
class Told:
    told: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "told"

    def route(self, context: str) -> tuple[str, str]:
        return self.told + context, "base"


def patch(model: nn.Module, seed: int) -> WeightPatch:
    """Layers take turns, so that steps share some weights and not others; every third step is a full delta."""
    found, draw = module_map(model), torch.Generator().manual_seed(seed)
    deltas: dict[str, LowRank | Dense] = {}
    for layer in {0, 1 + seed % 2}:
        rows, columns = model.get_parameter(found.down_weight(layer)).shape
        a, b = torch.randn(rows, 2, generator=draw) * 0.1, torch.randn(2, columns, generator=draw) * 0.1
        deltas[found.down_weight(layer)] = Dense(a @ b) if seed % 3 == 0 else LowRank(a, b)
    return WeightPatch(deltas)


def written(model: nn.Module, kinds: Mapping[str, str], **options: Any) -> Timeline:
    timeline = Timeline(model, **options)
    for offset, (arm, kind) in enumerate(kinds.items()):
        for step in range(STEPS):
            timeline.add(arm, patch(model, 10 * offset + step), kind)  # type: ignore[arg-type]
    return timeline


ARMS = {"positive": "carried", "negated": "carried", "single": "alone"}
PLACES: list[StateId] = [UNEDITED, *((arm, step, kind) for arm, kind in ARMS.items() for step in range(STEPS + 1))]


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=str)
def walked(request: pytest.FixtureRequest) -> Iterator[tuple[Timeline, dict[StateId, str]]]:
    """A timeline and, for every place, the digest of the model as reached first of all."""
    digests = {}
    for place in PLACES:
        model = tiny("gpt2")[0].to(request.param)
        with written(model, ARMS).at(place):
            digests[place] = weights_digest(model)
    timeline = written(tiny("gpt2")[0].to(request.param), ARMS, journal_bytes=3000)
    yield timeline, digests
    timeline.close()


@settings(max_examples=40, deadline=None)
@given(walk=st.lists(st.sampled_from(PLACES), max_size=8))
def test_a_place_has_the_same_bits_from_wherever_it_is_reached(
    walked: tuple[Timeline, dict[StateId, str]], walk: list[StateId]
) -> None:
    timeline, digests = walked
    for place in walk:
        with timeline.at(place) as model:
            assert weights_digest(model) == digests[place]
        assert weights_digest(timeline.model) == digests[UNEDITED]
    for place in walk:
        timeline.go(place)
        assert weights_digest(timeline.model) == digests[place]
    timeline.go(UNEDITED)


@dtypes
def test_weights_are_the_original_and_all_deltas_in_fp32_cast_once(dtype: torch.dtype) -> None:
    model = tiny("llama")[0].to(dtype)
    start = {name: p.float() for name, p in model.named_parameters()}
    timeline = written(model, {"arm": "carried"})
    for step in (0, 1, 3, STEPS):
        wanted = {name: p.clone() for name, p in start.items()}
        for seed in range(step):
            for name, delta in patch(model, seed).deltas.items():
                wanted[name] += delta.delta if isinstance(delta, Dense) else delta.a @ delta.b
        with timeline.at(("arm", step, "carried")):
            for name, parameter in model.named_parameters():
                assert torch.equal(parameter, wanted[name].to(dtype))


def test_alone_is_that_patch_and_no_other() -> None:
    model, _ = tiny("llama")
    timeline = written(model, {"arm": "alone"})
    for step in (4, 1, 5):
        with apply(model, patch(model, step - 1)):
            wanted = weights_digest(model)
        with timeline.at(("arm", step, "alone")):
            assert weights_digest(model) == wanted


def test_carried_is_the_joined_patch() -> None:
    model, _ = tiny("llama")
    timeline = written(model, {"arm": "carried"})
    total = patch(model, 0)
    for seed in range(1, STEPS):
        joined = join(total, patch(model, seed))
        assert isinstance(joined, WeightPatch)
        total = joined
    ids = torch.tensor([[1, 2, 3]])
    with apply(model, total):
        wanted = model(input_ids=ids).logits
    with timeline.at(("arm", STEPS, "carried")):
        torch.testing.assert_close(model(input_ids=ids).logits, wanted, rtol=1e-4, atol=1e-4)


def test_contexts_nest_and_come_back_after_errors() -> None:
    model, _ = tiny("gpt2")
    timeline = written(model, ARMS)
    seen = {}
    for place in PLACES:
        with timeline.at(place):
            seen[place] = weights_digest(model)
    outer, inner = PLACES[3], PLACES[-1]
    with timeline.at(outer):
        with pytest.raises(ZeroDivisionError), timeline.at(inner):
            assert 1 / (weights_digest(model) != seen[inner])
        assert weights_digest(model) == seen[outer]
    assert weights_digest(model) == seen[UNEDITED]


def test_steps_may_be_added_while_walking() -> None:
    model, _ = tiny("llama")
    timeline, whole = Timeline(model), written(tiny("llama")[0], {"arm": "carried"})
    for step in range(STEPS):
        with timeline.at(("arm", step, "carried")):
            place = timeline.add("arm", patch(model, step), "carried")
        assert place == ("arm", step + 1, "carried")
        with timeline.at(place), whole.at(place):
            assert weights_digest(model) == weights_digest(whole.model)
    assert timeline.steps("arm") == STEPS
    assert timeline.steps("no arm") == 0
    assert timeline.close() == whole.close()


def test_a_journalled_patch_is_out_of_reach() -> None:
    model, _ = tiny("llama")
    mine = patch(model, 1)
    timeline = Timeline(model)
    place = timeline.add("arm", mine, "alone")
    with timeline.at(place):
        before = weights_digest(model)
    for delta in mine.deltas.values():
        assert isinstance(delta, LowRank)
        delta.a.zero_()
    with timeline.at(place):
        assert weights_digest(model) == before
    kept = timeline.patch(place)
    assert isinstance(kept, WeightPatch)
    assert all(isinstance(delta, LowRank) for delta in kept.deltas.values())


def test_modules_and_routers_are_the_latest() -> None:
    model, _ = tiny("llama")
    found = module_map(model)
    timeline = Timeline(model)
    steps = [
        patch(model, 1),
        ModulePatch({found.mlp(0): Zero()}),
        RouterPatch(Told("first ")),
        None,
        ModulePatch({found.down_projection(1): Zero()}),
        patch(model, 2),
        RouterPatch(Told("second ")),
    ]
    for step in steps:
        timeline.add("arm", step, "carried")
    swapped, told = [], []
    for step in range(len(steps) + 1):
        place: StateId = ("arm", step, "carried")
        router = timeline.router(place)
        told.append(router.route("x")[0] if router else "x")
        with timeline.at(place):
            swapped.append([name for name, module in model.named_modules() if isinstance(module, _Zero)])
    mlp, down = [found.mlp(0)], [found.down_projection(1)]
    assert swapped == [[], [], mlp, mlp, mlp, down, down, down]
    assert told == ["x", "x", "x", "first x", "first x", "first x", "first x", "second x"]
    timeline.go(("arm", 7, "carried"))
    timeline.go(("arm", 7, "carried"))
    digest = timeline.close()
    assert digest == weights_digest(tiny("llama")[0])


def test_alone_has_only_its_own_router() -> None:
    model, _ = tiny("llama")
    timeline = Timeline(model)
    places = [timeline.add("arm", RouterPatch(Told("1")), "alone"), timeline.add("arm", None, "alone")]
    assert [timeline.router(place) for place in (*places, UNEDITED)] == [Told("1"), None, None]


def test_a_recipe_that_fails_leaves_the_unedited_model() -> None:
    model, _ = tiny("llama")
    timeline = Timeline(model)
    found = module_map(model)
    timeline.add("arm", patch(model, 1), "carried")
    place = timeline.add("arm", ModulePatch({found.mlp(0): Zero(), found.mlp(1): Zero({"fails": True})}), "carried")
    with pytest.raises(OSError, match="no such codebook"), timeline.at(place):
        pass
    assert weights_digest(model) == timeline.digest
    with timeline.at(("arm", 1, "carried")):
        assert weights_digest(model) != timeline.digest
    timeline.close()


def test_weights_that_somebody_changed_are_restored_and_told() -> None:
    model, _ = tiny("llama")
    timeline = written(model, {"arm": "carried"})
    name = module_map(model).down_weight(0)
    timeline.go(("arm", 2, "carried"))
    model.get_parameter(name)[0, 0] += 1
    with pytest.raises(MethodError, match=rf"{name} changed while a patch was applied"):
        timeline.go(("arm", 3, "carried"))
    assert timeline.close() == timeline.digest


def test_a_weight_changed_for_good_is_seen_at_the_end() -> None:
    model, _ = tiny("llama")
    timeline = written(model, {"arm": "carried"})
    model.lm_head.weight[0, 0] += 1
    with pytest.raises(MethodError, match="a method changed weights in place and did not undo it"):
        timeline.close()


def test_a_digest_from_elsewhere_is_believed() -> None:
    model, _ = tiny("llama")
    with pytest.raises(MethodError, match="is not as it was"):
        Timeline(model, digest="0" * 64).close()


@pytest.mark.parametrize(
    "place", [("positive", 6, "carried"), ("positive", -1, "carried"), ("nobody", 1, "carried"), ("", 1, "alone"),
              ("positive", 1, "alone"), ("positive", 1, "sideways")],
)  # fmt: skip
def test_places_that_are_not_there(place: StateId) -> None:
    timeline = written(tiny("llama")[0], ARMS)
    with pytest.raises(ValueError, match="no place"):
        timeline.go(place)
    with pytest.raises(ValueError, match="no place"):
        timeline.router(place)


def test_an_arm_has_one_kind_and_takes_only_what_fits() -> None:
    model, _ = tiny("gpt2")
    timeline = written(model, {"arm": "carried"})
    with pytest.raises(ValueError, match="cannot take a step of kind 'alone'"):
        timeline.add("arm", None, "alone")
    with pytest.raises(MethodError, match="is tied to another weight"):
        timeline.add("arm", WeightPatch({"lm_head.weight": Dense(torch.zeros(400, 32))}), "carried")
    assert timeline.steps("arm") == STEPS


def test_full_deltas_beyond_the_budget_lie_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model, _ = tiny("llama")
    timeline, small = written(model, ARMS), written(tiny("llama")[0], ARMS, journal_bytes=0)
    assert len(list(tmp_path.glob("editharness-*/*/patch.safetensors"))) > 1
    for place in reversed(PLACES):
        with timeline.at(place), small.at(place):
            assert weights_digest(model) == weights_digest(small.model)
    assert small.close() == timeline.close()
    assert not list(tmp_path.iterdir())


def test_two_thousand_single_edits_are_walked_in_seconds() -> None:
    model, _ = tiny("llama", hidden=64)
    timeline = Timeline(model)
    places = [timeline.add("single", patch(model, 1 + seed % 2), "alone") for seed in range(2000)]
    start = time.process_time()
    for place in places:
        with timeline.at(place):
            pass
    assert time.process_time() - start < 10
    timeline.close()
