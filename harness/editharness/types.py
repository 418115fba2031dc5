"""The words of the instrument as frozen values. Nothing here imports torch.

Case         one fact and all that may be asked about it
Edit         what a method may see of a case
Schedule     how edits are grouped and whether they build on each other
Status       what became of one edit
Step         what a method returns: patch, new state, one status per edit
*Spec        what a plugin registers: torch-free, with a string reference to the code
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from editharness.errors import ScheduleError

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.patch import Patch

Span = tuple[int, int]
"""Character offsets [start, end) into a text."""

FormKind = Literal["plain", "negated", "judged"]
Sees = Literal["old", "unrelated_text", "forms"]
Split = Literal["train", "dev", "test"]
State = Mapping[str, "Tensor"]
"""What a method carries from batch to batch, by name: explicit, so that nothing leaks between runs."""

StateId = tuple[str, int, str]
"""A place in the timeline: (arm, step, kind). Step 0 is the unedited model; kind is "carried" or "alone"."""


@dataclass(frozen=True)
class Question:
    """A prompt with its expected answer: a neighbour (locality) or a two-hop question (portability)."""

    prompt: str
    answer: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One fact of a data set with all that may be asked about it.

    `prompt` has the subject filled in and ends right before the answer, without a trailing space;
    `subject` is its character span in `prompt`. `target` is the new answer, `old` the true one ("" if unknown).
    `negated_prompt` is set only where the data set supplies one. `statement` holds "{}" where the answer goes.
    `distractor` is another wrong answer of the same type, neither old nor target, drawn by `data.distractors`.
    `training_forms` are wordings that no probe uses, for methods whose spec says that they see "forms": prompts that
    ask for the answer ("plain"), deny it ("negated"), or ask for a verdict on it, "{}" in its place ("judged").
    """

    id: str
    prompt: str
    subject: Span
    target: str
    old: str = ""
    old_aliases: tuple[str, ...] = ()
    target_aliases: tuple[str, ...] = ()
    negated_prompt: str | None = None
    question: str | None = None
    statement: str | None = None
    paraphrases: tuple[str, ...] = ()
    neighbours: tuple[Question, ...] = ()
    portability: tuple[Question, ...] = ()
    distractor: str = ""
    training_forms: tuple[tuple[FormKind, str], ...] = ()
    relation: str = ""
    answer_type: str = ""
    split: Split = "test"
    tags: frozenset[str] = frozenset()

    @property
    def subject_text(self) -> str:
        """The subject as it stands in the prompt."""
        return self.prompt[self.subject[0] : self.subject[1]]


@dataclass(frozen=True)
class Skipped:
    """A record of a data file that became no case: where it stands (counted from 1), which field, and why."""

    record: int
    field: str
    reason: str


@dataclass(frozen=True)
class CaseSet:
    """The cases of one data file, what was left out and counted quirks, and the file's identity."""

    name: str
    cases: tuple[Case, ...]
    skipped: tuple[Skipped, ...]
    sha256: str
    quirks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Edit:
    """What a method may see of a case. `old`, `unrelated_text`, `forms` are filled only if its spec declares them."""

    id: str
    prompt: str
    subject: Span
    target: str
    negated: bool = False
    old: str | None = None
    unrelated_text: str | None = None
    forms: tuple[tuple[str, str], ...] = ()

    @property
    def subject_text(self) -> str:
        """The subject as it stands in the prompt."""
        return self.prompt[self.subject[0] : self.subject[1]]


_SCHEDULE = re.compile(r"(single|sequential|all)|(fresh|batch):([1-9][0-9]*)")


@dataclass(frozen=True)
class Schedule:
    """How many edits a step takes (None: all of them) and whether steps build on each other.

    single = (1, fresh), fresh:K = (K, fresh), sequential = (1, carry), batch:K = (K, carry), all = (None, carry).
    """

    size: int | None
    carry: bool

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read `single`, `fresh:K`, `sequential`, `batch:K` or `all`; raises ScheduleError."""
        match = _SCHEDULE.fullmatch(text)
        if match is None:
            raise ScheduleError(
                f"schedule {text!r}: use single, fresh:K, sequential, batch:K or all (K a number from 1)"
            )
        word, kind, size = match.groups()
        if word is not None:
            return cls(size=None if word == "all" else 1, carry=word != "single")
        return cls(size=int(size), carry=kind == "batch")

    def __str__(self) -> str:
        if self.size is None:
            return "all"
        if self.size == 1:
            return "sequential" if self.carry else "single"
        return f"{'batch' if self.carry else 'fresh'}:{self.size}"

    def limited(self, max_batch: int | None) -> Schedule:
        """The schedule a method with this `max_batch` really gets: larger steps are split, recorded as such."""
        if max_batch is None or (self.size is not None and self.size <= max_batch):
            return self
        return Schedule(size=max_batch, carry=self.carry)


Outcome = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class Status:
    """What became of one edit, with the method's own measurements (loss reached, steps, norms) in `facts`."""

    edit_id: str
    outcome: Outcome
    reason: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """What a method returns for one batch. `patch` is None where nothing could be edited."""

    patch: Patch | None
    state: State
    statuses: tuple[Status, ...]


@dataclass(frozen=True)
class MethodSpec:
    """A registered editing method. `ref` ("package.module:Class") is imported on use, so listing stays instant.

    `options` is a frozen dataclass (torch-free) whose fields are the --set keys; `presets` the YAML file with the
    values that papers and code bases publish per model. `sees` is what the method sees beyond prompt, subject, target.
    `recipe` is the class of the modules or routers that its patches hold ("package.module:Class", made of `tensors`
    and `config`), so that an interrupted run can take them up again.
    `ordered`: the result depends on the order of a batch's edits, as where training passes over them one by one.
    """

    name: str
    title: str
    paper: str
    ref: str
    options: type[Any] | None = None
    presets: Path | None = None
    sees: frozenset[Sees] = frozenset()
    max_batch: int | None = None
    trains: bool = False
    effect: Literal["none", "weights", "modules", "router"] = "weights"
    recipe: str = ""
    exact_batching: bool = True
    ordered: bool = False
    note: str = ""


@dataclass(frozen=True)
class ProtocolSpec:
    """A registered evaluation protocol: `ref` is a class derived from editharness.protocol.EvalProtocol."""

    name: str
    title: str
    paper: str
    ref: str
    version: int = 1


@dataclass(frozen=True)
class Source:
    """Where a data set's file comes from: inside a package, at a URL, or in a hub repository (a data set repo)."""

    kind: Literal["package", "url", "hub"]
    where: str
    sha256: str | None = None
    file: str = ""


@dataclass(frozen=True)
class DatasetSpec:
    """A registered data set: `ref` is a function `(path: Path) -> CaseSet`; `sources` are tried in order."""

    name: str
    title: str
    paper: str
    ref: str
    licence: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class ModelSpec:
    """A registered small model that ships inside a package: a folder as transformers saves it.

    `card` is the JSON of its validity card: what was measured of it, and what was wanted. `corpus` is the text for its
    second moments, one document per line, where that is not corpus.txt in its folder.
    """

    name: str
    title: str
    folder: Path
    licence: str
    card: Path | None = None
    corpus: Path | None = None


@dataclass(frozen=True)
class TaskFolder:
    """A registered folder of lm-eval task YAML."""

    path: Path


@dataclass(frozen=True)
class JudgeSpec:
    """A registered judge of free answers: `ref` is a class derived from editharness.judge.Judge.

    `options` is a frozen dataclass (torch-free) whose fields are the --judge-set keys.
    """

    name: str
    title: str
    ref: str
    options: type[Any] | None = None
    note: str = ""


@dataclass(frozen=True)
class Origin:
    """The distribution that registered something."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"
