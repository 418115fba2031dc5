"""New packages from templates: `editharness new-method NAME`, and so for the other kinds of plugins.

Every file below `common/` and below the kind's own folder whose name ends in .j2 becomes a file of the package; `NAME`
in a path is the module's name.
"""

from __future__ import annotations

import keyword
import os
import re
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from editharness import __version__
from editharness.errors import UsageError

_TEMPLATES = Path(__file__).parent


@dataclass(frozen=True)
class Kind:
    """What can be made: the noun for it with its article, and the commands to type next ("{}": its name)."""

    noun: str
    next: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    "method": Kind(
        "a knowledge editing method",
        ("editharness check {}", "editharness eval --method {} --task negation_pocket --edits 20"),
    ),
    "protocol": Kind(
        "an evaluation protocol",
        ("editharness check {}", "editharness eval --method memit --task {}_pocket --edits 20"),
    ),
    "dataset": Kind(
        "a data set",
        ("editharness check {}", "editharness eval --method memit --task negation_{} --edits 6"),
    ),
    "judge": Kind(
        "a judge of free answers",
        (
            "editharness check {}",
            "editharness eval --method memit --task negation_pocket --edits 20",
            "editharness judge runs --judge rules,{}",
        ),
    ),
}
"""By the name of the folder that holds its templates."""


def new_package(kind: str, name: str, parent: Path, *, taken: Collection[str] = ()) -> Path:
    """Write the package of one thing (a key of KINDS) called `name` into `parent/name`, whole or not at all.

    Returns its folder. Raises UsageError for a name that cannot be a module's or is one of `taken`, and for a folder
    that is there.
    """
    folder, module = parent / name, _module(name)
    if name in taken:
        raise UsageError(f"NAME {name!r}: there is {KINDS[kind].noun} of this name; try my-{name}")
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already; give another NAME or --output")
    words = {
        "name": name,
        "module": module,
        "title": _camel(name),
        "noun": KINDS[kind].noun,
        "version": __version__,
    }
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".new-") as made:
            for path, text in (_files("common", words) | _files(kind, words)).items():
                target = Path(made) / "package" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
            os.rename(Path(made) / "package", folder)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error.strerror})") from None
    return folder


def _files(templates: str, words: dict[str, str]) -> dict[str, str]:
    """Path -> content of every template in a folder, filled in."""
    root = _TEMPLATES / templates
    environment = Environment(
        loader=FileSystemLoader(root), undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.j2"))
    return {
        path.removesuffix(".j2").replace("NAME", words["module"]): environment.get_template(path).render(words)
        for path in found
    }


def _module(name: str) -> str:
    """The module of a plugin's name; raises UsageError with a name that can be one."""
    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789") or "my-plugin"
        raise UsageError(f"NAME {name!r}: small letters, digits and dashes, such as {near}")
    if keyword.iskeyword(module) or find_spec(module) is not None:
        raise UsageError(f"NAME {name!r}: {module!r} is taken by Python or a package here; try my-{name}")
    return module


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in re.split(r"[-_]", name))
