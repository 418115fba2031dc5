"""From a model's name to the folder with its files: packaged, local, or the hub's cache."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from editharness.errors import ModelError

NEEDED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.py", "README.md", "LICENSE*")
"""What is fetched from the hub: never pickled weights; the card, since it names the licence."""


@dataclass(frozen=True)
class Found:
    """A folder with a model's files; `revision` is the hub's commit."""

    folder: Path
    source: Literal["package", "folder", "hub"]
    revision: str | None = None


def find_model(
    name: str, *, revision: str | None = None, offline: bool | None = None, packaged: Mapping[str, Path]
) -> Found:
    """Where the files of `name` are: a packaged name, then a folder, then a hub id, fetched unless `offline`.

    Raises ModelError that names the file or the command that helps.
    """
    if not name.strip():
        raise ModelError("no model named: give a packaged model, a folder or a hub id with --model")
    folder = Path(name).expanduser()
    if name in packaged:
        return Found(_checked(packaged[name], name), "package")
    if folder.is_dir():
        return Found(_checked(folder, name), "folder")
    if folder.exists():
        raise ModelError(f"model {name!r} is a file: give the folder that holds config.json and *.safetensors")
    if name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1:
        raise ModelError(f"model folder {name!r} does not exist")
    if offline is None:
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    return _from_hub(name, revision, offline)


def _from_hub(name: str, revision: str | None, offline: bool) -> Found:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    at = f" --revision {revision}" if revision else ""
    try:
        folder = snapshot_download(name, revision=revision, local_files_only=offline, allow_patterns=list(NEEDED))
    except HFValidationError:
        raise ModelError(f"model {name!r}: neither a folder here nor a hub id (OWNER/NAME)") from None
    except RevisionNotFoundError:
        raise ModelError(f"model {name!r} has no revision {revision!r} on the hub") from None
    except GatedRepoError:
        raise ModelError(f"model {name!r} is gated: accept its licence on the hub, then type `hf auth login`") from None
    except RepositoryNotFoundError:
        raise ModelError(f"model {name!r}: no folder here and no such model on the hub; check the name") from None
    except Exception as error:
        why = "the hub may not be asked (HF_HUB_OFFLINE)" if offline else "the hub cannot be reached"
        raise ModelError(
            f"model {name!r} is not on this machine and {why}: "
            f"run `hf download {name}{at}` where there is a network, or give --model FOLDER"
        ) from error
    return Found(_checked(Path(folder), name), "hub", Path(folder).name)


def _checked(folder: Path, name: str) -> Path:
    """The folder, if it can hold a model: config.json and safetensors; raises ModelError that says what is missing."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"model {name!r}: {folder} has no config.json; give a folder as save_pretrained writes it")
    if not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        why = "only pickled weights, which are not read" if pickled else "no weights"
        raise ModelError(f"model {name!r}: {folder} holds {why}; save it as *.safetensors with save_pretrained")
    return folder
