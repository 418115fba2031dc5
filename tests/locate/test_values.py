"""The batched search against a plain one: one edit at a time, whole forward passes, torch's own loss functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from editharness.locate.frozen import Site, site_name
from editharness.locate.objective import Decay, Likelihood, Near, Objective, Schedule, Seen, published
from editharness.locate.options import ValueOptions
from editharness.locate.rows import aligned, inserted
from editharness.locate.sharing import by_beginning
from editharness.locate.values import Search, Values, Vector, optimise_values
from editharness.models.capture import replaced
from editharness.models.modules import module_map
from editharness.models.spans import Prompts, encode_edits, essence_prompts
from editharness.testing.tiny import FAMILIES, tiny
from editharness.types import Edit

CONTEXTS = ("{}", "The first of these. {}", "Because. {}")
FEW = ValueOptions(steps=4, lr=0.1, weight_decay=0.5, clamp=0.75)
BOTH: tuple[Site, ...] = ("mlp", "attention")


def searched(
    model: Any,
    tokenizer: Any,
    edits: Sequence[Edit],
    options: ValueOptions,
    sites: Sequence[Site] = ("block",),
    layer: int = 1,
    contexts: Sequence[str] = CONTEXTS,
) -> Values:
    prompts, essence = encode_edits(tokenizer, edits, contexts), essence_prompts(tokenizer, edits)
    search = Search(published(options), tuple(Vector(site) for site in sites))
    return optimise_values(model, module_map(model), layer, prompts, essence, options, search=search)


class Plain:
    """One edit's search with hooks on the sites and every prompt run alone."""

    def __init__(self, model: Any, layer: int, sites: Sequence[Site]) -> None:
        self.model, self.modules = model, module_map(model)
        self.names = [site_name(self.modules, layer, site) for site in sites]
        self.held: dict[str, list[Tensor]] = {name: [] for name in self.names}

    def logp(self, row: Prompts, deltas: Sequence[Tensor], position: int | None = None) -> Tensor:
        place = int(row.subject_last[0]) if position is None else position

        def add(output: Tensor, name: str, delta: Tensor) -> Tensor:
            self.held[name].append(output[0, place].detach().clone())
            output[0, place] = output[0, place] + delta
            return output

        with ExitStack() as stack:
            for name, delta in zip(self.names, deltas, strict=True):
                stack.enter_context(replaced(self.model, name, partial(add, name=name, delta=delta)))
            out: Tensor = self.model(input_ids=row.ids, attention_mask=row.mask, use_cache=False).logits[0]
        return out.log_softmax(dim=-1)

    def search(self, tokenizer: Any, edit: Edit, options: ValueOptions, contexts: Sequence[str]) -> Tensor:
        rows = [encode_edits(tokenizer, [edit], [context]) for context in contexts]
        essence = essence_prompts(tokenizer, [edit])
        deltas = [torch.zeros(self.modules.hidden_size, requires_grad=True) for _ in self.names]
        optimiser = torch.optim.Adam(deltas, lr=options.lr)
        first: Tensor | None = None
        for step in range(options.steps):
            said = [F.nll_loss(self.logp(row, deltas), row.labels[0], ignore_index=-100) for row in rows]
            now = self.logp(essence, deltas)[essence.subject_last[0]]
            first = now.detach() if first is None else first
            loss = torch.stack(said).mean() + options.kl_weight * F.kl_div(first, now, log_target=True, reduction="sum")
            initial = [self.held[name][0] for name in self.names]
            for delta, h in zip(deltas, initial, strict=True):
                loss = loss + options.weight_decay * delta.norm() / h.norm() ** 2
            if loss < options.loss_stop or step == options.steps - 1:
                break
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                for delta, h in zip(deltas, initial, strict=True):
                    delta.mul_(min(1.0, float(options.clamp * h.norm() / delta.norm())))
        return (initial[0] + deltas[0]).detach()


def plain(
    model: Any,
    tokenizer: Any,
    edit: Edit,
    options: ValueOptions,
    sites: Sequence[Site],
    layer: int = 1,
    contexts: Sequence[str] = CONTEXTS,
) -> Tensor:
    return Plain(model, layer, sites).search(tokenizer, edit, options, contexts)


@pytest.mark.parametrize("sites", [("block",), ("mlp",), BOTH], ids="+".join)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_as_a_plain_search(
    made: Callable[..., Any], edits: list[Edit], family: str, sites: Sequence[Site]
) -> None:
    model, tokenizer = made(family)
    if getattr(model.config, "sliding_window", None):
        edits = edits[:3]  # the last one's target is out of reach of the one layer above, and its gradient is noise
    ours = searched(model, tokenizer, edits, FEW, sites)
    for edit, target in zip(edits, ours.target, strict=True):
        torch.testing.assert_close(target, plain(model, tokenizer, edit, FEW, sites), rtol=1e-3, atol=2e-4)
    assert ours.steps.tolist() == [FEW.steps - 1] * len(edits)


FRONT = (0, Edit("front", "A is the capital of", (0, 1), "Rome"))
END = (2, Edit("end", "The capital of Italy: A", (22, 23), "Rome"))  # else the last layer cannot reach the target


@pytest.mark.parametrize("sites", [("block",), BOTH], ids="+".join)
@pytest.mark.parametrize(("layer", "edit"), [FRONT, END], ids=["front", "end"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_first_and_last_layer_and_token(
    made: Callable[..., Any], family: str, layer: int, edit: Edit, sites: Sequence[Site]
) -> None:
    model, tokenizer = made(family)
    ours = searched(model, tokenizer, [edit], FEW, sites, layer, ("{}",))
    wanted = plain(model, tokenizer, edit, FEW, sites, layer, ("{}",))
    torch.testing.assert_close(ours.target[0], wanted, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("sites", [("block",), BOTH], ids="+".join)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_an_edit_alone_is_the_edit_in_any_batch(
    made: Callable[..., Any], edits: list[Edit], family: str, sites: Sequence[Site]
) -> None:
    model, tokenizer = made(family)
    together = searched(model, tokenizer, edits, FEW, sites)
    for tokens in (1, 60):
        chunked = searched(model, tokenizer, edits, ValueOptions(**{**vars(FEW), "row_tokens": tokens}), sites)
        torch.testing.assert_close(chunked.target, together.target, rtol=1e-3, atol=2e-4)
    alone = searched(model, tokenizer, edits[2:3], FEW, sites)
    torch.testing.assert_close(alone.target[0], together.target[2], rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_contexts_that_many_edits_share_change_nothing(
    made: Callable[..., Any], edits: list[Edit], family: str
) -> None:
    model, tokenizer = made(family)
    edits = edits[:3] if getattr(model.config, "sliding_window", None) else edits  # as above
    contexts = ("{}", f"{'A long story, the same before all. ' * 3}{{}}")
    prompts, essence = encode_edits(tokenizer, edits, contexts), essence_prompts(tokenizer, edits)
    rows = aligned(prompts, essence)
    starts = rows.position[:, rows.start].tolist()
    own = [[token for token in row if token][:start] for row, start in zip(rows.ids.tolist(), starts, strict=True)]
    assert any(group.shared > 30 for group in by_beginning(own))
    found = searched(model, tokenizer, edits, FEW, contexts=contexts)
    for number, edit in enumerate(edits):
        alone = searched(model, tokenizer, [edit], FEW, contexts=contexts)
        torch.testing.assert_close(found.target[number], alone.target[0], rtol=1e-3, atol=2e-4)


def test_a_model_in_16_bits_is_searched_with_vectors_in_32(made: Callable[..., Any], edits: list[Edit]) -> None:
    model, tokenizer = tiny("llama")
    found = searched(model.bfloat16(), tokenizer, edits, FEW)
    whole = searched(made("llama")[0], tokenizer, edits, FEW)
    assert found.target.dtype == found.loss.dtype == torch.float32
    assert not torch.equal(found.target, found.target.bfloat16().float())
    torch.testing.assert_close(found.loss, whole.loss, rtol=0.02, atol=0.02)


def test_the_loss_falls_and_the_ball_holds(made: Callable[..., Any], edits: list[Edit]) -> None:
    model, tokenizer = made("llama")
    start = searched(model, tokenizer, edits, ValueOptions(steps=1, weight_decay=0.0))
    assert torch.equal(start.target, start.initial)
    end = searched(model, tokenizer, edits, ValueOptions(steps=10, lr=0.05, clamp=0.75, weight_decay=0.0))
    assert bool((end.loss < start.loss).all())
    moved = (end.target - end.initial).norm(dim=1) / end.initial.norm(dim=1)
    assert bool((moved <= 0.75 + 1e-5).all())
    assert end.facts(0)["norm"] == pytest.approx(float(moved[0]))


def test_an_edit_that_is_done_leaves_without_moving_the_others(made: Callable[..., Any], edits: list[Edit]) -> None:
    model, tokenizer = made("llama")
    patient = ValueOptions(steps=12, lr=0.5, clamp=4.0, weight_decay=0.0, loss_stop=0.0)
    everyone = searched(model, tokenizer, edits, patient)
    stop = float(everyone.loss.sort().values[1:3].mean())
    hasty = ValueOptions(**{**vars(patient), "loss_stop": stop})
    some = searched(model, tokenizer, edits, hasty)
    assert 0 < int((some.steps < 11).sum()) < len(edits)
    stayed = some.steps == 11
    torch.testing.assert_close(some.target[stayed], everyone.target[stayed], rtol=2e-3, atol=1e-3)


def test_numbers_that_are_none_fail_one_edit_only(made: Callable[..., Any], edits: list[Edit]) -> None:
    model, tokenizer = made("llama")
    poisoned = tokenizer.encode(" French", add_special_tokens=False)[-1]
    rows = model.get_output_embeddings().weight
    saved = rows[poisoned].clone()
    rows[poisoned] = torch.nan
    try:
        ours = searched(model, tokenizer, edits, FEW)
    finally:
        rows[poisoned] = saved
    assert not bool(ours.target.isfinite().any())  # a broken head breaks every softmax: all are marked, none crashes
    assert bool(searched(model, tokenizer, edits, FEW).target.isfinite().all())


def test_the_model_is_left_alone(made: Callable[..., Any], edits: list[Edit]) -> None:
    model, tokenizer = made("gpt2")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    searched(model, tokenizer, edits, FEW)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any("forward" in module.__dict__ for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())


def test_a_model_in_fp64_is_searched_in_fp64(edits: list[Edit]) -> None:
    model, tokenizer = tiny("llama")
    rough = searched(model, tokenizer, edits, FEW)
    fine = searched(model.double(), tokenizer, edits, FEW)
    assert fine.target.dtype == torch.float64
    torch.testing.assert_close(fine.target.float(), rough.target, rtol=1e-3, atol=2e-4)


def test_the_ball_is_that_of_the_site_that_bounds_it(made: Callable[..., Any], edits: list[Edit]) -> None:
    model, tokenizer = made("llama")
    options = ValueOptions(steps=8, lr=0.5, weight_decay=0.0, clamp=0.5)
    prompts, essence = encode_edits(tokenizer, edits), essence_prompts(tokenizer, edits)
    blocks = searched(model, tokenizer, edits, options).initial.norm(dim=1)
    moved = {}
    for bound in (None, "block"):
        search = Search(published(options), (Vector("mlp", bound), Vector("attention")))
        found = optimise_values(model, module_map(model), 1, prompts, essence, options, search=search)
        moved[bound] = (found.target - found.initial).norm(dim=1)
        limit = 0.5 * (found.initial.norm(dim=1) if bound is None else blocks)
        assert bool((moved[bound] <= limit * (1 + 1e-5)).all())
    assert bool((moved["block"] > moved[None]).any())


@pytest.mark.parametrize("family", ["llama", "gpt2", "gptj"])
def test_a_teacher_that_says_the_same_has_nothing_to_teach(
    made: Callable[..., Any], edits: list[Edit], family: str
) -> None:
    model, tokenizer = made(family)
    prompts, essence = encode_edits(tokenizer, edits, CONTEXTS), essence_prompts(tokenizer, edits)
    terms = (Likelihood(0.0), Near(1.0, ("target", "essence_end"), "teacher"), Near(1.0, ("lens",), "teacher"))
    options = ValueOptions(steps=3, row_tokens=60, loss_stop=1e-4)
    search = Search(Objective(terms, options.loss_stop), lens=1)
    ours = optimise_values(model, module_map(model), 1, prompts, essence, options, search=search, teacher=prompts)
    assert ours.steps.tolist() == [0.0] * len(edits)
    assert torch.equal(ours.target, ours.initial)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_teachers_loss_is_torchs_own(made: Callable[..., Any], edits: list[Edit], family: str) -> None:
    """The first pass's loss, δ being zero: KL over label positions and the essence row's end, and at the lens."""
    model, tokenizer = made(family)
    modules, essence = module_map(model), essence_prompts(tokenizer, edits)
    prompts = encode_edits(tokenizer, edits, CONTEXTS)
    told = inserted(prompts, [tokenizer.encode("It is Rome.", add_special_tokens=False)] * len(edits), 1)
    for place in (("target", "essence_end"), ("lens",)):
        search = Search(Objective((Likelihood(0.0), Near(2.0, place, "teacher")), 0.0), lens=1)
        ours = optimise_values(model, modules, 0, prompts, essence, ValueOptions(steps=1), search=search, teacher=told)
        for index in range(len(edits)):
            mine, edge = torch.nonzero(prompts.edit == index)[:, 0], essence.select(torch.tensor([index]))
            student, teacher = (
                torch.cat([answers(model, modules, rows.select(mine), place), answers(model, modules, edge, place)])
                for rows in (prompts, told)
            )
            wanted = 2.0 * F.kl_div(teacher, student, log_target=True, reduction="batchmean")
            torch.testing.assert_close(ours.loss[index], wanted, rtol=1e-3, atol=1e-5)


def answers(model: Any, modules: Any, rows: Prompts, place: Sequence[str]) -> Tensor:
    """log p of whole rows at their labels (an essence row: at its end), or through the lens at the subject."""
    with torch.no_grad():
        out = model(input_ids=rows.ids, attention_mask=rows.mask, output_hidden_states=True)
        if place == ("lens",):
            stream = out.hidden_states[2][torch.arange(len(rows)), rows.subject_last]
            logits = model.get_output_embeddings()(model.get_submodule(modules.final_norm)(stream))
        elif bool((rows.labels != -100).any()):
            logits = out.logits[rows.labels != -100]
        else:
            logits = out.logits[torch.arange(len(rows)), rows.lengths - 1]
    found: Tensor = logits.log_softmax(dim=-1)
    return found


def seen(made: Callable[..., Any], edits: list[Edit], sure: Sequence[bool]) -> Seen:
    """A pass in which the target is the likeliest where `sure` says so, and nothing else has moved."""
    _, tokenizer = made("llama")
    rows = aligned(encode_edits(tokenizer, edits), essence_prompts(tokenizer, edits))
    labels = rows.labels[rows.labels != -100]
    row = (rows.labels != -100).nonzero(as_tuple=True)[0]
    logits = torch.zeros(len(labels), len(tokenizer))
    for index, one in enumerate(rows.edit[row].tolist()):
        logits[index, labels[index] if sure[one] else (labels[index] + 1) % len(tokenizer)] = 3.0
    still = torch.zeros(len(edits), len(tokenizer)).log_softmax(dim=-1)
    logp = {"target": logits.log_softmax(dim=-1), "essence": still}
    at = {"target": row, "essence": rows.essence.nonzero(as_tuple=True)[0]}
    delta, norm = torch.zeros(len(edits), 4), torch.ones(len(edits))
    return Seen(rows, logp, at, (delta,), (norm,))


def test_pmets_schedule(made: Callable[..., Any], edits: list[Edit]) -> None:
    sure = [True, False, True, False]
    first = seen(made, edits, sure)
    objective = published(ValueOptions(loss_stop=0.0), Schedule(factor=0.1, kl_stop=0.01))
    _, done = objective(first, {"before": objective.held(first)})
    assert done.tolist() == sure
    moved = {
        "essence": torch.zeros_like(first.logp["essence"]).index_fill(1, torch.tensor([0]), 9.0).log_softmax(dim=-1)
    }
    assert objective(first, {"before": moved})[1].tolist() == [False] * 4
    emphasis = objective.emphasis(first)
    torch.testing.assert_close(emphasis, torch.tensor([0.1, 1.0, 0.1, 1.0]))
    nll = Likelihood()(first, {})
    later = Likelihood()(Seen(**{**vars(first), "emphasis": emphasis}), {})
    torch.testing.assert_close(later, nll * emphasis)
    assert published(ValueOptions()).emphasis(first) == 1.0


def test_decay_of_the_vector_written_once_per_row(made: Callable[..., Any], edits: list[Edit]) -> None:
    one = seen(made, edits, [True] * 4)
    held = Seen(**{**vars(one), "deltas": (torch.ones(4, 4),), "norms": (torch.full((4,), 3.0),)})
    torch.testing.assert_close(Decay(0.5)(held, {}), torch.full((4,), 0.5 * 2 / 9))
    torch.testing.assert_close(Decay(0.5, repeated=True)(held, {}), torch.full((4,), 0.5 * 2 * 2**0.5 / 3))
