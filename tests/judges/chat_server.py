"""A real HTTP server on 127.0.0.1 that speaks chat completions, or misbehaves as a test wants."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from editharness.claims import objection


@dataclass(frozen=True)
class Reply:
    """What is sent back: `body` bytes (or JSON), `pause` seconds before it, `drip` seconds after each of its bytes."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0
    drip: float = 0.0
    hang_up: bool = False


Say = Callable[[dict[str, Any], int], Reply]
"""(request, how many chat requests came before) -> reply."""


@dataclass
class Seen:
    """What the server saw."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    most_at_once: int = 0
    url: str = ""


def says(text: Any) -> Reply:
    """A chat completion that says `text`."""
    message = {"role": "assistant", "content": text}
    return Reply({"id": "x", "object": "chat.completion", "created": 0, "model": "m",
                  "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})  # fmt: skip


def honest(request: dict[str, Any], before: int) -> Reply:
    """A grader that reads the prompt as a careful model would: what is inside the fence is only graded."""
    text = request["messages"][-1]["content"]
    question = re.search(r"^Question \(or text to be continued\): (.*)$", text, re.M)
    gold = re.search(r"^Reference answer: (.*)$", text, re.M)
    names = re.search(r"^Other names of it: (.*)$", text, re.M)
    fenced = re.search(r"<(given-answer-\w+)>\n(.*)\n</\1>", text, re.S)
    assert question is not None
    assert gold is not None
    assert fenced is not None
    answers = [gold[1], *(names[1].split("; ") if names else [])]
    return says("B" if objection(fenced[2], answers, question=question[1]) else "A")


MODELS = Reply({"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "x"}]})


@contextmanager
def serving(say: Say = honest, models: Reply = MODELS) -> Iterator[Seen]:
    """The server while the block runs; gives what it saw, with its URL."""
    seen, lock, busy = Seen(), threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(models)

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                before = len(seen.requests)
                seen.requests.append(request)
                seen.keys.append(self.headers.get("Authorization", ""))
                seen.paths.append(self.path)
                seen.times.append(time.monotonic())
                busy[0] += 1
                seen.most_at_once = max(seen.most_at_once, busy[0])
            try:
                self._send(say(request, before))
            finally:
                with lock:
                    busy[0] -= 1

        def _send(self, reply: Reply) -> None:
            time.sleep(reply.pause)
            if reply.hang_up:
                self.close_connection = True
                self.connection.close()
                return
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            step = 1 if reply.drip else max(1, len(body))
            for start in range(0, len(body), step):
                self.wfile.write(body[start : start + step])
                time.sleep(reply.drip)

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, ValueError, OSError):
                self.close_connection = True  # the client has gone, as some tests want

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    seen.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
