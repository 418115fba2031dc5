"""Is a file what it shall be? Task YAML, data, presets, plugin files, records: the first wrong line, field, and mend.

    validate(Path("facts.jsonl"), load_plugins())

lines     where in a file a field stands
data      files of cases, by the readers of data sets; files of question-answer pairs
tasks     lm-eval task YAML: keys, rendering, scoring
presets   YAML of option values
plugins   single-file plugins
records   record.json of runs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from editharness.validating.run import READERS, Valid, validate

__all__ = ["READERS", "Valid", "validate"]


def __getattr__(name: str) -> Any:
    """The validators load torch; whoever only needs `lines` does without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from editharness.validating import run

    return getattr(run, name)
