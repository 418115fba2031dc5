"""Training before editing: made once, kept by content, taken up again after an interruption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from editharness.errors import MethodError, PluginError
from editharness.host import LocalHost
from editharness.method import Host, Method
from editharness.models.load import LoadedModel, weights_digest
from editharness.preparing import key, prepare
from editharness.registry import Registered
from editharness.testing.tiny import tiny
from editharness.types import Case, MethodSpec, Origin, State

ENTRY = Registered(MethodSpec("count", "Count", "", "tests:Count", trains=True), Origin("tests", "1"))
TRAIN = [
    Case(id=f"c{i}", prompt="The capital of Peru is", subject=(15, 19), target="Oslo", tags=frozenset("xyz"))
    for i in range(3)
]


@dataclass(frozen=True)
class Options:
    """`stop`: the step at which the training is interrupted; `harm`: it writes into the model."""

    stop: int = 0
    harm: bool = False


class Count(Method[Options]):
    """Draws a number per step and keeps the sum after each."""

    def prepare(self, host: Host, train: Sequence[Case]) -> State:
        state = dict(host.resume() or {"sum": torch.zeros(()), "step": torch.tensor(0), "rng": host.rng.get_state()})
        host.rng.set_state(state["rng"])
        for step in range(int(state["step"]), 5):
            if self.options.stop and step == self.options.stop:
                raise KeyboardInterrupt
            state["sum"] = state["sum"] + torch.rand((), generator=host.rng) * len(train)
            state |= {"step": torch.tensor(step + 1), "rng": host.rng.get_state()}
            host.keep(state)
        if self.options.harm:
            host.model.get_parameter(host.modules.down_weight(0)).data.add_(1)
        return {"sum": state["sum"]}


@pytest.fixture
def host() -> LocalHost:
    model, tokenizer = tiny("llama")
    return LocalHost(LoadedModel(model, tokenizer, "t", None, "f", weights_digest(model), 1, "Llama", Path()), seed=3)


def test_a_training_is_made_once_and_kept_by_content(host: LocalHost, tmp_path: Path) -> None:
    first = prepare(ENTRY, Count(Options()), host, TRAIN, tmp_path)
    again = prepare(ENTRY, Count(Options(stop=0)), host, TRAIN, tmp_path)
    assert (first.kept, again.kept) == (False, True)
    assert torch.equal(first.state["sum"], again.state["sum"])
    assert again.seconds == first.seconds > 0
    assert [path.suffix for path in (tmp_path / "prepared").iterdir()] == [".safetensors"]


def test_its_identity_is_all_that_it_depends_on(host: LocalHost) -> None:
    plain = key(ENTRY, Count(Options()), host, TRAIN)
    assert plain == key(ENTRY, Count(Options()), host, [replace(case, tags=frozenset("zyx")) for case in TRAIN])
    others = [
        key(ENTRY, Count(Options(stop=9)), host, TRAIN),
        key(ENTRY, Count(Options()), host, TRAIN[:2]),
        key(replace(ENTRY, origin=Origin("tests", "2")), Count(Options()), host, TRAIN),
    ]
    host.seed = 4
    others.append(key(ENTRY, Count(Options()), host, TRAIN))
    assert len({plain, *others}) == 5


def test_an_interrupted_training_goes_on_where_it_was(host: LocalHost, tmp_path: Path) -> None:
    whole = prepare(ENTRY, Count(Options()), host, TRAIN, None).state["sum"]
    stopped = Count(Options(stop=3))
    with pytest.raises(KeyboardInterrupt):
        prepare(ENTRY, stopped, host, TRAIN, tmp_path)
    assert [path.suffix for path in (tmp_path / "prepared").iterdir()] == [".part"]
    resumed: list[int] = []

    class Goes(Count):
        def prepare(self, host: Host, train: Sequence[Case]) -> State:
            resumed.append(int((host.resume() or {"step": torch.tensor(0)})["step"]))
            self.options = Options()
            return super().prepare(host, train)

    after = prepare(ENTRY, Goes(Options(stop=3)), host, TRAIN, tmp_path)
    assert resumed == [3]
    assert torch.equal(after.state["sum"], whole)
    assert [path.suffix for path in (tmp_path / "prepared").iterdir()] == [".safetensors"]


def test_a_damaged_file_is_trained_anew(host: LocalHost, tmp_path: Path) -> None:
    made = prepare(ENTRY, Count(Options()), host, TRAIN, tmp_path)
    next((tmp_path / "prepared").iterdir()).write_bytes(b"not tensors")
    again = prepare(ENTRY, Count(Options()), host, TRAIN, tmp_path)
    assert not again.kept
    assert torch.equal(again.state["sum"], made.state["sum"])


def test_a_training_that_changes_the_model_stops_the_run(host: LocalHost, tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="'count' did not leave the model as it found it"):
        prepare(ENTRY, Count(Options(harm=True)), host, TRAIN, tmp_path)
    assert not list((tmp_path / "prepared").glob("*.safetensors"))


def test_a_bug_in_a_training_names_the_method(host: LocalHost) -> None:
    class Broken(Method[Options]):
        def prepare(self, host: Host, train: Sequence[Case]) -> State:
            raise ZeroDivisionError("division by zero")

    with pytest.raises(PluginError, match=r"'count'.*ZeroDivisionError"):
        prepare(ENTRY, Broken(Options()), host, TRAIN, None)


def test_a_method_that_does_not_train_has_no_state(host: LocalHost, tmp_path: Path) -> None:
    entry = replace(ENTRY, spec=replace(ENTRY.spec, trains=False))
    assert prepare(entry, Count(Options()), host, (), tmp_path).state == {}
    assert not list(tmp_path.iterdir())
