"""EditedLM: the face that lm-eval sees. Every request is answered by the model as edited at its place in the timeline.

lm-eval hands over all requests of all tasks at once; each carries its document, and `doc["_state"]` names arm, step and
kind. Requests are grouped by state, the timeline is walked once, and a group is answered by stock HFLM code. Requests
without a state (any stock task) are answered by the state that `default` names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import StoppingCriteria, StoppingCriteriaList

from editharness.documents import UNEDITED
from editharness.errors import UsageError
from editharness.timeline import Timeline
from editharness.types import StateId

Progress = Callable[[int], None]


class EditedLM(HFLM):
    """An HFLM that walks a timeline. Rows of different cases are never shared, generation stops row by row."""

    def __init__(
        self,
        timeline: Timeline,
        tokenizer: Any,
        *,
        batch_size: int = 32,
        max_length: int | None = None,
        default: StateId = UNEDITED,
        progress: Progress = lambda done: None,
    ) -> None:
        # logits_cache merges equal contexts of different cases into one row: wrong as soon as rows are edited apart
        super().__init__(
            pretrained=timeline.model,
            tokenizer=tokenizer,
            batch_size=batch_size,
            max_length=max_length,
            logits_cache=False,
        )
        self.timeline, self.default, self.progress = timeline, default, progress

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Refused: lm-eval's cache keys ignore weights, so an edited model would get the unedited answers."""
        raise UsageError("lm-eval's use_cache cannot be used with edited models: its keys ignore the edit")

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-probability, all tokens greedy) per request, each at its own state."""
        return self._by_state(super().loglikelihood, requests)

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole texts, each at its own state."""
        return self._by_state(super().loglikelihood_rolling, requests)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Greedy continuations, each at its own state."""
        return self._by_state(super().generate_until, requests)

    def _by_state(self, answer: Callable[..., list[Any]], requests: Sequence[Instance]) -> list[Any]:
        places: dict[StateId, list[int]] = {}
        routed: list[Instance] = []
        for i, request in enumerate(requests):
            state = self._state(request)
            routed.append(_routed(request, self.timeline.router(state)))
            # requests that differ in their routers only share a model, hence a batch
            places.setdefault(self.timeline.model_place(state), []).append(i)
        answers: list[Any] = [None] * len(requests)
        for state in sorted(places):
            group = [routed[i] for i in places[state]]
            with self.timeline.at(state):
                for i, given in zip(places[state], answer(group, disable_tqdm=True), strict=True):
                    answers[i] = given
            self.progress(len(group))
        return answers

    def _state(self, request: Instance) -> StateId:
        asked = (request.doc or {}).get("_state")
        return (str(asked[0]), int(asked[1]), str(asked[2])) if asked else self.default

    def _model_generate(self, context: Any, max_length: int, stop: list[str], **kwargs: Any) -> Any:
        """As HFLM's, but each row stops at its own stop string instead of when one has fired in every row."""
        if kwargs.get("temperature", 0.0) == 0.0 and not kwargs.get("do_sample"):
            kwargs.pop("temperature", None)
            kwargs["do_sample"] = False
        return self.model.generate(
            input_ids=context,
            max_length=max_length,
            use_cache=True,
            pad_token_id=self.tokenizer.pad_token_id,
            stopping_criteria=StoppingCriteriaList([RowStop(self.tokenizer, stop, context.shape[1])]),
            **kwargs,
        )


class RowStop(StoppingCriteria):
    """Marks a row as finished when its own continuation holds one of the stop strings."""

    def __init__(self, tokenizer: Any, stops: Sequence[str], start: int) -> None:
        self.tokenizer, self.stops, self.start = tokenizer, [s for s in stops if s], start
        lengths = (len(tokenizer.encode(s, add_special_tokens=False)) for s in self.stops)
        # a stop string may straddle tokens, hence the margin
        self.window = max(lengths, default=0) + 2

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Bool tensor [rows]: which rows are finished."""
        tails = self.tokenizer.batch_decode(input_ids[:, self.start :][:, -self.window :])
        return torch.tensor([any(s in tail for s in self.stops) for tail in tails], device=input_ids.device)


def _routed(request: Instance, router: Any) -> Instance:
    """The request with the context that the router gives it; the document stays as it is."""
    if router is None:
        return request
    context, answers_with = router.route(request.args[0])
    if answers_with != "base":
        raise UsageError(f"a router sent a request to {answers_with!r}, but only the base model is loaded")
    return Instance(
        request_type=request.request_type,
        doc=request.doc,
        arguments=(context, *request.args[1:]),
        idx=request.idx,
        metadata=request.metadata,
    )
