"""From written facts to a folder: one of the three forms, with its card and its provenance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from editharness.errors import MethodError
from editharness.export.adapter import write_adapter
from editharness.export.card import write_card
from editharness.export.checkpoint import write_checkpoint
from editharness.export.folder import new_folder
from editharness.export.forms import Kind, Wanted
from editharness.export.patches import write_patch
from editharness.export.provenance import Base, EditedFact, Provenance, write_provenance
from editharness.models.load import weights_digest
from editharness.patch import WeightPatch
from editharness.patch.values import tensors
from editharness.recording import versions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from editharness.data.own.facts import FactFile
    from editharness.facts import Writing, Written
    from editharness.models.load import LoadedModel
    from editharness.presets import Resolved
    from editharness.registry import Registry
    from editharness.store import RunRecord


def provenance(
    registry: Registry, resolved: Resolved, writing: Writing, base: Base, facts: FactFile, written: Written
) -> Provenance:
    """What a reader is told of written facts."""
    entry = registry.methods[writing.method]
    status = {one.edit_id: one for one in written.arm.statuses}
    return Provenance(
        method=writing.method,
        title=entry.spec.title,
        paper=entry.spec.paper,
        distribution=str(entry.origin),
        effect=entry.spec.effect,
        preset=resolved.preset_name,
        preset_source=resolved.source,
        tuned=resolved.tuned,
        options=resolved.values,
        schedule=str(writing.schedule.limited(entry.spec.max_batch)),
        seed=writing.seed,
        base=base,
        facts=tuple(
            EditedFact(c.id, c.subject_text, c.prompt, c.target, status[c.id].outcome, status[c.id].reason)
            for c in facts.cases
        ),
        facts_sha256=facts.sha256,
        versions=versions(),
    )


def export(
    folder: Path, wanted: Wanted, loaded: LoadedModel, written: Written, made: Provenance, *,
    record: RunRecord | None = None, notes: tuple[str, ...] = (),
) -> str:  # fmt: skip
    """Write `folder`, whole or not at all; a line that says what it is. Raises EditHarnessError."""
    with new_folder(folder) as part:
        digest, told = _written_form(part, wanted, loaded, written, made.base)
        made = made.edited(digest)
        write_provenance(part, made)
        write_card(part, wanted.kind, made, record=record, notes=(*notes, *([f"adapter: {told}"] if told else [])))
    return f"{folder}: {summary(wanted.kind, made)}" + (f"; {told}" if told else "")


def _written_form(
    folder: Path, wanted: Wanted, loaded: LoadedModel, written: Written, base: Base
) -> tuple[str, str]:  # fmt: skip
    """Write the form that was asked for: the digest of the edited weights, and what an adapter's fit is."""
    if wanted.kind == "checkpoint":
        return _merged(loaded, written, folder, wanted.shard), ""
    patch = written.patch
    if isinstance(patch, WeightPatch):
        named = ((name, WeightPatch({name: delta})) for name, delta in patch.deltas.items())
        _check_finite((name, tensor) for name, one in named for tensor in tensors(one))
    if wanted.kind == "patch":
        return write_patch(loaded.model, patch, folder, undo=wanted.undo), ""
    if not isinstance(patch, WeightPatch):
        raise MethodError(f"the edit is a {type(patch).__name__}, which no adapter holds")
    return "", str(write_adapter(loaded.model, patch, base, folder, rank=wanted.rank))


def export_patched(folder: Path, loaded: LoadedModel, base: Base, digest: str, made: Provenance | None) -> str:
    """Write a checkpoint of a model that has a saved patch on it; its card tells what the patch tells, of this model.

    `digest`: of the model with the patch; `made`: what the patch says of itself, if anything. A line that says what it
    is. Raises EditHarnessError.
    """
    told = replace(made, base=base, edited_digest=digest) if made is not None else None
    other = made is not None and made.base.digest != base.digest
    _check_finite(loaded.model.named_parameters())
    with new_folder(folder) as part:
        write_checkpoint(loaded, part)
        if told is not None:
            write_provenance(part, told)
            notes = ("the patch was made for other weights than these",) if other else ()
            write_card(part, "checkpoint", told, notes=notes)
    return f"{folder}: " + (summary("checkpoint", told) if told is not None else f"weights {digest[:12]}")


def summary(kind: Kind, made: Provenance) -> str:
    """What an export is, in a line."""
    failed = f", {len(made.facts) - made.done} not written" if made.done < len(made.facts) else ""
    facts = "1 fact" if made.done == 1 else f"{made.done} facts"
    preset = f"preset {made.preset}" if made.preset else "no preset"
    return (
        f"{kind} of {made.base.name} ({made.base.dtype}) with {facts} by {made.method} ({preset}){failed}"
        + (f"; weights {made.edited_digest[:12]}" if made.edited_digest else "")
    )  # fmt: skip


def _merged(loaded: LoadedModel, written: Written, folder: Path, shard: str) -> str:
    """Write the model as it stands at the end of the timeline, the very weights that `eval` asks; their digest."""
    names = set(loaded.model.state_dict())
    with written.timeline.at(written.end) as model:
        if set(model.state_dict()) != names:
            raise MethodError(f"the edit replaces modules of {loaded.name!r}, which no checkpoint holds")
        _check_finite(model.named_parameters())
        write_checkpoint(loaded, folder, shard=shard)
        return weights_digest(model)


def _check_finite(named: Iterable[tuple[str, Tensor]]) -> None:
    """Refuse weights, or changes of them, that are no numbers: whoever loaded them would get nonsense."""
    for name, tensor in named:
        if not bool(tensor.isfinite().all()):
            raise MethodError(
                f"the edit makes {name} NaN or infinite, so that nothing is saved: the method broke down "
                "(float16 overflows easily: try --dtype bfloat16 or float32, or fewer facts at once)"
            )
