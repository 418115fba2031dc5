"""Hyperparameters as other code bases keep them: a JSON or YAML file, a mapping, or an object of their own class."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from editharness.errors import MethodError

_SCIENTIFIC = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
_LOADERS = ("from_hparams", "from_json")
"""The class methods by which EasyEdit and MEMIT read a file."""


def read_hparams(source: Any, made_by: type[Any] | None) -> Any:
    """A new object each time, since functions keep state on it; raises MethodError, one line.

    A file goes through the class's own `from_hparams` or `from_json` where it has one. Without a class the values are
    attributes of a plain object.
    """
    if not isinstance(source, str | Path | Mapping):
        return copy.deepcopy(source)
    loader = next((getattr(made_by, name) for name in _LOADERS if hasattr(made_by, name)), None)
    values = source if isinstance(source, Mapping) else _read(Path(source))
    if loader is not None and not isinstance(source, Mapping):
        return _built(lambda: loader(str(source)), f"{getattr(made_by, '__name__', made_by)}.{loader.__name__}", source)
    given = {str(key): _number(copy.deepcopy(value)) for key, value in values.items()}
    if made_by is None:
        return SimpleNamespace(**given)
    return _built(lambda: made_by(**given), made_by.__name__, source)


def written_parameters(hparams: Any) -> tuple[str, ...]:
    """Names of the parameters that hyperparameters say are edited, as patterns; all where they do not tell."""
    found = [_dotted(str(name)) for name in getattr(hparams, "inner_params", None) or ()]
    form, layers = getattr(hparams, "rewrite_module_tmp", None), getattr(hparams, "layers", None)
    if form and layers:
        found += [f"{form.format(layer)}.*" for layer in layers]
    return tuple(found) or ("*",)


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise MethodError(f"hyperparameters {path}: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise MethodError(f"hyperparameters {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(values, Mapping):
        raise MethodError(f"hyperparameters {path}: write one mapping of names to values")
    return values


def _built(make: Any, name: str, source: Any) -> Any:
    try:
        return make()
    except Exception as error:  # whatever their class makes of the values
        where = "the given values" if isinstance(source, Mapping) else str(source)
        said = " ".join(str(error).split())
        raise MethodError(f"hyperparameters {where}: {name} raised {type(error).__name__}: {said}") from error


def _number(value: Any) -> Any:
    """YAML reads 5e-4 as text; EasyEdit's files mean a number."""
    return float(value) if isinstance(value, str) and _SCIENTIFIC.fullmatch(value) else value


def _dotted(name: str) -> str:
    """EasyEdit's "model.layers[27].mlp" as torch writes it."""
    return re.sub(r"\[(\d+)\]", r".\1", name)
