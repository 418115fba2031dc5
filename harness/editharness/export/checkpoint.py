"""A plain Hugging Face checkpoint: the model's weights as they now are, everything else as the base has it.

Configuration (but for the number format), tokenizer, generation settings, code and licence are copied byte by byte, so
that nothing but the weights can differ.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editharness.errors import ModelError
from editharness.export.forms import SHARD
from editharness.models.load import quiet

if TYPE_CHECKING:
    from editharness.models.load import LoadedModel

BESIDE = (
    "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "*.model", "*.tiktoken", "chat_template.*", "*.py", "LICENSE*", "NOTICE*",
    "USE_POLICY*",
)  # fmt: skip
"""What lies beside the weights and belongs to a model; text for second moments and cards do not."""


def write_checkpoint(loaded: LoadedModel, folder: Path, *, shard: str = SHARD) -> None:
    """Write the model as it now is into `folder`, in files of at most `shard`; raises ModelError.

    Tied weights are written once, as transformers does.
    """
    with quiet(), _plain_generation(loaded.model):
        try:
            loaded.model.save_pretrained(folder, max_shard_size=shard)
        except OSError:
            raise
        except Exception as error:
            raise ModelError(f"model {loaded.name!r} cannot be saved: {' '.join(str(error).split())}") from error
    (folder / "generation_config.json").unlink(missing_ok=True)
    _write_config(loaded.folder, folder)
    for pattern in BESIDE:
        for path in sorted(loaded.folder.glob(pattern)):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)


@contextmanager
def _plain_generation(model: Any) -> Iterator[None]:
    """Generation settings that transformers agrees to save: published models have some that it does not."""
    from transformers import GenerationConfig

    own = getattr(model, "generation_config", None)
    if own is not None:
        model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        if own is not None:
            model.generation_config = own


def _write_config(base: Path, folder: Path) -> None:
    """The base's config.json with the number format of the weights that were written."""
    path = folder / "config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    raw = json.loads((base / "config.json").read_text(encoding="utf-8"))
    key = "dtype" if "dtype" in raw else "torch_dtype"  # which transformers of every version reads
    raw[key] = written.get("dtype", written.get("torch_dtype"))
    path.write_text(json.dumps(raw, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
