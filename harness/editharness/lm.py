"""EditedLM: the face that lm-eval sees. Every request is answered by the model as edited at its place in the timeline.

lm-eval hands over all requests of all tasks at once; each carries its document, and `doc["_state"]` names arm, step and
kind. Requests are grouped by state, the timeline is walked once, and a group is answered in the batches of stock HFLM.
Requests without a state (any stock task) are answered by the state that `default` names. Round every forward pass it is
published where each row's prompt ends (`editharness.rows`), for modules that decide by the prompt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs
from transformers import StoppingCriteria, StoppingCriteriaList

from editharness.answered import Decode, Likelihood, Said
from editharness.documents import UNEDITED
from editharness.drift import Before
from editharness.errors import MethodError, UsageError
from editharness.forms import find_form
from editharness.locate.forward import only_positions
from editharness.patch.values import AnsweringRouter
from editharness.resume.keeper import NOTHING, Entry, Keeper
from editharness.rows import Rows, cacheable, generating, publishing
from editharness.timeline import Timeline
from editharness.types import StateId

Progress = Callable[[int], None]
Encoded = tuple[Any, list[int], list[int]]
"""What lm-eval makes of a request: its strings, tokens of the context, tokens of the continuation."""
BASE = "base"


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
        keeper: Keeper = NOTHING,
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
        self.keeper = keeper
        self._before: dict[str, Before] = {}
        self._asked: Sequence[Instance] = ()
        self._group = _Group(UNEDITED)

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
        """Greedy continuations (`Said`), each at its own state."""
        return self._by_state(self._generate, requests)

    def _generate(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Continuations at one state: batches of equal settings, longest first, each row up to its own stop."""
        groups: dict[str, list[int]] = {}
        for i, request in enumerate(requests):
            groups.setdefault(json.dumps(request.args[1], sort_keys=True, default=str), []).append(i)
        answers: list[str] = [""] * len(requests)
        for members in groups.values():
            settings = _Settings.of(requests[members[0]].args[1], self.max_gen_toks, self._eos())
            room = self.max_length - settings.length
            if room < 1:
                raise UsageError(f"max_gen_toks {settings.length}: the model takes {self.max_length} tokens in all")
            encoded = {i: self.tok_encode(requests[i].args[0])[-room:] for i in members}
            order = sorted(members, key=lambda i: (-len(encoded[i]), encoded[i]))
            for chunk in (order[k : k + self.batch_size] for k in range(0, len(order), self.batch_size)):
                for i, one in zip(chunk, self._continued([encoded[i] for i in chunk], settings), strict=True):
                    answers[i] = one
        return answers

    def _continued(self, prompts: Sequence[list[int]], settings: _Settings) -> list[Said]:
        """The answers to a batch of prompts, made once: an interrupted run has kept its own."""
        name = self._name("generated", prompts, vars(settings))
        kept = self.keeper.get(name)
        if kept is not None:
            return [Said.of(text, tokens, self._decoder()) for text, tokens in kept.facts]
        made = [self._said(tokens, settings) for tokens in self._continue(prompts, settings)]
        self.keeper.put(name, Entry([[str(one), one.tokens] for one in made]))
        return made

    def _continue(self, prompts: Sequence[list[int]], settings: _Settings) -> list[list[int]]:
        """The new tokens of each row, prompts padded on the left; a row's tokens end before its end-of-text."""
        width = max(len(prompt) for prompt in prompts)
        pad = self.tokenizer.pad_token_id
        ids = torch.full((len(prompts), width), pad, dtype=torch.long)
        mask = torch.zeros(len(prompts), width, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt, dtype=torch.long)
            mask[row, width - len(prompt) :] = 1
        made = self._model_generate(
            ids.to(self.device), width + settings.length, list(settings.stops),
            attention_mask=mask.to(self.device), **settings.others,
        )  # fmt: skip
        ends = {self.eot_token_id, self.tokenizer.eos_token_id}
        return [_before(row, ends) for row in made[:, width:].tolist()]

    def _said(self, tokens: list[int], settings: _Settings) -> Said:
        text = self.tok_decode(tokens)
        for stop in settings.stops:
            text = text.split(stop)[0]
        return Said.of(text, tokens, self._decoder())

    def _decoder(self) -> Decode:
        # a plain function: an answer that is copied must not take the model along
        return lambda tokens: str(self.tok_decode(list(tokens)))

    def _eos(self) -> str:
        return str(self.tok_decode([self.eot_token_id], skip_special_tokens=False))

    def _by_state(self, answer: Callable[..., list[Any]], requests: Sequence[Instance]) -> list[Any]:
        groups: dict[_Group, list[int]] = {}
        routed: list[Instance] = []
        for i, request in enumerate(requests):
            found, group = self._routed(request)
            routed.append(found)
            # requests that differ in their routers only share a model, hence a batch; the unedited ones come first
            groups.setdefault(group, []).append(i)
        answers: list[Any] = [None] * len(requests)
        for group in sorted(groups, key=lambda group: (group.place, group.routed)):
            with self.timeline.at(group.place) as model, self._answering(group, model):
                self._asked, self._group = [requests[i] for i in groups[group]], group
                given = answer([routed[i] for i in groups[group]], disable_tqdm=True)
            self._asked = ()
            for i, one in zip(groups[group], given, strict=True):
                answers[i] = one
            self.progress(len(given))
        return answers

    def _routed(self, request: Instance) -> tuple[Instance, _Group]:
        """The request with the context that its place's router gives it, and who answers."""
        state = self._state(request)
        place, router = self.timeline.model_place(state), self.timeline.router(state)
        if router is None:
            return request, _Group(place)
        context, name = router.route(request.args[0])
        found = _with_context(request, context)
        if name == BASE:
            return found, _Group(place, routed=True)
        if not isinstance(router, AnsweringRouter):
            raise MethodError(f"router {router.kind!r} sent a request to {name!r}, but has no such model")
        return found, _Group(place, name, id(router), router, routed=True, source=state)

    @contextmanager
    def _answering(self, group: _Group, base: Any) -> Iterator[None]:
        """While this is open, the group's second model stands in the place of the base model."""
        if group.router is None:
            yield
            return
        self._model = group.router.answerer(group.name, base).to(self.device).eval()
        try:
            yield
        finally:
            self._model = base

    def _state(self, request: Instance) -> StateId:
        asked = (request.doc or {}).get("_state")
        return (str(asked[0]), int(asked[1]), str(asked[2])) if asked else self.default

    def _loglikelihood_tokens(
        self, requests: Sequence[Encoded], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        """As HFLM's, but padding is masked, and only what the continuations need goes through the head."""
        cut = [_Scored.of(context, continuation, self.max_length) for _, context, continuation in requests]
        # longest first: a batch that does not fit into memory fails at once
        order = sorted(range(len(cut)), key=lambda i: (-len(cut[i].ids), cut[i].ids))
        answers: list[tuple[float, bool]] = [(0.0, False)] * len(cut)
        size = override_bs or self.batch_size
        watched = [self._watched(i) for i in range(len(cut))]
        for chunk in (order[start : start + size] for start in range(0, len(order), size)):
            made = self._scored([cut[i] for i in chunk], [watched[i] for i in chunk])
            for i, answer in zip(chunk, made, strict=True):
                answers[i] = answer
        return answers

    def _watched(self, index: int) -> str | None:
        """The prompt of a request, as it was before any router, if the drift of its next word is wanted."""
        doc = self._asked[index].doc or {} if index < len(self._asked) else {}
        return str(doc["prompt"]) if "form" in doc and find_form(doc["form"]).drifts else None

    def _scored(self, chunk: Sequence[_Scored], watched: Sequence[str | None]) -> list[Likelihood]:
        """As `_score`, made once: an interrupted run has kept its own, and what drift is measured from."""
        name = self._name("scored", [[one.ids, one.prompt, one.continuation] for one in chunk], watched)
        first = [prompt for prompt in dict.fromkeys(watched) if prompt is not None] if self._group.unedited else []
        kept = self.keeper.get(name)
        if kept is not None:
            for row, prompt in enumerate(first):
                self._before[prompt] = Before(kept.tensors[f"{row} tokens"], kept.tensors[f"{row} logp"])
            return [Likelihood.from_json(one, self._decoder()) for one in kept.facts]
        made = self._score(chunk, watched)
        tensors = {
            f"{row} {key}": t for row, prompt in enumerate(first) for key, t in vars(self._before[prompt]).items()
        }
        self.keeper.put(name, Entry([one.to_json() for one in made], tensors))
        return made

    def _name(self, kind: str, *asked: Any) -> str:
        """The name of a batch of answers: a hash over all that they depend on, given the run."""
        group = self._group
        text = json.dumps([group.place, group.routed, group.name, group.source, asked], default=str)
        return f"{kind} {hashlib.sha256(text.encode()).hexdigest()}"

    @torch.no_grad()
    def _score(self, chunk: Sequence[_Scored], watched: Sequence[str | None]) -> list[Likelihood]:
        """(log-probability, all tokens greedy) of each row's continuation; one pass, padded on the right."""
        lengths = torch.tensor([len(one.ids) for one in chunk], device=self.device)
        prompts = torch.tensor([one.prompt for one in chunk], device=self.device)
        ids = torch.zeros(len(chunk), int(lengths.max()), dtype=torch.long)
        for row, one in enumerate(chunk):
            ids[row, : len(one.ids)] = torch.tensor(one.ids)
        columns = torch.arange(ids.shape[1], device=self.device)
        mask = columns < lengths[:, None]
        places = (mask & (columns >= prompts[:, None] - 1)).nonzero(as_tuple=True)
        head = self.model.get_output_embeddings()
        with publishing(Rows.of_scoring(prompts, mask)), only_positions(head, *places):
            logits = self.model(input_ids=ids.to(self.device), attention_mask=mask.long(), use_cache=False).logits
        logp = logits.log_softmax(dim=-1, dtype=self.softmax_dtype)
        wanted = torch.tensor([token for one in chunk for token in one.continuation], device=self.device)
        picked = logp.gather(1, wanted[:, None])[:, 0]
        greedy = logp.argmax(dim=-1)
        sizes = [len(one.continuation) for one in chunk]
        rows = zip(chunk, picked.split(sizes), greedy.split(sizes), logp.split(sizes), watched, strict=True)
        decode = self._decoder()
        return [
            Likelihood.of(one.continuation, scores, likeliest.tolist(), decode, self._drift(prompt, next_word[0]))
            for one, scores, likeliest, next_word, prompt in rows
        ]

    def _drift(self, prompt: str | None, logp: torch.Tensor) -> tuple[float, float] | None:
        """(KL, moved) from the unedited model's next word [V], which is asked first and kept."""
        if prompt is None:
            return None
        if self._group.unedited:
            self._before[prompt] = Before.of(logp)
        return self._before[prompt].apart(logp) if prompt in self._before else None

    def _model_generate(self, context: Any, max_length: int, stop: list[str], **kwargs: Any) -> Any:
        """As HFLM's, but each row stops at its own stop string instead of when one has fired in every row."""
        if kwargs.get("temperature", 0.0) == 0.0 and not kwargs.get("do_sample"):
            kwargs.pop("temperature", None)
            kwargs["do_sample"] = False
        with generating(self.model):
            return self.model.generate(
                input_ids=context,
                max_length=max_length,
                use_cache=cacheable(self.model),
                pad_token_id=self.tokenizer.pad_token_id,
                stopping_criteria=StoppingCriteriaList([RowStop(self.tokenizer, stop, context.shape[1])]),
                **kwargs,
            )


@dataclass(frozen=True)
class _Group:
    """Requests with the same model: a place, and there the base model or a router's second one (named, by identity).

    `source`: where that router first decided, which names it from one process to the next.
    """

    place: StateId
    name: str = BASE
    identity: int = 0
    router: AnsweringRouter | None = field(default=None, compare=False)
    routed: bool = False
    source: StateId | None = field(default=None, compare=False)

    @property
    def unedited(self) -> bool:
        """Whether these requests are answered by the unedited model as they stand."""
        return self.place == UNEDITED and not self.routed


@dataclass(frozen=True)
class _Scored:
    """A row to score: what goes in (the last token of the continuation does not), how much of it is prompt."""

    ids: list[int]
    prompt: int
    continuation: list[int]

    @classmethod
    def of(cls, context: list[int], continuation: list[int], longest: int) -> _Scored:
        """Cut on the left to what the model can take, as HFLM does; raises UsageError where nothing can be scored."""
        if not context or not continuation:
            empty = "context" if not context else "continuation (it merged with the context: begin it with a space)"
            raise UsageError(f"a request has no tokens in its {empty}")
        if len(continuation) > longest:
            raise UsageError(f"a continuation has {len(continuation)} tokens, the model takes {longest}")
        ids = [*context, *continuation][-(longest + 1) : -1]
        return cls(ids, len(ids) - len(continuation) + 1, continuation)


@dataclass(frozen=True)
class _Settings:
    """How to generate: stop strings, new tokens at most, and what else is handed to transformers."""

    stops: tuple[str, ...]
    length: int
    others: dict[str, Any]

    @classmethod
    def of(cls, given: Mapping[str, Any], default_length: int, eos: str) -> _Settings:
        """From lm-eval's generation_kwargs; end of text is always a stop."""
        others: dict[str, Any] = dict(normalize_gen_kwargs(dict(given), default_length))
        stops = dict.fromkeys(stop for stop in (*others.pop("until"), eos) if stop)
        return cls(tuple(stops), int(others.pop("max_gen_toks")), others)


def _before(tokens: list[int], ends: set[int | None]) -> list[int]:
    """The tokens before the first that ends a text."""
    return next((tokens[:i] for i, token in enumerate(tokens) if token in ends), tokens)


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


def _with_context(request: Instance, context: str) -> Instance:
    """The request with another context; the document stays as it is."""
    return Instance(
        request_type=request.request_type,
        doc=request.doc,
        arguments=(context, *request.args[1:]),
        idx=request.idx,
        metadata=request.metadata,
    )
