"""The methods, protocols, data sets and judges that ship with editharness, registered as a third party's would be."""

from __future__ import annotations

from collections.abc import Callable

from editharness import hookimpl
from editharness.types import DatasetSpec, JudgeSpec, MethodSpec, ModelSpec, ProtocolSpec


@hookimpl
def register_methods(register: Callable[[MethodSpec], None]) -> None:
    """Offer the methods."""
    from editharness_plugins.specs import METHODS

    for spec in METHODS:
        register(spec)


@hookimpl
def register_protocols(register: Callable[[ProtocolSpec], None]) -> None:
    """Offer the protocols."""
    from editharness_plugins.specs import PROTOCOLS

    for spec in PROTOCOLS:
        register(spec)


@hookimpl
def register_datasets(register: Callable[[DatasetSpec], None]) -> None:
    """Offer the data sets."""
    from editharness_plugins.specs import DATASETS

    for spec in DATASETS:
        register(spec)


@hookimpl
def register_models(register: Callable[[ModelSpec], None]) -> None:
    """Offer the packaged model."""
    from editharness_plugins.specs import MODELS

    for spec in MODELS:
        register(spec)


@hookimpl
def register_judges(register: Callable[[JudgeSpec], None]) -> None:
    """Offer the judges of free answers."""
    from editharness_plugins.specs import JUDGES

    for spec in JUDGES:
        register(spec)
