"""Every error that a user can cause or mend. `cli.main` prints its line and exits with 2; bugs keep their traceback.

EditHarnessError
├── UsageError              what was typed: flags, numbers, names
│   ├── UnknownNameError    no such method, task, model, preset, option; names the nearest
│   ├── ScheduleError       a malformed schedule
│   └── OptionError         a method option of the wrong type or out of range
├── PluginError             a plugin that cannot be loaded, clashes with another, or raised
├── DataError               a data file: missing, unreadable, wrong schema, empty
│   ├── FileFault           the first wrong line of a file: which field, and what to write instead
│   └── NotCachedError      nothing local and no network
├── ModelError              a model that cannot be loaded or is not supported
├── MethodError             an editing method cannot run here
│   └── EditError           one edit cannot be made: recorded as failed, the run goes on
├── JudgeError              a judge cannot run: no server, no model, no key
└── RecordError             a run record: unreadable, wrong schema, not writable
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EditHarnessError(Exception):
    """The root: its text is one line that says what is wrong, where, and what to type instead."""


class UsageError(EditHarnessError):
    """What was typed cannot be done."""


class UnknownNameError(UsageError):
    """A name that nothing answers to. `kind` is the noun to print; `known` the names there are."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
        super().__init__(f"unknown {kind} {name!r}: {advice}{' ' + hint if hint else ''}")
        self.kind, self.name, self.nearest = kind, name, near[0] if near else None


class ScheduleError(UsageError):
    """A malformed schedule."""


class OptionError(UsageError):
    """A method option of the wrong type or out of range."""


class PluginError(EditHarnessError):
    """A plugin that cannot be loaded, clashes with another, or raised."""


class DataError(EditHarnessError):
    """A data file that is missing, unreadable, of the wrong schema, or empty."""


class FileFault(DataError):
    """The first fault of a file: `line` (from 1; 0 where it is of the whole file), `field`, reason, and the mend."""

    def __init__(self, path: object, line: int, field: str, reason: str, mend: str) -> None:
        where = f"{path}" + (f", line {line}" if line else "") + (f", field {field!r}" if field else "")
        super().__init__(f"{where}: {reason}; {mend}")
        self.line, self.field, self.reason, self.mend = line, field, reason, mend


class NotCachedError(DataError):
    """Nothing local and no network: the text names the file or command that helps."""


class ModelError(EditHarnessError):
    """A model that cannot be loaded or whose architecture is not supported."""


class MethodError(EditHarnessError):
    """An editing method cannot run here."""


class EditError(MethodError):
    """One edit cannot be made: it is recorded as failed with this reason and the run goes on."""


class JudgeError(EditHarnessError):
    """A judge that cannot run here: no server, no model, no key."""


class RecordError(EditHarnessError):
    """A run record that cannot be read, does not fit its schema, or cannot be written."""
