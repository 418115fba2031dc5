from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from editharness.data.sources import download, find
from editharness.errors import DataError, NotCachedError
from editharness.types import DatasetSpec, Source

BODY = b'[{"a": 1}]' * 100_000
SHA256 = hashlib.sha256(BODY).hexdigest()


class Files(BaseHTTPRequestHandler):
    """/file answers whole, /short breaks off, /later is a redirect; a data set repository under /datasets/."""

    asked: list[str]

    def do_HEAD(self) -> None:
        self.send_file(body=False)

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        if self.path == "/file":
            self.send_file(body=True)
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY) + 1))
            self.end_headers()
            self.wfile.write(BODY)
        elif self.path == "/later":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
        elif self.path.startswith("/datasets/own/set/resolve/"):
            self.send_file(body=True)
        else:
            self.send_error(404)

    def send_file(self, *, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.send_header("ETag", f'"{SHA256}"')
        self.send_header("X-Repo-Commit", "1" * 40)
        self.end_headers()
        if body:
            self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A real server on the loopback and the paths it was asked for."""
    handler = type("Handler", (Files,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}", handler.asked  # type: ignore[attr-defined]
        running.shutdown()


def spec(*sources: Source) -> DatasetSpec:
    return DatasetSpec("toy", "Toy", "", "x:load", "CC0", sources)


def closed_port() -> str:
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as gone:
        return f"http://127.0.0.1:{gone.server_address[1]}/file"


def test_an_explicit_path_wins(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    own = tmp_path / "own.json"
    own.write_bytes(b"[]")
    assert find(spec(Source("url", f"{server[0]}/file")), own, cache=tmp_path, offline=False) == own
    assert server[1] == []


def test_an_explicit_path_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file \(from --data toy=PATH\)"):
        find(spec(), tmp_path / "none.json", cache=tmp_path, offline=False)
    with pytest.raises(DataError, match="is a folder; pass the file"):
        find(spec(Source("url", "http://x", file="toy.json")), tmp_path, cache=tmp_path, offline=False)


def test_an_explicit_folder_serves_if_it_holds_the_file(tmp_path: Path) -> None:
    (tmp_path / "toy.json").write_bytes(b"[]")
    found = find(spec(Source("url", "http://x", file="toy.json")), tmp_path, cache=tmp_path, offline=False)
    assert found == tmp_path / "toy.json"


def test_package_data(tmp_path: Path) -> None:
    source = Source("package", "editharness.data", file="statement_templates.csv")
    found = find(spec(source), None, cache=tmp_path, offline=True)
    assert found.read_text(encoding="utf-8").startswith("template,")


@pytest.mark.parametrize("where", ["editharness.data", "no_such_package_at_all"])
def test_package_data_that_is_not_there(tmp_path: Path, where: str) -> None:
    with pytest.raises(NotCachedError, match=f"pass --data toy=PATH .{where} holds no none.json"):
        find(spec(Source("package", where, file="none.json")), None, cache=tmp_path, offline=False)


def test_download_is_checked_kept_and_not_repeated(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    url, asked = server
    toy = spec(Source("url", f"{url}/file", sha256=SHA256, file="toy.json"))
    seen: list[tuple[int, int | None]] = []
    found = find(toy, None, cache=tmp_path, offline=False, progress=lambda done, total: seen.append((done, total)))
    assert (found.name, found.read_bytes()) == ("toy.json", BODY)
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert find(toy, None, cache=tmp_path, offline=True) == found
    assert asked == ["/file"]
    assert [path.name for path in found.parent.iterdir()] == ["toy.json"]


def test_a_damaged_copy_is_fetched_again(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    toy = spec(Source("url", f"{server[0]}/file", sha256=SHA256))
    found = find(toy, None, cache=tmp_path, offline=False)
    found.write_bytes(b"damaged")
    assert find(toy, None, cache=tmp_path, offline=False).read_bytes() == BODY
    assert server[1] == ["/file", "/file"]


def test_wrong_content_is_refused_and_leaves_nothing(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    with pytest.raises(DataError, match="not the file expected: SHA-256"):
        download(f"{server[0]}/file", tmp_path / "toy.json", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("path", "words"), [("/none", "answered 404"), ("/short", "broke off after 1,000,000 of")])
def test_a_failed_download_names_the_flag_and_leaves_nothing(
    tmp_path: Path, server: tuple[str, list[str]], path: str, words: str
) -> None:
    with pytest.raises(NotCachedError, match=words) as caught:
        find(spec(Source("url", server[0] + path)), None, cache=tmp_path, offline=False)
    assert "pass --data toy=PATH" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_next_source_is_tried(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    toy = spec(Source("url", f"{server[0]}/none"), Source("url", closed_port()), Source("url", f"{server[0]}/later"))
    assert find(toy, None, cache=tmp_path, offline=False).read_bytes() == BODY


def test_no_network(tmp_path: Path) -> None:
    with pytest.raises(NotCachedError, match="could not be reached"):
        find(spec(Source("url", closed_port())), None, cache=tmp_path, offline=False)


def test_offline_asks_nobody(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    url = f"{server[0]}/file"
    with pytest.raises(NotCachedError, match=f"pass --data toy=PATH .offline, so {url} was not asked"):
        find(spec(Source("url", url)), None, cache=tmp_path, offline=True)
    assert server[1] == []


def test_only_http(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_bytes(b"[]")
    with pytest.raises(DataError, match="only http and https"):
        download((tmp_path / "own.json").as_uri(), tmp_path / "copy.json")


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot write to the cache"):
        download("http://127.0.0.1:9/file", tmp_path / "file" / "copy.json")


HUB = """
import sys
from pathlib import Path
from editharness.data.sources import find
from editharness.errors import NotCachedError
from editharness.types import DatasetSpec, Source
spec = DatasetSpec("toy", "Toy", "", "x:load", "CC0", (Source("hub", "own/set", sys.argv[1], "a/toy.json"),))
for offline in (True, False, True):
    try:
        print(find(spec, None, cache=Path(sys.argv[2]), offline=offline).read_bytes()[:10].decode())
    except NotCachedError as error:
        print(error)
"""


def test_hub_file_through_its_own_client(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    """Offline without a copy, online, offline with it; in its own process, as the client reads its settings once."""
    settings = {"HF_ENDPOINT": server[0], "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    settings |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", HUB, SHA256, str(tmp_path)]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=True, timeout=60)
    first, second, third = done.stdout.splitlines()
    assert "pass --data toy=PATH (offline, so own/set/a/toy.json on the hub was not asked)" in first
    assert second == third == BODY[:10].decode()
    assert len(server[1]) == 1
