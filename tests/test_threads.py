"""A small model runs on one thread unless the user has chosen; what was set before is set afterwards."""

from __future__ import annotations

import pytest
import torch

from editharness.threads import ASKED, SMALL, suit_threads, threads_kept


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.delenv(ASKED, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_small_model_gets_one_thread_and_a_large_one_what_there_is() -> None:
    suit_threads(SMALL)
    assert torch.get_num_threads() == 2
    suit_threads(SMALL - 1)
    assert torch.get_num_threads() == 1


def test_who_sets_the_environment_has_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ASKED, "2")
    suit_threads(1)
    assert torch.get_num_threads() == 2


def test_threads_are_as_before_when_a_run_ends_or_fails() -> None:
    @threads_kept
    def run(fails: bool) -> None:
        suit_threads(1)
        assert torch.get_num_threads() == 1
        if fails:
            raise ValueError("failed")

    run(False)
    assert torch.get_num_threads() == 2
    with pytest.raises(ValueError, match="failed"):
        run(True)
    assert torch.get_num_threads() == 2
