"""Is a file what it shall be? Task YAML, data, presets, plugin files, records: the first wrong line, field, and mend.

    validate(Path("facts.jsonl"), load_plugins())

lines     where in a file a field stands
data      files of cases, by the readers of data sets; files of question-answer pairs
tasks     lm-eval task YAML: keys, rendering, scoring
presets   YAML of option values
plugins   single-file plugins
records   record.json of runs
"""

from editharness.validating.run import READERS, Valid, validate

__all__ = ["READERS", "Valid", "validate"]
