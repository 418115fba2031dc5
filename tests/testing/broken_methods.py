"""A sound method, and copies of it with one fault each: what the conformance kit must find. Imported by name."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from editharness.errors import EditError, MethodError
from editharness.locate.batch import encodable
from editharness.locate.forward import label_losses
from editharness.method import Host, Method
from editharness.models.capture import replaced
from editharness.models.spans import Prompts
from editharness.options import option
from editharness.patch import Dense, ModulePatch, RouterPatch, WeightPatch
from editharness.types import Case, Edit, State, Status, Step


@dataclass(frozen=True)
class SoundOptions:
    """Options of the sound method."""

    layer: int = option(1, "the layer to edit", low=0)
    step: float = option(1.0, "length of the gradient step", low=0)


class Sound(Method[SoundOptions]):
    """One normalised gradient step on a down projection. State: the step's norm, for nobody's use."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        usable, failed = encodable(host, edits)
        if not usable:
            return Step(None, state, tuple(failed.values()))
        name = host.modules.down_weight(self.options.layer)
        host.progress(0, 2, "gradient")
        delta = -self.options.step * self.direction(host, name, usable, state)
        host.progress(1, 2, "gradient")
        if not bool(delta.isfinite().all()):
            raise EditError("the gradient is not finite")
        done = {edit.id: Status(edit.id, "done", facts={"norm": float(delta.norm())}) for edit in usable}
        statuses = tuple({**done, **failed}[edit.id] for edit in edits)
        return Step(self.patch(host, name, delta, state), self.carried(host, state, delta), statuses)

    def direction(self, host: Host, name: str, edits: Sequence[Edit], state: State) -> Tensor:
        gradient = self.gradient(host, name, self.encoded(host, edits))
        return gradient / gradient.norm()

    def gradient(self, host: Host, name: str, prompts: Prompts) -> Tensor:
        stored = host.model.get_parameter(name)
        weight = stored.detach().float().clone().requires_grad_()

        def model(**inputs: Any) -> object:
            return functional_call(host.model, {name: weight.to(stored.dtype)}, kwargs=inputs)

        with torch.enable_grad():
            loss = label_losses(host.model.get_submodule(host.modules.head), prompts, model).mean()
        return torch.autograd.grad(loss, weight)[0]

    def encoded(self, host: Host, edits: Sequence[Edit]) -> Prompts:
        return host.encode(edits)

    def patch(self, host: Host, name: str, delta: Tensor, state: State) -> Any:
        return WeightPatch({name: Dense(delta)})

    def carried(self, host: Host, state: State, delta: Tensor) -> State:
        return {**state, "norm": delta.norm()}


# --- effects


class WrongSign(Sound):
    def patch(self, host: Host, name: str, delta: Tensor, state: State) -> Any:
        return WeightPatch({name: Dense(-delta)})


class HeadToo(Sound):
    def patch(self, host: Host, name: str, delta: Tensor, state: State) -> Any:
        head = f"{host.modules.head}.weight"
        noise = 1e-3 * host.model.get_parameter(head).detach().float()
        return WeightPatch({name: Dense(delta), head: Dense(noise)})


class NotANumber(Sound):
    def carried(self, host: Host, state: State, delta: Tensor) -> State:
        return {"norm": delta.norm() / 0 * 0}


class OnTheGraph(Sound):
    def carried(self, host: Host, state: State, delta: Tensor) -> State:
        return {"norm": delta.norm().requires_grad_()}


class NoPatch(Sound):
    def patch(self, host: Host, name: str, delta: Tensor, state: State) -> Any:
        return None


@dataclass(frozen=True)
class Wrapped:
    """Adds `shift` to what a layer gives. `extra` is no part of what is saved; `memory` outlives a forward pass."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "wrapped"
    fault: str = ""

    def build(self, original: nn.Module) -> nn.Module:
        if self.fault == "writes":
            original.weight.data.mul_(1.5)  # type: ignore[union-attr, operator]
        return Shifted(original, self.tensors["shift"], self.fault)


class Shifted(nn.Module):
    def __init__(self, original: nn.Module, shift: Tensor, fault: str) -> None:
        super().__init__()
        self.original, self.shift, self.fault = original, shift, fault

    def forward(self, hidden: Tensor) -> Tensor:
        given = self.original(hidden)
        shift = self.shift.to(given.dtype)
        if self.fault == "remembers":
            # the tensor is that of the recipe, so the next built module knows it too
            self.shift.mul_(1.1)
        if self.fault == "rows":
            return given + shift * hidden.mean(dim=(0, 1), keepdim=True).sum()
        if self.fault == "decoding" and hidden.shape[1] == 1:
            return given - 5 * shift
        return given + shift


class InAModule(Sound):
    """Shifts what the down projection gives. State: the shift so far."""

    fault = ""

    def direction(self, host: Host, name: str, edits: Sequence[Edit], state: State) -> Tensor:
        shift = torch.zeros(host.modules.hidden_size, requires_grad=True)
        head = host.model.get_submodule(host.modules.head)
        with torch.enable_grad(), replaced(host.model, name.removesuffix(".weight"), lambda y: y + shift.to(y.dtype)):
            loss = label_losses(head, self.encoded(host, edits), host.model).mean()
        gradient = torch.autograd.grad(loss, shift)[0]
        return gradient / gradient.norm()

    def patch(self, host: Host, name: str, delta: Tensor, state: State) -> Any:
        recipe = Wrapped({"shift": state.get("shift", torch.zeros(())) + delta}, fault=self.fault)
        return ModulePatch({host.modules.down_projection(self.options.layer): recipe})

    def carried(self, host: Host, state: State, delta: Tensor) -> State:
        return {"shift": state.get("shift", torch.zeros(())) + delta}


class WritesIntoTheOriginal(InAModule):
    fault = "writes"


class Remembers(InAModule):
    fault = "remembers"


class MixesRows(InAModule):
    fault = "rows"


class ForgetsWhenDecoding(InAModule):
    fault = "decoding"


class Tells:
    """A router that says its first word before every request; the word stands in neither tensors nor config."""

    tensors: Mapping[str, Tensor] = {}
    config: Mapping[str, Any] = {}
    kind = "tells"

    def __init__(self, word: str) -> None:
        self.word = word

    def route(self, context: str) -> tuple[str, str]:
        return f"{self.word} {context}", "base"


class LeavesSomethingOut(Sound):
    def patch(self, host: Host, name: str, delta: Tensor, state: State) -> Any:
        return RouterPatch(Tells("Rome."))


# --- traces


class LeavesAHook(Sound):
    def direction(self, host: Host, name: str, edits: Sequence[Edit], state: State) -> Tensor:
        host.model.get_submodule(host.modules.mlp(0)).register_forward_hook(lambda module, given, made: None)
        return super().direction(host, name, edits, state)


class SubtractsBack(Sound):
    def direction(self, host: Host, name: str, edits: Sequence[Edit], state: State) -> Tensor:
        found = super().direction(host, name, edits, state)
        weight = host.model.get_parameter(name).data
        weight += found.to(weight.dtype)
        weight -= found.to(weight.dtype)
        return found


class StopsHalfWay(Sound):
    def direction(self, host: Host, name: str, edits: Sequence[Edit], state: State) -> Tensor:
        found = super().direction(host, name, edits, state)
        weight = host.model.get_parameter(name).data
        before = weight.clone()
        weight += found.to(weight.dtype)
        host.progress(1, 2, "a look at the edited model")
        weight.copy_(before)
        return found


class LeavesGradients(Sound):
    def direction(self, host: Host, name: str, edits: Sequence[Edit], state: State) -> Tensor:
        weight = host.model.get_parameter(name).requires_grad_()
        with torch.enable_grad():
            label_losses(host.model.get_submodule(host.modules.head), host.encode(edits), host.model).mean().backward()
        assert weight.grad is not None
        return weight.grad.float() / weight.grad.float().norm()


class TrainsInTrainMode(Sound):
    def direction(self, host: Host, name: str, edits: Sequence[Edit], state: State) -> Tensor:
        host.model.train()
        return super().direction(host, name, edits, state)


class TurnsTheTokenizer(Sound):
    def encoded(self, host: Host, edits: Sequence[Edit]) -> Prompts:
        host.tokenizer.padding_side = "left"
        return super().encoded(host, edits)


class SwitchesTheCacheOff(Sound):
    def encoded(self, host: Host, edits: Sequence[Edit]) -> Prompts:
        host.model.config.use_cache = False  # type: ignore[union-attr]
        return super().encoded(host, edits)


class SwapsAModule(Sound):
    def direction(self, host: Host, name: str, edits: Sequence[Edit], state: State) -> Tensor:
        found = super().direction(host, name, edits, state)
        parent = host.model.get_submodule(host.modules.block(0))
        child = host.modules.mlp(0).rpartition(".")[2]
        setattr(parent, child, nn.Sequential(getattr(parent, child)))
        return found


class PatchesForward(Sound):
    def direction(self, host: Host, name: str, edits: Sequence[Edit], state: State) -> Tensor:
        module = host.model.get_submodule(host.modules.mlp(0))
        module.forward = module.forward
        return super().direction(host, name, edits, state)


# --- repeats


class GlobalRandom(Sound):
    def patch(self, host: Host, name: str, delta: Tensor, state: State) -> Any:
        return WeightPatch({name: Dense(delta + 1e-4 * torch.randn(delta.shape))})


class PythonsAndNumpysRandom(Sound):
    def patch(self, host: Host, name: str, delta: Tensor, state: State) -> Any:
        return WeightPatch({name: Dense(delta * (1 + 1e-3 * random.random() + 1e-3 * float(np.random.rand())))})


class Caches(Sound):
    """Keeps the first direction of the process, as published code keeps covariances and templates."""

    kept: dict[str, Tensor] = {}  # noqa: RUF012  # this is the fault

    def direction(self, host: Host, name: str, edits: Sequence[Edit], state: State) -> Tensor:
        return self.kept.setdefault(name, super().direction(host, name, edits, state))


class Counts(Sound):
    """Every edit of the process is a little shorter."""

    made = [0]  # noqa: RUF012  # this is the fault

    def patch(self, host: Host, name: str, delta: Tensor, state: State) -> Any:
        self.made[0] += 1
        return WeightPatch({name: Dense(delta * 0.99 ** self.made[0])})


class KeepsStateOnSelf(Sound):
    """The second batch depends on an attribute that no file holds."""

    def patch(self, host: Host, name: str, delta: Tensor, state: State) -> Any:
        earlier = getattr(self, "earlier", 0.0)
        self.earlier = float(delta.norm())
        return WeightPatch({name: Dense(delta * (1 + earlier))})


class WritesIntoItsState(Sound):
    def carried(self, host: Host, state: State, delta: Tensor) -> State:
        if "total" in state:
            return {"total": state["total"].add_(delta)}
        return {"total": delta.clone()}


class ReturnsWhatItWritesInto(Sound):
    """One tensor is the patch of every batch."""

    def patch(self, host: Host, name: str, delta: Tensor, state: State) -> Any:
        self.only = getattr(self, "only", torch.zeros_like(delta)).copy_(delta)
        return WeightPatch({name: Dense(self.only)})


class StateOfNumbers(Sound):
    def carried(self, host: Host, state: State, delta: Tensor) -> State:
        return {"norm": float(delta.norm())}  # type: ignore[dict-item]


class Trained(Sound):
    """Learns a scale from train cases, in steps that are kept."""

    def prepare(self, host: Host, train: Sequence[Case]) -> State:
        if not train:
            raise MethodError("needs at least one train case")
        state = dict(host.resume() or self.begun(host))
        for done in range(int(state["step"]), 8):
            host.progress(done, 8, "training")
            state = self.trained(host, state)
            host.keep(state)
        return {"scale": state["scale"]}

    def begun(self, host: Host) -> dict[str, Tensor]:
        return {"scale": torch.ones(()), "step": torch.zeros((), dtype=torch.int64), "rng": host.rng.get_state()}

    def trained(self, host: Host, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        host.rng.set_state(state["rng"])
        scale = state["scale"] * (1 + 0.01 * torch.rand((), generator=host.rng))
        return {"scale": scale, "step": state["step"] + 1, "rng": host.rng.get_state()}

    def patch(self, host: Host, name: str, delta: Tensor, state: State) -> Any:
        return WeightPatch({name: Dense(delta)})


class ForgetsItsGenerator(Trained):
    def trained(self, host: Host, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        scale = state["scale"] * (1 + 0.01 * torch.rand((), generator=host.rng))
        return {**state, "scale": scale, "step": state["step"] + 1}


class TrainsOnNothing(Trained):
    def prepare(self, host: Host, train: Sequence[Case]) -> State:
        return super().prepare(host, train or [Case("none", "Nobody is", (0, 6), "Rome")])


# --- batches


class LastColumn(Sound):
    """Takes the end of a row for the end of its prompt."""

    def encoded(self, host: Host, edits: Sequence[Edit]) -> Prompts:
        prompts = super().encoded(host, edits)
        labels = torch.full_like(prompts.labels, -100)
        labels[:, -1] = prompts.labels.amax(dim=1)
        return replace(prompts, labels=labels)


class OwnTokens(Sound):
    """Encodes for itself and looks for the answer at the end, which holds where the tokenizer pads on the left."""

    def encoded(self, host: Host, edits: Sequence[Edit]) -> Prompts:
        prompts = super().encoded(host, edits)
        made = host.tokenizer([edit.prompt for edit in edits], padding=True, return_tensors="pt")
        labels = torch.full_like(made["input_ids"], -100)
        labels[:, -1] = prompts.labels.amax(dim=1)
        return replace(prompts, ids=made["input_ids"], mask=made["attention_mask"].bool(), labels=labels)


class NeighboursCount(Sound):
    """`edit_each` steps along the mean of all edits' directions."""

    def edit_each(self, host: Host, edits: Sequence[Edit], state: State) -> Iterator[Step]:
        whole = self.edit(host, edits, state)
        for edit in edits:
            yield Step(whole.patch, whole.state, (Status(edit.id, "done"),))


class OneStepShort(Sound):
    def edit_each(self, host: Host, edits: Sequence[Edit], state: State) -> Iterator[Step]:
        yield from super().edit_each(host, edits[:-1], state)


class LastOneCounts(Sound):
    def encoded(self, host: Host, edits: Sequence[Edit]) -> Prompts:
        return super().encoded(host, edits[-1:])


class SortsStatuses(Sound):
    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        step = super().edit(host, edits, state)
        return replace(step, statuses=tuple(sorted(step.statuses, key=lambda status: status.edit_id)))


# --- mishaps


class OneBadEditEndsAll(Sound):
    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        assert all(0 <= edit.subject[0] < edit.subject[1] <= len(edit.prompt) for edit in edits), (
            "subject not in prompt"
        )
        return super().edit(host, edits, state)


class DoneWhateverHappens(Sound):
    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        try:
            step = super().edit(host, edits, state)
        except EditError:
            step = Step(None, state, ())
        return replace(step, statuses=tuple(Status(edit.id, "done") for edit in edits))


class AnyLayerWillDo(Sound):
    def __init__(self, options: SoundOptions) -> None:
        super().__init__(replace(options, layer=min(options.layer, 2)))


class LayerByIndex(Sound):
    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        next(iter(host.model.children())).get_submodule("layers")[self.options.layer]  # type: ignore[index]
        return super().edit(host, edits, state)


# --- no method at all


class Unrelated:
    """Has an edit function and is no Method."""
