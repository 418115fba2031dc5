"""What a run depends on, by name. What was kept is used only where all of it is the same."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editharness.errors import DataError

if TYPE_CHECKING:
    from editharness.config import RunConfig
    from editharness.models.load import LoadedModel
    from editharness.registry import Registry

_FORMAT = 1
PACKAGES = ("torch", "transformers", "tokenizers", "lm_eval", "datasets", "numpy", "scipy", "scikit-learn", "peft")


def identity(
    config: RunConfig, registry: Registry, loaded: LoadedModel, data: str, options: Mapping[str, Any]
) -> dict[str, str]:
    """Name -> digest. `data`: the data file's SHA-256; `options`: the method's, as they are in force.

    Not the machine and not its threads: a run may move; its scores are then those of two machines.
    """
    files = {"training file": config.train, "corpus": config.corpus}
    return {
        "settings": _digest([_FORMAT, config.resolved(), options]),
        "model": _digest([loaded.digest, _tokenizer(loaded.tokenizer)]),
        "data": data,
        **{name: _file(path) for name, path in files.items() if path is not None},
        "code": _code(registry),
        "versions of packages": _digest([platform.python_version(), *map(_version, PACKAGES)]),
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _tokenizer(tokenizer: Any) -> list[Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return [getattr(tokenizer, "chat_template", None), backend.to_str() if backend is not None else repr(tokenizer)]


def _file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _code(registry: Registry) -> str:
    """The source of the harness and of every plugin, and the YAML beside it."""
    found = hashlib.sha256()
    for folder in sorted(_folders(registry)):
        for path in sorted(path for kind in ("*.py", "*.yaml") for path in folder.rglob(kind)):
            found.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return found.hexdigest()


def _folders(registry: Registry) -> Iterable[Path]:
    names = {"editharness", *(getattr(plugin.module, "__name__", "") for plugin in registry.plugins)}
    modules = (sys.modules.get(name.partition(".")[0]) for name in names)
    return {Path(file).parent for module in modules if (file := getattr(module, "__file__", None))}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
