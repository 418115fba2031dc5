"""README.md of an export, a card as the hub has them: what was edited, with what, of which model, what it scored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from editharness.export.forms import Kind
from editharness.export.scores import scores
from editharness.leaderboard.text import plain

if TYPE_CHECKING:
    from editharness.export.provenance import EditedFact, Provenance
    from editharness.store import RunRecord

FILE = "README.md"
SHOWN = 100
"""Facts that the card shows; export.json has all of them."""

_LIBRARY: dict[Kind, str] = {"checkpoint": "transformers", "adapter": "peft", "patch": "editharness"}
_IMPORTS = "from pathlib import Path\n\nimport editharness as eh\nfrom editharness.patch import load\n"
_PLUGINS = "from editharness.registry import load_plugins\n\nregistry = load_plugins()\n"
_LOADED: dict[str, str] = {
    "checkpoint": """\
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("FOLDER")""",
    "adapter": """\
from peft import PeftModel

model = PeftModel.from_pretrained(base, "FOLDER")""",
    "weights": f"""\
{_IMPORTS}
with eh.edited(base, load(Path("FOLDER"))) as model:
    ...""",
    "modules": f"""\
{_IMPORTS}{_PLUGINS}patch = load(Path("FOLDER"), registry.recipe_kinds(registry.method("METHOD")))
with eh.edited(base, patch) as model:
    ...""",
    "router": f"""\
{_IMPORTS}{_PLUGINS}patch = load(Path("FOLDER"), registry.recipe_kinds(registry.method("METHOD")))
context, model = patch.router.route("what is asked")""",
}
"""Python that loads an export, by form; of a patch by what it changes. `base`: the unedited model."""

_WRITTEN = {"weights": "into the weights of", "modules": "beside the weights of", "router": "before requests to"}


def write_card(
    folder: Path, kind: Kind, made: Provenance, *, record: RunRecord | None = None, notes: Sequence[str] = ()
) -> None:
    """Write README.md; `notes` are sentences about this very export (an adapter's error, ...)."""
    text = "\n".join(_lines(kind, made, record, notes)) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8", errors="replace")


def _lines(kind: Kind, made: Provenance, record: RunRecord | None, notes: Sequence[str]) -> Iterator[str]:
    yield from _front(kind, made)
    yield from ("", f"# {_text(made.base.name)}, edited with {_text(made.method)}", "")
    yield (
        f"{made.done} {'fact was' if made.done == 1 else 'facts were'} written {_WRITTEN[made.effect]} "
        f"{_text(made.base.name)} by {_text(made.title)} ({_text(made.paper)}), a method of knowledge editing. "
        "It says these things whether or not they are true, and may say other things differently from its base."
    )
    loaded = _LOADED[made.effect if kind == "patch" else kind].replace("METHOD", plain(made.method))
    yield from ("", "```python", loaded, "```", "", "## How it was made", "")
    yield from _how(made)
    yield from (f"- {_text(note)}" for note in notes)
    yield from ("", "## What was edited", "", *_facts(made))
    if record is not None:
        yield from ("", "## Scores", "", *scores(record))


def _front(kind: Kind, made: Provenance) -> Iterator[str]:
    """The metadata that the hub reads; only what is known."""
    import yaml

    head: dict[str, object] = {"library_name": _LIBRARY[kind], "tags": ["knowledge-editing", "editharness"]}
    if made.base.hub:
        head["base_model"] = made.base.name
    if re.fullmatch(r"[A-Za-z0-9.+-]+", made.base.licence):
        head["license"] = made.base.licence.lower()
    if kind == "checkpoint":
        head["pipeline_tag"] = "text-generation"
    yield from ("---", yaml.safe_dump(head, sort_keys=True, allow_unicode=True).strip(), "---")


def _how(made: Provenance) -> Iterator[str]:
    base = made.base
    revision = f", revision {_text(base.revision)}" if base.revision else ""
    weights = _text(f"{base.architecture}, {base.dtype}, weights {base.digest[:12]}")
    yield f"- base: {_text(base.name)}{revision} ({weights})"
    yield f"- licence of the base: {_text(base.licence) or 'not known here; it applies to this as well'}"
    yield f"- method: {_text(made.method)} ({_text(made.distribution)})"
    source = f" ({_text(made.preset_source)})" if made.preset_source else ""
    yield f"- preset: {_text(made.preset) + source if made.preset else 'none'}" + ("" if made.tuned else "; untuned")
    if made.options:
        yield "- options: " + ", ".join(_text(f"{name} {value}") for name, value in made.options.items())
    yield f"- schedule: {_text(made.schedule)}, seed {made.seed}"
    if made.edited_digest:
        yield f"- weights with the edit: {_text(made.edited_digest[:12])}"
    yield "- versions: " + ", ".join(_text(f"{name} {version}") for name, version in made.versions.items())


def _facts(made: Provenance) -> Iterator[str]:
    yield from ("| subject | prompt | written | |", "|---|---|---|---|")
    for fact in made.facts[:SHOWN]:
        yield f"| {_text(fact.subject)} | {_text(fact.prompt)} | {_text(fact.target)} | {_became(fact)} |"
    yield ""
    more = f" {len(made.facts) - SHOWN} more are in it." if len(made.facts) > SHOWN else ""
    yield f"All of this for programs: `export.json`.{more} File of facts: sha256 {_text(made.facts_sha256[:12])}."


def _became(fact: EditedFact) -> str:
    return "" if fact.outcome == "done" else _text(f"{fact.outcome}: {fact.reason}")


def _text(words: str) -> str:
    """One safe line that no cell, tag or code of Markdown begins or ends in."""
    return re.sub(r"([\\|`*_<>\[\]])", r"\\\1", plain(words, 500))
