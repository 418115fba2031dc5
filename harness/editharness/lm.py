"""EditedLM: the face that lm-eval sees. Every request is answered by the model as edited at its place in the timeline.

lm-eval hands over all requests of all tasks at once; each carries its document, and `doc["_state"]` names arm, step and
kind. Requests are grouped by state, the timeline is walked once, and a group is answered in the batches of stock HFLM.
Low-rank edits that stand alone are answered together, each row of a batch under its own (`editharness.patch.per_row`).
Requests without a state (any stock task) are answered by the state that `default` names. Round every forward pass it is
published where each row's prompt ends (`editharness.rows`), for modules that decide by the prompt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs
from transformers import StoppingCriteriaList

from editharness.answered import Decode, Likelihood, Said
from editharness.documents import UNEDITED
from editharness.drift import Before
from editharness.errors import MethodError, ModelError, UsageError
from editharness.forms import find_form
from editharness.greedy import RowStop, Settings, greedy, padded
from editharness.locate.forward import by_width, only_positions, only_there, worth_a_pass
from editharness.models.modules import module_map
from editharness.patch.per_row import Patched, fits, per_row, rooms
from editharness.patch.values import AnsweringRouter, WeightPatch
from editharness.requests import BASE, TOGETHER, Group, Row, with_context
from editharness.resume.keeper import NOTHING, SHARED, Entry, Keeper
from editharness.rows import Rows, cacheable, generating, publishing
from editharness.timeline import Timeline
from editharness.types import StateId

Progress = Callable[[int], None]
Encoded = tuple[Any, list[int], list[int]]
"""What lm-eval makes of a request: its strings, tokens of the context, tokens of the continuation."""


class EditedLM(HFLM):
    """An HFLM that walks a timeline; generation stops row by row.

    With `batch_size` 1 nothing is shared and nothing left out: every question goes alone through the whole model as
    edited, and transformers' own `generate` answers. It is what the faster ways are held against (`eval --exact`).
    """

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
        self.exact = batch_size == 1
        self._read_where_asked = _read_where_asked(timeline.model)
        self._before: dict[str, Before] = {}
        self._asked: Sequence[Instance] = ()
        self._places: Sequence[StateId] = ()
        self._group = Group(UNEDITED)
        self._encoded: dict[str, list[int]] = {}

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Refused: lm-eval's cache keys ignore weights, so an edited model would get the unedited answers."""
        raise UsageError("lm-eval's use_cache cannot be used with edited models: its keys ignore the edit")

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-probability, all tokens greedy) per request, each at its own state."""
        return self._by_state(super().loglikelihood, requests, together=True)

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole texts, each at its own state."""
        return self._by_state(super().loglikelihood_rolling, requests)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Greedy continuations (`Said`), each at its own state."""
        return self._by_state(self._generate, requests, together=True)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, *rest: Any, **named: Any) -> list[int]:
        """As HFLM's; texts of the requests at hand are encoded once, all together."""
        if add_special_tokens is None and not rest and not named and string in self._encoded:
            return list(self._encoded[string])
        found: list[int] = super().tok_encode(string, add_special_tokens, *rest, **named)
        return found

    def _encode(self, requests: Sequence[Instance]) -> dict[str, list[int]]:
        """What HFLM makes of each text, alone and with its continuation; not of those that begin a text themselves."""
        parts = [[part for part in one.args if isinstance(part, str)] for one in requests]
        texts = dict.fromkeys(text for some in parts for text in (some[0], "".join(some)))
        bos = self.tokenizer.decode(self.prefix_token_id)
        plain = [text for text in texts if text and not text.startswith(bos)]
        special = {} if self.add_bos_token is None else {"add_special_tokens": self.add_bos_token}
        return dict(zip(plain, self.tokenizer(plain, **special).input_ids, strict=True)) if plain else {}

    def _generate(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Continuations at one state: batches of equal settings, longest first, each row up to its own stop."""
        groups: dict[str, list[int]] = {}
        for i, request in enumerate(requests):
            groups.setdefault(json.dumps(request.args[1], sort_keys=True, default=str), []).append(i)
        answers: list[str] = [""] * len(requests)
        for members in groups.values():
            given = normalize_gen_kwargs(dict(requests[members[0]].args[1]), self.max_gen_toks)
            settings = Settings.of(given, self._eos())
            room = self.max_length - settings.length
            if room < 1:
                raise UsageError(f"max_gen_toks {settings.length}: the model takes {self.max_length} tokens in all")
            encoded = {i: self.tok_encode(requests[i].args[0])[-room:] for i in members}
            order = sorted(members, key=lambda i: (-len(encoded[i]), encoded[i]))
            for chunk in (order[k : k + self.batch_size] for k in range(0, len(order), self.batch_size)):
                places = self._own_places(chunk)
                for i, one in zip(chunk, self._continued([encoded[i] for i in chunk], settings, places), strict=True):
                    answers[i] = one
                self.progress(len(chunk))
        return answers

    def _continued(self, prompts: Sequence[list[int]], settings: Settings, places: Sequence[StateId]) -> list[Said]:
        """The answers to a batch of prompts, made once: an interrupted run has kept its own."""
        name = self._name("generated", prompts, vars(settings), *places)
        kept = self.keeper.get(name)
        if kept is not None:
            return [Said.of(text, tokens, self._decoder()) for text, tokens in kept.facts]
        with self._edited(places) as patched:
            made = [self._said(tokens, settings) for tokens in self._continue(prompts, settings, patched)]
        self.keeper.put(name, Entry([[str(one), one.tokens] for one in made]))
        return made

    def _continue(self, prompts: Sequence[list[int]], settings: Settings, patched: Patched) -> list[list[int]]:
        """The new tokens of each row, up to its end of text."""
        pad, ends = self.tokenizer.pad_token_id, {self.eot_token_id, self.tokenizer.eos_token_id}
        if settings.plain(self.model) and not self.timeline.replaced and not self.exact:
            stop = RowStop(self.tokenizer, settings.stops)
            made = greedy(
                self.model, prompts, settings.length, stop, pad, patched.keep, together=bool(patched.factors),
                spared=self._spared(patched),
            )  # fmt: skip
            return [_before(row, ends) for row in made]
        ids, mask = padded(prompts, pad, self.device)
        whole = self._model_generate(
            ids, ids.shape[1] + settings.length, list(settings.stops), attention_mask=mask, **settings.others
        )
        return [_before(row, ends) for row in whole[:, ids.shape[1] :].tolist()]

    def _said(self, tokens: list[int], settings: Settings) -> Said:
        text = self.tok_decode(tokens)
        for stop in settings.stops:
            text = text.split(stop)[0]
        return Said.of(text, tokens, self._decoder())

    def _decoder(self) -> Decode:
        # a plain function: an answer that is copied must not take the model along
        return lambda tokens: str(self.tok_decode(list(tokens)))

    def _eos(self) -> str:
        return str(self.tok_decode([self.eot_token_id], skip_special_tokens=False))

    def _by_state(
        self, answer: Callable[..., list[Any]], requests: Sequence[Instance], *, together: bool = False
    ) -> list[Any]:
        groups: dict[Group, list[int]] = {}
        self._encoded = self._encode(requests)
        routed = [self._routed(request) for request in requests]
        rows = together and not self.exact
        alone = self._askable_together(group for _, group in routed) if rows else set()
        for i, (_, group) in enumerate(routed):
            # requests that differ in their routers only share a model, hence a batch; the unedited ones come first
            groups.setdefault(TOGETHER if group.place in alone else group, []).append(i)
        answers: list[Any] = [None] * len(requests)
        for group in sorted(groups, key=lambda group: (group.together, group.place, group.routed)):
            mine = groups[group]
            with self.timeline.at(group.place) as model, self._answering(group, model):
                self._asked, self._group = [requests[i] for i in mine], group
                self._places = [routed[i][1].place for i in mine] if group.together else ()
                given = answer([routed[i][0] for i in mine], disable_tqdm=True)
            self._asked, self._places = (), ()
            for i, one in zip(mine, given, strict=True):
                answers[i] = one
            if not together:
                self.progress(len(given))
        self._encoded = {}
        return answers

    def _askable_together(self, groups: Iterable[Group]) -> set[StateId]:
        """Places whose edits stand alone and which rows of one batch can carry; none where there is but one."""
        places = {group.place for group in groups if group.router is None and group.place[2] == "alone"}
        room = rooms(self.model)
        found = {place for place in places if fits(self.timeline.patch(place), room)}
        return found if len(found) > 1 else set()

    def _own_places(self, chunk: Sequence[int]) -> Sequence[StateId]:
        """The place of each request of a chunk, where they differ."""
        return [self._places[i] for i in chunk] if self._places else ()

    @contextmanager
    def _edited(self, places: Sequence[StateId]) -> Iterator[Patched]:
        """While this is open, each row is under the patch of its own place, if they have any."""
        patches = [self.timeline.patch(place) for place in places]
        with per_row(self.model, [patch for patch in patches if isinstance(patch, WeightPatch)]) as patched:
            yield patched

    def _routed(self, request: Instance) -> tuple[Instance, Group]:
        """The request with the context that its place's router gives it, and who answers."""
        state = self._state(request)
        place, router = self.timeline.model_place(state), self.timeline.router(state)
        if router is None:
            return request, Group(place)
        context, name = router.route(request.args[0])
        found = with_context(request, context)
        if name == BASE:
            return found, Group(place, routed=True)
        if not isinstance(router, AnsweringRouter):
            raise MethodError(f"router {router.kind!r} sent a request to {name!r}, but has no such model")
        return found, Group(place, name, id(router), router, routed=True, source=state)

    @contextmanager
    def _answering(self, group: Group, base: Any) -> Iterator[None]:
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
        """As HFLM's, but padding is masked, only what the continuations need goes through the head, and continuations
        that are read off the same row (the same prompt, one token each) share it."""
        sharing: dict[tuple[Row, int], list[int]] = {}
        for i, (_, context, continuation) in enumerate(requests):
            place = self._places[i] if self._places else None
            row = Row.of(context, continuation, self.max_length, self._watched(i), place)
            sharing.setdefault((row, i if self.exact else 0), []).append(i)
        # longest first: a batch that does not fit into memory fails at once
        order = sorted(sharing, key=lambda key: (-len(key[0].ids), key[0].ids))
        answers: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        size = override_bs or self.batch_size
        for chunk in _alike(order, size, worth_a_pass(self.device)):
            asked = [[requests[i][2] for i in sharing[key]] for key in chunk]
            for key, made in zip(chunk, self._scored([row for row, _ in chunk], asked), strict=True):
                for i, answer in zip(sharing[key], made, strict=True):
                    answers[i] = answer
            if override_bs is None:  # else these are windows of longer texts, which are counted elsewhere
                self.progress(sum(map(len, asked)))
        return answers

    def _watched(self, index: int) -> str | None:
        """The prompt of a request, as it was before any router, if the drift of its next word is wanted."""
        doc = self._asked[index].doc or {} if index < len(self._asked) else {}
        return str(doc["prompt"]) if "form" in doc and find_form(doc["form"]).drifts else None

    def _scored(self, chunk: Sequence[Row], asked: Sequence[Sequence[list[int]]]) -> list[list[Likelihood]]:
        """As `_score`, made once: an interrupted run has kept its own, and what drift is measured from."""
        name = self._name("scored", [[vars(row), some] for row, some in zip(chunk, asked, strict=True)])
        watched = dict.fromkeys(row.watched for row in chunk if row.watched is not None)
        first = list(watched) if self._group.unedited else []
        kept = self.keeper.get(name)
        if kept is not None:
            for row, prompt in enumerate(first):
                self._before[prompt] = Before(kept.tensors[f"{row} tokens"], kept.tensors[f"{row} logp"])
            return [[Likelihood.from_json(one, self._decoder()) for one in some] for some in kept.facts]
        with self._edited([row.place for row in chunk if row.place is not None]) as patched:
            made = self._score(chunk, asked, patched)
        tensors = {
            f"{row} {key}": t for row, prompt in enumerate(first) for key, t in vars(self._before[prompt]).items()
        }
        self.keeper.put(name, Entry([[one.to_json() for one in some] for some in made], tensors))
        return made

    def _name(self, kind: str, *asked: Any) -> str:
        """The name of a batch of answers: a hash over all that they depend on, given the run."""
        group = self._group
        text = json.dumps([group.place, group.routed, group.name, group.source, self.batch_size, asked], default=str)
        plain = group.place == UNEDITED and group.router is None and not (self._places or self.timeline.replaced)
        return f"{SHARED if plain else ''}{kind} {hashlib.sha256(text.encode()).hexdigest()}"

    @torch.no_grad()
    def _score(
        self, chunk: Sequence[Row], asked: Sequence[Sequence[list[int]]], patched: Patched
    ) -> list[list[Likelihood]]:
        """(log-probability, all tokens greedy) of each row's continuations; one pass, padded on the right."""
        lengths = torch.tensor([len(row.ids) for row in chunk], device=self.device)
        prompts = torch.tensor([row.prompt for row in chunk], device=self.device)
        ids = torch.zeros(len(chunk), int(lengths.max()), dtype=torch.long)
        for number, row in enumerate(chunk):
            ids[number, : len(row.ids)] = torch.tensor(row.ids)
        columns = torch.arange(ids.shape[1], device=self.device)
        mask = columns < lengths[:, None]
        places = (mask & (columns >= prompts[:, None] - 1)).nonzero(as_tuple=True)
        with publishing(Rows.of_scoring(prompts, mask)), self._only(places, patched):
            logits = self.model(input_ids=ids.to(self.device), attention_mask=mask.long(), use_cache=False).logits
        logp = logits.log_softmax(dim=-1, dtype=self.softmax_dtype)
        greedy_tokens = logp.argmax(dim=-1)
        sizes = [len(row.ids) - row.prompt + 1 for row in chunk]
        decode = self._decoder()
        found = []
        for row, some, own, likeliest in zip(chunk, asked, logp.split(sizes), greedy_tokens.split(sizes), strict=True):
            picked = own.gather(1, torch.tensor(some, device=own.device).mT)
            drift, said = self._drift(row.watched, own[0]), likeliest.tolist()
            found.append([Likelihood.of(one, picked[:, k], said, decode, drift) for k, one in enumerate(some)])
        return found

    @contextmanager
    def _only(self, places: tuple[torch.Tensor, ...], patched: Patched) -> Iterator[None]:
        """The head, and what the last block runs for it alone, at these places [k] only."""
        with (
            only_positions(self.model.get_output_embeddings(), *places),
            only_there(map(self.model.get_submodule, self._spared(patched)), *places),
        ):
            yield

    def _spared(self, patched: Patched) -> list[str]:
        """Modules of the last block that may be run at some places only: as they were made, under no row's patch."""
        if self.exact or self.timeline.replaced or self.model is not self.timeline.model:
            return []
        owners = {name.rpartition(".")[0] for name in patched.factors}
        return [
            name for name in self._read_where_asked
            if not any(owner == name or owner.startswith(f"{name}.") for owner in owners)
        ]  # fmt: skip

    def _drift(self, prompt: str | None, logp: torch.Tensor) -> tuple[float, float] | None:
        """(KL, moved) from the unedited model's next word [V], which is asked first and kept."""
        if prompt is None:
            return None
        if self._group.unedited:
            self._before[prompt] = Before.of(logp)
        return self._before[prompt].apart(logp) if prompt in self._before else None

    def _model_generate(self, context: Any, max_length: int, stop: list[str], **kwargs: Any) -> Any:
        """As HFLM's, but each row stops at its own stop string instead of when one has fired in every row."""
        with generating(self.model):
            return self.model.generate(
                input_ids=context,
                max_length=max_length,
                use_cache=cacheable(self.model),
                pad_token_id=self.tokenizer.pad_token_id,
                stopping_criteria=StoppingCriteriaList([RowStop(self.tokenizer, stop, context.shape[1])]),
                **kwargs,
            )


def _read_where_asked(model: Any) -> tuple[str, ...]:
    """`ModuleMap.read_where_asked`; nothing in a model of a family that is not known."""
    try:
        return module_map(model).read_where_asked()
    except ModelError:
        return ()


def _alike(order: Sequence[tuple[Row, int]], size: int, worth: int) -> Iterator[list[tuple[Row, int]]]:
    """Batches of at most `size` rows of similar length, the longest first."""
    widths = [len(row.ids) for row, _ in order]
    for group in reversed(by_width(widths, worth)):
        for start in range(0, len(group), size):
            yield [order[i] for i in sorted(group)[start : start + size]]


def _before(tokens: list[int], ends: set[int | None]) -> list[int]:
    """The tokens before the first that ends a text."""
    return next((tokens[:i] for i, token in enumerate(tokens) if token in ends), tokens)
