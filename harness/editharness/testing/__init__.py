"""What tests and authors of plugins need: checks of every kind of plugin, tiny models of every family, records.

    from editharness.testing import check_method, check_protocol, check_dataset, check_judge, check_task

The checks are imported when they are first used: they need torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from editharness.testing.conformance import check_dataset, check_judge, check_method, check_protocol, check_task

__all__ = ["check_dataset", "check_judge", "check_method", "check_protocol", "check_task"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from editharness.testing import conformance

    return getattr(conformance, name)
