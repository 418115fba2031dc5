"""What editharness costs, against plainer ways of doing the same, side by side in one process.

    python benchmarks/speed                               # every table, on one thread; about 20 minutes
    python benchmarks/speed --only values,solve --repeats 5
    python benchmarks/speed --only work --shape llama-3-8b --device cuda --dtype bfloat16

Each pair is timed in turns; a ratio is the median over the turns, with its range. Tables are printed as Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).parent))

import answers
import ranks
import sequence
import shapes
import solves
import starts
import timing
import torch
import values
import work

from editharness.allocation import keep_freed_memory

PARTS = ("values", "answers", "solve", "sequence", "scaling", "ranks", "work", "starts")


BEGIN, END = "<!-- measured: python benchmarks/speed -->", "<!-- end -->"
SHOWN: list[str] = []


def show(line: str) -> None:
    """A line of a table, at once."""
    print(line, flush=True)
    SHOWN.append(line)


def write(page: Path) -> None:
    """What was shown, in place of what stands between the page's two marks."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    shown = "\n".join(SHOWN).strip()
    page.write_text(f"{before}{BEGIN}\n\n{shown}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


def pairs(parts: list[str]) -> Iterator[timing.Pair]:
    """The pairs of the parts, each made when its turn comes."""
    if "values" in parts:
        yield values.pair("small", 1, 100, least=12)
        yield values.pair("small", 6, 100, least=10)
    if "answers" in parts:
        yield answers.generation("small", 100, least=20)
        yield answers.single("small", 100, 3, least=4)
        yield answers.overhead("small", 400, at_most=1.15)
    if "solve" in parts:
        yield solves.alphaedit(4096, 1024, 200, least=100)
        yield solves.memit(4096, 1024, 200, least=5)


def scaling() -> Iterator[timing.Pair]:
    """How the ratio of the value search moves with edits, templates, width and depth."""
    for shape, templates, edits in (
        ("small", 1, 1), ("small", 1, 10), ("small", 3, 100), ("narrow", 1, 100), ("deep", 1, 50), ("wide", 1, 50),
    ):  # fmt: skip
        yield values.pair(shape, templates, edits, least=1, name=f"{shape}: {templates} template(s), {edits} edit(s)")


def long_sequence(batches: int, size: int) -> None:
    took = sequence.batches("small", batches, size)
    first, last = statistics.median(took[:3]), statistics.median(took[-3:])
    show(
        f"\nSequential AlphaEdit, {batches} batches of {size}: the last batch costs {last / first:.3g} times the first"
    )
    show(f"(medians of three; asked for: at most 1.15). Seconds: {', '.join(f'{one:.2f}' for one in took)}")


def fraction(shape: str, device: str, dtype: str) -> None:
    wanted, kind = shapes.SHAPES[shape], getattr(torch, dtype)
    rate = work.matmul_rate(device, kind)
    model, tokenizer = shapes.make(wanted, device, kind)
    facts = shapes.facts(100, wanted.words)
    show(f"\n{shape}, {dtype}, {device}: a matrix product runs at {rate / 1e9:.0f} GFLOP/s")
    for templates in (1, 6):
        contexts = shapes.contexts(templates, wanted.words)
        work.search(wanted, model, tokenizer, facts[:10], contexts, values.site(wanted))
        took, flops = work.search(wanted, model, tokenizer, facts, contexts, values.site(wanted))
        show(
            f"target values, {templates} template(s), 100 edits: {took:.3g} s, at least {flops / 1e9:.0f} GFLOP, "
            f"{100 * flops / took / rate:.0f}% of that rate"
        )


def main() -> None:
    """Print the tables of the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, by commas: {', '.join(PARTS)}")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", type=Path, help="also put the tables between the marks of this page")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shape", choices=sorted(shapes.SHAPES), default="small", help="of the part work")
    parser.add_argument("--device", default="cpu", help="of the part work")
    parser.add_argument("--dtype", default="float32", help="of the part work")
    args = parser.parse_args()
    parts = args.only.split(",")
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"no part {unknown[0]!r}: choose from {', '.join(PARTS)}")
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as `editharness` does
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())  # fmt: skip
    threads = f"{args.threads} thread{'s' * (args.threads > 1)}"
    show(f"{date.today()}, torch {torch.__version__}, {cpu}, {threads}, {args.repeats} repetitions.\n")
    if {"values", "answers", "solve"} & set(parts):
        timing.table((timing.measure(pair, args.repeats) for pair in pairs(parts)), show)
    if "sequence" in parts:
        long_sequence(20, 100)
    if "scaling" in parts:
        show("\nThe value search, as it scales:\n")
        timing.table((timing.measure(pair, 1) for pair in scaling()), show)
    if "ranks" in parts:
        show("\nEdits asked together, each row with its own patch, against applied one after the other:\n")
        wide = [(rank, probes) for probes in (3, 12) for rank in (1, 25, 50, 100, 200)]
        timing.table((timing.measure(ranks.pair("small", *one), args.repeats) for one in wide), show)
    if "work" in parts:
        fraction(args.shape, args.device, args.dtype)
    if "starts" in parts:
        show("\n| command | wall | asked for |\n| --- | --- | --- |")
        for what, took, limit in starts.commands(args.repeats):
            show(f"| {what} | {timing.seconds(statistics.median(took))} | at most {limit:g} s |")
    if args.write:
        write(args.write)


if __name__ == "__main__":
    main()
