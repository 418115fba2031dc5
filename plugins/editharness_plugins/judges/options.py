"""Options of the judges, torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from editharness.options import option


@dataclass(frozen=True)
class LocalOptions:
    """A causal language model on this machine."""

    model: str = option("", "a folder, a hub id, or a packaged model")
    revision: str | None = option(None, "branch, tag or commit of a hub model")
    dtype: str = option("float32", "number format", choices=("float32", "bfloat16", "float16"))
    device: str = option("cpu", "cpu, cuda, cuda:0, mps")
    batch_size: int = option(16, "answers scored at once", low=1, high=4096)
    margin: float = option(0.0, "a smaller difference of log-probability between A and B is unscored", low=0)
    chat: bool = option(True, "use the model's chat template where it has one")
    prompt: str | None = option(None, "a prompt of your own with {question}, {gold} and {answer}; ends before A or B")


@dataclass(frozen=True)
class BertscoreOptions:
    """An encoder on this machine."""

    model: str = option("", "a folder with a model and its tokenizer, as transformers saves them")
    layer: int = option(-1, "whose hidden states: -1 the last layer, 0 the embeddings")
    device: str = option("cpu", "cpu, cuda, cuda:0, mps")
    batch_size: int = option(32, "texts encoded at once", low=1, high=4096)


@dataclass(frozen=True)
class OpenAIOptions:
    """A server that speaks OpenAI's chat completions."""

    url: str | None = option(None, "base URL with /v1; else EDITHARNESS_JUDGE_URL, else OPENAI_BASE_URL")
    model: str | None = option(None, "the model's name there; else EDITHARNESS_JUDGE_MODEL")
    key: str | None = option(None, "better in EDITHARNESS_JUDGE_KEY (or OPENAI_API_KEY beside OPENAI_BASE_URL)")
    concurrency: int = option(8, "requests in flight", low=1, high=256)
    timeout: float = option(60.0, "seconds for one attempt", low=0.1, high=3600)
    retries: int = option(
        4, "further attempts after 429, 5xx or a lost connection, with growing pauses", high=20, low=0
    )
    temperature: float = option(0.0, "sampling temperature", low=0, high=2)
