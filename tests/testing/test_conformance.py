"""The kit finds what it is for: a sound method passes, and each of its broken copies is caught by the right check."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from editharness.errors import UnknownNameError
from editharness.registry import load_plugins
from editharness.testing.conformance import CHECKS, Bench, Report, check_method
from editharness.testing.tiny import FAMILIES
from editharness.types import MethodSpec

REGISTRY = load_plugins()
MODULES: Mapping[str, Any] = {"effect": "modules"}
TRAINS: Mapping[str, Any] = {"trains": True}

# class, family, what its spec says, the check that must find it, words of what was seen
FAULTS: tuple[tuple[str, str, Mapping[str, Any], str, str], ...] = (
    ("WrongSign", "llama", {}, "moves the fact", "the loss of the edited facts went from"),
    ("NoPatch", "llama", {}, "moves the fact", "there is no patch"),
    ("HeadToo", "gpt2", {}, "declared weights only", "tied to another weight"),
    ("HeadToo", "llama", {}, "declared weights only", "lm_head.weight, outside the MLPs and attentions"),
    (
        "InAModule",
        "llama",
        {},
        "declared weights only",
        "the spec says effect 'weights', the method returns a ModulePatch",
    ),
    ("NotANumber", "llama", {}, "finite", "the state holds NaN"),
    ("OnTheGraph", "llama", {}, "finite", "tensors of the state require gradients"),
    ("WritesIntoTheOriginal", "llama", MODULES, "undo", "after the patch was taken back: model.layers.1.mlp.down_proj"),
    ("Remembers", "llama", MODULES, "undo", "asking the same questions twice"),
    (
        "LeavesSomethingOut",
        "llama",
        {"effect": "router"},
        "export",
        "saved and loaded again, the edited model is another",
    ),
    ("MixesRows", "llama", MODULES, "evaluation", "scored in a padded batch and one by one"),
    ("ForgetsWhenDecoding", "llama", MODULES, "generation", "are generated, but"),
    ("LeavesAHook", "llama", {}, "as found", "hooks not as found: model.layers.0.mlp has 1 more forward hooks"),
    ("SubtractsBack", "llama", {}, "as found", "weights not as found: model.layers.1.mlp.down_proj.weight differs"),
    ("StopsHalfWay", "llama", {}, "interrupted", "after edit(), interrupted, weights not as found"),
    ("LeavesGradients", "llama", {}, "as found", "gradients not as found"),
    ("LeavesGradients", "llama", {}, "as found", "requires_grad not as found"),
    ("TrainsInTrainMode", "llama", {}, "as found", "train mode not as found"),
    ("TurnsTheTokenizer", "llama", {}, "as found", "tokenizer not as found: padding_side was 'right', is 'left'"),
    ("SwitchesTheCacheOff", "llama", {}, "as found", "configuration not as found: config.use_cache was True, is False"),
    ("SwapsAModule", "llama", {}, "as found", "modules not as found: module model.layers.0.mlp is replaced"),
    ("PatchesForward", "llama", {}, "as found", "attributes not as found: model.layers.0.mlp.forward was None"),
    ("GlobalRandom", "llama", {}, "same seed", "edit() twice with one seed gives two results"),
    ("GlobalRandom", "llama", {}, "as found", "torch's global generator was used"),
    ("PythonsAndNumpysRandom", "llama", {}, "as found", "Python's global generator was used"),
    ("PythonsAndNumpysRandom", "llama", {}, "as found", "numpy's global generator was used"),
    ("Caches", "llama", {}, "sessions", "after another session a run differs from the same run in a fresh one"),
    ("Counts", "llama", {}, "sessions", "a run differs from the same run in a fresh one"),
    ("KeepsStateOnSelf", "llama", {}, "state", "the second batch after saving and loading the state differs"),
    ("WritesIntoItsState", "llama", {}, "state", "edit() writes into the state it is given: total differs"),
    ("ReturnsWhatItWritesInto", "llama", {}, "state", "the first batch's patch changed while the second was written"),
    ("StateOfNumbers", "llama", {}, "state", "the state cannot be saved"),
    ("ForgetsItsGenerator", "llama", TRAINS, "training", "interrupted and taken up again ends elsewhere: scale"),
    ("TrainsOnNothing", "llama", TRAINS, "training", "prepare() without a single train case says nothing"),
    ("LastColumn", "llama", {}, "padding", "rows padded wider than need be: another edit is made"),
    ("OwnTokens", "llama", {}, "padding", "a tokenizer that pads on the left: another edit is made"),
    ("NeighboursCount", "llama", {}, "single", "edit_each() and edit() give two results"),
    ("OneStepShort", "llama", {}, "single", "another number of steps than the 3 edits"),
    ("LastOneCounts", "llama", {}, "batch order", "the order of edits in a batch matters"),
    ("SortsStatuses", "llama", {}, "batch order", "the statuses are for"),
    ("OneBadEditEndsAll", "llama", {}, "bad edits", "raises AssertionError: subject not in prompt"),
    ("DoneWhateverHappens", "llama", {}, "bad edits", "gets 'done' (no reason), not 'failed' with a reason"),
    ("DoneWhateverHappens", "llama", {}, "bad numbers", "on weights that are NaN edit() gives the status 'done'"),
    ("AnyLayerWillDo", "llama", {}, "bad layer", "--set layer=99 edits a model of 3 layers without a word"),
    ("LayerByIndex", "llama", {}, "bad layer", "--set layer=99 raises IndexError"),
    ("NamesADevice", "llama", {}, "source", "the device 'cuda:0'"),
    ("NamesADevice", "llama", {}, "source", "print()"),
    ("Unrelated", "llama", {}, "spec", "is no class derived from editharness.method.Method"),
    ("NotThere", "llama", {}, "spec", "cannot be imported"),
)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def spec(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A maker of specs for the classes of broken_methods.py, which is imported by name as a plugin's module is."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def make(name: str, **fields: Any) -> MethodSpec:
        from broken_methods import SoundOptions  # type: ignore[import-not-found]

        module = "careless_method" if name == "NamesADevice" else "broken_methods"
        return MethodSpec(name.lower(), name, "", f"{module}:{name}", options=SoundOptions, **fields)

    return make


def seen(report: Report, check: str) -> list[str]:
    return [finding.fault.seen for finding in report.findings if finding.check == check]


@pytest.mark.parametrize(
    "family",
    [f if f in ("llama", "gpt2") else pytest.param(f, marks=(pytest.mark.slow, pytest.mark.long)) for f in FAMILIES],
)
@pytest.mark.parametrize(("name", "fields"), [("Sound", {}), ("InAModule", MODULES), ("Trained", TRAINS)])
def test_a_sound_method_passes(name: str, fields: Mapping[str, Any], family: str, spec: Any, bench: Bench) -> None:
    report = check_method(spec(name, **fields), REGISTRY, family, bench=bench)
    assert not report.findings, str(report)
    assert len(report.passed) + len(report.skipped) == len(CHECKS)


@pytest.mark.parametrize(
    ("name", "family", "fields", "check", "words"),
    FAULTS,
    ids=lambda part: part if isinstance(part, str) and len(part) < 24 else "",
)
def test_a_fault_is_found(
    name: str, family: str, fields: Mapping[str, Any], check: str, words: str, spec: Any, bench: Bench
) -> None:
    report = check_method(spec(name, **fields), REGISTRY, family, bench=bench, only=(check, *_first(check)))
    found = [text for text in seen(report, check) if words in text]
    assert found, str(report)
    assert all(finding.fault.why and finding.fault.mend for finding in report.findings)


def _first(check: str) -> tuple[str, ...]:
    """ "as found" looks at what the other checks called; one of them is enough here."""
    return ("moves the fact",) if check == "as found" else ()


def test_a_fault_does_not_spill_into_other_checks(spec: Any, bench: Bench) -> None:
    report = check_method(spec("LeavesAHook"), REGISTRY, "llama", bench=bench)
    assert {finding.check for finding in report.findings} == {"as found"}
    assert "undo" in report.passed
    assert not check_method(spec("Sound"), REGISTRY, "llama", bench=bench).findings


def test_a_method_that_raises_is_a_finding_and_the_other_checks_go_on(spec: Any, bench: Bench) -> None:
    report = check_method(spec("LayerByIndex"), REGISTRY, "gpt2", bench=bench)
    assert seen(report, "moves the fact")[0].startswith("raised AttributeError")
    assert {"spec", "source"} <= set(report.passed)
    assert "follow the traceback" in str(report)
    assert len(report.findings) < len(CHECKS), "one exception is told once"


def test_what_cannot_apply_is_skipped_with_its_reason(spec: Any, bench: Bench) -> None:
    reason = {"moves the fact": "a reason of mine"}
    report = check_method(
        spec("WrongSign"), REGISTRY, "llama", bench=bench, only=("moves the fact", "training"), skip=reason
    )
    assert report.skipped == {**reason, "training": "the method does not train"}
    assert str(report).startswith("wrongsign on llama: 0 findings, 0 checks passed, 2 do not apply")


def test_an_order_that_is_declared_is_no_fault(spec: Any, bench: Bench) -> None:
    report = check_method(spec("LastOneCounts", ordered=True), REGISTRY, "llama", bench=bench, only=("batch order",))
    assert report.passed == ("batch order",)


def test_an_unknown_check_is_named(spec: Any, bench: Bench) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'padding'"):
        check_method(spec("Sound"), REGISTRY, "llama", bench=bench, only=("paddin",))
