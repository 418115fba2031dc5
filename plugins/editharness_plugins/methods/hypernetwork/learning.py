"""What a training has learnt and all that it needs to go on, as values with named tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from editharness.errors import MethodError
from editharness.locate.running import Running

if TYPE_CHECKING:
    from torch import Generator

    from editharness.types import State

Numbers = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Learned:
    """The numbers of the nets, and per shape the moments of the factors [k; g] seen so far: what editing needs."""

    numbers: Numbers
    moments: Mapping[str, Running]

    def seen(self, shape: str, factors: torch.Tensor) -> Learned:
        """With more factors [N, d_in + d_out] of a shape counted in."""
        known = self.moments.get(shape, Running.empty(factors.shape[1], factors.device))
        return Learned(self.numbers, {**self.moments, shape: known.add(factors)})

    def to_state(self) -> dict[str, torch.Tensor]:
        """As named tensors: "net.<name>" and "seen.<shape>.<moment>"."""
        moments = [running.to_state(f"seen.{shape}") for shape, running in self.moments.items()]
        return {**_named("net", self.numbers), **{name: value for part in moments for name, value in part.items()}}

    @classmethod
    def from_state(cls, state: State, device: torch.device) -> Learned:
        """What `to_state` wrote; raises MethodError where nothing was learnt."""
        numbers = _part("net", state, device)
        if not numbers:
            raise MethodError("this method edits with what it learnt in prepare(), and the state holds nothing of it")
        shapes = [name.removesuffix(".count") for name in _part("seen", state, device) if name.endswith(".count")]
        moments = {shape: Running.from_state(state, f"seen.{shape}", 0) for shape in shapes}
        return cls(
            numbers, {shape: Running(m.count, m.mean.to(device), m.m2.to(device)) for shape, m in moments.items()}
        )


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, 2015, algorithm 1) with β = 0.9, 0.999 and ε = 1e-8, its moments as values."""

    first: Numbers = field(default_factory=dict)
    second: Numbers = field(default_factory=dict)
    steps: int = 0

    def step(self, numbers: Numbers, gradient: Numbers, lr: Mapping[str, float]) -> tuple[Numbers, Adam]:
        """The numbers after one step along −gradient, and Adam after it; `lr` by the numbers' name."""
        t = self.steps + 1
        first = {n: 0.9 * self.first.get(n, torch.zeros_like(g)) + 0.1 * g for n, g in gradient.items()}
        second = {n: 0.999 * self.second.get(n, torch.zeros_like(g)) + 0.001 * g**2 for n, g in gradient.items()}
        scale = math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        eps = 1e-8 * math.sqrt(1 - 0.999**t)
        # a gradient may lie in memory transposed; products round by layout, and a resumed training must round alike
        moved = {n: (x - lr[n] * scale * first[n] / (second[n].sqrt() + eps)).contiguous() for n, x in numbers.items()}
        return moved, Adam(first, second, t)


@dataclass(frozen=True)
class Learning:
    """A training after `done` steps; `order` holds the cases left of this round, `extra` a method's own tensors."""

    learned: Learned
    adam: Adam = field(default_factory=Adam)
    done: int = 0
    order: torch.Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    extra: Numbers = field(default_factory=dict)

    def to_state(self, rng: Generator) -> dict[str, torch.Tensor]:
        """All of it as named tensors, the generator's state included: an interrupted training goes on exactly."""
        return {
            **self.learned.to_state(),
            **_named("adam.first", self.adam.first),
            **_named("adam.second", self.adam.second),
            "adam.steps": torch.tensor(self.adam.steps),
            "done": torch.tensor(self.done),
            "order": self.order,
            "rng": rng.get_state(),
            **_named("extra", self.extra),
        }

    @classmethod
    def from_state(cls, state: State, rng: Generator, device: torch.device) -> Learning:
        """What `to_state` wrote; the generator is set to where it was."""
        rng.set_state(state["rng"].cpu())
        first, second = (_part(f"adam.{which}", state, device) for which in ("first", "second"))
        return cls(
            Learned.from_state(state, device),
            Adam(first, second, int(state["adam.steps"])),
            int(state["done"]),
            state["order"].cpu(),
            _part("extra", state, device),
        )


def leaves(learned: Learned) -> Learned:
    """The same numbers, each a leaf that gradients can be asked for."""
    return Learned({name: x.detach().requires_grad_() for name, x in learned.numbers.items()}, learned.moments)


def gradient_of(outputs: Sequence[torch.Tensor], pulls: Sequence[torch.Tensor], numbers: Numbers) -> Numbers:
    """∂ Σ ⟨pull, output⟩ / ∂ numbers; 0 where an output does not depend on a number."""
    found = torch.autograd.grad(outputs, list(numbers.values()), pulls, materialize_grads=True)
    return dict(zip(numbers, found, strict=True))


def added(gradient: Numbers, other: Numbers, weight: float = 1.0) -> Numbers:
    """One gradient and `weight` times another; an empty one counts as 0."""
    return {name: gradient.get(name, 0) + weight * x for name, x in other.items()}


def clipped(gradient: Numbers, largest: float) -> Numbers:
    """The gradient scaled so that its norm over all numbers is at most `largest`."""
    # sorted, since a state that was read back has its names in another order and sums round by order
    norm = torch.stack([gradient[name].norm() for name in sorted(gradient)]).norm()
    scale = (largest / (norm + 1e-6)).clamp(max=1.0)
    return {name: g * scale for name, g in gradient.items()}


def _named(prefix: str, tensors: Numbers) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _part(prefix: str, state: State, device: torch.device) -> dict[str, torch.Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): value.to(device) for name, value in state.items() if name.startswith(start)}
