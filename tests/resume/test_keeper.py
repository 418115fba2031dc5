"""Entries on the disk: whole or not there, deduplicated, never damaged, and one line where nothing can be written."""

from __future__ import annotations

import hashlib
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.errors import RecordError
from editharness.resume.keeper import NOTHING, Entry, Keeper
from editharness.resume.tensors import content, plain


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITHARNESS_KEEP_SECONDS", "0")


def tensors(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def test_entries_come_back_in_another_process(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.put("a", Entry({"x": [1, 0.1, None, "é"]}, {"w": torch.arange(6.0).view(2, 3), "empty": torch.zeros(0, 2)}))
    keeper.put("b", Entry([True, float("-inf")]))
    again = Keeper(tmp_path)
    found = again.get("a")
    assert found is not None
    assert found.facts == {"x": [1, 0.1, None, "é"]}
    assert torch.equal(found.tensors["w"], torch.arange(6.0).view(2, 3))
    assert found.tensors["empty"].shape == (0, 2)
    assert again.facts("b") == [True, float("-inf")]
    assert again.get("c") is None
    assert len(again) == 2


def test_nothing_is_kept_without_a_folder() -> None:
    NOTHING.put("a", Entry(1))
    NOTHING.flush()
    assert NOTHING.get("a") is None


def test_equal_tensors_are_stored_once_and_shared(tmp_path: Path) -> None:
    keeper, big = Keeper(tmp_path), torch.randn(100_000)
    for number in range(5):
        keeper.put(f"step {number}", Entry(None, {"model": big.clone(), "own": torch.tensor(float(number))}))
        keeper.put("state", Entry(number, {"model": big}), latest=True)
    assert tensors(tmp_path) < 1.2 * big.numel() * 4
    again = Keeper(tmp_path)
    first, last = again.get("step 0"), again.get("step 4")
    assert first is not None
    assert last is not None
    assert first.tensors["model"] is last.tensors["model"]


def test_only_the_newest_state_stays(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    for number in range(6):
        state = {"big": torch.full((10_000,), float(number)), "same": torch.ones(7)}
        keeper.put("state", Entry(number, state), latest=True)
        keeper.put(f"step {number}", Entry(number))
    assert tensors(tmp_path) < 2.5 * 40_000
    kept = Keeper(tmp_path).get("state")
    assert kept is not None
    assert kept.facts == 5
    assert float(kept.tensors["big"][0]) == 5
    keeper.forget("state")
    keeper.put("end", Entry(0))
    assert Keeper(tmp_path).get("state") is None


def test_writes_are_put_off_until_they_are_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITHARNESS_KEEP_SECONDS", "3600")
    keeper = Keeper(tmp_path)
    for number in range(100):
        keeper.put(f"{number}", Entry(number))
        keeper.put("state", Entry(number, {"n": torch.tensor(number)}), latest=True)
    assert len(Keeper(tmp_path)) == 0
    keeper.flush()
    assert len(Keeper(tmp_path)) == 100
    assert len(list(tmp_path.iterdir())) == 3


@settings(max_examples=40)
@given(data=st.data())
def test_whatever_is_torn_or_damaged_is_only_missing(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    keeper = Keeper(folder)
    for number in range(3):
        keeper.put(f"{number}", Entry(number, {"t": torch.full((4,), float(number))}))
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    raw = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        del raw[place:]
    else:
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw)
    (folder / "000009.json.new").write_text("{")
    again = Keeper(folder)
    found = [again.get(f"{number}") for number in range(3)]
    assert sum(entry is None for entry in found) <= 1
    for number, entry in enumerate(found):
        if entry is not None:
            assert entry.facts == number
            assert entry.tensors["t"].tolist() == [number] * 4
    again.put("more", Entry(3))
    assert Keeper(folder).facts("more") == 3


def test_a_file_may_not_name_one_elsewhere(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        Keeper(folder).put("a", Entry(0, {"t": torch.ones(3)}))
    (path,) = inside.glob("0*.json")
    raw = json.loads(path.read_text())
    (inside / "000001.safetensors").unlink()
    raw["body"] = raw["body"].replace('"000001.safetensors"', f'"{outside}/000001.safetensors"')
    raw["sha256"] = hashlib.sha256(raw["body"].encode()).hexdigest()
    path.write_text(json.dumps(raw))
    assert Keeper(inside).get("a") is None


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk does to a write, without filling one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_and_what_was_kept_stays(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.put("a", Entry(1, {"t": torch.ones(4)}))
    for big in (Entry("x" * 10_000), Entry(2, {"t": torch.zeros(10_000)})):
        with files_of_at_most(4096), pytest.raises(RecordError, match="cannot be written"):
            keeper.put("b", big)
        assert not list(tmp_path.glob("*.new"))
        assert len(Keeper(tmp_path)) == 1
    keeper.flush()
    assert len(Keeper(tmp_path)) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    tmp_path.chmod(0o500)
    with pytest.raises(RecordError, match="Permission denied"):
        keeper.put("a", Entry(1))
    tmp_path.chmod(0o700)


def test_the_clock_does_not_matter(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    for number in range(4):
        keeper.put("state", Entry(number), latest=True)
        keeper.put(f"{number}", Entry(number))
    for age, path in enumerate(sorted(tmp_path.iterdir())):
        os.utime(path, (4e9 - 1e9 * age, 4e9 - 1e9 * age))
    again = Keeper(tmp_path)
    assert again.facts("state") == 3
    assert len(again) == 4


def test_a_plain_tensor_lies_as_one_from_a_file_does() -> None:
    base = torch.arange(32.0).view(4, 8)
    assert plain(base) is base
    for odd in (base.mT, base.view(-1)[1:], base[:, 2:5]):
        found = plain(odd)
        assert torch.equal(found, odd)
        assert found.is_contiguous()
        assert found.data_ptr() % 64 == 0
    assert not plain(torch.ones(2, requires_grad=True)).requires_grad


def test_content_tells_type_shape_and_bits_apart_and_notices_a_write() -> None:
    one = torch.zeros(4)
    others = [torch.zeros(2, 2), torch.zeros(4, dtype=torch.int32), torch.tensor([0.0, 0, 0, -0.0])]
    assert len({content(tensor) for tensor in (one, *others)}) == 4
    assert content(torch.zeros(4)) == content(one)
    before = content(one)
    one[0] = 1
    assert content(one) != before


def test_what_depends_on_no_edit_is_there_for_the_other_runs_of_a_process(tmp_path: Path) -> None:
    shared: dict[str, Entry] = {}
    first, second, apart = Keeper(tmp_path, shared), Keeper(None, shared), Keeper(None, {})
    first.put("unedited scored 1", Entry([1.5]))
    first.put("scored 2", Entry([2.5]))
    first.put("unedited scored 3", Entry([3.5], {"0 logp": torch.ones(2)}))
    assert second.get("unedited scored 1") == Entry([1.5])
    assert second.get("scored 2") is None
    assert second.get("unedited scored 3") is None, "tensors would fill the memory"
    assert apart.get("unedited scored 1") is None
