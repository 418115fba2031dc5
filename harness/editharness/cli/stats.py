"""`editharness stats compute|import|list`: the second moments of a model's keys, before a run needs them."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from editharness.cli.common import Table, add_format, notice, show_table
from editharness.errors import UsageError

if TYPE_CHECKING:
    from editharness.host import LocalHost
    from editharness.locate.moment_store import Kept, MomentStore

COLUMNS = ("model", "layer", "from", "documents", "tokens", "keys", "size", "file")
DTYPES = ("float32", "bfloat16", "float16")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What is to be done, with which model; the rest by what is to be done."""
    parser.description = (
        "Second moments of keys. compute: over a corpus, kept in the cache where runs find them, and taken up again "
        "after an interruption. import: those that ROME and MEMIT publish as .npz, used by eval --moments NAME. "
        "list: what is there."
    )
    parser.add_argument("action", choices=("compute", "import", "list"), help="what is to be done")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.npz", help="import: one file per layer")
    parser.add_argument("--model", default="pocket", help="pocket, a hub id, or a folder (default: %(default)s)")
    parser.add_argument("--revision", help="branch, tag or commit of a hub model")
    parser.add_argument("--layers", metavar="N[,N...]", help="compute: layers (default: those that memit edits)")
    parser.add_argument("--layer", type=int, metavar="N", help="import: the layer, where the file's name tells none")
    parser.add_argument("--name", default="imported", help="import: under which name (default: %(default)s)")
    parser.add_argument("--corpus", type=Path, help="compute: text, one document per line (default: the model's own)")
    parser.add_argument("--part", metavar="I/N", help="compute: only part I of N of the corpus, on this machine")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="number format (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:0, mps (default: %(default)s)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run a hub model's own code")
    add_format(parser)
    parser.set_defaults(seed=0)


def run(args: argparse.Namespace) -> int:
    """Compute, import or list; then show what is there."""
    from editharness.cache import cache_folder
    from editharness.locate.moment_store import MomentStore

    if args.action != "import" and args.files:
        raise UsageError(f"stats {args.action}: takes no files, got {args.files[0]}")
    if args.action == "import" and not args.files:
        raise UsageError("stats import: name the files: editharness stats import FILE.npz ... --model MODEL")
    store = MomentStore(cache_folder())
    if args.action == "list":
        kept = list(store.list())
    else:
        kept = _compute(args, store) if args.action == "compute" else _import(args, store)
    show_table(Table("second moments", COLUMNS, [_row(one) for one in kept], "none"), args.format)
    return 0


def _compute(args: argparse.Namespace, store: MomentStore) -> list[Kept]:
    from editharness.progress import live

    part = _part(args.part)
    wanted = _layers(args.layers)
    with live() as report:
        host = _host(args, report.advance)
        layers = _known(host, wanted)
        missing = [layer for layer in layers if host.gathering.stored(layer) is None]
        if missing:
            report.stage("second moments", len(host.gathering.corpus()) // part[1])
            host.gathering.sums(missing, part)
            left = host.gathering.settle(missing, part[1])
            if left:
                notice(f"part {args.part} is kept; still to come: {', '.join(f'{n}/{part[1]}' for n in left)}")
    paths = {store.path(host.gathering.provenance(layer)) for layer in layers}
    return [one for one in store.list() if one.path in paths]


def _import(args: argparse.Namespace, store: MomentStore) -> list[Kept]:
    from editharness.locate.gathering import imported_as
    from editharness.locate.importing import layer_of, read_npz

    if args.layer is not None and len(args.files) > 1:
        raise UsageError(f"--layer {args.layer}: goes with one file, and there are {len(args.files)}")
    host = _host(args, lambda done: None)
    read = {}
    for path in args.files:
        layer = layer_of(path, host.modules) if args.layer is None else _known(host, (args.layer,))[0]
        if layer in read:
            raise UsageError(f"{path}: layer {layer} was given before")
        read[layer] = read_npz(path, host.modules.key_size(layer))
    paths = set()
    for layer, moments in read.items():
        found_by = imported_as(host.loaded.digest, layer, args.name)
        paths.add(store.save(replace(moments, provenance={**found_by, **moments.provenance}), found_by))
    return [one for one in store.list() if one.path in paths]


def _host(args: argparse.Namespace, advance: object) -> LocalHost:
    from editharness.opening import open_host, open_model
    from editharness.registry import load_plugins

    registry = load_plugins()
    return open_host(args, registry, open_model(args, registry), advance)  # type: ignore[arg-type]


def _known(host: LocalHost, layers: tuple[int, ...]) -> tuple[int, ...]:
    """The layers, or those that MEMIT edits by default; raises UsageError for one that the model has not."""
    from editharness.locate.batch import by_depth

    for layer in layers:
        if not 0 <= layer < host.modules.layers:
            raise UsageError(f"layer {layer}: the model has layers 0 to {host.modules.layers - 1}")
    return layers or by_depth(host.modules.layers)


def _layers(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise UsageError(f"--layers {text}: write layers with commas, as in 3,4,5")
    return tuple(sorted({int(word) for word in text.split(",")}))


def _part(text: str | None) -> tuple[int, int]:
    if text is None:
        return 1, 1
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if found is None or int(found[1]) > int(found[2]):
        raise UsageError(f"--part {text}: write which part of how many, as in 2/4")
    return int(found[1]), int(found[2])


def _row(kept: Kept) -> tuple[object, ...]:
    from editharness.cli.cache import size

    said = kept.provenance
    imported = f"{said['imported']}: {said['file']}" if "imported" in said else None
    source = imported or f"corpus {str(said['corpus'])[:8]}"
    return (str(said["model"])[:8], said["layer"], source, said.get("documents"), kept.tokens, kept.key_size,
            size(kept.path.stat().st_size), kept.path.name)  # fmt: skip
