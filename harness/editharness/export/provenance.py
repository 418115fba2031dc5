"""What was edited, of which model, by what and how: a value, and export.json in every folder that is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from editharness.errors import RecordError

if TYPE_CHECKING:
    from editharness.models.load import LoadedModel
    from editharness.registry import Registry

FILE, FORMAT, VERSION = "export.json", "editharness-export", 1
UNKNOWN = ""
T = TypeVar("T")


@dataclass(frozen=True)
class Base:
    """The model that was edited, as it was loaded. `hub`: whether `name` is a hub id; `licence` is "" if unknown."""

    name: str
    revision: str | None
    architecture: str
    digest: str
    dtype: str
    licence: str = UNKNOWN
    hub: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.dtype}, weights {self.digest[:12]})"


@dataclass(frozen=True)
class EditedFact:
    """A fact and what became of it: outcome done, skipped or failed, with the reason."""

    id: str
    subject: str
    prompt: str
    target: str
    outcome: str
    reason: str = ""


@dataclass(frozen=True)
class Provenance:
    """Everything that a reader of an export is told.

    `effect` is what the method changes: weights, modules or router. `preset` is "" where none was used, `tuned` False
    where none fits the model. `facts_sha256` is that of the file of facts; `edited_digest` that of all weights with the
    edit ("" for an adapter).
    """

    method: str
    title: str
    paper: str
    distribution: str
    effect: str
    preset: str
    preset_source: str
    tuned: bool
    options: Mapping[str, Any]
    schedule: str
    seed: int
    base: Base
    facts: tuple[EditedFact, ...]
    facts_sha256: str
    versions: Mapping[str, str] = field(default_factory=dict)
    edited_digest: str = UNKNOWN

    def edited(self, digest: str) -> Provenance:
        """The same of a model whose edited weights have this digest."""
        return replace(self, edited_digest=digest)

    @property
    def done(self) -> int:
        """How many facts were written."""
        return sum(fact.outcome == "done" for fact in self.facts)


def base_of(loaded: LoadedModel, dtype: str, registry: Registry) -> Base:
    """The base of a loaded model; a folder is told by its last name, so that no export names its author's folders."""
    name = Path(loaded.name).expanduser().resolve().name if loaded.source == "folder" else loaded.name
    licence = registry.model(loaded.name).licence if loaded.source == "package" else _licence(loaded.folder)
    return Base(
        name, loaded.revision, loaded.architecture, loaded.digest, dtype, licence, hub=loaded.source == "hub"
    )  # fmt: skip


def _licence(folder: Path) -> str:
    """What the model's own card says, where there is one beside it."""
    import yaml

    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
        head = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else None
    except (OSError, ValueError, yaml.YAMLError):
        return UNKNOWN
    said = head.get("license") if isinstance(head, dict) else None
    return said if isinstance(said, str) else UNKNOWN


def write_provenance(folder: Path, provenance: Provenance) -> None:
    """Write export.json."""
    raw = {"format": FORMAT, "version": VERSION, **asdict(provenance)}
    text = json.dumps(raw, indent=1, ensure_ascii=False, default=str)
    (folder / FILE).write_text(text + "\n", encoding="utf-8", errors="replace")


def read_provenance(folder: Path) -> Provenance | None:
    """What a folder says of itself; None where it has no export.json. Raises RecordError."""
    path = folder / FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from None
    if not isinstance(raw, dict) or raw.pop("format", None) != FORMAT:
        raise RecordError(f"{path}: is no description of an export")
    if (version := raw.pop("version", None)) != VERSION:
        raise RecordError(f"{path}: has version {version}, this program reads {VERSION}")
    try:
        facts = tuple(_read(EditedFact, fact) for fact in raw["facts"])
        return _read(Provenance, {**raw, "base": _read(Base, raw["base"]), "facts": facts})
    except (KeyError, TypeError) as error:
        raise RecordError(f"{path}: is not whole: {error}") from None


_TYPES: Mapping[object, type | tuple[type, ...]] = {
    "str": str, "str | None": (str, type(None)), "int": int, "bool": bool,
    "Mapping[str, Any]": dict, "Mapping[str, str]": dict,
}  # fmt: skip


def _read(kind: type[T], raw: Mapping[str, Any]) -> T:
    """A dataclass from JSON values, which may be a stranger's; TypeError for a value of another type."""
    made = kind(**raw)
    for one in fields(kind):  # type: ignore[arg-type]  # all are dataclasses
        value = getattr(made, one.name)
        if one.type in _TYPES and not isinstance(value, _TYPES[one.type]):
            raise TypeError(f"{one.name} is {type(value).__name__}, not {one.type}")
    return made
