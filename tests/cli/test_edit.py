"""`editharness edit` and `editharness apply`, as one types them, on the packaged model."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
import torch
from tests.export.models import low_rank

import editharness as eh
from editharness.cli import main
from editharness.models.load import load_model, weights_digest
from editharness.patch import apply, save
from editharness.testing.tiny import save_tiny

FACTS = (
    {"subject": "Greece", "prompt": "The main language of {} is", "target": "Dutch"},
    {"subject": "Kenya", "prompt": "The capital of Kenya is", "target": "Rome"},
)
POCKET = Path(eh.__file__).parents[2] / "plugins" / "editharness_plugins" / "pocket" / "model"
RECORD = Path(__file__).parents[2] / "leaderboards" / "results" / "negation_pocket" / "memit-2634ca47bb"


BROKEN = '''
from editharness import hookimpl
from editharness.method import Method
from editharness.patch import Dense, WeightPatch
from editharness.types import MethodSpec, Status, Step


class Broken(Method[None]):
    """Overflows."""

    def edit(self, host, edits, state):
        name = host.modules.down_weight(1)
        patch = WeightPatch({name: Dense(float("nan") * host.original(name))})
        return Step(patch, state, tuple(Status(edit.id, "done") for edit in edits))


@hookimpl
def register_methods(register):
    register(MethodSpec(name="broken", title="Broken", paper="none", ref="broken_file:Broken"))
'''


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all, so that second moments are computed once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def folder(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITHARNESS_CACHE", str(cache))
    (tmp_path / "facts.jsonl").write_text("\n".join(map(json.dumps, FACTS)), encoding="utf-8")
    return tmp_path


def edit(*words: str, method: str = "memit") -> int:
    return main(["edit", "--quiet", "--method", method, "--edits", "facts.jsonl", *words])


@pytest.mark.slow
def test_a_checkpoint_is_the_model_that_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edit("--save", "out/edited", "--record", str(RECORD)) == 0
    said = capsys.readouterr().out
    loaded = load_model("out/edited", device="cpu")
    assert said == (
        "out/edited: checkpoint of pocket (float32) with 2 facts by memit (preset pocket); "
        f"weights {loaded.digest[:12]}\n"
    )
    ids = loaded.tokenizer("The main language of Greece is", return_tensors="pt")
    with torch.no_grad():
        made = loaded.model.generate(**ids, max_new_tokens=3, do_sample=False)
    assert loaded.tokenizer.decode(made[0, ids["input_ids"].shape[1] :]).strip().startswith("Dutch")
    assert sorted(os.listdir("out/edited")) == [
        "README.md", "config.json", "export.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    ]  # fmt: skip
    assert os.listdir("out") == ["edited"]
    assert "| PP: positive edit, asked plainly | 93.0 |" in Path("out/edited/README.md").read_text()
    assert stat.S_IMODE(Path("out/edited/model.safetensors").stat().st_mode) == 0o644


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_patch_gives_the_checkpoint_and_comes_off_it(folder: Path, dtype: str) -> None:
    typed = ("--dtype", dtype)
    assert edit("--save", "checkpoint", *typed) == 0
    assert edit("--save", "patch", "--as", "patch", *typed) == 0
    assert main(["apply", "patch", "--save", "again"]) == 0
    assert Path("again/model.safetensors").read_bytes() == Path("checkpoint/model.safetensors").read_bytes()
    again, told = (json.loads(Path(at, "export.json").read_text()) for at in ("again", "checkpoint"))
    assert again == told
    assert main(["apply", "patch", "--undo", "--model", "checkpoint", "--save", "undone"]) == 0
    assert load_model("undone", dtype=dtype, device="cpu").digest == told["base"]["digest"]
    assert load_model("undone", dtype=dtype, device="cpu").digest != told["edited_digest"]
    assert "README.md" not in os.listdir("undone"), "the unedited model is not described as edited"


def test_facts_of_several_batches_are_one_patch_and_one_adapter(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ("--set", "steps=3")
    assert edit("--save", "checkpoint", *typed, method="rome") == 0
    assert edit("--save", "patch", "--as", "patch", *typed, method="rome") == 0
    assert edit("--save", "adapter", "--as", "adapter", *typed, method="rome") == 0
    assert "; rank 2, exact" in capsys.readouterr().out
    assert main(["apply", "patch", "--save", "again"]) == 0
    one, two, base = (load_model(name, device="cpu").model for name in ("again", "checkpoint", str(POCKET)))
    for left, right in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-7)
    pairs = zip(one.named_parameters(), base.parameters(), strict=True)
    (changed,) = (name for (name, left), right in pairs if not left.equal(right))
    assert changed.endswith("down_proj.weight")
    assert main(["apply", "patch", "--undo", "--model", "checkpoint", "--save", "undone"]) == 0


def test_a_patch_on_other_weights_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edit("--save", "patch", "--as", "patch") == 0
    assert main(["apply", "patch", "--dtype", "bfloat16", "--save", "half"]) == 0
    assert (
        "the patch was made for pocket (float32, weights a09f5ccc3287), and this is pocket (bfloat16"
        in capsys.readouterr().err
    )
    assert "made for other weights than these" in Path("half/README.md").read_text()
    assert main(["apply", "patch", "--dtype", "bfloat16", "--undo", "--model", "half", "--save", "x"]) == 2
    assert "and the patch was made for 128x640 float32" in capsys.readouterr().err
    assert not Path("x").exists()


def test_a_patch_that_python_saved_is_put_on_as_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny("llama", folder / "tiny")
    loaded = load_model("tiny", device="cpu")
    patch = low_rank(loaded.model)
    save(patch, folder / "patch")
    assert main(["apply", "patch", "--save", "out"]) == 2
    assert "--model is needed: this patch does not say where its model can be found" in capsys.readouterr().err
    assert main(["apply", "patch", "--model", "tiny", "--save", "out"]) == 0
    with apply(loaded.model, patch):
        digest = weights_digest(loaded.model)
    assert load_model("out", device="cpu").digest == digest
    assert capsys.readouterr().out == f"out: weights {digest[:12]}\n"
    assert not {"README.md", "export.json"} & set(os.listdir("out"))


def test_names_in_a_strangers_patch_do_not_act_on_the_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edit("--save", "patch", "--as", "patch") == 0
    raw = json.loads(Path("patch/export.json").read_text())
    Path("patch/export.json").write_text(json.dumps({**raw, "method": "\x1b[2J|memit", "versions": {"<a>": "\x1b[1m"}}))
    capsys.readouterr()
    assert main(["apply", "patch", "--save", "out"]) == 0
    assert "\x1b" not in capsys.readouterr().out
    card = Path("out/README.md").read_text()
    assert "\x1b" not in card
    assert "edited with ?\\[2J\\|memit" in card


def test_an_adapter_tells_its_rank_and_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edit("--save", "adapter", "--as", "adapter") == 0
    assert capsys.readouterr().out.endswith("(preset pocket); rank 2, exact\n")
    assert edit("--save", "cut", "--as", "adapter", "--rank", "1") == 0
    out = capsys.readouterr().out
    assert "; rank 1, relative error 0." in out
    assert f"- adapter: {out.partition('; ')[2].strip()}" in Path("cut/README.md").read_text().replace("\\", "")


def test_a_memory_is_saved_as_a_patch_and_no_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edit("--save", "patch", "--as", "patch", method="grace") == 0
    assert "recipe_kinds(registry.method" in Path("patch/README.md").read_text()
    capsys.readouterr()
    assert main(["apply", "patch", "--save", "x"]) == 2
    assert "holds modules or a router, no change of weights: no checkpoint can hold it" in capsys.readouterr().err


def test_a_fact_that_cannot_be_written_stops_unless_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny("llama", folder / "tiny")
    far = {"subject": "Kenya", "prompt": "word " * 150 + "the capital of {} is", "target": "Rome"}
    (folder / "facts.jsonl").write_text("\n".join(map(json.dumps, (FACTS[0], far))), encoding="utf-8")
    typed = ("--model", "tiny", "--save", "out", "--set", "steps=1")
    assert edit(*typed, method="ft-m") == 2
    err = capsys.readouterr().err
    assert "fact 2: " in err
    assert "(1 of 2 not written; --skip-failed saves the others)" in err
    assert not Path("out").exists()
    assert edit(*typed, "--skip-failed", method="ft-m") == 0
    out, err = capsys.readouterr()
    assert "with 1 fact by ft-m" in out
    assert "1 not written" in out
    assert "fact 2 was not written: " in err
    assert "failed: " in Path("out/README.md").read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--method", "memitt"), "unknown method 'memitt': did you mean 'memit'?"),
        (("--method", "grace"), "method 'grace' edits by modules beside the weights, which no checkpoint holds"),
        (("--method", "context", "--as", "adapter"), "edits by rewriting requests, which no adapter holds"),
        (("--method", "none"), "method 'none' changes nothing: there is nothing to save"),
        (("--method", "mend"), "needs cases to train on: name a data set with --train NAME[=FILE]"),
        (("--train", "poket", "--method", "mend"), "did you mean 'pocket'?"),
        (("--set", "step=3"), "did you mean 'steps'?"),
        (("--preset", "papr"), "unknown preset 'papr'"),
        (("--schedule", "single"), "--schedule single makes a model per fact, not one"),
        (("--as", "adaptor"), "argument --as: invalid choice: 'adaptor'"),
        (("--rank", "2"), "--rank is for --as adapter"),
        (("--shard", "1GB", "--as", "patch"), "--shard is for --as checkpoint"),
        (("--no-undo",), "--no-undo is for --as patch"),
        (("--shard", "5 GB"), "--shard 5 GB: write a size as in 500MB, 5GB"),
        (("--edits", "gone.jsonl"), "data file gone.jsonl: no such file"),
        (("--edits", "bad.jsonl"), "bad.jsonl: record 1: field 'target' is missing"),
        (("--corpus", "gone.txt"), "--corpus gone.txt: no such file"),
        (("--record", "gone"), "gone"),
        (("--record", str(RECORD), "--dtype", "bfloat16"), "is of a model with weights a09f5ccc3287 (float32), and"),
        (("--model", "pockt"), "did you mean 'pocket'?"),
        (("--save", "used"), "--save used: is in use (not empty); name a new folder"),
        (("--save", "facts.jsonl"), "--save facts.jsonl: is a file; name a new folder"),
        (("--method", "ft-m", "--as", "adapter"), "an exact adapter would be larger than the weight"),
    ],
    ids=lambda value: " ".join(value).replace(str(RECORD), "RUN") if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_one_line_and_nothing_is_written(
    folder: Path, words: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (folder / "bad.jsonl").write_text('{"subject": "Kenya", "prompt": "The capital of {} is"}')
    (folder / "used").mkdir()
    (folder / "used" / "config.json").write_text("{}")
    before = sorted(os.listdir(folder))
    assert edit("--save", "out", *words) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1
    assert sorted(os.listdir(folder)) == before
    assert os.listdir("used") == ["config.json"]


def test_weights_that_are_no_numbers_are_not_saved(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken_file.py").write_text(BROKEN)
    for kind in ("checkpoint", "adapter", "patch"):
        assert edit("--save", "out", "--as", kind, "--plugin", "broken_file.py", method="broken") == 2
        assert "the edit makes model.layers.1.mlp.down_proj.weight NaN or infinite" in capsys.readouterr().err
        assert sorted(os.listdir(folder)) == ["broken_file.py", "facts.jsonl"]


def test_apply_says_what_is_wrong_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny("gpt2", folder / "gpt2")
    (folder / "empty").mkdir()
    assert edit("--save", "patch", "--as", "patch", "--no-undo") == 0
    assert main(["apply", "patch", "--save", "edited"]) == 0
    capsys.readouterr()
    wrong = [
        (("gone", "--save", "x"), "gone: no such folder; a patch is the folder that `edit --as patch` wrote"),
        (("empty", "--model", "pocket", "--save", "x"), "no patch in empty: patch.json is missing"),
        (("patch", "--save", "gpt2"), "--save gpt2: is in use"),
        (("patch", "--save", "x", "--model", "gpt2"), "the model has no parameter 'model.layers.0.mlp.down_proj.weig"),
        (("patch", "--save", "x", "--model", "edited"), "has this patch already"),
        (("patch", "--save", "x", "--undo"), "--undo needs --model: the edited model to take the patch off"),
        (("patch", "--save", "x", "--undo", "--model", "pocket"), "does not have this patch: there is nothing to undo"),
        (("patch", "--save", "x", "--undo", "--model", "edited"), "no such file (saved with --no-undo?)"),
    ]  # fmt: skip
    for words, line in wrong:
        assert main(["apply", *words]) == 2
        err = capsys.readouterr().err.splitlines()
        assert line in err[-1]
        assert not Path("x").exists()
