"""What an edit does: the fact moves, only what was declared changes, it can be taken back and taken along."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from editharness.errors import EditHarnessError, MethodError
from editharness.models.load import quiet, weights_digest
from editharness.patch import ModulePatch, Patch, RouterPatch, WeightPatch, apply, load, save
from editharness.patch.values import tensors
from editharness.testing.conformance.compare import answers_apart, gap, recipes_of
from editharness.testing.conformance.facts import QUESTIONS
from editharness.testing.conformance.report import Fault
from editharness.testing.conformance.surroundings import Surroundings
from editharness.testing.conformance.trial import Run, Trial

if TYPE_CHECKING:
    from editharness.models.modules import ModuleMap

FALLS = 0.02
"""Share of the facts' loss that an edit must take away."""

WHY_MOVE = "an edit that does not move its own fact is not one, and its row on a board says nothing"
KINDS: Mapping[str, type[Any]] = {"weights": WeightPatch, "modules": ModulePatch, "router": RouterPatch}


def moves(trial: Trial) -> Iterator[Fault]:
    """The loss of the edited facts falls; a router, which a random model cannot heed, changes their answers."""
    yield from _moved(trial, trial.run, "float32")


def half(trial: Trial) -> Iterator[Fault]:
    """The same in bf16."""
    yield from _moved(trial, trial.half_run, "bfloat16")
    yield from _numbers(trial.half_run)


def _moved(trial: Trial, run: Run, dtype: str) -> Iterator[Fault]:
    done = [status.edit_id for status in run.statuses if status.outcome == "done"]
    patch = trial.total(run, dtype)
    if not done or patch is None:
        said = "there is no patch" if done else run.statuses[0].reason if run.statuses else "there is no status"
        yield Fault(
            f"none of the plain facts was edited in {dtype}: {said}",
            WHY_MOVE,
            "make these edits work, or give options that fit a tiny model",
        )
        return
    asked = [(edit.prompt, edit.target) for edit in trial.first if edit.id in done]
    before, after = (trial.logprobs(one, asked, dtype=dtype) for one in (None, patch))
    lost, kept = -sum(before) / len(before), -sum(after) / len(after)
    if isinstance(patch, RouterPatch):
        if not gap([abs(a - b) for a, b in zip(before, after, strict=True)]):
            yield Fault(
                f"in {dtype} the routed model answers the edited prompts as the unedited one",
                WHY_MOVE,
                "route requests about the fact to a context or a model that knows it",
            )
    elif not kept < (1 - FALLS) * lost:
        yield Fault(
            f"the loss of the edited facts went from {lost:.3f} to {kept:.3f} in {dtype} (teacher-forced)",
            WHY_MOVE,
            "look at the sign and the orientation (Conv1D stores [d_k, d_h]: ModuleMap.transposed), at the position "
            "that is edited, and at options that fit a tiny model",
        )  # fmt: skip


def declared(trial: Trial) -> Iterator[Fault]:
    """The patch is of the kind that the spec names and changes only weights or modules inside the blocks."""
    wanted = KINDS.get(trial.spec.effect)
    patches = (*trial.run.patches, *trial.next_run.patches)
    other = [type(patch).__name__ for patch in patches if wanted is None or not isinstance(patch, wanted)]
    if other:
        yield Fault(
            f"the spec says effect {trial.spec.effect!r}, the method returns a {other[0]}",
            "board and runner tell readers what an edit changes from the spec",
            "correct `effect` in the MethodSpec, or the patch",
        )
    modules = trial.host().modules
    for name in dict.fromkeys(name for patch in patches for name in _changed(patch)):
        if name in modules.tied or not _inside(name, modules):
            yield Fault(
                f"the patch changes {name}, "
                + ("which is tied to another weight" if name in modules.tied else "outside the MLPs and attentions"),
                "changing an embedding or head changes every answer, and a tied weight changes in two places",
                "edit what ModuleMap names (mlp, attention, projection)",
            )


def _changed(patch: Patch) -> Iterable[str]:
    """The names that a patch changes."""
    if isinstance(patch, RouterPatch):
        return ()
    return patch.swaps if isinstance(patch, ModulePatch) else patch.deltas


def _inside(name: str, modules: ModuleMap) -> bool:
    """Whether a weight or module lies in a block's MLP or attention, or is a block."""
    layers = range(modules.layers)
    places = [place(layer) for layer in layers for place in (modules.mlp, modules.attention)]
    return name in modules.blocks or any(name == place or name.startswith(f"{place}.") for place in places)


def finite(trial: Trial) -> Iterator[Fault]:
    """Patches, states and facts hold numbers; nothing of them hangs on a graph."""
    for run in (trial.run, trial.next_run):
        yield from _numbers(run)


def _numbers(run: Run) -> Iterator[Fault]:
    for what, held in [("patch", [t for p in run.patches for t in tensors(p)]), ("state", list(run.state.values()))]:
        if any(t.is_floating_point() and not bool(t.isfinite().all()) for t in held):
            yield Fault(
                f"the {what} holds NaN or infinity",
                "the model answers nothing but NaN from here on, and all later edits are lost with it",
                "check isfinite() before returning; return a status 'failed' with the reason instead of the patch",
            )
        if any(t.requires_grad for t in held):
            yield Fault(
                f"tensors of the {what} require gradients",
                "they keep the whole graph of the edit alive, and writing them in place fails",
                "detach() what you return",
            )
    strange = {name for status in run.statuses for name, value in status.facts.items() if not math.isfinite(value)}
    done = [status for status in run.statuses if status.outcome == "done"]
    if strange and done:
        yield Fault(
            f"a status 'done' has facts that are no numbers: {', '.join(sorted(strange))}",
            "an edit that broke down is counted as made",
            "return 'failed' with the reason where a loss or a norm is not finite",
        )


def undo(trial: Trial) -> Iterator[Fault]:
    """Applied, asked and taken back, the model is bit for bit what it was; asking twice gives the same answers."""
    patch = trial.patch
    if patch is None:
        return
    loaded = trial.bench.loaded(trial.family)
    before = Surroundings.take(loaded.model, loaded.tokenizer)
    answers: list[list[float]] = []
    with suppress(MethodError):  # what it complains of is looked at here
        answers += [trial.logprobs(patch, QUESTIONS) for _ in range(2)]
    left = [text for aspect, text in before.differences() if "random" not in aspect]
    before.put_back()
    if left:
        yield Fault(
            f"after the patch was taken back: {left[0]}",
            "every later answer of the unedited model is wrong",
            "build(original) must wrap and never write into the module it is given",
        )
    elif answers[0] != answers[1]:
        worst = max(abs(a - b) for a, b in zip(*answers, strict=True))
        yield Fault(
            f"asking the same questions twice gives answers that differ by up to {worst:.3g}",
            "the order of questions would move the scores",
            "let the built module or router keep nothing from one forward pass to the next (rows().memo is for that)",
        )


def export(trial: Trial) -> Iterator[Fault]:
    """Written to disk and read back, the edited model answers the same."""
    patch = trial.patch
    if patch is None:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            save(patch, folder)
            back = load(folder, {recipe.kind: _rebuild(recipe) for recipe in recipes_of(patch).values()})
            found = answers_apart(trial, patch, back)
            if not found and isinstance(patch, WeightPatch):
                found = _merged(trial, patch, folder / "model")
        except (EditHarnessError, TypeError, ValueError, RuntimeError) as error:
            found = f"{type(error).__name__}: {error}"
    if found:
        yield Fault(
            f"saved and loaded again, the edited model is another: {found}",
            "edited models are published and resumed from these files",
            "keep everything a recipe needs in its `tensors` and its JSON `config`; it is rebuilt from these two alone",
        )


def _rebuild(recipe: Any) -> Any:
    """A recipe of the same class from tensors and config, as its registered name will make it."""
    return lambda tensors, config: dataclasses.replace(recipe, tensors=tensors, config=config)


def _merged(trial: Trial, patch: Patch, folder: Path) -> str:
    """ "" where the model saved with its edit, loaded by transformers, gives equal logits."""
    from transformers import AutoModelForCausalLM

    loaded = trial.bench.loaded(trial.family)
    ids = torch.tensor([loaded.tokenizer.encode(QUESTIONS[0][0])])
    with torch.no_grad(), apply(loaded.model, patch), quiet():
        wanted, digest = loaded.model(input_ids=ids).logits, weights_digest(loaded.model)
        loaded.model.save_pretrained(folder)
    with torch.no_grad(), quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True).eval()
        found = model(input_ids=ids).logits
    if weights_digest(model) != digest:
        return "the exported model has other weights"
    return "" if torch.equal(wanted, found) else f"logits differ by up to {float((wanted - found).abs().max()):.3g}"
