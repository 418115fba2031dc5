"""Ten thousand edits, one batch after the other: does a batch still cost what the first did, and how is the model?

    python benchmarks/long_sequence.py --method memit,alphaedit --edits 10000 --svg docs/long_sequence.svg

The facts are pocket's, written again and again with other targets of their relation, so that the sequence is longer
than the data set. Every `--every` edits it prints: CPU seconds a batch, memory, how far the edited weights have moved
(`moved`: |W - W0| / |W0|), the loss on text, and the share of the last batch that is now answered with its target.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from editharness.api import load_cases
from editharness.cache import cache_folder
from editharness.charts.curves import Line, Spot, lines_with_bands
from editharness.charts.svg import Heading
from editharness.config import RunConfig
from editharness.data.corpus import find_corpus
from editharness.editing import write_arm
from editharness.facts import resolve_method
from editharness.health import Gauge
from editharness.host import LocalHost
from editharness.locate.forward import only_positions
from editharness.models.spans import IGNORED
from editharness.opening import open_model
from editharness.plan import layout
from editharness.registry import load_plugins
from editharness.timeline import Timeline
from editharness.types import Edit, Schedule


def edits(count: int, seed: int = 0) -> list[Edit]:
    """Facts of pocket in rounds; each round gives every fact another target that its relation has."""
    cases, lot = load_cases("pocket").cases, random.Random(seed)
    targets: dict[str, list[str]] = {}
    for case in cases:
        targets.setdefault(str(case.relation), []).append(case.target)
    made: list[Edit] = []
    while len(made) < count:
        for case in lot.sample(list(cases), len(cases)):
            made.append(Edit(str(len(made)), case.prompt, case.subject, lot.choice(targets[str(case.relation)])))
    return made[:count]


def sequence(name: str, wanted: Sequence[Edit], size: int, every: int) -> Iterator[dict[str, float]]:
    """A row after every so many edits, the first of the unedited model."""
    registry, config = load_plugins(), RunConfig(method=name, task="negation_pocket")
    loaded = open_model(config, registry)
    texts = find_corpus(None, loaded.folder, 100_000, offline=True)
    host = LocalHost(loaded, seed=0, texts=texts, cache=cache_folder())
    spec = registry.method(name)
    method = cast("Any", registry.resolve(spec.ref)(resolve_method(spec, None, {}, loaded).options))
    timeline, gauge = (
        Timeline(loaded.model, host.masters, digest=loaded.digest),
        Gauge(loaded.model, loaded.tokenizer, texts),
    )
    schedule, clock = Schedule(size, carry=True), [time.process_time()]
    place = layout(f"{name}/long", [edit.id for edit in wanted], schedule)
    rows: list[dict[str, float]] = [read(loaded, host, gauge, wanted[:size], 0, [0.0])]

    def applied(step: object) -> None:
        clock.append(time.process_time())
        done = size * (len(clock) - 1)
        if done % every == 0:
            with timeline.at(place.place(done // size, "checkpoint")):
                took = [b - a for a, b in zip(clock[-1 - every // size : -1], clock[-every // size :], strict=True)]
                rows.append(read(loaded, host, gauge, wanted[done - size : done], done, took))
            clock[-1] = time.process_time()

    write_arm(f"{name}/long", spec, method, wanted, schedule, host, timeline, applied)
    timeline.close()
    yield from rows


@torch.no_grad()
def read(
    loaded: Any, host: LocalHost, gauge: Gauge, last: Sequence[Edit], done: int, took: list[float]
) -> dict[str, float]:
    """One row."""
    moved = [
        float((host.masters.parameter(name) - host.original(name)).norm() / host.original(name).norm())
        for name in host.masters.touched
    ]
    losses = gauge.read(loaded.model, done).losses.values()
    prompts = host.encode(last)
    row, column = (prompts.labels != IGNORED).nonzero(as_tuple=True)
    with only_positions(loaded.model.get_output_embeddings(), row, column):
        said = loaded.model(input_ids=prompts.ids, attention_mask=prompts.mask.long(), use_cache=False).logits.argmax(
            -1
        )
    wrong = torch.zeros(len(prompts)).index_add(0, row, (said != prompts.labels[row, column]).float())
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {
        "edits": done, "CPU s a batch": statistics.median(took), "memory, MB": pages * 4096 / 1e6,
        "moved": max(moved, default=0.0), "text loss": statistics.mean(losses) if losses else float("nan"),
        "last batch, %": 100 * float((wrong == 0).float().mean()),
    }  # fmt: skip


def draw(found: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Text loss over edits."""
    curves = [Line(name, [Spot(row["edits"], row["text loss"]) for row in rows]) for name, rows in found.items()]
    heading = Heading("Loss on text along a long sequence of edits", "pocket, nats per token; 0: unedited")
    path.write_text(
        lines_with_bands(curves, heading=heading, x_label="edits", y_label="nats per token"), encoding="utf-8"
    )


def main() -> None:
    """Print a table per method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="memit,alphaedit")
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--every", type=int, default=1000)
    parser.add_argument("--svg", type=Path)
    args = parser.parse_args()
    found = {}
    for name in args.method.split(","):
        rows = found[name] = list(sequence(name, edits(args.edits), args.batch, args.every))
        print(f"\n{name}\n\n| {' | '.join(rows[0])} |\n|{' ---: |' * len(rows[0])}")
        for row in rows:
            print("| " + " | ".join(f"{value:.5g}" for value in row.values()) + " |")
        print(
            f"\nlast / first thousand, CPU seconds a batch: {rows[-1]['CPU s a batch'] / rows[1]['CPU s a batch']:.3g}"
        )
    if args.svg:
        draw(found, args.svg)


if __name__ == "__main__":
    main()
