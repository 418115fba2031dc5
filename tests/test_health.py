"""Is an edited model still a language model? Readings against a direct computation, and arms that end early."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from editharness.editing import Arm, write_arm
from editharness.errors import UsageError
from editharness.health import TEXTS, Gauge, Reading, text_loss
from editharness.host import LocalHost
from editharness.method import Host, Method
from editharness.models.load import LoadedModel, weights_digest
from editharness.patch import Dense, Patch, WeightPatch
from editharness.plan import Checkpoints, plan_documents
from editharness.protocol import Probe
from editharness.testing.tiny import TEXT, tiny
from editharness.timeline import Timeline
from editharness.types import Case, Edit, MethodSpec, Schedule, State, Status, Step

SPEC = MethodSpec("break", "break", "", "tests:Break")
EDITS = [Edit(f"e{i}", "The capital of Kenya is", (15, 20), "Rome") for i in range(6)]


class Break(Method[float]):
    """Writes nothing until the fourth edit; then adds noise of the size of its option to the head."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        name = "lm_head.weight"
        size = self.options if any(edit.id == "e3" for edit in edits) else 0.0
        noise = torch.arange(host.original(name).numel()).reshape(host.original(name).shape).sin()
        patch: Patch = WeightPatch({name: Dense(size * noise)})
        return Step(patch, state, tuple(Status(edit.id, "done") for edit in edits))


@pytest.fixture
def made() -> tuple[LocalHost, Timeline]:
    model, tokenizer = tiny("llama")
    loaded = LoadedModel(model, tokenizer, "tiny", None, "folder", weights_digest(model), 1, "Llama", Path())
    host = LocalHost(loaded, seed=0)
    return host, Timeline(model, host.masters, digest=loaded.digest)


def gauge(host: LocalHost, *, stop: bool = False, uniform: float = 10.0) -> Gauge:
    """`uniform`: above a random model's loss, which is that of a uniform guess."""
    made = Gauge(host.model, host.tokenizer, TEXT, stop=stop)
    made.uniform = uniform
    return made


def write(made: tuple[LocalHost, Timeline], size: float, schedule: str, *, stop: bool, at: Sequence[int] = ()) -> Arm:
    host, timeline = made
    arm = write_arm(
        "m/x", SPEC, Break(size), EDITS, Schedule.parse(schedule), host, timeline, checkpoints=at,
        gauge=gauge(host, stop=stop),
    )  # fmt: skip
    assert timeline.state == ("", 0, "carried")
    return arm


def test_a_reading_is_the_mean_token_loss_of_each_text_alone(made: tuple[LocalHost, Timeline]) -> None:
    host, _ = made
    reading = gauge(host).read(host.model, 7)
    assert reading.edits == 7
    for number, text in enumerate(TEXT, start=1):
        ids = torch.tensor([host.tokenizer(text)["input_ids"][:64]])
        with torch.no_grad():
            loss = host.model(input_ids=ids, labels=ids).loss  # transformers' own
        assert reading.losses[f"text {number}"] == pytest.approx(float(loss), rel=1e-5)


def test_a_random_model_is_about_as_good_as_a_uniform_guess(made: tuple[LocalHost, Timeline]) -> None:
    host, _ = made
    taken = Gauge(host.model, host.tokenizer, TEXT)
    losses = taken.read(host.model, 0).losses
    assert taken.uniform == pytest.approx(math.log(host.model.config.vocab_size))
    assert sum(losses.values()) / len(losses) == pytest.approx(taken.uniform, rel=0.05)


@pytest.mark.parametrize(("losses", "gone"), [({}, True), ({"text 1": 99.0}, True), ({"text 1": 0.1}, False)], ids=str)
def test_collapsed_is_not_finite_or_no_better_than_uniform(
    made: tuple[LocalHost, Timeline], losses: dict[str, float], gone: bool
) -> None:
    assert gauge(made[0]).collapsed(Reading(1, losses)) is gone


@pytest.mark.parametrize("size", [1e4, math.inf], ids=["large", "not finite"])
def test_an_arm_whose_model_collapsed_ends_there_and_says_so(made: tuple[LocalHost, Timeline], size: float) -> None:
    arm = write(made, size, "batch:2", stop=True, at=(2, 6))
    assert [(s.outcome, s.reason) for s in arm.statuses] == [
        *[("done", "")] * 4, *[("skipped", "the model had collapsed after 4 edits")] * 2,
    ]  # fmt: skip
    assert (arm.collapsed, arm.layout.stopped) == (4, 4)
    assert [reading.edits for reading in arm.readings] == [0, 2, 4]
    assert made[1].steps("m/x") == 3
    with made[1].at(arm.layout.state("e5", "final")):  # what exists can be asked
        pass
    made[1].close()


def test_without_the_flag_the_arm_goes_on_and_the_collapse_is_recorded(made: tuple[LocalHost, Timeline]) -> None:
    arm = write(made, 1e4, "sequential", stop=False, at=(2, 5))
    assert {status.outcome for status in arm.statuses} == {"done"}
    assert (arm.collapsed, arm.layout.stopped) == (5, None)  # seen at the first checkpoint after it
    assert [reading.edits for reading in arm.readings] == [0, 2, 5, 6]
    made[1].close()


def test_with_the_flag_every_step_is_looked_at(made: tuple[LocalHost, Timeline]) -> None:
    assert write(made, 1e4, "sequential", stop=True).collapsed == 4


@pytest.mark.parametrize("uniform", [10.0, 0.1], ids=["healthy", "no better than a guess before it was edited"])
def test_an_arm_that_does_not_get_worse_is_written_to_its_end(made: tuple[LocalHost, Timeline], uniform: float) -> None:
    host, timeline = made
    watched = gauge(host, stop=True, uniform=uniform)
    arm = write_arm(
        "m/x", SPEC, Break(0.0), EDITS, Schedule.parse("batch:4"), host, timeline, checkpoints=(4,), gauge=watched
    )
    assert (arm.collapsed, arm.layout.stopped, len(arm.readings)) == (None, None, 3)
    timeline.close()


def test_edits_that_stand_alone_have_no_health(made: tuple[LocalHost, Timeline]) -> None:
    assert write(made, 1e4, "single", stop=False).readings == ()


def test_checkpoints_after_the_end_are_not_asked(made: tuple[LocalHost, Timeline]) -> None:
    arm = write(made, 1e4, "batch:2", stop=True, at=(2, 4, 6))
    cases = [Case(edit.id, edit.prompt, edit.subject, edit.target) for edit in EDITS]
    probes = [Probe("t_{data}", "x", "checkpoint"), Probe("t_{data}", "x", "final")]
    asked = plan_documents(
        probes, "d", cases, {"m": {"x": arm.layout}}, {"t_d": "prompt"}, checkpoints=Checkpoints((2, 4, 6))
    ).documents["t_d"]
    assert [doc["_edits"] for doc in asked if "checkpoint" in doc["_moments"]] == [2] * 2 + [4] * 4
    assert {doc["_edits"] for doc in asked if "final" in doc["_moments"]} == {4}
    made[1].close()


def test_text_loss_is_a_series_per_arm() -> None:
    taken = [Reading(0, {"text 1": 2.0}), Reading(5, {})]
    (one,) = text_loss({"edits": taken})
    assert (one.name, one.unit, [(p.edits, dict(p.values)) for p in one.points]) == (
        "text loss", "nats", [(0, {"text 1": 2.0}), (5, {})],
    )  # fmt: skip
    assert [s.name for s in text_loss({"a": taken, "b": taken})] == ["text loss, a", "text loss, b"]
    assert text_loss({"edits": []}) == ()


def test_a_corpus_without_texts_is_refused_and_a_long_one_sampled_evenly(made: tuple[LocalHost, Timeline]) -> None:
    host, _ = made
    with pytest.raises(UsageError, match="fewer than two texts"):
        Gauge(host.model, host.tokenizer, ["x"])
    many = [f"The capital number {i} is Rome." for i in range(1000)]
    taken = Gauge(host.model, host.tokenizer, many)
    assert len(taken.ids) == TEXTS
    assert "937" in host.tokenizer.decode(taken.ids[-1])
