"""A few cases of a run with their texts: what was asked, what the edit writes, what was said before and after."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from editharness.leaderboard.board import Entry
from editharness.leaderboard.pooling import Kept
from editharness.store.samples import Sample, first_samples
from editharness.store.write import SAMPLES

CASES = 3
_MOST = 24
_VERSION = 1


@dataclass(frozen=True)
class Asked:
    """One question of a case: the echo and target rows say what was asked and what the edit writes ("": not run)."""

    case: str
    task: str
    arm: str
    question: str
    target: str
    before: str
    after: str
    right: bool | None


def excerpt(entry: Entry, kept: Kept | None = None) -> tuple[Asked, ...]:
    """The first questions of the first cases, at the end of the run; none where the answers are not on disk.

    `kept` spares unpacking answers that were unpacked before.
    """
    if entry.folder is None or not (entry.folder / SAMPLES).is_file():
        return ()
    digest = kept.digest(entry.folder / SAMPLES) if kept else None
    if kept is None or digest is None:
        return tuple(_made(entry.folder, entry.record.method.name))
    name = json.dumps(["excerpt", _VERSION, entry.record.method.name, digest])
    key = hashlib.sha256(name.encode()).hexdigest()
    try:
        return tuple(Asked(*values) for values in kept.pooled(key))
    except KeyError:
        made = tuple(_made(entry.folder, entry.record.method.name))
        kept.keep(key, [astuple(one) for one in made])
        return made


Place = tuple[str, str, str]
"""Case, task, arm."""


def _made(folder: Path, method: str) -> Iterator[Asked]:
    held: dict[str, dict[Place, Sample]] = defaultdict(dict)
    for sample in first_samples(folder, CASES):
        held[sample.row][_place(sample)] = sample  # the last one asked stays: at the end, after all edits
    order = list(dict.fromkeys(place[0] for place in held[method]))
    asked = sorted(held[method].values(), key=lambda sample: order.index(sample.case))
    for sample in asked[:_MOST]:
        place, before = _place(sample), held[""].get((sample.case, sample.task, ""))
        yield Asked(
            sample.case, sample.task, sample.arm, _text(held["echo"].get(place)), _text(held["target"].get(place)),
            _text(before), _text(sample), _right(sample.scores),
        )  # fmt: skip


def _place(sample: Sample) -> Place:
    return sample.case, sample.task, sample.arm


def _text(sample: Sample | None) -> str:
    return (sample.text or "").strip() if sample else ""


def _right(scores: Mapping[str, float]) -> bool | None:
    return None if "exact" not in scores else scores["exact"] >= 1
