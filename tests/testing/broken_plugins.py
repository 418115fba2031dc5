"""A plugin file: a sound protocol, data set and judge, and siblings that break one promise each."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from editharness import hookimpl
from editharness.judge import Judge, Verdict
from editharness.protocol import Column, EvalProtocol, Probe, Selection
from editharness.types import Case, CaseSet, DatasetSpec, Edit, JudgeSpec, ProtocolSpec, Skipped, Source, TaskFolder

HERE = Path(__file__).parent
TASK = "portability_{data}_recall"


class SoundProtocol(EvalProtocol):
    name = "sound-protocol"
    ranked_by = "said"
    glossary: ClassVar[dict[str, str]] = {"said": "target greedy"}

    def select(self, cases: Any) -> Selection:
        return Selection(tuple(cases))

    def arms(self, cases: Any) -> Any:
        return {"edited": [Edit(case.id, case.prompt, case.subject, case.target) for case in cases]}

    def probes(self, schedule: Any, checkpoints: Any) -> Any:
        return [Probe(TASK, "", "unedited"), Probe(TASK, "edited", "final")]

    def values(self, row: str, answers: Any) -> dict[str, float]:
        score = "old_exact" if row == "none*" else "exact"
        return dict(answers.scores(TASK, score, moment="unedited" if row in ("none", "none*") else "final"))

    def summarise(self, row: str, answers: Any) -> Any:
        return [Column("said", "says it", "higher", self.values(row, answers))]

    def hashed(self) -> Any:
        return {"task": TASK}


class OtherName(SoundProtocol):
    name = "another"


class NoTask(SoundProtocol):
    name = "no-task"

    def probes(self, schedule: Any, checkpoints: Any) -> Any:
        return [Probe("gone_{data}", "", "unedited")]


class OddHash(SoundProtocol):
    name = "odd-hash"

    def hashed(self) -> Any:
        return {"scorer": repr(object())}


class NoEcho(SoundProtocol):
    name = "no-echo"

    def summarise(self, row: str, answers: Any) -> Any:
        return [] if row == "echo" else super().summarise(row, answers)


class Unexplained(SoundProtocol):
    name = "unexplained"
    glossary: ClassVar[dict[str, str]] = {}


class TooLarge(SoundProtocol):
    name = "too-large"

    def values(self, row: str, answers: Any) -> dict[str, float]:
        return {case: 100 * value for case, value in super().values(row, answers).items()}


class Impure(SoundProtocol):
    name = "impure"
    seen = 0

    def values(self, row: str, answers: Any) -> dict[str, float]:
        self.seen += 1
        return {case: value / self.seen for case, value in super().values(row, answers).items()}


class Blind(SoundProtocol):
    name = "blind"

    def values(self, row: str, answers: Any) -> dict[str, float]:
        return dict.fromkeys(super().values(row, answers), 1.0)


class Raises(SoundProtocol):
    name = "raises"

    def summarise(self, row: str, answers: Any) -> Any:
        raise KeyError("nothing")


PROTOCOLS = (SoundProtocol, OtherName, NoTask, OddHash, NoEcho, Unexplained, TooLarge, Impure, Blind, Raises)


def read(path: Path) -> CaseSet:
    """A sound reader of lines "country TAB capital TAB target"."""
    content = path.read_bytes()
    lines = (line.split("\t") for line in content.decode().splitlines())
    cases = tuple(
        Case(f"c{i}", f"The capital of {name} is", (15, 15 + len(name)), target, old)
        for i, (name, old, target) in enumerate(lines)
    )
    return CaseSet("sound-data", cases, (), sha256(content).hexdigest())


def with_first(**changes: Any) -> Callable[[Path], CaseSet]:
    """A reader that spoils the first case."""

    def spoilt(path: Path) -> CaseSet:
        found = read(path)
        return replace(found, cases=(replace(found.cases[0], **changes), *found.cases[1:]))

    return spoilt


def shuffled(path: Path) -> CaseSet:
    found = read(path)
    return replace(found, cases=tuple(random.sample(found.cases, len(found.cases))))


def lossy(path: Path) -> CaseSet:
    found = read(path)
    lost = tuple(Skipped(i, "target", "is empty") for i in range(2, len(found.cases) + 1))
    return replace(found, cases=found.cases[:1], skipped=lost)


def unhashed(path: Path) -> CaseSet:
    return replace(read(path), sha256="")


off_by_one = with_first(subject=(14, 19))
spaced = with_first(prompt="The capital of Norway is ")
as_before = with_first(target="Oslo")
twin = with_first(id="c1")
trained = with_first(split="validation")

READERS = ("read", "off_by_one", "spaced", "as_before", "twin", "trained", "shuffled", "lossy", "unhashed")


class SoundJudge(Judge[None]):
    def verdicts(self, items: Any) -> Any:
        return [self.verdict(item) for item in items]

    def verdict(self, item: Any) -> Verdict:
        said = item.given.casefold()
        held = any(answer.casefold() in said for answer in item.answers)
        return Verdict("correct" if held and "not" not in said and " or " not in said else "incorrect")


class SaysYes(SoundJudge):
    def verdict(self, item: Any) -> Verdict:
        return Verdict("correct")


class Forgets(SoundJudge):
    def verdicts(self, items: Any) -> Any:
        return super().verdicts(items)[:-1] if len(items) > 1 else super().verdicts(items)


class Grades(SoundJudge):
    def verdict(self, item: Any) -> Verdict:
        return Verdict("graded", score=0.5)


class Remembers(SoundJudge):
    """Finds whatever comes after an answer that it found incorrect."""

    def verdicts(self, items: Any) -> Any:
        found = super().verdicts(items)
        return [
            found[0],
            *(Verdict("correct") if found[i - 1].label == "incorrect" else found[i] for i in range(1, len(found))),
        ]


class Dices(SoundJudge):
    def verdict(self, item: Any) -> Verdict:
        return Verdict(random.choice(("correct", "incorrect")))


class NewEachTime(SoundJudge):
    def identity(self) -> Any:
        return {"self": repr(self)}


JUDGES = (SoundJudge, SaysYes, Forgets, Grades, Remembers, Dices, NewEachTime)


@hookimpl
def register_protocols(register: Callable[[ProtocolSpec], None]) -> None:
    for code in PROTOCOLS:
        name = "other-name" if code is OtherName else code.name
        register(ProtocolSpec(name, name, "none", f"broken_plugins:{code.__name__}"))


@hookimpl
def register_datasets(register: Callable[[DatasetSpec], None]) -> None:
    for name in READERS:
        called = "sound-data" if name == "read" else name
        register(DatasetSpec(called, called, "none", f"broken_plugins:{name}", "CC0-1.0", ()))
    register(DatasetSpec("unlicensed", "", "none", "broken_plugins:read", "unknown", (Source("package", "x"),)))


@hookimpl
def register_judges(register: Callable[[JudgeSpec], None]) -> None:
    for code in JUDGES:
        register(JudgeSpec(code.__name__, code.__name__, f"broken_plugins:{code.__name__}"))


@hookimpl
def register_tasks(register: Callable[[TaskFolder], None]) -> None:
    register(TaskFolder(HERE / "broken_tasks"))
