"""The text over which second moments of keys are taken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from editharness.errors import DataError, NotCachedError

WIKIPEDIA = ("wikimedia/wikipedia", "20231101.en")
BESIDE_MODEL = "corpus.txt"


def read_corpus(path: Path) -> tuple[str, ...]:
    """One document per line; blank lines are skipped. Raises DataError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"corpus {path}: cannot be read as UTF-8 text ({error.__class__.__name__})") from error
    texts = tuple(line.strip() for line in lines if line.strip())
    if not texts:
        raise DataError(f"corpus {path}: holds no text; write one document per line")
    return texts


def find_corpus(path: Path | None, model_folder: Path | None, documents: int, *, offline: bool) -> Sequence[str]:
    """`path` wins, then corpus.txt beside a model's weights, then Wikipedia from the hub (streamed)."""
    if path is not None:
        return read_corpus(path)[:documents]
    if model_folder is not None and (model_folder / BESIDE_MODEL).is_file():
        return read_corpus(model_folder / BESIDE_MODEL)[:documents]
    return _wikipedia(documents, offline=offline)


def _wikipedia(documents: int, *, offline: bool) -> Sequence[str]:
    advice = "second moments need text: pass --corpus FILE (one document per line)"
    if offline:
        raise NotCachedError(f"{advice}, or allow the network to stream {WIKIPEDIA[0]}")
    import datasets
    from huggingface_hub import HfApi

    try:
        # a short question first: the loader itself would retry for half a minute, and say so on the terminal
        HfApi().dataset_info(WIKIPEDIA[0], timeout=10)
        stream = datasets.load_dataset(*WIKIPEDIA, split="train", streaming=True).shuffle(seed=1, buffer_size=10_000)
        return [str(row["text"]) for row in stream.take(documents)]
    except Exception as error:
        raise NotCachedError(f"{advice}; {WIKIPEDIA[0]} could not be reached ({type(error).__name__})") from error
