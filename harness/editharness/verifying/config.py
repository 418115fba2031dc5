"""The configuration that a record says was in force, read back strictly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from editharness.config import RunConfig
from editharness.errors import RecordError, ScheduleError
from editharness.store.fields import Fields
from editharness.types import Schedule

WHERE = "config.resolved"
_LATER: Mapping[str, Any] = {
    "checkpoints": [],
    "abilities": [],
    "ability_limit": None,
    "stop_on_collapse": False,
    "plugins": [],
    "moments": None,
}
"""Settings that the first records did not have, with what was in force then."""


def read_config(resolved: Mapping[str, Any]) -> RunConfig:
    """`RunConfig.resolved` read back; data files are names only. RecordError names the setting that is none."""
    f = Fields({**_LATER, **resolved}, WHERE)
    config = RunConfig(
        method=f.text("method"),
        task=f.text("task"),
        model=f.text("model"),
        revision=f.maybe_text("revision"),
        preset=f.maybe_text("preset"),
        settings=f.named_texts("settings"),
        edits=f.count("edits"),
        limit=f.maybe_count("limit"),
        seed=f.count("seed"),
        schedule=_schedule(f),
        checkpoints=f.maybe_integers("checkpoints"),
        abilities=f.texts("abilities"),
        ability_limit=f.maybe_count("ability_limit"),
        stop_on_collapse=f.flag("stop_on_collapse"),
        dtype=f.text("dtype"),
        device=f.text("device"),
        batch_size=f.count("batch_size"),
        data={name: Path(file) for name, file in f.named_texts("data").items()},
        corpus=_file(f, "corpus"),
        moments=f.maybe_text("moments"),
        train=_file(f, "train"),
        plugins=tuple(Path(name) for name in f.texts("plugins")),
        trust_remote_code=f.flag("trust_remote_code"),
    )
    f.end()
    return config


def _schedule(f: Fields) -> Schedule:
    text = f.text("schedule")
    try:
        return Schedule.parse(text)
    except ScheduleError as error:
        raise RecordError(f"{WHERE}.{error}") from None


def _file(f: Fields, key: str) -> Path | None:
    name = f.maybe_text(key)
    return None if name is None else Path(name)
