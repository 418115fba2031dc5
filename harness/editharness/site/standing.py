"""How far a row can be believed, as badges, each from a fact: what was read, recomputed, and said by others.

schema       every record of the row was read by the schema (else there would be no row)
recomputed   `editharness verify` found no error in any of them while this site was made
reproduced   somebody else's note beside a record says that it came out again
challenged   somebody's note beside a record says that it is wrong
untuned      no preset fits the model
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from editharness.leaderboard.board import Entry
from editharness.leaderboard.text import plain
from editharness.store import RunRecord
from editharness.store.notes import Note, standing_notes

MEANING: Mapping[str, str] = {
    "schema": "every record of this row was read by the schema",
    "recomputed": "every score was computed again from the answers when this site was made",
    "reproduced": "somebody says that it came out again: see the note on the record's page",
    "challenged": "somebody says that it is wrong: see the note on the record's page",
    "claimed": "printed in a paper, not measured here",
    "untuned": "no preset fits this model; layers were chosen by depth",
}


@dataclass(frozen=True)
class Standing:
    """Of one record: whether it was recomputed, and the notes about it."""

    recomputed: bool
    notes: tuple[Note, ...] = ()


def standing(entry: Entry, recomputed: Collection[Path]) -> Standing:
    """`recomputed`: the folders of records in which `verify` has found no error."""
    if entry.folder is None:
        return Standing(False)
    return Standing(entry.folder in recomputed, tuple(standing_notes(entry.folder)))


def badges(records: Sequence[RunRecord], known: Sequence[Standing]) -> tuple[tuple[str, str], ...]:
    """(kind, text) of the badges of a row made of these records."""
    if not records:
        return ()
    found = [("schema", f"schema {max(record.schema for record in records)}")]
    found += [("recomputed", "recomputed")] * all(one.recomputed for one in known)
    for kind in ("reproduced", "challenged"):
        count = sum(any(note.kind == kind for note in one.notes) for one in known)
        more = f" {count} of {len(known)}" if count < len(known) else ""
        found += [(kind, kind + more)] * bool(count)
    found += [("untuned", "untuned")] * any(_untuned(record) for record in records)
    return tuple(found)


def told(note: Note) -> tuple[str, str]:
    """A note as (kind, text) for a page."""
    evidence = f" ({note.evidence})" if note.evidence else ""
    return note.kind, plain(f"{note.by}, {note.date}: {note.text}{evidence}", 2000)


def _untuned(record: RunRecord) -> bool:
    return bool(record.method.preset.name) and not record.method.preset.tuned
