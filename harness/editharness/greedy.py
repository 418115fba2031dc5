"""Greedy answers to many prompts at once: with a cache, each row up to its own stop, finished rows dropped.

transformers' own `generate` runs every row until the last one has finished, and stands for all settings that are not
these: sampling, beams, penalties, modules that must see whole sequences (`plain` tells).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import StoppingCriteria
from transformers.cache_utils import DynamicLayer

from editharness.locate.forward import by_width, only_there, worth_a_pass

HARMLESS = frozenset(
    {
        "transformers_version", "_from_model_config", "bos_token_id", "eos_token_id", "pad_token_id", "max_length",
        "max_new_tokens", "do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "use_cache",
        "cache_implementation", "return_dict_in_generate", "output_attentions", "output_hidden_states",
    }
)  # fmt: skip
"""What a model's generation settings may hold without a change of greedy answers."""

WORTH_DROPPING = 0.1
"""The share of rows that must have finished before they are dropped: the cache of the others is copied then."""


@dataclass(frozen=True)
class Settings:
    """How to generate: stop strings, new tokens at most, and what else is handed to transformers."""

    stops: tuple[str, ...]
    length: int
    others: Mapping[str, Any]

    @classmethod
    def of(cls, given: Mapping[str, Any], eos: str) -> Settings:
        """From lm-eval's generation_kwargs, normalised; end of text is always a stop."""
        others = dict(given)
        stops = dict.fromkeys(stop for stop in (*others.pop("until"), eos) if stop)
        length = int(others.pop("max_gen_toks"))
        if others.get("temperature", 0.0) == 0.0 and not others.get("do_sample"):
            others.pop("temperature", None)
            others["do_sample"] = False
        return cls(tuple(stops), length, others)

    def plain(self, model: Any) -> bool:
        """Whether nothing but the likeliest token is asked for, here and in the model's own settings."""
        own = getattr(model, "generation_config", None)
        return self.others == {"do_sample": False} and (own is None or set(own.to_diff_dict()) <= HARMLESS)


class RowStop(StoppingCriteria):  # type: ignore[misc]  # transformers has no types
    """Marks a row as finished when its own continuation holds one of the stop strings."""

    def __init__(self, tokenizer: Any, stops: Sequence[str], start: int = 0) -> None:
        self.tokenizer, self.stops, self.start = tokenizer, [s for s in stops if s], start
        lengths = (len(tokenizer.encode(s, add_special_tokens=False)) for s in self.stops)
        # a stop string may straddle tokens, hence the margin
        self.window = max(lengths, default=0) + 2

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Bool tensor [rows]: which rows are finished."""
        return self.finished(input_ids[:, self.start :])

    def finished(self, made: Tensor) -> Tensor:
        """The same for the new tokens [rows, n] alone."""
        tails = self.tokenizer.batch_decode(made[:, -self.window :])
        return torch.tensor([any(s in tail for s in self.stops) for tail in tails], device=made.device)


def padded(prompts: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and mask [rows, T], padded on the left."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    return ids, mask


@torch.no_grad()
def greedy(
    model: Any, prompts: Sequence[Sequence[int]], length: int, stop: RowStop, pad: int,
    dropped: Callable[[Tensor], None] = lambda kept: None, *, together: bool = True, spared: Sequence[str] = (),
) -> list[list[int]]:  # fmt: skip
    """The new tokens of each prompt: at most `length`, up to its stop or the model's end of text, these included.

    `dropped` is told which rows [k] of the last batch go on, whenever finished ones are dropped; `together`: whether
    every pass must hold all rows that are left. `spared`: modules that are run only where a token is chosen.
    """
    ends = torch.tensor(_ends(model), device=model.device, dtype=torch.long)
    cache, ids, mask = _prefill(model, prompts, pad, together=together, spared=spared)
    rows, made = torch.arange(len(ids), device=ids.device), ids
    going = torch.ones_like(rows, dtype=torch.bool)
    done: dict[int, list[int]] = {}
    for step in range(length):
        if step:
            ids, mask = _next(model, cache, ids, mask)
            made = torch.cat([made, ids], dim=1)
        finished = going & (stop.finished(made) | torch.isin(ids[:, 0], ends))
        done |= {int(row): tokens for row, tokens in zip(rows[finished], made[finished].tolist(), strict=True)}
        going = going & ~finished
        kept = going.nonzero(as_tuple=True)[0]
        if not len(kept):
            break
        if len(rows) - len(kept) >= WORTH_DROPPING * len(rows):
            _keep(cache, kept)
            rows, ids, mask, made, going = rows[kept], ids[kept], mask[kept], made[kept], going[kept]
            dropped(kept)
    done |= {int(row): tokens for row, tokens in zip(rows[going], made[going].tolist(), strict=True)}
    return [done[row] for row in range(len(prompts))]


def _keep(cache: Any, rows: Tensor) -> None:
    """Some rows [k] of a cache whose layers may be on several devices."""
    for layer in cache.layers:
        layer.batch_select_indices(rows.to(layer.keys.device))


def _next(model: Any, cache: Any, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The next token of every row [rows, 1], and the mask with the last one."""
    mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
    position = mask.sum(dim=1, keepdim=True) - 1
    logits = model(
        input_ids=ids, attention_mask=mask, position_ids=position, past_key_values=cache, use_cache=True,
        logits_to_keep=1,
    ).logits  # fmt: skip
    return logits[:, -1].argmax(dim=-1, keepdim=True), mask


def _prefill(
    model: Any, prompts: Sequence[Sequence[int]], pad: int, *, together: bool, spared: Sequence[str]
) -> tuple[Any, Tensor, Tensor]:
    """The prompts' cache, the first token of each row [rows, 1] and the mask [rows, T], padded on the left.

    Prompts of different length run apart, so that little is padding, and their caches are joined. A cache that forgets
    (sliding windows) cannot be: there all run together.
    """
    whole = [list(range(len(prompts)))]
    groups = whole if together else by_width([len(prompt) for prompt in prompts], worth_a_pass(model.device))
    groups = groups if len(groups) > 1 else whole
    passes = [_pass(model, [prompts[row] for row in group], pad, spared) for group in groups]
    if len(groups) > 1 and any(type(layer) is not DynamicLayer for layer in passes[0][0].layers):
        groups, passes = whole, [_pass(model, prompts, pad, spared)]
    cache, ids, mask = passes[0]
    if len(groups) == 1:
        return cache, ids, mask
    back = torch.tensor([row for group in groups for row in group], device=ids.device).argsort()
    width = max(mask.shape[1] for _, _, mask in passes)

    def joined(parts: Sequence[Tensor], column: int) -> Tensor:
        """Parts [rows, ..., T, ...] with columns in dimension `column` from the right, filled up on the left."""
        filled = [nn.functional.pad(part, (0, 0) * (column - 1) + (width - part.shape[-column], 0)) for part in parts]
        return torch.cat(filled)[back.to(filled[0].device)]  # each layer where it is

    for number, layer in enumerate(cache.layers):
        layers = [one.layers[number] for one, _, _ in passes]
        layer.keys = joined([one.keys for one in layers], 2)
        layer.values = joined([one.values for one in layers], 2)
    return cache, torch.cat([ids for _, ids, _ in passes])[back], joined([mask for _, _, mask in passes], 1)


def _pass(model: Any, prompts: Sequence[Sequence[int]], pad: int, spared: Sequence[str]) -> tuple[Any, Tensor, Tensor]:
    """One pass over whole prompts: the cache, each row's next token, the mask."""
    ids, mask = padded(prompts, pad, model.device)
    position = (mask.cumsum(dim=1) - 1).clamp(min=0)
    rows = torch.arange(len(ids), device=ids.device)
    with ExitStack() as stack:
        there = torch.full_like(rows, ids.shape[1] - 1)
        stack.enter_context(only_there(map(model.get_submodule, spared), rows, there))
        out = model(input_ids=ids, attention_mask=mask, position_ids=position, use_cache=True, logits_to_keep=1)
    return out.past_key_values, out.logits[:, -1].argmax(dim=-1, keepdim=True), mask


def _ends(model: Any) -> list[int]:
    """The tokens that end a text, as the model's own settings say."""
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return [int(end) for end in ([ends] if isinstance(ends, int) else ends or [])]
