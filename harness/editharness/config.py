"""What a run is: the method, the task, the model, how many edits in which schedule. What was typed is kept apart."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from editharness.errors import UsageError
from editharness.types import Schedule

ROWS = 64
"""Rows asked at once, unless something else is typed."""


@dataclass(frozen=True)
class RunConfig:
    """One run, resolved. `passed` holds only what the user typed, so that defaults may change without hiding it."""

    method: str
    task: str
    model: str = "pocket"
    revision: str | None = None
    preset: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    edits: int = 100
    limit: int | None = None
    seed: int = 0
    schedule: Schedule = Schedule(size=100, carry=True)  # noqa: RUF009  frozen
    checkpoints: tuple[int, ...] = ()
    abilities: tuple[str, ...] = ()
    ability_limit: int | None = None
    stop_on_collapse: bool = False
    dtype: str = "float32"
    device: str = "cpu"
    batch_size: int = ROWS
    data: Mapping[str, Path] = field(default_factory=dict)
    corpus: Path | None = None
    moments: str | None = None
    train: Path | None = None
    plugins: tuple[Path, ...] = ()
    output: Path = Path("runs")
    trust_remote_code: bool = False
    passed: Mapping[str, Any] = field(default_factory=dict)

    def resolved(self) -> dict[str, Any]:
        """Every field as plain JSON values; files by name only, so that no record names a folder of this machine.

        `plugins` and `moments` are there only where there are some: earlier records, whose ids hash these values, have
        no such key.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("passed", "output")}
        values["schedule"] = str(self.schedule)
        values["checkpoints"] = list(self.checkpoints)
        values["abilities"] = list(self.abilities)
        values["data"] = {name: path.name for name, path in self.data.items()}
        values["corpus"] = self.corpus.name if self.corpus else None
        values["train"] = self.train.name if self.train else None
        plugins = [path.name for path in values.pop("plugins")]
        values |= {"plugins": plugins} if plugins else {}
        moments = values.pop("moments")
        values |= {"moments": moments} if moments else {}
        values["model"] = Path(self.model).name if Path(self.model).is_absolute() else self.model
        return {**values, "settings": dict(self.settings)}

    def command(self) -> str:
        """The command line that makes this run again, with files by name."""
        plain = self.resolved()
        words = ["editharness", "eval", "--method", self.method, "--task", self.task, "--model", plain["model"]]
        words += ["--edits", str(self.edits), "--schedule", str(self.schedule), "--seed", str(self.seed)]
        words += ["--dtype", self.dtype]
        words += ["--batch-size", str(self.batch_size)] if self.batch_size != ROWS else []
        words += ["--checkpoints", ",".join(map(str, self.checkpoints))] if self.checkpoints else []
        words += ["--stop-on-collapse"] if self.stop_on_collapse else []
        words += ["--abilities", ",".join(self.abilities)] if self.abilities else []
        words += ["--ability-limit", str(self.ability_limit)] if self.ability_limit else []
        for flag in ("preset", "revision", "limit", "corpus", "moments", "train"):
            words += [f"--{flag}", str(plain[flag])] if plain.get(flag) is not None else []
        for flag, pairs in (("--data", plain["data"]), ("--set", self.settings)):
            for key, value in sorted(pairs.items()):
                words += [flag, f"{key}={value}"]
        for path in self.plugins:
            words += ["--plugin", path.name]
        return shlex.join(words)


def parse_checkpoints(text: str) -> tuple[int, ...]:
    """Numbers of edits from "1,10,100", in order; raises UsageError for what is no number from 1 on."""
    try:
        found = sorted({int(word) for word in text.split(",")})
    except ValueError:
        raise UsageError(f"--checkpoints {text}: write numbers of edits with commas, as in 1,10,100") from None
    if found[0] < 1:
        raise UsageError(f"--checkpoints {text}: numbers of edits begin at 1")
    return tuple(found)


def parse_files(pairs: list[str]) -> dict[str, Path]:
    """`name=path` words of --data; raises UsageError for one without "=" or a data set given twice."""
    found: dict[str, Path] = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals or not name or not path:
            raise UsageError(f"--data {pair}: write it as --data name=path")
        if name in found:
            raise UsageError(f"--data {name} is given twice")
        found[name] = Path(path)
    return found
