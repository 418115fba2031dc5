"""What holds of every memory: whatever shares the batch, pads it or caches it, a row is answered alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from torch import Tensor

from editharness.errors import MethodError
from editharness.host import LocalHost
from editharness.lm import EditedLM
from editharness.method import Method
from editharness.models.load import weights_digest
from editharness.patch import RecipeKinds, apply, load, save
from editharness.registry import load_plugins
from editharness.rows import Rows, generating, publishing
from editharness.states import load_state, save_state
from editharness.timeline import Timeline
from editharness.types import Case, Edit, State, Step
from editharness_plugins.methods.grace import Grace
from editharness_plugins.methods.memory import skipping
from editharness_plugins.methods.options.memories import GraceOptions, TPatcherOptions, WiseOptions
from editharness_plugins.methods.t_patcher import TPatcher
from editharness_plugins.methods.wise import Wise

OTHERS = (
    "The currency of Japan is the yen",
    "The capital of Spain is Madrid. The capital of Italy is",
    "I think",
)
QUIET: dict[str, Any] = {"first_check": 10, "check_every": 5, "memory": 200, "steps": 60, "lr": 0.03}
WISE = WiseOptions(layer=1, steps=25, lr=1.0, alpha=0.5, beta=1.5, gamma=1.0, templates=2, act_ratio=0.8)
REGISTRY = load_plugins()
METHODS: dict[str, Callable[[], Method[Any]]] = {
    "grace": lambda: Grace(GraceOptions(layer=1, steps=30, eps=0.2)),
    "grace-prompt": lambda: Grace(GraceOptions(layer=1, steps=20, eps=0.2, replace="prompt", init="warm")),
    "grace-all": lambda: Grace(GraceOptions(layer=0, steps=20, eps=0.2, replace="all")),
    "wise": lambda: Wise(WISE),
    "wise-shards": lambda: Wise(replace(WISE, save_freq=1, merge_freq=2, density=1.0)),
    "wise-merged": lambda: Wise(replace(WISE, save_freq=1, merge_freq=2, density=1.0, retrieve=False)),
    "wise-reference": lambda: Wise(replace(WISE, route="reference")),
    "t-patcher": lambda: TPatcher(TPatcherOptions(**QUIET)),
}
FAMILIES = ("llama", "gpt2", "gptj")
SHARED = ("wise-shards", "wise-merged")
"""Several memories compete for a prompt: in a random model the louder one may not be the one that learnt it."""


def kinds(name: str) -> RecipeKinds:
    known = name if name in REGISTRY.methods else name.rpartition("-")[0]  # "wise-merged" is wise, set otherwise
    return REGISTRY.recipe_kinds(REGISTRY.method(known))


@pytest.fixture(scope="module")
def made(
    tiny_host: Callable[[str], LocalHost], facts: Sequence[Edit]
) -> Callable[[str, str], tuple[LocalHost, list[Step]]]:
    """A host, and the steps of three edits, each on top of the ones before."""
    known: dict[tuple[str, str], tuple[LocalHost, list[Step]]] = {}

    def make(name: str, family: str) -> tuple[LocalHost, list[Step]]:
        if (name, family) not in known:
            host = tiny_host(family)
            known[name, family] = host, written(host, METHODS[name](), seeing(facts[:3]))
        return known[name, family]

    return make


def seeing(edits: Sequence[Edit]) -> list[Edit]:
    return [replace(edit, unrelated_text="The currency of Japan is the yen.") for edit in edits]


def cases() -> list[Case]:
    return [Case(str(i), text, (0, 3), "Rome", old="Oslo") for i, text in enumerate(OTHERS)]


def written(host: LocalHost, method: Method[Any], edits: Sequence[Edit]) -> list[Step]:
    host.rng.manual_seed(0)
    state: State = method.prepare(host, cases())
    steps: list[Step] = []
    timeline = Timeline(host.model, host.masters, digest=host.loaded.digest)
    for index, edit in enumerate(edits):
        with timeline.at(("all", index, "carried")):
            steps.append(method.edit(host, [edit], state))
        timeline.add("all", steps[-1].patch, kind="carried")
        state = steps[-1].state
    timeline.close()
    return steps


def lm(host: LocalHost, step: Step, batch_size: int) -> EditedLM:
    timeline = Timeline(host.model, host.masters, digest=host.loaded.digest)
    place = timeline.add("here", step.patch, kind="alone")
    return EditedLM(timeline, host.tokenizer, batch_size=batch_size, default=place)


def asked(kind: str, *arguments: Any) -> Instance:
    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)


def scoring(edits: Sequence[Edit]) -> list[Instance]:
    told = [asked("loglikelihood", edit.prompt, f" {edit.target}") for edit in edits]
    return told + [asked("loglikelihood", text, answer) for text in OTHERS for answer in (" Rome", " a longer answer")]


def scores(host: LocalHost, step: Step, edits: Sequence[Edit], batch_size: int) -> list[float]:
    return [score for score, _ in lm(host, step, batch_size).loglikelihood(scoring(edits))]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", METHODS)
def test_scores_do_not_depend_on_the_batch(made: Any, facts: Sequence[Edit], name: str, family: str) -> None:
    host, steps = made(name, family)
    one, seven = (scores(host, steps[-1], facts, size) for size in (1, 7))
    assert one == pytest.approx(seven, abs=2e-4, rel=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", METHODS)
def test_generation_depends_neither_on_the_batch_nor_on_the_cache(
    made: Any, facts: Sequence[Edit], name: str, family: str
) -> None:
    host, steps = made(name, family)
    prompts = [*(edit.prompt for edit in facts), *OTHERS]
    wanted = {"until": [], "do_sample": False, "max_gen_toks": 5}
    requests = [asked("generate_until", prompt, dict(wanted)) for prompt in prompts]
    one, seven = (lm(host, steps[-1], size).generate_until(requests) for size in (1, 7))
    assert one == seven
    with apply(host.model, steps[-1].patch):
        whole = [generated(host, [prompt]) for prompt in prompts]
    assert [host.tokenizer.decode(ids[0]) for ids in whole] == [
        host.tokenizer.decode(host.tokenizer(text, add_special_tokens=False).input_ids) for text in one
    ]


def generated(host: LocalHost, prompts: Sequence[str]) -> Tensor:
    """Five greedy tokens without a cache."""
    ids = host.tokenizer(list(prompts), return_tensors="pt").input_ids
    with generating(host.model):
        said = host.model.generate(ids, max_new_tokens=5, do_sample=False, use_cache=False, eos_token_id=None)  # type: ignore[operator]
    return said[:, ids.shape[1] :]  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", METHODS)
def test_the_side_of_the_padding_makes_no_difference(made: Any, facts: Sequence[Edit], name: str) -> None:
    host, steps = made(name, "llama")
    texts = [f"{edit.prompt} {edit.target}" for edit in facts[:3]]
    lengths = torch.tensor([len(host.tokenizer(edit.prompt).input_ids) for edit in facts[:3]])
    found = {}
    with apply(host.model, steps[-1].patch):
        for side in ("left", "right"):
            batch = host.tokenizer(texts, return_tensors="pt", padding=True, padding_side=side)
            mask = batch.attention_mask
            with torch.no_grad(), publishing(Rows.of_scoring(lengths, mask)):
                positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
                logits = host.model(input_ids=batch.input_ids, attention_mask=mask, position_ids=positions).logits
            found[side] = logits[mask.bool()]
    torch.testing.assert_close(found["left"], found["right"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", METHODS)
def test_all_edits_are_held_by_the_last_patch(made: Any, facts: Sequence[Edit], name: str, family: str) -> None:
    host, steps = made(name, family)
    assert [step.statuses[0].outcome for step in steps] == ["done"] * 3
    before = scores(host, Step(None, {}, ()), facts[:3], 7)[:3]
    after = scores(host, steps[-1], facts[:3], 7)[:3]
    assert sum(after) > sum(before) + 3
    if name not in SHARED:
        assert all(b > a for a, b in zip(before, after, strict=True))
    assert weights_digest(host.model) == host.loaded.digest
    assert not any(parameter.requires_grad for parameter in host.model.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_a_state_and_a_patch_come_back_from_disk(made: Any, facts: Sequence[Edit], name: str, tmp_path: Path) -> None:
    host, steps = made(name, "gpt2")
    save_state(steps[0].state, tmp_path / "state.safetensors")
    kept = load_state(tmp_path / "state.safetensors")
    assert kept is not None
    assert all(torch.equal(tensor, kept[0][key]) for key, tensor in steps[0].state.items())
    save(steps[-1].patch, tmp_path / "patch")
    back = Step(load(tmp_path / "patch", kinds(name)), {}, ())
    assert scores(host, back, facts, 7) == scores(host, steps[-1], facts, 7)
    host.rng.manual_seed(7)
    with apply(host.model, steps[0].patch):
        first = METHODS[name]().edit(host, seeing(facts[1:2]), steps[0].state)
    host.rng.manual_seed(7)
    with apply(host.model, steps[0].patch):
        second = METHODS[name]().edit(host, seeing(facts[1:2]), kept[0])
    assert first.state.keys() == second.state.keys()
    assert all(torch.equal(tensor, second.state[key]) for key, tensor in first.state.items())


@pytest.mark.parametrize("name", METHODS)
def test_an_edit_that_cannot_be_made_fails_alone(made: Any, facts: Sequence[Edit], name: str) -> None:
    host, steps = made(name, "llama")
    method, state = METHODS[name](), steps[0].state
    lost = method.edit(host, seeing([replace(facts[0], subject=(90, 95))]), state)
    assert (lost.patch, lost.state) == (None, state)
    assert lost.statuses[0].outcome == "failed"
    assert "subject span" in lost.statuses[0].reason
    with pytest.raises(MethodError, match="one edit at a time, got 2"):
        method.edit(host, seeing(facts[:2]), state)


@pytest.mark.parametrize("name", ["grace", "wise", "t-patcher"])
def test_a_search_that_leaves_the_numbers_is_a_failed_edit(made: Any, facts: Sequence[Edit], name: str) -> None:
    host, steps = made(name, "llama")
    options = replace(METHODS[name]().options, lr=float("inf"), **({"norm": None} if name == "wise" else {}))
    step = type(METHODS[name]())(options).edit(host, seeing(facts[:1]), steps[0].state)
    assert step.patch is None
    assert "left the numbers" in step.statuses[0].reason


@pytest.mark.parametrize("name", [n for n, e in REGISTRY.methods.items() if e.spec.effect in ("modules", "router")])
def test_every_module_and_router_is_rebuilt_as_itself(name: str) -> None:
    ((kind, rebuild),) = kinds(name).items()
    made: Any = rebuild({}, {"facts": []})
    assert (made.kind, made.tensors, made.config) == (kind, {}, {"facts": []})


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_passes_that_begin_at_a_block_give_the_same(
    tiny_host: Callable[[str], LocalHost], facts: Sequence[Edit], family: str, layer: int
) -> None:
    host = tiny_host(family)
    prompts = host.encode(facts)

    def logits() -> Tensor:
        with torch.no_grad():
            return host.model(input_ids=prompts.ids, attention_mask=prompts.mask, use_cache=False).logits  # type: ignore[no-any-return]

    ran: list[int] = []
    watch = [
        host.model.get_submodule(f"{host.modules.block(index)}.{host.modules.layout.attention}").register_forward_hook(
            lambda *args, index=index: ran.append(index)
        )
        for index in range(3)
    ]
    whole = logits()
    with skipping(host.model, host.modules, layer):
        assert torch.equal(logits(), whole)
        ran.clear()
        assert torch.equal(logits(), whole)
    assert ran == list(range(layer, 3))
    ran.clear()
    assert torch.equal(logits(), whole)
    assert ran == [0, 1, 2]
    for hook in watch:
        hook.remove()
