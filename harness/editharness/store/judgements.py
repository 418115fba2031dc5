"""Verdicts beside a record: judgements-<judge>.jsonl. The record itself never changes.

The first line says who judged, with what options, of which answers, and how the judge did on the sanity battery; each
further line is one verdict on one stored answer. A judge that failed the battery has no further lines.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from editharness.errors import RecordError
from editharness.store.fields import Fields, loads
from editharness.store.portable import portable
from editharness.store.read import bounded
from editharness.store.write import SAMPLES, replacing

FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
_LARGEST = 256 * 2**20


@dataclass(frozen=True)
class Judged:
    """One verdict on one stored answer. `item` is its number in the case, `digest` the sha256 of what was judged.

    `score` in [0, 1] is there where the label is "graded".
    """

    row: str
    task: str
    arm: str
    moment: str
    case: str
    item: int
    digest: str
    label: str
    reason: str = ""
    raw: str = ""
    score: float | None = None


@dataclass(frozen=True)
class Judgements:
    """All verdicts of one judge on one run.

    `name` is the column's name, `kind` the plugin ("human" for labels from a file), `identity` what its verdicts depend
    on, `samples` the sha256 of the answers judged, `failed` why the judge may not be shown ("" if it may), `sanity` its
    result on the battery by kind of answer: [right, asked]. `graded`: verdicts are scores, not "correct"/"incorrect".
    """

    name: str
    kind: str
    identity: Mapping[str, Any]
    samples: str
    sanity: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    failed: str = ""
    verdicts: Sequence[Judged] = ()
    graded: bool = False


def check_name(name: str) -> str:
    """`name` if it can be part of a file's name; RecordError otherwise."""
    if _NAME.fullmatch(name) is None:
        raise RecordError(f"judge name {name[:60]!r}: use at most 60 letters, digits, '-', '_' and '.'")
    return name


def samples_digest(folder: Path) -> str:
    """sha256 of the stored answers beside a record."""
    try:
        with (folder / SAMPLES).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RecordError(f"{folder / SAMPLES}: cannot be read ({error.strerror})") from None


def write_judgements(folder: Path, made: Judgements) -> Path:
    """Write (or replace) one judge's verdicts beside a record; returns the path."""
    path = folder / f"judgements-{check_name(made.name)}.jsonl"
    head = {"format": FORMAT, **{k: v for k, v in vars(made).items() if k != "verdicts"}}
    lines = [portable(head, path.name), *(portable(_line(one), path.name, raw=True) for one in made.verdicts)]
    with replacing(path) as file:
        for line in lines:
            file.write((json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace"))
    return path


def find_judgements(folder: Path) -> list[Path]:
    """The verdict files beside a record, by name."""
    return sorted(path for path in folder.glob("judgements-*.jsonl") if path.is_file() and not path.is_symlink())


def read_judgements(path: Path) -> Judgements:
    """Read and check one file; RecordError names the file and the line."""
    try:
        first, *rest = bounded(path, _LARGEST).splitlines() or [b"{}"]
        head = Fields(loads(first), "line 1")
        if head.integer("format") != FORMAT:
            raise head.refuse("format", f"only {FORMAT} can be read here")
        sanity = head.object("sanity")
        kinds = head.free("sanity")
        graded = head.flag("graded") if head.has("graded") else False
        made = Judgements(
            name=check_name(head.text("name")),
            kind=head.text("kind"),
            identity=head.free("identity"),
            samples=head.text("samples"),
            sanity={kind: _pair(sanity, kind, kinds[kind]) for kind in kinds},
            failed=head.text("failed"),
            verdicts=[_judged(Fields(loads(line), f"line {number}"), graded) for number, line in enumerate(rest, 2)],
            graded=graded,
        )
        head.end()
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None
    if path.name != f"judgements-{made.name}.jsonl":
        raise RecordError(f"{path}: holds the verdicts of {made.name!r}; a file is named after its judge")
    return made


def _pair(f: Fields, kind: str, value: Any) -> tuple[int, int]:
    if not (isinstance(value, list) and len(value) == 2 and all(type(v) is int and v >= 0 for v in value)):
        raise f.refuse(kind, "must be [right, asked]")
    return value[0], value[1]


def _line(one: Judged) -> dict[str, Any]:
    return {key: value for key, value in asdict(one).items() if key != "score" or value is not None}


def _score(f: Fields) -> float:
    score = f.number("score")
    if not 0 <= score <= 1:
        raise f.refuse("score", f"must lie in [0, 1], not {score:g}")
    return score


def _judged(f: Fields, graded: bool) -> Judged:
    label = f.choice("label", ("graded", "unscored") if graded else ("correct", "incorrect", "unscored"))
    judged = Judged(
        row=f.text("row"),
        task=f.text("task"),
        arm=f.text("arm"),
        moment=f.text("moment"),
        case=f.text("case"),
        item=f.count("item"),
        digest=f.text("digest"),
        label=label,
        reason=f.text("reason"),
        raw=f.text("raw"),
        score=_score(f) if label == "graded" else None,
    )
    f.end()
    return judged
