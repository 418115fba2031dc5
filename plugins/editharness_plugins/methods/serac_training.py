"""How SERAC's two parts are trained: what a train case teaches, and a loop that an interruption does not change."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from editharness.method import Host
from editharness.types import Case
from editharness_plugins.methods.options.in_context import SeracOptions
from editharness_plugins.methods.serac_models import scope_loss, small_config, small_model, vectors
from editharness_plugins.methods.texts import Reader, pack_tokenizer, statement

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.types import State

T = TypeVar("T")
WARM_UP = 100
LABEL_NONE = -100


@dataclass(frozen=True)
class Lesson:
    """What one train case teaches: its fact's subject and prompt, texts in and out of scope, and its answer."""

    subject: str
    prompt: str
    inside: tuple[str, ...]
    outside: tuple[str, ...]
    answer: str


def lessons(train: Sequence[Case]) -> list[Lesson]:
    """In scope: the prompt, its paraphrases and plain training forms. Out: neighbours, and the subject asked else."""
    found = []
    for case in train:
        plain = tuple(text for kind, text in case.training_forms if kind == "plain")
        outside = tuple(near.prompt for near in case.neighbours) + tuple(_asked_else(case, train))
        found.append(
            Lesson(case.subject_text, case.prompt, (case.prompt, *case.paraphrases, *plain), outside, case.target)
        )
    return found


def _asked_else(case: Case, train: Sequence[Case]) -> Iterator[str]:
    """The case's subject in the prompts of other relations, one each; nothing where relations are not named."""
    first = {other.relation: other for other in reversed(train) if other.relation and case.relation}
    for relation, other in sorted(first.items()):
        if relation != case.relation:
            yield other.prompt[: other.subject[0]] + case.subject_text + other.prompt[other.subject[1] :]


class Learner(nn.Module):
    """Both parts under training, with everything that their next step depends on."""

    def __init__(self, host: Host, train: Sequence[Case], options: SeracOptions) -> None:
        super().__init__()
        self.options, self.rng, self.tokenizer = options, host.rng, host.tokenizer
        self.reader, self.lessons = Reader(pack_tokenizer(host.tokenizer)), lessons(train)
        self.config = small_config(host, options)
        self.model = small_model(self.config)
        self.table = nn.Parameter(torch.empty(self.config["vocab_size"], options.width))
        with torch.no_grad():
            self._initialise()
        self.to(host.device)
        self.adam = torch.optim.Adam([{"params": [self.table]}, {"params": list(self.model.parameters())}])
        self.done = 0

    def _initialise(self) -> None:
        self.table.normal_(std=1 / math.sqrt(self.options.width), generator=self.rng)
        for parameter in self.model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=1 / math.sqrt(parameter.shape[1]), generator=self.rng)

    @cached_property
    def words(self) -> list[str]:
        """Tokens that read as words or parts of words, to make up answers from."""
        texts = (self.tokenizer.decode([i]) for i in range(len(self.tokenizer)))
        return sorted({text.strip() for text in texts if text.strip().isalnum()})

    def step(self) -> tuple[float, float]:
        """One step on both parts, on cases drawn with replacement; returns both losses."""
        chosen = [self.pick(self.lessons) for _ in range(self.options.batch_size)]
        with torch.enable_grad():
            scope, answer = self.scope_loss(chosen), self.answer_loss(chosen)
            gradients = torch.autograd.grad(scope + answer, list(self.parameters()))
        for parameter, gradient in zip(self.parameters(), gradients, strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(list(self.model.parameters()), 1.0)
        rates = (self.options.scope_lr, self.options.lr)
        for group, rate in zip(self.adam.param_groups, rates, strict=True):
            group["lr"] = rate * schedule(self.done, self.options.steps)
        self.adam.step()
        self.done += 1
        return float(scope.detach()), float(answer.detach())

    def scope_loss(self, chosen: Sequence[Lesson]) -> Tensor:
        """One text in scope and one out of scope per case, beside the case's prompt; else any case's prompt."""
        drawn = [lesson.outside or (self.pick(self.lessons).prompt,) for lesson in chosen]
        texts = (
            [lesson.prompt for lesson in chosen],
            [self.pick(lesson.inside) for lesson in chosen],
            [self.pick(outside) for outside in drawn],
        )
        edits, same, other = (vectors(self.table, [self.reader.ids(t) for t in kind]) for kind in texts)
        return scope_loss((same - edits).square().sum(dim=-1), (other - edits).square().sum(dim=-1))

    def answer_loss(self, chosen: Sequence[Lesson]) -> Tensor:
        """−log p(y | "x y <text in scope>"), mean over the tokens of the answers y."""
        rows = [self.row(lesson) for lesson in chosen]
        width = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([row + [0] * (width - len(row)) for row, _ in rows], device=self.table.device)
        labels = torch.tensor([row + [LABEL_NONE] * (width - len(row)) for _, row in rows], device=ids.device)
        # rows are padded on the right and causal, so no mask is needed
        hidden = self.model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels[:, 1:] != LABEL_NONE
        return F.cross_entropy(self.model.lm_head(hidden[wanted]), labels[:, 1:][wanted])

    def row(self, lesson: Lesson) -> tuple[list[int], list[int]]:
        """Ids and labels of one example; subject and answer are the case's own, another case's, or made-up words."""
        subject, answer = (self.instead(own) for own in (lesson.subject, lesson.answer))
        context = f"{statement(lesson.prompt, answer)} {self.pick(lesson.inside)}".replace(lesson.subject, subject)
        prompt, whole = (self.tokenizer(text)["input_ids"] for text in (context, statement(context, answer)))
        return whole, [LABEL_NONE] * len(prompt) + whole[len(prompt) :]

    def instead(self, own: str) -> str:
        """A text, or what stands for it: another case's answer, or one to three words out of the vocabulary."""
        if self.uniform() >= self.options.made_up:
            return own
        if self.uniform() < 0.5:
            return self.pick(self.lessons).answer
        return " ".join(self.pick(self.words) for _ in range(1 + self.draw(3)))

    def pick(self, several: Sequence[T]) -> T:
        """One of several."""
        return several[self.draw(len(several))]

    def draw(self, count: int) -> int:
        """A number below `count`."""
        return int(torch.randint(count, (), generator=self.rng))

    def uniform(self) -> float:
        """A number in [0, 1)."""
        return float(torch.rand((), generator=self.rng))

    def save(self) -> State:
        """Weights, Adam's moments, the steps done and the generator: all that the next step depends on."""
        moments = {
            f"adam.{i}.{name}": value
            for i, kept in self.adam.state_dict()["state"].items()
            for name, value in kept.items()
        }
        progress = {"done": torch.tensor(self.done), "rng": self.rng.get_state()}
        return {**{f"part.{name}": value for name, value in self.weights().items()}, **moments, **progress}

    def load(self, state: State) -> None:
        """Go on from what `save` gave."""
        with torch.no_grad():
            for name, value in self.weights().items():
                value.copy_(state[f"part.{name}"])
        kept: dict[int, dict[str, Tensor]] = {}
        for name, value in state.items():
            kind, _, rest = name.partition(".")
            if kind == "adam":
                place, _, moment = rest.partition(".")
                kept.setdefault(int(place), {})[moment] = value
        self.adam.load_state_dict({**self.adam.state_dict(), "state": kept})
        self.done = int(state["done"])
        self.rng.set_state(state["rng"])

    def weights(self) -> dict[str, Tensor]:
        """The parameters of both parts by name; what is tied stands once."""
        return {name: parameter.detach() for name, parameter in self.named_parameters()}


def schedule(done: int, steps: int) -> float:
    """The share of the learning rate at a step: linear warm-up, then half a cosine down to 0."""
    return min(1.0, (done + 1) / min(WARM_UP, steps)) * 0.5 * (1 + math.cos(math.pi * done / steps))


def train_both(host: Host, train: Sequence[Case], options: SeracOptions) -> dict[str, Tensor]:
    """The trained parts: `table` and `model.*` by name, on the CPU."""
    learner = Learner(host, train, options)
    kept = host.resume()
    if kept is not None:
        learner.load(kept)
    while learner.done < options.steps:
        scope, answer = learner.step()
        host.progress(learner.done, options.steps, f"scope {scope:.2f}, answers {answer:.2f}")
        if learner.done % options.keep_every == 0 and learner.done < options.steps:
            host.keep(learner.save())
    return {name: value.cpu() for name, value in learner.weights().items()}
