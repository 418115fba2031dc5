"""What `trace` and `geometry` share: the flags for model and data, opening both, and the files that they write."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editharness.cli.common import add_device, add_format, device_asked, natural, positive
from editharness.errors import DataError, UsageError

if TYPE_CHECKING:
    from editharness.registry import Registry
    from editharness.types import Case, CaseSet

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Asked:
    """The model and the data as typed; `file` is the data set's file where one was given."""

    model: str
    revision: str | None
    dtype: str
    device: str
    trust_remote_code: bool
    seed: int
    corpus: Path | None
    data: str
    file: Path | None


def add_flags(parser: argparse.ArgumentParser, *, cases: int) -> None:
    """Add the flags that both commands have."""
    parser.add_argument("--model", default="pocket", help="pocket, a hub id, or a folder (default: %(default)s)")
    parser.add_argument("--revision", help="branch, tag or commit of a hub model")
    parser.add_argument(
        "--data", default="pocket", metavar="NAME[=FILE]", help="data set, and its file (default: %(default)s)"
    )
    parser.add_argument("--cases", type=positive, default=cases, help="facts to look at (default: %(default)s)")
    parser.add_argument("--seed", type=natural, default=0, help="of everything drawn at random (default: 0)")
    parser.add_argument("--corpus", type=Path, help="text for second moments, one document per line")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="number format (default: %(default)s)")
    add_device(parser)
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where files go (default: %(default)s)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run a hub model's own code")
    add_format(parser)


def asked(args: argparse.Namespace, registry: Registry) -> Asked:
    """What was typed, checked as far as can be without torch; raises UsageError, DataError, RecordError."""
    from editharness.config import parse_files
    from editharness.store.write import check_writable

    files = parse_files([args.data]) if "=" in args.data else {args.data: None}
    ((name, file),) = files.items()
    registry.dataset(name)
    if file is not None and not file.is_file():
        raise DataError(f"--data {name}={file}: no such file")
    check_writable(args.output)
    return Asked(
        args.model,
        args.revision,
        args.dtype,
        device_asked(args),
        args.trust_remote_code,
        args.seed,
        args.corpus,
        name,
        file,
    )


def read_cases(wanted: Asked, registry: Registry) -> tuple[CaseSet, list[Case]]:
    """The data set and the cases of its test split, in the file's order; raises DataError."""
    from editharness.data.load import load_cases
    from editharness.opening import offline

    data = load_cases(registry, wanted.data, wanted.file, offline=offline())
    return data, [case for case in data.cases if case.split == "test"]


def reporting() -> AbstractContextManager[Any]:
    """The progress bar of `eval`."""
    from editharness.progress import live

    return live()


def file_name(*parts: str) -> str:
    """A file name of words, none of which may lead out of a folder."""
    words = [re.sub(r"[^A-Za-z0-9._+]+", "-", Path(part).name).strip(".-") for part in parts if part]
    return "-".join(word for word in words if word)


def write_files(folder: Path, name: str, content: Mapping[str, Any], plot: str) -> tuple[Path, Path]:
    """Write name.svg and name.json, each complete or not at all; returns their paths."""
    from editharness.store.write import replacing

    paths = folder / f"{name}.svg", folder / f"{name}.json"
    texts = plot, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    for path, text in zip(paths, texts, strict=True):
        if path.is_dir():
            raise UsageError(f"{path} is a folder: give another --output")
        with replacing(path) as out:
            out.write(text.encode("utf-8", "replace"))
    return paths


def origin(wanted: Asked, model: Any, data: CaseSet) -> dict[str, Any]:
    """Model and data by name and hash, as the JSON files tell them; no folder of this machine."""
    return {
        "model": {"name": Path(wanted.model).name if Path(wanted.model).is_absolute() else wanted.model,
                  "revision": model.revision, "digest": model.digest, "dtype": wanted.dtype},
        "data": {"name": data.name, "sha256": data.sha256},
        "seed": wanted.seed,
    }  # fmt: skip
