"""Greedy answers to many prompts at once: with a cache, each row up to its own stop, finished rows dropped.

transformers' own `generate` runs every row until the last one has finished, and stands for all settings that are not
these: sampling, beams, penalties, modules that must see whole sequences (`plain` tells).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria

HARMLESS = frozenset(
    {
        "transformers_version", "_from_model_config", "bos_token_id", "eos_token_id", "pad_token_id", "max_length",
        "max_new_tokens", "do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "use_cache",
        "cache_implementation", "return_dict_in_generate", "output_attentions", "output_hidden_states",
    }
)  # fmt: skip
"""What a model's generation settings may hold without a change of greedy answers."""


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
    dropped: Callable[[Tensor], None] = lambda kept: None,
) -> list[list[int]]:  # fmt: skip
    """The new tokens of each prompt: at most `length`, up to its stop or the model's end of text, these included.

    `dropped` is told which rows [k] of the last batch go on, whenever finished ones are dropped.
    """
    ids, mask = padded(prompts, pad, model.device)
    ends = torch.tensor(_ends(model), device=ids.device, dtype=torch.long)
    rows = torch.arange(len(ids), device=ids.device)
    made = ids[:, :0]
    done: dict[int, list[int]] = {}
    cache: Any = None
    for _ in range(length):
        position = (mask.cumsum(dim=1) - 1).clamp(min=0)
        out = model(
            input_ids=ids, attention_mask=mask, position_ids=position[:, -ids.shape[1] :],
            past_key_values=cache, use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        cache, ids = out.past_key_values, out.logits[:, -1].argmax(dim=-1, keepdim=True)
        made, mask = torch.cat([made, ids], dim=1), torch.cat([mask, torch.ones_like(ids)], dim=1)
        finished = stop.finished(made) | torch.isin(ids[:, 0], ends)
        done |= {int(row): tokens for row, tokens in zip(rows[finished], made[finished].tolist(), strict=True)}
        kept = (~finished).nonzero(as_tuple=True)[0]
        if not len(kept):
            break
        if len(kept) < len(rows):
            _keep(cache, kept)
            rows, ids, mask, made = rows[kept], ids[kept], mask[kept], made[kept]
            dropped(kept)
    done |= {int(row): tokens for row, tokens in zip(rows, made.tolist(), strict=True) if int(row) not in done}
    return [done[row] for row in range(len(prompts))]


def _keep(cache: Any, rows: Tensor) -> None:
    """Some rows [k] of a cache whose layers may be on several devices."""
    for layer in cache.layers:
        layer.batch_select_indices(rows.to(layer.keys.device))


def _ends(model: Any) -> list[int]:
    """The tokens that end a text, as the model's own settings say."""
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return [int(end) for end in ([ends] if isinstance(ends, int) else ends or [])]
