"""What shares a batch must not matter: single edits, padding, the order of edits, rows of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from editharness.patch import Patch, RouterPatch
from editharness.testing.conformance.compare import apart, gap
from editharness.testing.conformance.facts import QUESTIONS
from editharness.testing.conformance.report import Fault
from editharness.testing.conformance.trial import Run, Trial
from editharness.types import Step

NEW_TOKENS = 5


def single(trial: Trial) -> Iterator[Fault]:
    """`edit_each` over facts of unequal length gives what `edit` gives for each alone."""
    host, method, state = trial.host(), trial.method(), trial.prepared()
    asked = trial.edits[:3]
    host.reseed("facts")
    steps, generators = [], []
    each = trial.call(host, "edit_each()", lambda: method.edit_each(host, asked, state))
    for _ in asked:
        generators.append(host.rng.get_state())
        steps.append(trial.call(host, "edit_each()", lambda: next(each, None)))
    if any(step is None for step in steps) or next(each, None) is not None:
        yield Fault(
            f"edit_each() gave another number of steps than the {len(asked)} edits",
            "the runner places one step per edit",
            "yield exactly one Step per edit, failed ones too",
        )
        return
    for edit, generator, step in zip(asked, generators, steps, strict=True):
        alone = trial.write([edit], after=_begin(state, generator))
        found = apart(trial, step.patch if step else None, alone.steps[-1].patch)
        if found:
            yield Fault(
                f"edit_each() and edit() give two results for the prompt {edit.prompt!r}: {found}",
                "under --schedule single an edit's score would depend on its neighbours in the file",
                "mind padding: read positions from Prompts.subject_last and lengths, masks from Prompts.mask; average "
                "over an edit's own rows",
            )  # fmt: skip
            return


def _begin(state: Any, generator: Any) -> Run:
    """A run that has written nothing yet, with a generator somewhere on its way."""
    return Run((Step(None, state, ()),), generator, 0)


def padding(trial: Trial) -> Iterator[Fault]:
    """Rows padded further, and a tokenizer that pads on the left, change nothing."""
    wide = trial.host()
    wide.wide = True
    difficult = {"rows padded wider than need be": wide, "a tokenizer that pads on the left": trial.host()}
    for what, host in difficult.items():
        side = host.tokenizer.padding_side
        host.tokenizer.padding_side = "right" if host.wide else "left"
        try:
            run = trial.write(trial.first, host=host, what="edit(), padded otherwise")
        finally:
            host.tokenizer.padding_side = side
        found = [apart(trial, a.patch, b.patch) for a, b in zip(trial.run.steps, run.steps, strict=True)]
        if any(found):
            yield Fault(
                f"{what}: another edit is made: {next(filter(None, found))}",
                "an edit would depend on the length of its neighbours in the batch",
                "encode with host.encode; read positions from Prompts.subject_last, lengths and mask, never from the "
                "end of a row; pass the mask to the model",
            )  # fmt: skip


def order(trial: Trial) -> Iterator[Fault]:
    """A batch turned round: the statuses follow; the edit is the same, unless the spec says that order counts."""
    turned = trial.write(trial.first[::-1])
    ids = [status.edit_id for status in turned.statuses]
    if ids != [edit.id for edit in trial.first[::-1]]:
        yield Fault(
            f"for edits {[edit.id for edit in trial.first[::-1]]} the statuses are for {ids}",
            "the runner tells outcomes by their order",
            "return one status per edit, in the order of the edits",
        )
    found = apart(trial, trial.run.steps[-1].patch, turned.steps[-1].patch)
    if found and not trial.spec.ordered:
        yield Fault(
            f"the order of edits in a batch matters: {found}",
            "readers of a board take a batch for a set",
            "say so in the MethodSpec (ordered=True), or make the method symmetric in its edits",
        )


def evaluation(trial: Trial) -> Iterator[Fault]:
    """Questions scored one by one and in a padded batch get the same log-probabilities."""
    patch = trial.total(trial.next_run if trial.next_run.patches else trial.run)
    together, alone = (trial.logprobs(patch, QUESTIONS, batch_size=size) for size in (32, 1))
    found = gap([abs(a - b) for a, b in zip(together, alone, strict=True)])
    if found:
        yield Fault(
            f"scored in a padded batch and one by one: {found}",
            "scores would depend on --batch-size",
            "decide by row with rows(): its mask, prompt and last_prompt know padding on both sides; or say "
            "exact_batching=False in the MethodSpec",
        )  # fmt: skip


def generation(trial: Trial) -> Iterator[Fault]:
    """Greedy generation with a cache, in a padded batch, says what teacher forcing says is the likeliest."""
    patch = trial.patch
    if isinstance(patch, RouterPatch):
        prompts = [prompt for prompt, _ in QUESTIONS[::2]]
        if trial.texts(patch, prompts) != trial.texts(patch, prompts, batch_size=1):
            yield _generated("one by one and in a batch, other texts are generated")
        return
    for prompt, asked, said in _continuations(trial, patch):
        if asked != said:
            yield _generated(f"after {prompt!r} tokens {said} are generated, but {asked} are the likeliest when scored")
            return


def _generated(seen: str) -> Fault:
    return Fault(
        seen,
        "exact match and free text of one edited model would come from two models",
        "a module sees one token at a time while decoding: keep what was decided about a row in rows().memo at prefill",
    )


def _continuations(trial: Trial, patch: Patch | None) -> Iterator[tuple[str, list[int], list[int]]]:
    """(prompt, likeliest tokens when scored, tokens generated), all through EditedLM; near ties count as equal."""
    tokenizer = trial.bench.loaded(trial.family).tokenizer
    prompts = [prompt for prompt, _ in QUESTIONS[::2]]
    rows = [tokenizer.encode(prompt) for prompt in prompts]
    width = max(map(len, rows))
    filler = [[tokenizer.pad_token_id] * (width - len(row)) for row in rows]
    ids = torch.tensor([pad + row for pad, row in zip(filler, rows, strict=True)])
    mask = torch.tensor([[0] * len(pad) + [1] * len(row) for pad, row in zip(filler, rows, strict=True)])
    with trial.asked(patch) as lm, lm.timeline.at(lm.default):
        made = lm._model_generate(ids, max_length=width + NEW_TOKENS, stop=[], attention_mask=mask)[:, width:].tolist()
        for prompt, row, said in zip(prompts, rows, map(_to_end(tokenizer.eos_token_id), made), strict=True):
            scored = lm._loglikelihood_tokens([((prompt, ""), row, said)], disable_tqdm=True)
            yield prompt, said if scored[0][1] else [], said


def _to_end(end: int | None) -> Callable[[list[int]], list[int]]:
    """Cuts a row behind its first end token; what follows is filler."""
    return lambda row: row[: row.index(end) + 1] if end in row else row
