"""The verdict cache: what it keeps, and two processes that write at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from editharness.errors import JudgeError
from editharness.judge import Item, Verdict
from editharness.judging.cache import FILE, VerdictCache, judge_key

ITEMS = [Item("q", "gold", str(n)) for n in range(5)]
WRITER = """
import sys
from pathlib import Path
from editharness.judge import Item, Verdict
from editharness.judging.cache import VerdictCache
cache = VerdictCache(Path(sys.argv[1]), "k")
for n in range(100):
    item = Item("q", sys.argv[2], str(n))
    cache.put({item.digest: Verdict("correct", raw=sys.argv[2])})
"""


def test_what_is_put_is_got_by_the_same_judge_only(tmp_path: Path) -> None:
    cache = VerdictCache(tmp_path / "new", "k")
    assert cache.get(ITEMS) == {}
    cache.put({ITEMS[0].digest: Verdict("correct", "why", "raw ✓"), ITEMS[1].digest: Verdict("incorrect")})
    assert cache.get(ITEMS) == {
        ITEMS[0].digest: Verdict("correct", "why", "raw ✓"),
        ITEMS[1].digest: Verdict("incorrect"),
    }
    assert cache.get(ITEMS[1:2]) == {ITEMS[1].digest: Verdict("incorrect")}
    assert VerdictCache(tmp_path / "new", "other").get(ITEMS) == {}


def test_scores_are_kept(tmp_path: Path) -> None:
    cache = VerdictCache(tmp_path, "k")
    cache.put({ITEMS[0].digest: Verdict("graded", score=0.25)})
    assert cache.get(ITEMS) == {ITEMS[0].digest: Verdict("graded", score=0.25)}


def test_unscored_is_asked_again(tmp_path: Path) -> None:
    cache = VerdictCache(tmp_path, "k")
    cache.put({ITEMS[0].digest: Verdict("unscored", "no answer in time")})
    assert cache.get(ITEMS) == {}


def test_any_difference_of_the_item_or_the_judge_is_another_key() -> None:
    base = Item("q", "gold", "given", ("alias",), ("rival",))
    others = [
        Item("q2", "gold", "given", ("alias",), ("rival",)),
        Item("q", "gold2", "given", ("alias",), ("rival",)),
        Item("q", "gold", "given2", ("alias",), ("rival",)),
        Item("q", "gold", "given", ("rival",), ("alias",)),
        Item("q", "gold", "given", ("alias", "rival"), ()),
    ]
    assert len({item.digest for item in [base, *others]}) == 6
    keys = [judge_key("a:B", 1, {"x": 1}), judge_key("a:B", 2, {"x": 1}), judge_key("a:B", 1, {"x": 2})]
    assert len({*keys, judge_key("a:C", 1, {"x": 1})}) == 4


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in ("one", "two")]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    items = [Item("q", name, str(n)) for name in ("one", "two") for n in range(100)]
    found = VerdictCache(tmp_path, "k").get(items)
    assert {item.digest: item.gold for item in items} == {digest: verdict.raw for digest, verdict in found.items()}


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(JudgeError, match=r"verdict cache .*verdicts\.sqlite cannot be used .*: remove it"):
        VerdictCache(tmp_path, "k").get(ITEMS)
