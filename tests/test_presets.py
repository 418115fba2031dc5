"""Presets: files on disk, which one fits a model, and what becomes of options, preset and --set together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from editharness.errors import OptionError, PluginError, UnknownNameError, UsageError
from editharness.options import option
from editharness.presets import Preset, choose, folder_facts, load_presets, model_facts, resolve
from editharness.registry import load_plugins
from editharness.types import MethodSpec

GPT2 = {"model_type": "gpt2", "num_hidden_layers": 48, "hidden_size": 1600, "vocab_size": 50257}
LLAMA = {"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "vocab_size": 128256}

FILE = """
presets:
  - name: easyedit
    model: gpt2-xl
    match: {model_type: gpt2, layers: 48, hidden_size: 1600}
    source: a.json
    values: {layers: [17], lr: 1e-1}
  - name: paper
    model: gpt2-xl
    match: {model_type: gpt2, num_hidden_layers: 48, hidden_size: 1600}
    source: b.json
    values: {layers: [16]}
  - name: paper
    model: any gpt2
    match: {model_type: gpt2}
    source: c.json
    values: {}
"""


@dataclass(frozen=True)
class Options:
    layers: tuple[int, ...] = option((), "layers", low=0)
    lr: float = option(0.5, "learning rate", low=0)


SPEC = MethodSpec("acme", "Acme", "", "a:B", options=Options)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "acme.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_read_in_its_order(tmp_path: Path) -> None:
    presets = load_presets(write(tmp_path, FILE))
    assert [(p.name, p.model) for p in presets] == [
        ("easyedit", "gpt2-xl"), ("paper", "gpt2-xl"), ("paper", "any gpt2"),
    ]  # fmt: skip
    assert presets[0].match == presets[1].match


def test_without_a_name_paper_comes_first_and_the_closest_match_of_it(tmp_path: Path) -> None:
    presets = load_presets(write(tmp_path, FILE))
    assert choose(presets, None, GPT2) is presets[1]
    assert choose(presets, None, {**GPT2, "num_hidden_layers": 12}) is presets[2]
    assert choose(presets, None, LLAMA) is None
    assert choose(presets[:1], None, GPT2) is presets[0]
    assert choose([], None, GPT2) is None


def test_pocket_comes_before_paper() -> None:
    pocket = Preset("pocket", "pocket", {"model_type": "gpt2"}, "measured", {})
    paper = Preset("paper", "gpt2", {"model_type": "gpt2", "hidden_size": 1600}, "paper", {})
    assert choose([paper, pocket], None, GPT2) is pocket


def test_a_preset_by_name_is_that_one_or_nothing(tmp_path: Path) -> None:
    presets = load_presets(write(tmp_path, FILE))
    assert choose(presets, "easyedit", GPT2) is presets[0]
    with pytest.raises(UnknownNameError, match="unknown preset 'papr': did you mean 'paper'"):
        choose(presets, "papr", GPT2)
    with pytest.raises(
        UsageError, match=r"preset 'easyedit' has no values for this model .*only for gpt2-xl: leave"
    ) as no:
        choose(presets, "easyedit", LLAMA)
    assert "llama" in str(no.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("presets: {a: 1}", "its one key must be 'presets', a list"),
        ("[1, 2]", "its one key must be 'presets', a list"),
        ("", "its one key must be 'presets', a list"),
        ("presets: [", "while parsing"),
        ("presets: [3]", "entry 1: a preset has the keys name, model, match, source, values"),
        ("presets: [{nmae: x}]", "entry 1: unknown key 'nmae': did you mean 'name'"),
        ("presets: [{name: x, model: y, match: {}, source: z}]", "entry 1: 'values' must be a mapping"),
        ("presets: [{name: 3, model: y, match: {}, source: z, values: {}}]", "entry 1: 'name' must be text"),
        (
            "presets: [{name: x, model: y, match: {layer: 3}, source: z, values: {}}]",
            "entry 1: unknown fact 'layer': did you mean 'layers'",
        ),
        (
            "presets: [{name: x, model: y, match: {layers: '3'}, source: z, values: {}}]",
            "'layers' must be a whole number",
        ),
        (
            "presets: [{name: x, model: y, match: {model_type: 3}, source: z, values: {}}]",
            "'model_type' must be text",
        ),
        (FILE + FILE.replace("\npresets:\n", "").replace("any gpt2", "again"), "two presets 'easyedit' match the same"),
    ],
)
def test_a_malformed_file_is_one_line_that_names_it(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError) as caught:
        load_presets(write(tmp_path, text))
    assert words in str(caught.value)
    assert "acme.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_a_plugin_error(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"nothing\.yaml: No such file"):
        load_presets(tmp_path / "nothing.yaml")


def test_options_come_from_defaults_then_preset_then_the_command_line(tmp_path: Path) -> None:
    preset = load_presets(write(tmp_path, FILE))[0]
    found = resolve(SPEC, preset, {"lr": "0.2"})
    assert found.options == Options(layers=(17,), lr=0.2)
    assert (found.preset_name, found.source, found.tuned, found.overridden) == ("easyedit", "a.json", True, ("lr",))
    assert found.values == {"layers": (17,), "lr": 0.2}
    assert resolve(SPEC, preset, {}).options.lr == 0.1


def test_without_a_preset_a_run_is_untuned() -> None:
    found = resolve(SPEC, None, {})
    assert (found.options, found.tuned, found.preset_name) == (Options(), False, "")


def test_a_method_without_options_takes_none() -> None:
    spec = MethodSpec("none", "no edit", "", "a:B")
    assert resolve(spec, None, {}).options is None
    with pytest.raises(OptionError, match="method 'none' has no options: leave --set lr out"):
        resolve(spec, None, {"lr": "1"})


def test_a_fault_in_a_preset_is_told_apart_from_one_that_was_typed() -> None:
    preset = Preset("paper", "gpt2-xl", {}, "x", {"lr": -1})
    with pytest.raises(PluginError, match="preset 'paper' of acme for gpt2-xl: option lr=-1 is out of range"):
        resolve(SPEC, preset, {})
    with pytest.raises(OptionError, match="option lr=-2"):
        resolve(SPEC, None, {"lr": "-2"})


def test_facts_come_from_a_configuration_or_a_mapping() -> None:
    assert model_facts(SimpleNamespace(**GPT2, other=1)) == GPT2
    assert model_facts({"model_type": "gpt2"}) == {**dict.fromkeys(GPT2), "model_type": "gpt2"}


def test_the_facts_of_a_folder_are_those_of_its_configuration(tmp_path: Path) -> None:
    assert folder_facts(tmp_path) == dict.fromkeys(GPT2)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "vocab_size": 5, "n_head": 2}', encoding="utf-8")
    assert folder_facts(tmp_path) == {**dict.fromkeys(GPT2), "model_type": "gpt2", "vocab_size": 5}


@pytest.mark.parametrize(("content", "said"), [("{", "cannot be read"), ("[3]", "holds no object")])
def test_a_damaged_configuration_is_one_line(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(PluginError, match=rf"model configuration .*config\.json {said}"):
        folder_facts(tmp_path)


def test_every_preset_that_ships_resolves() -> None:
    count = 0
    for entry in load_plugins().methods.values():
        if entry.spec.presets is not None:
            for preset in load_presets(entry.spec.presets):
                assert resolve(entry.spec, preset, {}).tuned
                count += 1
    assert count


SHAPES = {
    "gpt2-xl": ("gpt2", 48, 1600, 50257),
    "llama-2-7b": ("llama", 32, 4096, 32000),
    "mistral-7b": ("mistral", 32, 4096, 32000),
    "pythia-160m": ("gpt_neox", 12, 768, 50304),
    "pythia-410m": ("gpt_neox", 24, 1024, 50304),
    "pythia-1b": ("gpt_neox", 16, 2048, 50304),
    "pythia-2.8b": ("gpt_neox", 32, 2560, 50304),
    "pythia-6.9b": ("gpt_neox", 32, 4096, 50432),
    "pythia-12b": ("gpt_neox", 36, 5120, 50688),
}
"""The models of arXiv 2410.18785, as their configurations say."""


@pytest.mark.parametrize("model", SHAPES)
@pytest.mark.parametrize("method", ["rome", "memit"])
def test_the_models_of_a_benchmark_of_abilities_have_their_values(method: str, model: str) -> None:
    kind, layers, size, vocabulary = SHAPES[model]
    facts = {"model_type": kind, "num_hidden_layers": layers, "hidden_size": size, "vocab_size": vocabulary}
    spec = load_plugins().method(method)
    presets = load_presets(Path(str(spec.presets)))
    found = choose(presets, "evaluation", facts)
    assert found is not None
    assert model in found.models
    edited = [found.values["layer"]] if method == "rome" else found.values["layers"]
    assert max(edited) < layers
    assert resolve(spec, found, {}).tuned
    if kind == "gpt_neox":
        assert choose(presets, None, facts) is found
