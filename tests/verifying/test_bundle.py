"""Zip files of submissions: what is packed is unpacked; what a stranger packed to do harm is one line."""

from __future__ import annotations

import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.verifying.submission import committed, here

from editharness.verifying.bundle import pack, unpacked
from editharness.verifying.places import verify_all

NAMES = ("record.json", "edits.jsonl", "samples.jsonl.gz", "scores.jsonl")


def packed(target: Path) -> Path:
    run = committed()
    pack(run, target, {f"task/{run.name}/{name}": name for name in NAMES})
    return target


def test_what_is_packed_is_verified_as_it_lies(tmp_path: Path) -> None:
    first, second = packed(tmp_path / "a.zip"), packed(tmp_path / "b.zip")
    assert first.read_bytes() == second.read_bytes()
    with unpacked(first) as folder:
        assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == sorted(NAMES)
    assert not folder.exists()
    (one,) = verify_all([first], here())
    assert (one.findings, one.path) == ((), first / "task" / committed().name / "record.json")


def entry(name: str, data: bytes = b"{}", mode: int = stat.S_IFREG | 0o644) -> Callable[[zipfile.ZipFile], None]:
    def write(target: zipfile.ZipFile) -> None:
        facts = zipfile.ZipInfo(name)
        facts.external_attr = mode << 16
        target.writestr(facts, data, zipfile.ZIP_DEFLATED)

    return write


def twice(target: zipfile.ZipFile) -> None:
    entry("a/record.json")(target)
    entry("a/RECORD.json")(target)


HARM: dict[str, tuple[Callable[[zipfile.ZipFile], None], str]] = {
    "zip-slip": (entry("../../etc/cron.d/x"), "leaves its folder"),
    "an absolute path": (entry("/etc/passwd"), "leaves its folder"),
    "a drive": (entry("C:/x"), "no plain path"),
    "a backslash": (entry("a\\..\\x"), "no plain path|leaves its folder|no record"),
    "a name that acts on a terminal": (entry("a/\x1b[2J"), "no plain path"),
    "a link": (entry("a/record.json", b"/etc/passwd", stat.S_IFLNK | 0o777), "a link or a device"),
    "a device": (entry("a/null", b"", stat.S_IFCHR | 0o666), "a link or a device"),
    "a bomb": (entry("a/samples.jsonl.gz", b" " * 2**25), "far too much for what it is"),
    "a name twice": (twice, "stands twice"),
    "a path of many folders": (entry("a/" * 20 + "x"), "leaves its folder, or is too long"),
    "no record": (entry("a/readme.txt"), "no record.json here"),
}


@pytest.mark.parametrize("name", HARM)
def test_harm_is_one_line_and_writes_nothing(name: str, tmp_path: Path) -> None:
    write, said = HARM[name]
    path = tmp_path / "inner" / "x.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as target:
        write(target)
    before = sorted(tmp_path.rglob("*"))
    (one,) = verify_all([path], here())
    assert not one.good
    (finding,) = one.findings
    assert any(part in str(finding) for part in said.split("|")), str(finding)
    assert str(finding).isprintable()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"hello", b"PK\x05\x06" + b"\xff" * 18], ids=["empty", "start", "text", "end"]
)
def test_what_is_no_zip_is_one_line(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    (one,) = verify_all([path], here())
    assert "not a zip file that can be read" in str(one.findings[0]) or "no record.json" in str(one.findings[0])


def test_a_size_that_is_a_lie(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip")
    data = bytearray(path.read_bytes())
    start = data.rindex(b"PK\x01\x02")  # the last file's entry in the directory
    data[start + 24 : start + 28] = struct.pack("<I", 10)
    path.write_bytes(data)
    (one,) = verify_all([path], here())
    assert not one.good


@example(817, 0)  # a file without a name
@given(st.integers(0, 2000), st.integers(0, 255))
@settings(max_examples=60)
def test_a_changed_byte_is_never_a_traceback(place: int, value: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.zip"
        with zipfile.ZipFile(path, "w") as target:
            entry("a/record.json", b'{"schema": 1}' * 9)(target)
        data = bytearray(path.read_bytes())
        data[place % len(data)] = value
        path.write_bytes(data)
        (one,) = verify_all([path], here())
    assert not one.good
    assert all(str(finding).isprintable() for finding in one.findings)
