"""A local language model as judge: which of "A" (correct) and "B" (incorrect) is likelier next, in one batched pass.

Nothing is generated and nothing parsed, so that every verdict can be read and the same weights always say the same.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from editharness.errors import JudgeError, ModelError
from editharness.judge import Item, Judge, Verdict
from editharness.models.load import LoadedModel, load_model, quiet
from editharness.registry import load_plugins
from editharness_plugins.judges import wording
from editharness_plugins.judges.options import LocalOptions

PLAIN = f"{wording.INSTRUCTION}\n\n{{item}}\nVerdict:"


@dataclass(frozen=True)
class Encoded:
    """A prompt's tokens, and the two that may follow them."""

    ids: tuple[int, ...]
    a: int
    b: int


class Local(Judge[LocalOptions]):
    """log P(A) - log P(B) after the prompt: above `margin` correct, below -`margin` incorrect, else unscored."""

    version = wording.VERSION

    @cached_property
    def _loaded(self) -> LoadedModel:
        options = self.options
        if not options.model:
            raise JudgeError("judge local has no model: give --judge-set local.model=FOLDER or a hub id")
        if options.prompt is not None and (place := wording.lacks(options.prompt)):
            raise JudgeError(f"judge local: its prompt lacks {place}")
        packaged = {name: entry.spec.folder for name, entry in load_plugins().models.items()}
        return load_model(
            options.model, revision=options.revision, dtype=options.dtype, device=options.device, packaged=packaged
        )

    def identity(self) -> Mapping[str, Any]:
        """The weights by their digest, the prompt, and the margin; the folder's name means nothing."""
        loaded, options = self._loaded, self.options
        prompt = options.prompt or (str(self._template) if self._chat else PLAIN)
        return {
            "weights": loaded.digest,
            "revision": loaded.revision,
            "dtype": options.dtype,
            "margin": options.margin,
            "prompt": hashlib.sha256(prompt.encode()).hexdigest(),
        }

    def verdicts(self, items: Sequence[Item]) -> Sequence[Verdict]:
        """One forward pass per batch, the longest prompts first; what is longer than the model reads is unscored."""
        with quiet():  # transformers warns of prompts that are too long, which are unscored here
            encoded = [self.encode(item) for item in items]
        found = [Verdict("unscored", "longer than the model reads")] * len(items)
        short = [i for i, one in enumerate(encoded) if len(one.ids) < self._longest]
        order = sorted(short, key=lambda i: -len(encoded[i].ids))
        for start in range(0, len(order), self.options.batch_size):
            rows = order[start : start + self.options.batch_size]
            with torch.inference_mode():
                differences = self.differences([encoded[i] for i in rows]).tolist()
            for i, difference in zip(rows, differences, strict=True):
                found[i] = self._verdict(difference)
        return found

    def _verdict(self, difference: float) -> Verdict:
        raw = f"log P(A) - log P(B) = {difference:.4f}"
        if not math.isfinite(difference):
            return Verdict("unscored", "the model gives no finite score", raw)
        if abs(difference) <= self.options.margin:
            return Verdict("unscored", f"within the margin of {self.options.margin:g}", raw)
        return Verdict("correct" if difference > 0 else "incorrect", "", raw)

    def differences(self, rows: Sequence[Encoded]) -> Tensor:
        """log P(A) - log P(B) after each row, float32 [rows]; padded on the left so that all rows end together."""
        model, pad = self._loaded.model, self._loaded.tokenizer.pad_token_id
        width = max(len(row.ids) for row in rows)
        ids = torch.tensor([[pad] * (width - len(row.ids)) + list(row.ids) for row in rows], device=model.device)
        mask = torch.tensor([[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in rows], device=model.device)
        # the head over every position of a long prompt would need gigabytes
        accepted = inspect.signature(model.forward).parameters
        extra: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        if "position_ids" in accepted:
            extra["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False, **extra).logits[:, -1].float()
        pairs = torch.tensor([[row.a, row.b] for row in rows], device=logits.device)
        found: Tensor = logits.gather(1, pairs)
        return found[:, 0] - found[:, 1]

    def encode(self, item: Item) -> Encoded:
        """The item's prompt as tokens, as the tokenizer splits it before either letter; raises ModelError."""
        text, special, gap = self.prompt(item)
        a, b = (
            self._loaded.tokenizer(f"{text}{gap}{letter}", add_special_tokens=special)["input_ids"] for letter in "AB"
        )
        if len(a) != len(b) or a[:-1] != b[:-1] or a[-1] == b[-1]:
            raise ModelError("judge local: this tokenizer gives A and B no token of their own after the prompt")
        return Encoded(tuple(a[:-1]), a[-1], b[-1])

    def prompt(self, item: Item) -> tuple[str, bool, str]:
        """The text before the verdict, whether the tokenizer adds its own marks, and what stands before the letter."""
        if self.options.prompt is not None:
            return wording.fill(self.options.prompt, item), True, " "
        asked = wording.question_text(item)
        if not self._chat:
            return PLAIN.replace("{item}", asked), True, " "
        return self._chat_prompt(f"{wording.INSTRUCTION}\n\n{asked}"), False, ""

    def _chat_prompt(self, content: str) -> str:
        turn = [{"role": "user", "content": content}]
        try:
            text = self._loaded.tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise JudgeError(
                f"judge local: the model's chat template fails ({reason}): --judge-set local.chat=false"
            ) from error
        return str(text)

    @property
    def _template(self) -> Any:
        return getattr(self._loaded.tokenizer, "chat_template", None)

    @property
    def _chat(self) -> bool:
        return self.options.chat and self.options.prompt is None and bool(self._template)

    @property
    def _longest(self) -> int:
        config = self._loaded.model.config
        return int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 2**31)
