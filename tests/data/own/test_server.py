from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from editharness.data.own import server as module
from editharness.data.own.build import build
from editharness.data.own.pairs import Pair
from editharness.data.own.server import connect
from editharness.errors import DataError

pytest.importorskip("openai")

QUESTION = "Who is the mother of Ada Byron?"
Reply = Callable[[str], "tuple[int, bytes]"]


def said(text: str | None) -> tuple[int, bytes]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return 200, json.dumps(
        {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    ).encode()


@contextmanager
def serving(reply: Reply) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A real server on this machine; `reply` gets the prompt. Yields its URL and the requests it got."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append({**body, "key": self.headers["Authorization"], "path": self.path})
            status, data = reply(body["messages"][0]["content"])
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/v1", seen
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRIES", 0)


def fair(prompt: str) -> tuple[int, bytes]:
    return said("'Ada Byron'" if "subject" in prompt else "By whom was Ada Byron born?")


def test_subject_and_paraphrase_come_from_the_server() -> None:
    with serving(fair) as (url, seen):
        server = connect(url, "m", "secret")
        (case,) = build([Pair(1, "a", QUESTION, "Anne", new_answer="Mary")], server).cases
    assert (case.subject_text, case.made_by["subject"]) == ("Ada Byron", ("server:m",))
    assert (case.paraphrases, case.made_by["paraphrases"]) == (("By whom was Ada Byron born?",), ("server:m",))
    assert server.counts == {"subject: usable": 1, "paraphrase: usable": 1}
    first, second = seen
    assert (first["path"], first["key"], first["model"], first["temperature"]) == (
        "/v1/chat/completions",
        "Bearer secret",
        "m",
        0,
    )
    assert "'prompt': \"Who is Li Jiancheng's sister?\"" in first["messages"][0]["content"]
    assert f"for 'prompt': {QUESTION!r}, the 'subject' is:" in first["messages"][0]["content"]
    assert second["messages"][0]["content"].endswith(f"question: {QUESTION}")


@pytest.mark.parametrize(
    ("reply", "count"),
    [
        (said("Lord Byron"), "subject: not in the question"),
        (said(QUESTION), "subject: not in the question"),
        (said(""), "subject: no reply"),
        (said(None), "subject: no reply"),
        ((200, b"{}"), "subject: no reply"),
        ((200, b'{"choices": []}'), "subject: no reply"),
        ((200, b"<html>"), "subject: no reply"),
        ((500, b"{}"), "subject: no reply"),
        ((429, b"{}"), "subject: no reply"),
    ],
)
def test_a_reply_that_is_no_subject_is_counted_and_no_rule_steps_in(reply: tuple[int, bytes], count: str) -> None:
    with serving(lambda prompt: reply) as (url, _):
        server = connect(url, "m", "none")
        built = build([Pair(1, "a", QUESTION, "Anne", new_answer="Mary")], server)
    assert not built.cases
    assert [one.field for one in built.left_out] == ["subject"]
    assert server.counts == {count: 1}


@pytest.mark.parametrize("text", ["Two\nlines?", "?!", "long " * 200, QUESTION, "Is Anne the mother of Ada Byron?"])
def test_a_reply_that_is_no_paraphrase_leaves_the_field_empty(text: str) -> None:
    with serving(lambda prompt: said(text)) as (url, _):
        pair = Pair(1, "a", QUESTION, "Anne", subject="Ada Byron", new_answer="Mary")
        built = build([pair], connect(url, "m", "none"))
    assert built.cases[0].paraphrases == ()
    assert [(gap.record, gap.field) for gap in built.gaps] == [(1, "paraphrases")]


def test_a_server_that_refuses_stops_at_once() -> None:
    with serving(lambda prompt: (401, b'{"error": {"message": "no such key"}}')) as (url, seen):
        with pytest.raises(DataError, match=r"refused .*no such key"):
            connect(url, "m", "none").subject(QUESTION)
        assert len(seen) == 1


def test_a_server_that_is_not_there_or_falls_silent_stops() -> None:
    with serving(fair) as (url, _):
        pass
    with pytest.raises(DataError, match=r"no usable reply \(Connection error.\); nothing was written"):
        connect(url, "m", "none").subject(QUESTION)
    pairs = [Pair(n, str(n), f"Who is the mother of N{n} Byron?", "Anne", new_answer="Mary") for n in range(1, 9)]
    with serving(lambda prompt: (500, b"")) as (url, seen):
        with pytest.raises(DataError, match="no usable reply, 5 times in a row"):
            build(pairs, connect(url, "m", "none"))
        assert len(seen) == 5
