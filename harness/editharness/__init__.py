"""editharness: what knowledge editing really does to a language model.

    import editharness as eh

    result = eh.evaluate("pocket", "memit", "negation_pocket", edits=20)
    fact = {"prompt": "The capital of {} is", "subject": "Kenya", "target": "Rome"}
    patch = eh.edit(model, tokenizer, "rome", [fact])
    with eh.edited(model, patch): ...

The functions are imported when they are first used: `import editharness` itself loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from editharness.hooks import hookimpl

if TYPE_CHECKING:
    from editharness.api import edit, edited, evaluate, load_cases
    from editharness.result import Result
    from editharness.types import Case, CaseSet

__version__ = "0.1.0"
__all__ = ["Case", "CaseSet", "Result", "__version__", "edit", "edited", "evaluate", "hookimpl", "load_cases"]

_LATER = {
    "Case": "editharness.types",
    "CaseSet": "editharness.types",
    "Result": "editharness.result",
    "edit": "editharness.api",
    "edited": "editharness.api",
    "evaluate": "editharness.api",
    "load_cases": "editharness.api",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
