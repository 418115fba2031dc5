"""What else an edited model can still do: any lm-eval task, asked of the unedited model and along an arm's edits.

All in one process over one loaded model. Each ability becomes two series: its score, and the paired difference from the
unedited model over the same questions. Benchmarks that a model answers freely are preferred in the presets: a model
that was muted by editing then scores nothing, where a choice between given answers still scores chance (arXiv
2410.18785).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editharness.asking import quiet
from editharness.errors import UnknownNameError, UsageError
from editharness.plan import ArmLayout
from editharness.protocol import Better, Point, Series
from editharness.resume.keeper import NOTHING, Keeper
from editharness.types import StateId

if TYPE_CHECKING:
    from editharness.models.load import LoadedModel
    from editharness.registry import Registry
    from editharness.timeline import Timeline

PRESETS: Mapping[str, tuple[str, ...]] = {
    # arXiv 2410.18785's benchmarks, generative where lm-eval has such a variant
    "paper": (
        "mmlu_generative", "gsm8k", "bbh_cot_fewshot", "commonsense_qa", "triviaqa", "truthfulqa_gen", "toxigen",
    ),
    "pocket": ("pocket_facts", "pocket_two_hop", "pocket_text"),
}  # fmt: skip


@dataclass(frozen=True)
class Ability:
    """One task, tag or group as named, ready to be asked: what lm-eval's manager loaded."""

    name: str
    loaded: Any


def ability_names(words: str) -> tuple[str, ...]:
    """Task names from "a,b": presets are written out, each name once; raises UsageError where there is none."""
    names = [name for word in words.split(",") if (w := word.strip()) for name in PRESETS.get(w, (w,))]
    if not names:
        raise UsageError(f"--abilities {words}: name lm-eval tasks with commas, or a preset: {', '.join(PRESETS)}")
    return tuple(dict.fromkeys(names))


def load_abilities(names: Sequence[str], registry: Registry) -> list[Ability]:
    """The tasks of these names with their data; raises UsageError or UnknownNameError before any work is done."""
    from lm_eval.tasks import TaskManager

    if not names:
        return []
    with quiet():
        manager = TaskManager(include_defaults=False, include_path=_folders(names, registry))
        missing = [name for name in names if name not in manager.all_tasks]
        if missing:  # not in a folder of its own name: read the names of all stock tasks, which takes seconds
            manager = TaskManager(include_path=[str(folder.spec.path) for folder in registry.task_folders])
            for name in missing:
                if name not in manager.all_tasks:
                    raise UnknownNameError("ability", name, manager.all_tasks)
        return [Ability(name, _loaded(manager, name)) for name in names]


def _folders(names: Sequence[str], registry: Registry) -> list[str]:
    """Our task folders, and for each name the stock folder that it begins with: much faster than reading them all."""
    import lm_eval.tasks

    root = Path(lm_eval.tasks.__file__).parent
    stock = [path for path in root.iterdir() if path.is_dir()]
    near = {max(fits, key=lambda path: len(path.name)) for name in names if (fits := _beginning(name, stock))}
    return [str(folder.spec.path) for folder in registry.task_folders] + sorted(map(str, near))


def _beginning(name: str, folders: Sequence[Path]) -> list[Path]:
    return [path for path in folders if name == path.name or name.startswith(f"{path.name}_")]


def _loaded(manager: Any, name: str) -> Any:
    try:
        return manager.load([name])
    except Exception as error:  # whatever datasets, the hub or a task's own code raise
        said = " ".join(str(error).split())[:300]
        raise UsageError(
            f"--abilities {name}: its data cannot be loaded ({type(error).__name__}: {said}); "
            "load it once where the hub can be reached, or leave it out"
        ) from error


def ask_abilities(
    abilities: Sequence[Ability], arm: ArmLayout, at: Sequence[int], timeline: Timeline, loaded: LoadedModel,
    batch_size: int, limit: int | None = None, progress: Callable[[int], None] = lambda done: None,
    keeper: Keeper = NOTHING,
) -> list[Series]:  # fmt: skip
    """Series of every ability: of the unedited model, after the numbers of edits `at`, and at the arm's end."""
    from editharness.documents import UNEDITED

    places: dict[int, StateId] = {0: UNEDITED}
    places |= {edits: arm.place(arm.checkpoint(edits), "checkpoint") for edits in at}
    last = max(arm.written)
    places[arm.written[last]] = arm.place(last, "final")
    found: list[Series] = []
    for ability in abilities:
        scores = {
            edits: _asked(ability, place, timeline, loaded, batch_size, limit, keeper)
            for edits, place in places.items()
        }
        progress(len(places))
        found += _series(ability, scores)
    return found


@dataclass(frozen=True)
class _Scores:
    """One number per question of one ability at one place."""

    metric: str
    better: Better
    values: Mapping[str, float]


def _asked(
    ability: Ability,
    place: StateId,
    timeline: Timeline,
    loaded: LoadedModel,
    batch_size: int,
    limit: int | None,
    keeper: Keeper,
) -> _Scores:
    from lm_eval.evaluator import evaluate

    from editharness.lm import EditedLM

    with quiet():
        lm = EditedLM(timeline, loaded.tokenizer, batch_size=batch_size, default=place, keeper=keeper)
        made = evaluate(lm, ability.loaded, limit=limit, bootstrap_iters=0, log_samples=True)
    metric, values = "", dict[str, float]()
    for task, samples in made["samples"].items():
        metric = _metric(ability, samples)
        first = samples[0].get("filter")
        for sample in samples:
            if sample.get("filter") == first:
                values[f"{task} {sample['doc_id']}"] = float(sample[metric])
    higher = [made["higher_is_better"][task].get(metric, True) for task in made["samples"]]
    return _Scores(metric, "higher" if all(higher) else "lower", values)


def _metric(ability: Ability, samples: Sequence[Mapping[str, Any]]) -> str:
    """The task's first metric that is one finite number per question."""
    for name in samples[0]["metrics"]:
        if all(isinstance(s[name], int | float) and math.isfinite(s[name]) for s in samples):
            return str(name)
    known = ", ".join(samples[0]["metrics"])
    raise UsageError(f"--abilities {ability.name}: none of its metrics ({known}) is one number per question")


def _series(ability: Ability, scores: Mapping[int, _Scores]) -> list[Series]:
    """The score, and its paired difference from the unedited model, over the number of edits."""
    before = scores[0]
    share = all(0 <= value <= 1 for one in scores.values() for value in one.values.values())
    title = f"{ability.name} ({before.metric})"
    points = [Point(edits, None, one.values) for edits, one in sorted(scores.items())]
    apart = [
        Point(edits, None, {q: value - before.values[q] for q, value in one.values.items()})
        for edits, one in sorted(scores.items())
        if edits
    ]
    unit = "%" if share else before.metric
    return [
        Series(f"ability {ability.name}", title, before.better, points, proportion=share, unit=unit),
        Series(
            f"ability {ability.name}, change", f"{title}: change", before.better, apart, proportion=False, unit=unit
        ),
    ]
