from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from editharness.errors import ModelError
from editharness.models.capture import at, capture, replaced
from editharness.models.load import load_model
from editharness.models.modules import module_map
from editharness.models.spans import Prompts, encode_edits
from editharness.testing.tiny import FAMILIES, tiny
from editharness.types import Edit

families = pytest.mark.parametrize("family", sorted(FAMILIES))
EDITS = [
    Edit("1", "The capital of France is", (15, 21), "Rome"),
    Edit("2", "Zürich is a city in the country of", (0, 6), "Italy"),
]


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def forward(model: Any, prompts: Prompts) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=prompts.ids, attention_mask=prompts.mask).logits
    return logits


@families
def test_keys_times_weight_are_the_mlp_output(family: str) -> None:
    model, tokenizer = tiny(family)
    found, prompts = module_map(model), encode_edits(tokenizer, EDITS, targets=False)
    down = found.down_projection(1)
    with capture(model, {down: "input", found.mlp(1): "output", found.attention(1): "output"}) as seen:
        forward(model, prompts)
    assert seen[down].shape == (*prompts.ids.shape, found.key_size(1))
    assert seen[found.attention(1)].shape == (*prompts.ids.shape, 32)
    torch.testing.assert_close(model.get_submodule(down)(seen[down]), seen[found.mlp(1)])
    assert hooks(model) == 0


@families
@pytest.mark.parametrize("part", ["blocks", "attention", "mlp"])
def test_a_replacement_reaches_the_next_module_and_only_the_asked_token(family: str, part: str) -> None:
    model, tokenizer = tiny(family)
    found, prompts = module_map(model), encode_edits(tokenizer, EDITS, targets=False)
    name = found.blocks[0] if part == "blocks" else getattr(found, part)(0)
    rows, token = torch.arange(len(prompts)), prompts.subject_last

    def moved(output: torch.Tensor) -> torch.Tensor:
        output[rows, token] += 1.0
        return output

    plain = forward(model, prompts)
    with capture(model, {name: "output"}) as before:
        forward(model, prompts)
    with replaced(model, name, moved), capture(model, {name: "output"}) as after:
        changed = forward(model, prompts)
    expected = before[name].clone()
    expected[rows, token] += 1.0
    assert torch.equal(after[name], expected)
    assert not torch.equal(at(changed, token), at(plain, token))
    assert torch.equal(changed[1, : token[1]], plain[1, : token[1]])  # a causal model does not look ahead
    assert torch.equal(forward(model, prompts), plain)
    assert hooks(model) == 0


@families
def test_padding_does_not_change_what_is_seen(family: str) -> None:
    model, tokenizer = tiny(family)
    found = module_map(model)
    together, alone = encode_edits(tokenizer, EDITS), encode_edits(tokenizer, EDITS[:1])
    seen = []
    for prompts in (together, alone):
        with capture(model, {found.down_projection(2): "input"}, prompts.subject_last) as keys:
            forward(model, prompts)
        seen.append(keys[found.down_projection(2)][0])
    torch.testing.assert_close(seen[0], seen[1], rtol=1e-5, atol=1e-6)


def test_stop_ends_the_pass_when_all_is_seen() -> None:
    model, tokenizer = tiny("llama")
    found, prompts = module_map(model), encode_edits(tokenizer, EDITS)
    reached: list[int] = []
    handle = model.get_submodule(found.blocks[2]).register_forward_hook(lambda *_: reached.append(2))
    with capture(model, {found.down_projection(0): "input", found.down_projection(1): "input"}, stop=True) as seen:
        forward(model, prompts)
    assert set(seen) == {found.down_projection(0), found.down_projection(1)}
    assert not reached
    handle.remove()
    assert hooks(model) == 0


def test_gradients_flow_only_on_request() -> None:
    model, tokenizer = tiny("gptj")
    found, prompts = module_map(model), encode_edits(tokenizer, EDITS)
    delta = torch.zeros(32, requires_grad=True)
    for keep in (False, True):
        with (
            replaced(model, found.blocks[0], lambda output: output + delta),
            capture(model, {found.blocks[2]: "output"}, keep_grad=keep) as seen,
        ):
            forward(model, prompts)
        assert seen[found.blocks[2]].requires_grad is keep


def test_errors_leave_no_hook() -> None:
    model, tokenizer = tiny("gpt2")
    found, prompts = module_map(model), encode_edits(tokenizer, EDITS)
    with (
        pytest.raises(ModelError, match=r"no module 'transformer\.h\.9'"),
        capture(model, {found.blocks[0]: "output", "transformer.h.9": "output"}),
    ):
        pass
    with pytest.raises(ValueError, match="has shape"), replaced(model, found.blocks[0], lambda output: output[:, :1]):
        forward(model, prompts)
    with pytest.raises(RuntimeError, match="on purpose"), capture(model, {found.blocks[0]: "output"}):
        raise RuntimeError("on purpose")
    assert hooks(model) == 0


def request_edit(request: dict[str, Any]) -> Edit:
    start = request["prompt"].index(request["subject"])
    span = (start, start + len(request["subject"]))
    return Edit(str(request["case_id"]), request["prompt"], span, request["target_new"])


@pytest.mark.parametrize("name", ["micro-llama", "micro-gpt2-xl"])
def test_keys_and_values_of_the_reference(reference: Path, name: str) -> None:
    golden = reference / "golden"
    stored = np.load(golden / f"MEMIT_T1_n10_{name}.npz")
    about = json.loads((golden / f"MEMIT_T1_n10_{name}.json").read_text(encoding="utf-8"))
    requests = json.loads((golden / "edits200.json").read_text(encoding="utf-8"))
    edits = [request_edit(r) for r in requests if r["case_id"] in about["edits"]]
    loaded = load_model(str(golden / "models" / name))
    found, prompts = module_map(loaded.model), encode_edits(loaded.tokenizer, edits, targets=False)
    first, last = about["hparams"]["layers"]
    sides = {found.down_projection(first): "input", found.blocks[last]: "output"}
    with capture(loaded.model, sides, prompts.subject_last) as seen:  # type: ignore[arg-type]
        forward(loaded.model, prompts)
    for module, key in ((found.down_projection(first), f"ks_L{first}"), (found.blocks[last], f"curz_before_L{first}")):
        wanted = torch.tensor(stored[key])
        assert (seen[module] - wanted).norm() / wanted.norm() < 1e-5
