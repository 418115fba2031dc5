"""Labels by people: a CSV of questions, gold answers and given answers out, the same with its last column filled in.

The file is blind: neither the method nor another judge's verdict stands in it. Answers come from models and data sets,
so that a cell which a spreadsheet would run as a formula gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Mapping
from pathlib import Path

from editharness.errors import DataError, RecordError
from editharness.judge import Item, Label, Verdict
from editharness.store.read import bounded
from editharness.store.write import replacing

COLUMNS = ("id", "question", "gold", "answer", "label")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_LARGEST = 64 * 2**20
_ID_LENGTH = 16


def sample_items(items: Iterable[Item], size: int | None, seed: int) -> list[Item]:
    """Distinct items in a seeded random order, `size` of them (None: all); the order tells nothing about who answered.

    The draw depends on the items only, not on the order in which runs are named.
    """
    distinct = sorted({item.digest: item for item in items}.values(), key=lambda item: item.digest)
    random.Random(seed).shuffle(distinct)
    return distinct[:size]


def export_labels(path: Path, items: Iterable[Item]) -> int:
    """Write items for labelling; returns how many. Refuses a file that is there: it may hold a person's work."""
    if path.exists():
        raise RecordError(f"{path} is already there and may hold labels: name another file, or remove it")
    if not path.parent.is_dir():
        raise RecordError(f"{path}: there is no folder {path.parent}")
    rows = [(item, " | ".join(item.answers)) for item in items]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([item_id(item), *map(harmless, (item.question, gold, item.given)), ""] for item, gold in rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode("utf-8", "replace"))
    return len(rows)


def import_labels(path: Path, items: Iterable[Item]) -> dict[str, Verdict]:
    """A person's labels by the items' digests; a blank one is unscored. DataError names the line and what to write.

    Only `id` and `label` are read: what was judged comes from the runs, not from a file that may have been edited.
    """
    known = {item_id(item): item.digest for item in items}
    found: dict[str, Verdict] = {}
    for line, row in _rows(path):
        digest = known.get(row["id"])
        if digest is None:
            raise DataError(f"{path} line {line}: id {row['id'][:40]!r} is no answer of these runs")
        if digest in found:
            raise DataError(f"{path} line {line}: id {row['id'][:40]!r} stands twice")
        found[digest] = _verdict(row["label"], f"{path} line {line}")
    if not any(verdict.label != "unscored" for verdict in found.values()):
        raise DataError(f"{path}: no line has a label: write correct or incorrect into its last column")
    return found


def item_id(item: Item) -> str:
    """The item's id in a file."""
    return item.digest[:_ID_LENGTH]


def harmless(text: str) -> str:
    """`text` as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _verdict(text: str, where: str) -> Verdict:
    label: Mapping[str, Label] = {"correct": "correct", "incorrect": "incorrect", "": "unscored"}
    word = text.strip().lower()
    if word not in label:
        raise DataError(f"{where}: label {text[:40]!r}: write correct or incorrect, or leave it blank")
    return Verdict(label[word], reason="" if word else "left blank")


def _rows(path: Path) -> Iterable[tuple[int, Mapping[str, str]]]:
    """(line number, cells by column); spreadsheets in many countries put ";" between cells."""
    try:
        text = bounded(path, _LARGEST).decode("utf-8-sig")
    except RecordError as error:
        raise DataError(f"{path}: {error}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8: save it as CSV UTF-8") from None
    header = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if header.count(";") > header.count(",") else ",")
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        missing = [name for name in ("id", "label") if columns.count(name) != 1]
        if missing:
            raise DataError(f"{path} line 1: needs one column {missing[0]!r}; the first line is {','.join(COLUMNS)}")
        start = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if len(cells) != len(columns):
                    raise DataError(f"{path} line {start}: has {len(cells)} cells, not {len(columns)}")
                row = dict(zip(columns, cells, strict=True))
                yield start, {"id": row["id"].strip(), "label": row["label"]}
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path} line {reader.line_num}: not CSV ({error})") from None
