"""Any OpenAI-compatible server as judge (vLLM, llama.cpp, Ollama, hosted), through the maintained `openai` client.

The client repeats 408, 409, 429, 5xx and lost connections with growing pauses; what fails for good, or is no verdict,
is unscored with its reason. The key is never written anywhere.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from editharness.errors import JudgeError
from editharness.judge import Item, Judge, Verdict
from editharness_plugins.judges import wording
from editharness_plugins.judges.options import OpenAIOptions

if TYPE_CHECKING:
    from openai import AsyncOpenAI

NO_KEY = "none"
"""What servers that want no key are sent: the client refuses to send nothing."""
MALFORMED = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""How the client and we break on a body that is no chat completion: it checks no types."""
_LONGEST_RAW = 400
_PAUSES = 8.0
"""Seconds that the client waits at most between two attempts, unless the server asks for more."""


@dataclass(frozen=True)
class Place:
    """A server, the model there, and the key for it."""

    url: str
    model: str
    key: str

    def __repr__(self) -> str:
        return f"Place({self.public!r}, {self.model!r})"

    @property
    def public(self) -> str:
        """The URL without a name and password, and without a query."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class OpenAIServer(Judge[OpenAIOptions]):
    """A model behind a server grades each answer with one letter."""

    version = wording.VERSION
    at_once = 64

    def identity(self) -> Mapping[str, Any]:
        """Server, model and temperature; neither the key nor how patiently it is asked."""
        place = self._place()
        return {"url": place.public, "model": place.model, "temperature": self.options.temperature}

    def ready(self) -> None:
        """Refuse a server that cannot be reached or will not have us; one that lists no models is taken as it is."""
        asyncio.run(self._knock())

    def verdicts(self, items: Sequence[Item]) -> Sequence[Verdict]:
        """At most `concurrency` requests at a time."""
        return asyncio.run(self._judge(items))

    def _place(self) -> Place:
        return find_place(self.options, os.environ)

    def _client(self, retries: int) -> AsyncOpenAI:
        try:
            from openai import AsyncOpenAI
        except ImportError:
            raise JudgeError("judge openai needs the openai client: pip install 'editharness[judge]'") from None
        place = self._place()
        return AsyncOpenAI(base_url=place.url, api_key=place.key, timeout=self.options.timeout, max_retries=retries)

    async def _knock(self) -> None:
        place = self._place()
        async with self._client(retries=0) as client:
            import openai

            at = f"judge openai: {place.public}"
            try:
                await asyncio.wait_for(client.models.list(), self.options.timeout)
            except (openai.APIConnectionError, TimeoutError) as error:
                why = "does not answer in time" if _late(error) else f"cannot be reached ({_cause(error)})"
                raise JudgeError(f"{at} {why}: start the server, or give --judge-set openai.url=URL") from None
            except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
                raise JudgeError(
                    f"{at} refuses the key (HTTP {error.status_code}): set EDITHARNESS_JUDGE_KEY"
                ) from None
            except (openai.OpenAIError, *MALFORMED):
                return  # not every server lists its models, or lists them as OpenAI does: the battery will tell

    async def _judge(self, items: Sequence[Item]) -> list[Verdict]:
        gate = asyncio.Semaphore(self.options.concurrency)
        async with self._client(self.options.retries) as client:

            async def one(item: Item) -> Verdict:
                async with gate:
                    return await self._verdict(client, item)

            return list(await asyncio.gather(*(one(item) for item in items)))

    async def _verdict(self, client: AsyncOpenAI, item: Item) -> Verdict:
        """The model's word on one item; whatever goes wrong with it stays with this item."""
        import openai

        try:
            reply = await asyncio.wait_for(self._reply(client, item), self._patience)
        except openai.APIStatusError as error:
            return Verdict("unscored", f"the server said HTTP {error.status_code}", _short(error.message))
        except (openai.APIConnectionError, TimeoutError) as error:
            reason = "no answer in time" if _late(error) else f"the connection was lost ({_cause(error)})"
            return Verdict("unscored", reason)
        except (openai.OpenAIError, *MALFORMED) as error:
            return Verdict("unscored", f"the server's answer cannot be read ({type(error).__name__})")
        if reply is None:
            return Verdict("unscored", "the server's answer holds no text")
        label = wording.read_reply(reply)
        return Verdict(label, "" if label != "unscored" else "the reply is no verdict", _short(reply))

    async def _reply(self, client: AsyncOpenAI, item: Item) -> str | None:
        made: Any = await client.chat.completions.create(
            model=self._place().model,
            temperature=self.options.temperature,
            messages=[
                {"role": "system", "content": wording.INSTRUCTION},
                {"role": "user", "content": wording.question_text(item)},
            ],
        )
        content = made.choices[0].message.content
        return content if isinstance(content, str) else None

    @property
    def _patience(self) -> float:
        """Seconds for one item in all: the client's own limit starts afresh with every byte that trickles in."""
        return (self.options.retries + 1) * self.options.timeout + self.options.retries * _PAUSES


def find_place(options: OpenAIOptions, environment: Mapping[str, str]) -> Place:
    """Where to ask: options, then EDITHARNESS_JUDGE_*, then OPENAI_BASE_URL; raises JudgeError.

    OPENAI_API_KEY goes only to the server that OPENAI_BASE_URL names, or to OpenAI's own: never to another.
    """
    theirs = environment.get("OPENAI_BASE_URL", "")
    url = options.url or environment.get("EDITHARNESS_JUDGE_URL") or theirs
    model = options.model or environment.get("EDITHARNESS_JUDGE_MODEL")
    if not url:
        raise JudgeError("judge openai has no server: give --judge-set openai.url=http://HOST:PORT/v1")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise JudgeError(f"judge openai: {url!r} is no URL: write it as http://HOST:PORT/v1")
    if not model:
        raise JudgeError("judge openai has no model: give --judge-set openai.model=NAME")
    key = options.key or environment.get("EDITHARNESS_JUDGE_KEY")
    if not key and (url == theirs or (parts.scheme, parts.hostname) == ("https", "api.openai.com")):
        key = environment.get("OPENAI_API_KEY")
    return Place(url, model, key or NO_KEY)


def _late(error: BaseException) -> bool:
    import openai

    return isinstance(error, openai.APITimeoutError | TimeoutError)


def _cause(error: BaseException) -> str:
    """The innermost error's text: the client's own is only "Connection error."."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return " ".join(str(error).split()) or type(error).__name__


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_RAW else text[: _LONGEST_RAW - 1] + "…"
