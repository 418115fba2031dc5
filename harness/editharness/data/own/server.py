"""Subject and paraphrase by an OpenAI-compatible server, with QAEdit's own prompts (arXiv 2502.11177, figures 10, 11).

A reply is taken only if it is what was asked for: a subject that stands in the question, a paraphrase of one line. What
is not is counted and raises RecordFault, so that the field stays empty; rules never step in.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from editharness.data.cases import find_subject
from editharness.data.records import RecordFault, clean
from editharness.errors import DataError, UsageError
from editharness.types import Span

if TYPE_CHECKING:
    from openai import OpenAI

_SECONDS: Final = 60.0
_RETRIES: Final = 2
_GIVE_UP: Final = 5
"""Questions in a row without any reply, after which the server is taken to be gone."""
_TOKENS: Final = 128
_LONGEST: Final = 4
"""A paraphrase is at most so many times as long as its question (plus 80 characters)."""

SUBJECT: Final = """\
Please identify the subject in the provided prompt and respond solely with the subject, ensuring the subject is \
directly drawn from the prompt itself (including the need for exact match in case, both uppercase and lowercase).

Here are some examples for guidance:

{{'prompt': 'Who published Journal of Clinical Microbiology?', 'subject': 'Journal of Clinical Microbiology'}}
{{'prompt': 'Who was mainly responsible for the design of Abney Park Chapel?', 'subject': 'Abney Park Chapel'}}
{{'prompt': 'Who was behind the creation of IAC Building?', 'subject': 'IAC Building'}}
{{'prompt': "Who is Li Jiancheng's sister?", 'subject': 'Li Jiancheng'}}
{{'prompt': "Who is the Hartz's law named after?", 'subject': "Hartz's law"}}

Based on the examples, for 'prompt': {question!r}, the 'subject' is:"""
PARAPHRASE: Final = """\
Role and Goal: Serves as a data engineer, use your knowledge to rewrite the following question in a different way, \
ensuring it conveys the same meaning and maintains a neutral tone but with different wording. Avoid using phrases such \
as 'Could you tell me'. Instead, directly rephrase it into a structured question.

Please rephrase the following question: {question}"""


class Server:
    """A maker (see `build`) behind a URL; `counts` says how many replies were usable, and why others were not."""

    def __init__(self, client: OpenAI, model: str) -> None:
        self._client, self._model = client, model
        self._silent = 0
        self.counts: Counter[str] = Counter()

    def subject(self, question: str) -> tuple[Span, str]:
        """The subject as the server names it; RecordFault where that does not stand in the question."""
        reply = self._ask("subject", SUBJECT.format(question=question))
        for text in (reply, reply.strip("'\"`"), reply.strip("'\"`.")):
            if text and text in question and text != question:
                self.counts["subject: usable"] += 1
                return find_subject(question, text), f"server:{self._model}"
        self.counts["subject: not in the question"] += 1
        raise RecordFault("subject", f"the server's reply {reply[:60]!r} does not stand in the question")

    def paraphrase(self, question: str, subject: Span) -> tuple[str, str]:
        """The question in the server's words; RecordFault where the reply is not one line of about its length."""
        reply = self._ask("paraphrases", PARAPHRASE.format(question=question))
        text = clean(reply.strip("'\"`"))
        if "\n" in reply or not any(c.isalnum() for c in text) or len(text) > _LONGEST * len(question) + 80:
            self.counts["paraphrase: not one question"] += 1
            raise RecordFault("paraphrases", f"the server's reply {text[:60]!r} is not one question")
        self.counts["paraphrase: usable"] += 1
        return text, f"server:{self._model}"

    def _ask(self, field: str, prompt: str) -> str:
        """One reply, greedy; RecordFault for one that does not come, DataError where asking on makes no sense."""
        import openai

        try:
            answer = self._client.chat.completions.create(
                model=self._model,
                messages=[{"role": "user", "content": prompt}],
                temperature=0,
                max_tokens=_TOKENS,
            )
            reply = answer.choices[0].message.content
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            raise DataError(f"{self._client.base_url}: refused ({_short(error)})") from None
        except (openai.APIError, AttributeError, TypeError, IndexError, ValueError) as error:
            # not JSON, no choices, a field of another type: the client does not check what a server sends
            return self._no_reply(field, error)
        if not isinstance(reply, str) or not reply.strip():
            return self._no_reply(field, ValueError("an empty reply"))
        self._silent = 0
        return reply.strip()

    def _no_reply(self, field: str, error: Exception) -> str:
        import openai

        self._silent += 1
        self.counts[f"{field}: no reply"] += 1
        unreachable = isinstance(error, openai.APIConnectionError) and not any(": usable" in k for k in self.counts)
        if unreachable or self._silent >= _GIVE_UP:
            times = "" if unreachable else f", {self._silent} times in a row"
            raise DataError(f"{self._client.base_url}: no usable reply{times} ({_short(error)}); nothing was written")
        raise RecordFault(field, f"the server gave no reply ({_short(error)})")


def connect(url: str, model: str, key: str) -> Server:
    """A server at `url` ("http://127.0.0.1:8000/v1"); UsageError where the client is not installed."""
    try:
        import openai
    except ImportError:
        raise UsageError("--by server needs the openai client: pip install 'editharness[judge]'") from None
    return Server(openai.OpenAI(base_url=url, api_key=key, timeout=_SECONDS, max_retries=_RETRIES), model)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
