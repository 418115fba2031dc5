"""Causal tracing (Meng et al., arXiv 2202.05262, section 2.1): which state, restored, brings the answer back.

    clean       p(answer) of the prompt
    corrupted   the same with Gaussian noise on the embeddings of the subject's tokens
    restored    the same noise, and one state (token, layer) as it was in the clean run; or, for the outputs of MLP or
                attention, the states of that token in a window of layers

The indirect effect of (token, layer) is p(restored) − p(corrupted), both means over the same noise samples; the total
effect is p(clean) − p(corrupted). As in the published code p is that of the answer's first token, the noise is
`noise` times the standard deviation of the subjects' embeddings, and the window lies round its layer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch

from editharness.locate.forward import only_positions
from editharness.locate.frozen import Site, site_name
from editharness.mechanism.roles import SUBJECT, Role
from editharness.models.capture import capture, replaced

if TYPE_CHECKING:
    from torch import Tensor, nn

    from editharness.models.modules import ModuleMap

Kind = Literal["hidden", "mlp", "attn"]
SITES: Mapping[Kind, Site] = {"hidden": "block", "mlp": "mlp", "attn": "attention"}


@dataclass(frozen=True)
class TraceOptions:
    """What is restored and how the subject is corrupted. `row_tokens`: tokens per forward pass; speed only."""

    kind: Kind = "hidden"
    noise: float = 3.0
    samples: int = 10
    window: int = 1
    seed: int = 0
    row_tokens: int = 8192


@dataclass(frozen=True)
class TracePrompt:
    """A prompt in tokens: ids [T], a role for each, the token whose probability is followed; the case it is of."""

    case: str
    subject: str
    ids: tuple[int, ...]
    roles: tuple[Role | None, ...]
    answer: int

    @property
    def corrupted(self) -> list[int]:
        """Positions of the subject's tokens."""
        return [i for i, role in enumerate(self.roles) if role in SUBJECT]

    @property
    def traced(self) -> list[int]:
        """Positions whose states are restored, one after the other."""
        return [i for i, role in enumerate(self.roles) if role is not None]


@dataclass(frozen=True)
class Trace:
    """One case: p(clean), p(corrupted) and p(restored) [traced positions, layers]."""

    prompt: TracePrompt
    clean: float
    corrupted: float
    restored: Tensor

    @property
    def effects(self) -> Tensor:
        """Indirect effects [traced positions, layers]."""
        return self.restored - self.corrupted


Change = Callable[["Tensor"], "Tensor"]


def embedding_spread(model: nn.Module, modules: ModuleMap, prompts: Sequence[TracePrompt]) -> float:
    """The standard deviation over all components of all the subjects' token embeddings."""
    device = next(model.parameters()).device
    tokens = torch.tensor([prompt.ids[i] for prompt in prompts for i in prompt.corrupted], device=device)
    with torch.no_grad():
        embedded: Tensor = model.get_submodule(modules.embedding)(tokens)
    return float(embedded.double().std(correction=0))


def draw_noise(prompt: TracePrompt, width: int, scale: float, options: TraceOptions) -> Tensor:
    """Noise [samples, subject tokens, d] of one case, fp32. It depends on the seed and the case, on no other case."""
    digest = hashlib.sha256(f"{options.seed} trace {prompt.case}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return scale * torch.randn(options.samples, len(prompt.corrupted), width, generator=generator)


def trace_all(
    model: nn.Module,
    modules: ModuleMap,
    prompts: Sequence[TracePrompt],
    spread: float,
    options: TraceOptions,
    at: Callable[[str], AbstractContextManager[object]] = lambda case: nullcontext(),
    advance: Callable[[int], None] = lambda done: None,
) -> list[Trace]:
    """Trace every case, the model brought to its place by `at`; `spread` is `embedding_spread` of the prompts."""
    found = []
    for prompt in prompts:
        noise = draw_noise(prompt, modules.hidden_size, options.noise * spread, options)
        with at(prompt.case):
            found.append(trace(model, modules, prompt, noise, options))
        advance(1)
    return found


def trace(model: nn.Module, modules: ModuleMap, prompt: TracePrompt, noise: Tensor, options: TraceOptions) -> Trace:
    """Trace one case on the model as it is now. `noise` [samples, subject tokens, d]."""
    names = [site_name(modules, layer, SITES[options.kind]) for layer in range(modules.layers)]
    with capture(model, dict.fromkeys(names, "output")) as seen:
        clean = probabilities(model, modules, prompt, 1)
    states = [seen[name][0] for name in names]
    corrupted = probabilities(model, modules, prompt, len(noise), {modules.embedding: _add(noise, prompt)})
    jobs = [(token, layer) for token in prompt.traced for layer in range(modules.layers)]
    at_once = max(1, options.row_tokens // (len(prompt.ids) * len(noise)))
    found = [
        _restored(model, modules, prompt, noise, names, states, jobs[start : start + at_once], options.window)
        for start in range(0, len(jobs), at_once)
    ]
    restored = torch.cat(found).reshape(-1, modules.layers)
    return Trace(prompt, float(clean.mean()), float(corrupted.mean()), restored)


def window_round(layer: int, width: int, layers: int) -> range:
    """The layers restored together: `width` of them, an even number lying one further down, cut at both ends."""
    return range(max(0, layer - width // 2), min(layers, layer + (width + 1) // 2))


def probabilities(
    model: nn.Module, modules: ModuleMap, prompt: TracePrompt, rows: int, edits: Mapping[str, Change] | None = None
) -> Tensor:
    """p(answer) after the prompt [rows], fp64 on the CPU: `rows` copies in one pass, module outputs edited by name."""
    device = next(model.parameters()).device
    ids = torch.tensor(prompt.ids, device=device).expand(rows, -1)
    row = torch.arange(rows, device=device)
    with torch.no_grad(), ExitStack() as stack:
        for name, edit in (edits or {}).items():
            stack.enter_context(replaced(model, name, edit))
        stack.enter_context(only_positions(model.get_submodule(modules.head), row, torch.full_like(row, -1)))
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
    found: Tensor = logits.double().softmax(dim=-1)[:, prompt.answer].cpu()
    return found


def _restored(
    model: nn.Module, modules: ModuleMap, prompt: TracePrompt, noise: Tensor, names: Sequence[str],
    states: Sequence[Tensor], jobs: Sequence[tuple[int, int]], window: int,
) -> Tensor:  # fmt: skip
    """Mean p over the noise samples for each job (token, layer) [jobs]: one pass, the samples of a job side by side."""
    samples = len(noise)
    edits: dict[str, Change] = {modules.embedding: _add(noise.repeat(len(jobs), 1, 1), prompt)}
    for layer, name in enumerate(names):
        places = [
            (index, token) for index, (token, centre) in enumerate(jobs)
            if layer in window_round(centre, window, modules.layers)
        ]  # fmt: skip
        if places:
            edits[name] = partial(_put_back, clean=states[layer], places=places, samples=samples)
    found = probabilities(model, modules, prompt, len(jobs) * samples, edits)
    return found.reshape(len(jobs), samples).mean(dim=1)


def _add(noise: Tensor, prompt: TracePrompt) -> Change:
    def edit(embedded: Tensor) -> Tensor:
        moved = embedded[:, prompt.corrupted].float() + noise.to(embedded.device)
        embedded[:, prompt.corrupted] = moved.to(embedded.dtype)
        return embedded

    return edit


def _put_back(output: Tensor, *, clean: Tensor, places: Iterable[tuple[int, int]], samples: int) -> Tensor:
    """The clean state of a token in all rows of a job; `places`: (job, token)."""
    for job, token in places:
        output[job * samples : (job + 1) * samples, token] = clean[token]
    return output
