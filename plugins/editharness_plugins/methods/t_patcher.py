"""T-Patcher: one neuron beside the last MLP for every wrong token (Huang et al., ICLR 2023).

With h the MLP's input, k, b and v of every neuron are trained, all else is frozen:

    MLP'(h) = MLP(h) + Σ_i relu(h·k_i + b_i) v_i
    L       = −log p(target | prompt) + λ_a l_a + λ_m l_m
    l_a     = mean of exp(−a_i), where a_i is neuron i's pre-activation at its own token
    l_m     = mean of exp(a_M − a_i + 3) + mean of exp(a_M + 3), each over the highest pre-activations a_M on a memory

A neuron begins with k = h/‖h‖² (so a_i = 1) and v as noise. The memory is hidden states of other texts and of earlier
edits: there a neuron must stay well below 0, so that the model answers as it did.

Defined for decoders by us, after the paper and its code for BERT and BART; there is no reference code to compare with.
The memory is taken from train cases, once per model. ReLU whatever the model's own activation: with SiLU a neuron at
−3 would not be off. The search stops when all target tokens are right (teacher forced, not by beam search) and the
memory's loss no longer falls. Left out: smoothed labels and the halving of the learning rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from editharness.errors import EditError, MethodError
from editharness.locate.forward import only_positions
from editharness.models.capture import capture, replaced, submodule
from editharness.models.spans import IGNORED, encode_texts, target_text
from editharness.patch import ModulePatch
from editharness.types import Case, Edit, State, Status, Step
from editharness_plugins.methods.memory import Memory, OneByOne, skipping
from editharness_plugins.methods.options.memories import TPatcherOptions

if TYPE_CHECKING:
    from editharness.method import Host
    from editharness.models.spans import Prompts


@dataclass(frozen=True)
class Neurons:
    """keys [n, d_h], biases [n], values [n, d_h], fp32."""

    keys: Tensor
    biases: Tensor
    values: Tensor

    def before(self, hidden: Tensor) -> Tensor:
        """Pre-activations [..., n]."""
        return hidden.float() @ self.keys.mT + self.biases

    def __call__(self, hidden: Tensor) -> Tensor:
        """What they add to the MLP's output [..., d_h], in the dtype of `hidden`."""
        return (self.before(hidden).relu() @ self.values).to(hidden.dtype)

    def tensors(self) -> dict[str, Tensor]:
        """By name, as a state or a recipe has them."""
        return dict(vars(self))


class PatchedMlp(Memory):
    """The MLP with neurons beside it."""

    def __init__(self, original: nn.Module, neurons: Neurons) -> None:
        super().__init__(original)
        self.neurons = neurons

    def forward(self, hidden: Tensor) -> Tensor:
        """The MLP's output [B, T, d_h] and what the neurons add."""
        output: Tensor = self.original(hidden)
        return output + self.neurons(hidden)


@dataclass(frozen=True)
class PatchedRecipe:
    """A PatchedMlp as data."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "t_patcher"

    def build(self, original: nn.Module) -> nn.Module:
        """The MLP `original` with its neurons, on its device."""
        device = next(original.parameters()).device
        return PatchedMlp(original, Neurons(*(self.tensors[name].to(device) for name in ("keys", "biases", "values"))))


class TPatcher(OneByOne[TPatcherOptions]):
    """Neurons beside the last MLP. State: keys, biases, values of all neurons; memory [n, d_h]."""

    def prepare(self, host: Host, train: Sequence[Case]) -> State:
        """The memory: hidden states of all tokens of train cases as the model knows them, a sample of them."""
        if not train:
            raise MethodError(
                "t-patcher has no train cases to remember: there must be some whose subject is not edited"
            )
        texts = [case.prompt + target_text(case.old or case.target) for case in train]
        states = torch.cat([_hidden(host, ids) for ids, _ in encode_texts(host.tokenizer, texts)])
        chosen = torch.randperm(len(states), generator=host.rng)[: self.options.memory]
        return {"memory": states[chosen].cpu()}

    def write(self, host: Host, edit: Edit, state: State) -> Step:
        """The neurons with those of one more edit."""
        if "memory" not in state:
            raise MethodError("t-patcher needs its memory: begin with the state that prepare returns")
        prompts = host.encode([edit]).to(host.device)
        columns = (prompts.labels[0] != IGNORED).nonzero()[:, 0]
        wrong = self._wrong(host, prompts, columns)
        if not len(wrong):
            return Step(None, state, (Status(edit.id, "skipped", "the model already answers so"),))
        hidden = _hidden(host, prompts.ids[0].tolist())
        search = _Search(self.options, host, prompts, columns, hidden, wrong, state["memory"].to(host.device))
        found, loss, steps = search.run()
        if not all(bool(tensor.isfinite().all()) for tensor in found.tensors().values()):
            raise EditError(f"edit {edit.id}: the search for neurons left the numbers: lower lr")
        kept = {name: torch.cat([state.get(name, new[:0]), new]) for name, new in found.tensors().items()}
        patch = ModulePatch({host.modules.mlp(host.modules.layers - 1): PatchedRecipe(kept)})
        memory = torch.cat([state["memory"], hidden[columns].cpu()])
        facts = {"loss": loss, "steps": steps, "neurons": len(kept["keys"])}
        return Step(patch, {**kept, "memory": memory}, (Status(edit.id, "done", facts=facts),))

    def _wrong(self, host: Host, prompts: Prompts, columns: Tensor) -> Tensor:
        """Columns where the model, as edited so far, has another first choice than the target: the first few."""
        with torch.no_grad(), only_positions(_head(host), torch.zeros_like(columns), columns):
            logits = host.model(input_ids=prompts.ids, attention_mask=prompts.mask, use_cache=False).logits
        return columns[logits.argmax(dim=-1) != prompts.labels[0, columns]][: self.options.neurons]


@dataclass(frozen=True)
class _Search:
    """One edit: the MLP's input hidden [T, d_h], the target's columns, those that are wrong, and the memory."""

    options: TPatcherOptions
    host: Host
    prompts: Prompts
    columns: Tensor
    hidden: Tensor
    wrong: Tensor
    memory: Tensor

    def run(self) -> tuple[Neurons, float, int]:
        """The neurons, the loss on the target, and the steps taken."""
        o = self.options
        start = self.hidden[self.wrong]
        key = (start / start.square().sum(dim=1, keepdim=True)).requires_grad_()
        bias = torch.zeros(len(start), device=start.device, requires_grad=True)
        noise = torch.randn(start.shape, generator=self.host.rng).to(start.device).requires_grad_()
        loud = torch.full_like(start, o.amplifier).requires_grad_()
        parameters = [key, bias, noise, loud]
        optimiser = torch.optim.Adam(parameters, lr=o.lr, weight_decay=o.weight_decay)
        lowest = float("inf")
        with skipping(self.host.model, self.host.modules, self.host.modules.layers - 1):
            for step in range(1, o.steps + 1):
                with torch.enable_grad():
                    neurons = Neurons(key, bias, noise * loud)
                    answer, right = self.answer(neurons)
                    memory = self.memory_loss(neurons)
                    loss = answer + o.activation_weight * self.own_loss(neurons) + o.memory_weight * memory
                if step >= o.first_check and (step - o.first_check) % o.check_every == 0:
                    if right and float(memory.detach()) >= lowest:
                        break
                    lowest = min(lowest, float(memory.detach()))
                for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                    parameter.grad = gradient
                optimiser.step()
            with torch.no_grad():
                found = Neurons(*(x.detach() for x in (key, bias, noise * loud)))
                reached = float(self.answer(found)[0])
        return Neurons(*(x.cpu() for x in found.tensors().values())), reached, step

    def answer(self, neurons: Neurons) -> tuple[Tensor, bool]:
        """−log p of the target, mean over its tokens, and whether each is the first choice."""
        rows, path = torch.zeros_like(self.columns), self.host.modules.mlp(self.host.modules.layers - 1)
        with (
            replaced(self.host.model, path, lambda output: output + neurons(self.hidden).to(output.dtype)),
            only_positions(_head(self.host), rows, self.columns),
        ):
            output = self.host.model(input_ids=self.prompts.ids, attention_mask=self.prompts.mask, use_cache=False)
            logits = output.logits.float()
        wanted = self.prompts.labels[0, self.columns]
        return nn.functional.cross_entropy(logits, wanted), bool((logits.argmax(dim=-1) == wanted).all())

    def own_loss(self, neurons: Neurons) -> Tensor:
        """l_a: every neuron is on at its own token."""
        return (-self._own(neurons)).exp().mean()

    def memory_loss(self, neurons: Neurons) -> Tensor:
        """l_m: on the memory neurons are off, and below what they are on the edit."""
        o = self.options
        elsewhere = neurons.before(self.memory)
        above = (elsewhere - self._own(neurons) + o.margin).flatten()
        on = (elsewhere + o.margin).flatten()
        return sum((_highest(x, o.worst).exp().mean() for x in (above, on)), torch.zeros((), device=on.device))

    def _own(self, neurons: Neurons) -> Tensor:
        return neurons.before(self.hidden[self.wrong]).diagonal()


def _highest(values: Tensor, count: int) -> Tensor:
    return values.topk(min(count, len(values))).values


def _hidden(host: Host, ids: Sequence[int]) -> Tensor:
    """The last MLP's input on one text [T, d_h] fp32."""
    path = host.modules.mlp(host.modules.layers - 1)
    whole = torch.tensor([ids], device=host.device)
    with torch.no_grad(), capture(host.model, {path: "input"}, stop=True) as seen:
        host.model(input_ids=whole, attention_mask=torch.ones_like(whole), use_cache=False)
    return seen[path][0].float()


def _head(host: Host) -> nn.Module:
    return submodule(host.model, host.modules.head)
