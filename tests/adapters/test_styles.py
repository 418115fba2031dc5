"""Functions of other code bases, run unchanged: what they do is a patch, and nothing else of it is left."""

from __future__ import annotations

import functools
import json
import logging
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.adapters import foreign

from editharness.adapters import easyedit_style, memit_style
from editharness.adapters.styles import FunctionMethod
from editharness.editing import Arm, write_arm
from editharness.errors import MethodError, PluginError
from editharness.host import LocalHost
from editharness.models.load import LoadedModel, weights_digest
from editharness.patch import Patch, WeightPatch
from editharness.registry import load_plugins
from editharness.testing.conformance import check_method
from editharness.testing.tiny import tiny
from editharness.timeline import Timeline
from editharness.types import Edit, MethodSpec, Schedule

WEIGHT = "model.layers.1.mlp.down_proj.weight"
VALUES = {"alg_name": "NUDGE", "layers": [1], "rewrite_module_tmp": "model.layers.{}.mlp.down_proj", "lr": "5e-1"}
EDITS = [
    Edit("a", "The capital of Kenya is", (15, 20), "Rome"),
    Edit("b", "The {capital} of Peru, it is said, is", (17, 21), "Oslo"),
]


@pytest.fixture
def hparams(tmp_path: Path) -> Path:
    """Their YAML, in which 5e-1 is text to a YAML reader."""
    path = tmp_path / "tiny.yaml"
    path.write_text(
        'alg_name: "NUDGE"\nmodel_name: "./hugging_cache/tiny"\ndevice: 0\nlayers: [1]\n'
        'rewrite_module_tmp: "model.layers.{}.mlp.down_proj"\nlr: 5e-1\n'
    )
    return path


def run(method: type[FunctionMethod], edits: list[Edit], schedule: str = "all") -> tuple[Arm, list[Patch | None]]:
    """Write edits on a tiny model; checks that it is as it was."""
    model, tokenizer = tiny("llama")
    loaded = LoadedModel(model, tokenizer, "tiny", None, "folder", weights_digest(model), 1, "Llama", Path())
    host = LocalHost(loaded, seed=0)
    timeline = Timeline(model, host.masters)
    side, tree = tokenizer.padding_side, [name for name, _ in model.named_modules()]
    numbers = random.getstate(), torch.get_rng_state()
    spec = MethodSpec("theirs", "Theirs", "", "foreign:Theirs")
    arm = write_arm("m/positive", spec, method(None), edits, Schedule.parse(schedule), host, timeline)
    kind = "carried" if arm.layout.carry else "alone"
    patches = [timeline.patch(("m/positive", i + 1, kind)) for i in range(timeline.steps("m/positive"))]
    assert timeline.close() == loaded.digest
    assert (tokenizer.padding_side, [name for name, _ in model.named_modules()]) == (side, tree)
    assert random.getstate() == numbers[0]
    assert torch.equal(torch.get_rng_state(), numbers[1])
    assert not any(parameter.requires_grad for parameter in model.parameters())
    return arm, patches


def changed(patch: Patch | None) -> dict[str, torch.Tensor]:
    assert isinstance(patch, WeightPatch)
    return {name: delta.delta for name, delta in patch.deltas.items()}  # type: ignore[union-attr]


def test_functions_that_write_in_place_copy_or_return_nothing_give_the_same_patch(
    hparams: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    functions = (foreign.apply_nudge_to_model, foreign.apply_copying_to_model, foreign.apply_silently_to_model)
    made = [changed(run(memit_style(function, hparams), EDITS)[1][0]) for function in functions]
    assert list(made[0]) == [WEIGHT]
    for other in made[1:]:
        assert torch.equal(made[0][WEIGHT], other[WEIGHT])  # so what they draw is seeded, too
    assert capsys.readouterr().out == ""


def test_what_a_function_prints_is_logged(hparams: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="editharness"):
        run(memit_style(foreign.apply_nudge_to_model, hparams), EDITS[:1])
    assert "Executing NUDGE  Rome" in caplog.text


def test_hparams_may_be_a_file_of_their_class_json_a_mapping_or_an_object(hparams: Path, tmp_path: Path) -> None:
    as_json = tmp_path / "tiny.json"
    as_json.write_text(json.dumps(VALUES))
    ready = SimpleNamespace(**{**VALUES, "lr": 0.5})
    ways: list[tuple[Any, Any]] = [
        (str(hparams), foreign.NudgeHyperParams), (as_json, None), (VALUES, None), (VALUES, foreign.NudgeHyperParams),
        (ready, None),
    ]  # fmt: skip
    wanted = changed(run(memit_style(foreign.apply_nudge_to_model, hparams), EDITS[:1])[1][0])[WEIGHT]
    for source, made_by in ways:
        method = memit_style(foreign.apply_nudge_to_model, source, hparams_class=made_by)
        assert torch.equal(changed(run(method, EDITS[:1])[1][0])[WEIGHT], wanted)


def test_easyedit_functions_get_one_request_at_a_time_and_one_that_is_refused_fails_alone(hparams: Path) -> None:
    method = easyedit_style(foreign.apply_easy_to_model, hparams, hparams_class=foreign.NudgeHyperParams)
    unreachable = Edit("c", "The capital of Chad is", (15, 19), "Utopia")
    arm, (patch,) = run(method, [EDITS[0], unreachable, EDITS[1]])
    assert [status.outcome for status in arm.statuses] == ["done", "failed", "done"]
    assert arm.statuses[1].reason == "apply_easy_to_model: cannot be reached"
    both = changed(patch)[WEIGHT]
    together = changed(run(easyedit_style(foreign.apply_easy_to_model, hparams, together=True), EDITS)[1][0])[WEIGHT]
    alone = changed(run(method, EDITS[:1])[1][0])[WEIGHT]
    assert torch.equal(together, alone)  # it reads the first request only
    assert not torch.equal(both, alone)


def test_every_schedule_gives_a_step_per_batch(hparams: Path) -> None:
    method = memit_style(foreign.apply_nudge_to_model, hparams)
    for schedule in ("single", "sequential"):
        arm, patches = run(method, EDITS, schedule)
        assert [status.outcome for status in arm.statuses] == ["done", "done"]
        assert all(list(changed(patch)) == [WEIGHT] for patch in patches)


def test_a_model_wrapped_by_peft_is_merged() -> None:
    method = easyedit_style(foreign.apply_lora_to_model, {"target_modules": ["down_proj"]}, writes=["*down_proj*"])
    _, (patch,) = run(method, EDITS[:1])
    assert set(changed(patch)) == {WEIGHT.replace("1", str(layer)) for layer in range(3)}


def test_inner_params_of_easyedit_name_what_is_written() -> None:
    method = memit_style(foreign.apply_nudge_to_model, {"inner_params": ["model.layers[1].mlp.down_proj.weight"]})
    assert method(None)._writes == (WEIGHT,)


def test_a_function_that_changes_nothing_is_no_success(hparams: Path) -> None:
    arm, _ = run(memit_style(foreign.apply_nothing_to_model, hparams), EDITS)
    assert {status.outcome for status in arm.statuses} == {"failed"}
    assert "changed none of model.layers.1.mlp.down_proj.*: name what it edits with writes=" in arm.statuses[0].reason


@pytest.mark.parametrize(
    ("function", "line"),
    [
        (
            foreign.returns_three_arguments,
            r"returns_three_arguments\(model.* does not fit .* it must take \(model, tok",
        ),
        (foreign.wants_more, r"wants_more.*'cache_c'.*bind what else it needs with functools.partial"),
        ("apply", r"'apply' is no function"),
    ],
    ids=["three arguments", "wants more", "no function"],
)
def test_a_wrongly_shaped_function_is_one_line(function: Any, line: str) -> None:
    with pytest.raises(MethodError, match=line) as caught:
        memit_style(function, VALUES)
    assert "\n" not in str(caught.value)


def test_a_partial_binds_what_else_a_function_wants(hparams: Path) -> None:
    arm, _ = run(memit_style(functools.partial(foreign.wants_more, cache_c=1), hparams), EDITS[:1])
    assert "wants_more changed none of" in arm.statuses[0].reason


@pytest.mark.parametrize(
    ("function", "error", "line"),
    [
        (foreign.apply_deltas_to_model, PluginError, "apply_deltas_to_model returned a dict: return the edited model"),
        (foreign.apply_wrapper_to_model, MethodError, "returned a Wrapper without the model's model.embed_tokens"),
        (foreign.apply_elsewhere_to_model, MethodError, r"lm_head.weight was written to, but only model.layers.1.mlp"),
    ],
    ids=["no model", "wrapper", "elsewhere"],
)
def test_what_cannot_be_taken_over_is_one_line(function: Any, error: type[Exception], line: str, hparams: Path) -> None:
    with pytest.raises(error, match=line) as caught:
        run(memit_style(function, hparams), EDITS[:1])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "made_by", "line"),
    [
        ("gone.yaml", None, "hyperparameters gone.yaml: No such file"),
        ({"layer": 1}, foreign.NudgeHyperParams, "NudgeHyperParams raised TypeError: .*'layer'"),
    ],
    ids=["no file", "wrong field"],
)
def test_bad_hyperparameters_are_one_line(source: Any, made_by: Any, line: str) -> None:
    with pytest.raises(MethodError, match=line):
        memit_style(foreign.apply_nudge_to_model, source, hparams_class=made_by)(None)


def test_an_adapted_function_passes_the_conformance_kit() -> None:
    method = memit_style(foreign.apply_nudge_to_model, {**VALUES, "lr": 0.5})
    spec = MethodSpec("theirs", "Theirs", "none", "foreign:Theirs", exact_batching=False)
    checks = ("moves the fact", "declared weights only", "finite", "undo", "export", "same seed", "state", "single",
              "padding", "bad edits", "interrupted", "as found")  # fmt: skip
    report = check_method(spec, load_plugins().with_method(spec, method), only=checks)
    assert not report.findings
    assert report.passed == checks


def test_importing_the_adapters_loads_no_torch() -> None:
    code = "import sys, editharness.adapters; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "False"]
