"""All questions of a run in one pass of lm-eval's own evaluate()."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from editharness.documents import planned
from editharness.errors import ModelError, PluginError
from editharness.plan import Asked
from editharness.protocol import Answer
from editharness.resume.keeper import NOTHING, Keeper

if TYPE_CHECKING:
    from editharness.models.load import LoadedModel
    from editharness.registry import Registry
    from editharness.timeline import Timeline


def ask(
    asked: Asked, registry: Registry, timeline: Timeline, loaded: LoadedModel, batch_size: int,
    progress: Callable[[int], None], keeper: Keeper = NOTHING,
) -> list[Answer]:  # fmt: skip
    """Every document of the plan, answered at its place in the timeline and scored by its task."""
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager

    from editharness.lm import EditedLM

    by_key = {asked.keys[task]: docs for task, docs in asked.documents.items()}
    with quiet(), planned(by_key):
        # the defaults would read thousands of YAML files that no question of ours needs
        folders = [str(folder.spec.path) for folder in registry.task_folders]
        manager = TaskManager(include_defaults=False, include_path=folders)
        tasks = manager.load(sorted(asked.documents))
        lm = EditedLM(timeline, loaded.tokenizer, batch_size=batch_size, progress=progress, keeper=keeper)
        results = evaluate(lm, tasks, bootstrap_iters=0, log_samples=True)
    samples = ((task, sample) for task, found in results["samples"].items() for sample in found)
    return [answer for task, sample in samples for answer in _answers(asked.templates[task], sample)]


def task_forms(registry: Registry) -> dict[str, str]:
    """Task name -> the form its documents have, as its YAML says in `dataset_kwargs`."""
    forms = {name: entry.spec.arguments.get("form") for name, entry in registry.tasks.items()}
    return {name: str(form) for name, form in forms.items() if form}


def chat_renderer(tokenizer: Any) -> Callable[[str], str] | None:
    """How a user's message is written for this tokenizer, up to where the answer begins; None: it has no template."""
    if getattr(tokenizer, "chat_template", None) is None:
        return None

    def render(message: str) -> str:
        turns = [{"role": "user", "content": message}]
        try:
            return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        except Exception as error:  # Jinja's, or whatever the template raises
            raise ModelError(f"the model's chat template fails: {' '.join(str(error).split())}") from error

    return render


def _answers(task: str, sample: dict[str, Any]) -> list[Answer]:
    """One logged sample of lm-eval as answers, one per moment, under the protocol's own name of the task."""
    doc = sample["doc"]
    scores = {name: sample[name] for name in sample["metrics"]}
    strange = [name for name, value in scores.items() if not isinstance(value, int | float)]
    if strange:
        raise PluginError(f"task {task!r} gave {strange[0]!r} no number for case {doc['case_id']}")
    said = sample["filtered_resps"][-1]
    text = str(said) if isinstance(said, str) else None
    forced = tuple(getattr(sample["filtered_resps"][0], "greedy", ()))
    where = {"edits": doc["_edits"], "kind": doc["kind"], "forced": forced}
    return [
        Answer(task, doc["_arm"], when, doc["case_id"], doc["item"], scores, text, **where) for when in doc["_moments"]
    ]


@contextmanager
def quiet() -> Iterator[None]:
    """lm-eval and transformers talk on every call; a board must not drown in it, nor a progress bar in others."""
    import sys
    import warnings

    tasks: Any = sys.modules.get("lm_eval.api.task")  # its bar cannot be switched off by any argument of ours
    bars = getattr(tasks, "tqdm", None)

    loggers = [logging.getLogger(name) for name in ("lm_eval", "transformers", "datasets", "evaluate")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    if bars is not None:
        tasks.tqdm = lambda documents, *given, **named: documents
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if bars is not None:
            tasks.tqdm = bars
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
