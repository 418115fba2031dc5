"""`editharness apply`: put a saved patch on a model, or take it off, and save the model as a checkpoint."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from editharness.cli.common import add_device, complain, device_asked
from editharness.cli.eval import DTYPES
from editharness.errors import RecordError, UsageError
from editharness.leaderboard.text import plain

if TYPE_CHECKING:
    from editharness.export.provenance import Provenance
    from editharness.models.load import LoadedModel
    from editharness.registry import Registry


def arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `apply`."""
    parser.description = (
        "Put a patch that `editharness edit --as patch` saved on a model, and save that as a Hugging Face checkpoint. "
        "With --undo take it off again: the weights come back bit for bit, or nothing is written."
    )
    parser.add_argument("patch", type=Path, metavar="PATCH", help="the folder of the patch")
    parser.add_argument("--model", help="the model to put it on, or to take it off (default: the one it was made for)")
    parser.add_argument("--save", required=True, type=Path, metavar="DIR", help="the new folder to write")
    parser.add_argument("--undo", action="store_true", help="take the patch off a model that has it")
    parser.add_argument("--revision", help="branch, tag or commit of a hub model")
    parser.add_argument("--dtype", choices=DTYPES, help="number format (default: that of the patch's model)")
    add_device(parser)
    parser.add_argument("--trust-remote-code", action="store_true", help="run a hub model's own code")


def run(args: argparse.Namespace) -> int:
    """Write the checkpoint and print what it is."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    from editharness.export.folder import check_free
    from editharness.export.provenance import read_provenance
    from editharness.registry import load_plugins

    if not args.patch.is_dir():
        raise RecordError(f"{args.patch}: no such folder; a patch is the folder that `edit --as patch` wrote")
    check_free(args.save)
    made, registry = read_provenance(args.patch), load_plugins()
    line = _undone(args, registry, made) if args.undo else _applied(args, registry, made)
    print(plain(line, 1000))  # names in it are the patch's, which may be a stranger's
    return 0


def _applied(args: argparse.Namespace, registry: Registry, made: Provenance | None) -> str:
    from editharness.asking import quiet
    from editharness.export.exporting import export_patched
    from editharness.export.patches import put_on, read_patch
    from editharness.export.provenance import base_of

    patch = read_patch(args.patch)
    loaded, dtype = _opened(args, registry, made)
    base = base_of(loaded, dtype, registry)
    with quiet(), put_on(loaded, patch, made) as digest:
        if made is not None and made.base.digest != base.digest:
            complain(plain(f"the patch was made for {made.base}, and this is {base}: look at what it now says", 1000))
        return export_patched(args.save, loaded, base, digest, made)


def _undone(args: argparse.Namespace, registry: Registry, made: Provenance | None) -> str:
    from editharness.asking import quiet
    from editharness.export.checkpoint import write_checkpoint
    from editharness.export.folder import new_folder
    from editharness.export.patches import take_off

    if args.model is None:
        raise UsageError("--undo needs --model: the edited model to take the patch off")
    loaded, dtype = _opened(args, registry, made)
    with quiet():
        take_off(loaded, args.patch, made)
        with new_folder(args.save) as part:
            write_checkpoint(loaded, part)
    assert made is not None
    return f"{args.save}: {made.base.name} ({dtype}) as it was, weights {made.base.digest[:12]}"


def _opened(args: argparse.Namespace, registry: Registry, made: Provenance | None) -> tuple[LoadedModel, str]:
    """The model, in the number format of the patch's own unless another was typed."""
    from editharness.asking import quiet
    from editharness.facts import Writing
    from editharness.opening import open_model

    name, revision = args.model, args.revision
    if name is None:
        if made is None or not (made.base.hub or made.base.name in registry.models):
            raise UsageError("--model is needed: this patch does not say where its model can be found")
        name, revision = made.base.name, revision or made.base.revision
    dtype = args.dtype or (made.base.dtype if made else "float32")
    wanted = Writing(
        "none", name, revision, dtype=dtype, device=device_asked(args), trust_remote_code=args.trust_remote_code
    )  # fmt: skip
    with quiet():
        return open_model(wanted, registry), dtype
