"""`editharness doctor`: versions, devices, caches, plugins and the network, each with what to do where it is not well.

torch is imported only where the machine has a GPU, to say whether torch sees it.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from editharness.cache import cache_folder
from editharness.cli.common import Table, add_format, show_table
from editharness.errors import EditHarnessError

State = Literal["ok", "note", "fault"]
SECONDS = 3.0
"""How long a host may take to answer."""
EXTRAS = {"ike": ("sentence-transformers",), "judge": ("openai",), "notebook": ("ipywidgets",)}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, what was seen, and whether it is well."""

    what: str
    seen: str
    state: State = "ok"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --offline and --format."""
    parser.add_argument("--offline", action="store_true", help="do not ask the network")
    add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Look at everything; 2 where something must be mended."""
    found = [*versions(), *devices(), *caches(), *plugins(), *network(offline=args.offline)]
    show_table(Table("doctor", ("state", "what", "seen"), [(f.state, f.what, f.seen) for f in found]), args.format)
    return 2 if any(one.state == "fault" for one in found) else 0


def versions() -> Iterator[Finding]:
    """Python, editharness, and each requirement against the range that editharness asks for."""
    from packaging.requirements import Requirement

    yield Finding("python", f"{platform.python_version()} at {sys.executable}")
    try:
        wanted = [Requirement(text) for text in requires("editharness") or ()]
    except PackageNotFoundError:
        yield Finding("editharness", "run from a checkout, not installed: its requirements are not known", "note")
        return
    yield Finding("editharness", version("editharness"))
    for one in sorted((one for one in wanted if one.marker is None), key=lambda one: one.name):
        yield _required(one.name, str(one.specifier), lambda v, one=one: one.specifier.contains(v, prereleases=True))
    for extra, names in EXTRAS.items():
        missing = [name for name in names if _version(name) is None]
        if missing:
            yield Finding(f"extra {extra}", f"not installed: pip install 'editharness[{extra}]' brings it", "note")


def devices() -> Iterator[Finding]:
    """Processors, memory and GPUs."""
    memory = _memory()
    yield Finding("processors", f"{os.cpu_count()} cores" + (f", {memory / 1e9:.0f} GB of memory" if memory else ""))
    gpus = _nvidia()
    if not gpus:
        apple = sys.platform == "darwin" and platform.machine() == "arm64"
        said = "Apple's: try --device mps" if apple else "none that nvidia-smi knows: runs go to the CPU"
        yield Finding("GPU", said, "ok" if apple else "note")
        return
    import torch

    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mend = f"; torch {torch.__version__} sees {seen}: install a CUDA build of torch" if seen < len(gpus) else ""
    yield Finding("GPU", "; ".join(gpus) + mend, "note" if mend else "ok")


def caches() -> Iterator[Finding]:
    """Whether the cache folders can be written, and what the models' one is."""
    from huggingface_hub.constants import HF_HUB_CACHE

    for what, folder, name in (
        ("cache", cache_folder(), "EDITHARNESS_CACHE"),
        ("models' cache", Path(HF_HUB_CACHE), "HF_HOME"),
    ):
        problem = _unwritable(folder)
        if problem:
            yield Finding(what, f"{folder}: {problem}; set {name} to a folder that can be written", "fault")
        else:
            yield Finding(what, f"{folder}, {shutil.disk_usage(_there(folder)).free / 1e9:.1f} GB free")


def plugins() -> Iterator[Finding]:
    """Every plugin with its distribution, or the first that cannot be used."""
    from editharness.registry import load_plugins

    try:
        registry = load_plugins()
    except EditHarnessError as error:
        yield Finding("plugins", str(error), "fault")
        return
    for plugin in registry.plugins:
        yield Finding("plugin", f"{plugin.name} of {plugin.origin}")
    kinds = ("methods", "protocols", "datasets", "models", "judges")
    yield Finding("registered", ", ".join(f"{len(getattr(registry, kind))} {kind}" for kind in kinds))


def network(*, offline: bool) -> list[Finding]:
    """Whether the hosts of models and data sets answer. What is packaged or cached needs none of them."""
    if offline or os.environ.get("HF_HUB_OFFLINE"):
        why = "--offline" if offline else "HF_HUB_OFFLINE is set"
        return [Finding("network", f"not asked: {why}", "note")]
    hosts = _hosts()
    with ThreadPoolExecutor(len(hosts)) as pool:
        return list(pool.map(_asked, hosts))


def _required(name: str, wanted: str, fits: object) -> Finding:
    found = _version(name)
    if found is None:
        return Finding(name, f"not installed: pip install '{name}{wanted}'", "fault")
    if not (callable(fits) and fits(found)):
        return Finding(name, f"{found}, where {wanted} is wanted: pip install '{name}{wanted}'", "fault")
    return Finding(name, found)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _nvidia() -> list[str]:
    words = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    if shutil.which(words[0]) is None:
        return []
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _there(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))


def _unwritable(folder: Path) -> str:
    """Why nothing can be written there; the folder itself is not made. "" where it can."""
    try:
        with tempfile.TemporaryFile(dir=_there(folder)):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _hosts() -> Sequence[str]:
    from urllib.parse import urlsplit

    from huggingface_hub.constants import ENDPOINT

    from editharness.registry import load_plugins

    hosts = [urlsplit(ENDPOINT).netloc]
    try:
        sources = [source for entry in load_plugins().datasets.values() for source in entry.spec.sources]
        hosts += [urlsplit(source.where).netloc for source in sources if source.kind == "url"]
    except EditHarnessError:  # said already
        pass
    return list(dict.fromkeys(hosts))


def _asked(host: str) -> Finding:
    import urllib.error
    import urllib.request

    try:
        # an opener of its own: urlopen keeps the proxies of the first call for the whole process
        ask = urllib.request.build_opener().open
        ask(urllib.request.Request(f"https://{host}/", method="HEAD"), timeout=SECONDS).close()
    except urllib.error.HTTPError:  # it answered
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return Finding("network", f"{host} did not answer in {SECONDS:g} s ({reason}): use what is cached", "note")
    return Finding("network", f"{host} answers")
