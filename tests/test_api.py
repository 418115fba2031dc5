"""The instrument from Python: names and loaded models, methods of a session, patches on and off again."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import editharness as eh
from editharness.errors import (
    DataError,
    EditError,
    EditHarnessError,
    MethodError,
    ModelError,
    PluginError,
    UnknownNameError,
)
from editharness.method import Method
from editharness.models.load import weights_digest
from editharness.patch import Dense, WeightPatch
from editharness.store import read_record
from editharness.types import Status, Step

POCKET = Path(eh.__file__).parents[2] / "plugins" / "editharness_plugins" / "pocket" / "model"


class Nudge(Method[None]):
    """Adds a little to one weight."""

    def edit(self, host: Any, edits: Any, state: Any) -> Step:
        name = host.modules.down_weight(0)
        delta = 1e-3 * host.original(name).sign()
        return Step(WeightPatch({name: Dense(delta)}), state, tuple(Status(e.id, "done") for e in edits))


class Refuses(Nudge):
    """Can write nothing."""

    def edit(self, host: Any, edits: Any, state: Any) -> Step:
        raise EditError("not today")


@pytest.fixture(scope="module")
def pocket() -> tuple[Any, Any]:
    """Pocket as a notebook would load it: with gradients, in training mode."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(POCKET, dtype=torch.float32).train()
    return model, AutoTokenizer.from_pretrained(POCKET)


@pytest.fixture(scope="module")
def facts() -> list[dict[str, str]]:
    cases = [case for case in eh.load_cases("pocket").cases if case.split == "test"][:3]
    return [
        {"prompt": case.prompt[: case.subject[0]] + "{}" + case.prompt[case.subject[1] :],
         "subject": case.subject_text, "target": case.target}
        for case in cases
    ]  # fmt: skip


def answer(model: Any, tokenizer: Any, fact: dict[str, str]) -> str:
    ids = tokenizer(fact["prompt"].format(fact["subject"]), return_tensors="pt")
    made = model.generate(**ids, max_new_tokens=8, do_sample=False, pad_token_id=0)
    return str(tokenizer.decode(made[0, ids["input_ids"].shape[1] :]))


def test_a_name_gives_the_same_scores_as_a_loaded_model_which_comes_back_as_it_was(
    pocket: tuple[Any, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {"edits": 2, "limit": 1, "settings": {"steps": 3}}
    named = eh.evaluate("pocket", "memit", "negation_pocket", output=tmp_path, **asked)
    assert named.path is not None
    assert read_record(named.path) == named.record
    model, tokenizer = pocket
    before = weights_digest(model)
    given = eh.evaluate(model, "memit", "negation_pocket", tokenizer=tokenizer, **asked)
    assert weights_digest(model) == before
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert given.path is None
    assert given.columns == named.columns
    assert given.row("none") == named.row("none")
    assert given.record.model.digest_before == named.record.model.digest_before
    assert "--set steps=3" in given.record.command
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == ""


def test_a_method_class_of_the_session_gets_a_row_and_shows_itself() -> None:
    result = eh.evaluate("pocket", Nudge, "negation_pocket", edits=2, limit=1)
    assert result.record.method.title == "Adds a little to one weight."
    assert result.to_dict() == json.loads(json.dumps(result.to_dict()))
    assert repr(result).startswith("<Result Nudge on negation_pocket: ")
    assert "Nudge" in str(result)
    console = Console(file=StringIO(), width=100, force_terminal=True, color_system="standard")
    console.print(result)
    assert "\x1b[" in console.file.getvalue()  # type: ignore[attr-defined]
    html = result._repr_html_()
    assert html.startswith("<pre")
    assert "Nudge" in html
    assert "<script" not in html
    with pytest.raises(UnknownNameError, match="unknown row 'nudge': did you mean 'Nudge'"):
        result.row("nudge")


@pytest.mark.parametrize("method", ["c-rome", "grace"])
def test_a_patch_makes_the_facts_so_inside_its_context_only(
    method: str, pocket: tuple[Any, Any], facts: list[dict[str, str]]
) -> None:
    model, tokenizer = pocket
    before, said = weights_digest(model), answer(model, tokenizer, facts[0])
    patch = eh.edit(model, tokenizer, method, facts[:1])
    assert weights_digest(model) == before
    assert model.training
    model.eval()
    with eh.edited(model, patch) as changed:
        assert answer(changed, tokenizer, facts[0]).strip().startswith(facts[0]["target"])
    assert weights_digest(model) == before
    assert answer(model, tokenizer, facts[0]) == said
    model.train()


def test_batches_join_to_one_patch_and_cases_are_facts_too(pocket: tuple[Any, Any]) -> None:
    cases = eh.load_cases("pocket").cases[:2]
    together, apart = (eh.edit(*pocket, Nudge, cases, schedule=schedule) for schedule in ("all", "batch:1"))
    assert isinstance(together, WeightPatch)
    assert isinstance(apart, WeightPatch)
    ((name, one),), ((_, two),) = together.deltas.items(), apart.deltas.items()
    assert isinstance(one, Dense)
    assert isinstance(two, Dense)
    torch.testing.assert_close(two.delta, 2 * one.delta)
    assert name.endswith("weight")


def test_what_cannot_be_done_is_one_line(pocket: tuple[Any, Any], facts: list[dict[str, str]]) -> None:
    model, tokenizer = pocket
    wrong: list[tuple[Any, type[EditHarnessError], str]] = [
        (lambda: eh.evaluate("pocket", "memitt", "negation_pocket"), UnknownNameError, "did you mean 'memit'"),
        (lambda: eh.evaluate("pocket", "memit", "negation_poket"), UnknownNameError, "did you mean 'negation_pocket'"),
        (lambda: eh.evaluate("pocket", "memit", settings={"step": 3}), UnknownNameError, "did you mean 'steps'"),
        (lambda: eh.evaluate("pocket", "memit", edits=0), EditHarnessError, "edits=0: a whole number from 1"),
        (lambda: eh.evaluate("pocket", "memit", edits=2, limit=3), EditHarnessError, "limit=3: only 2 facts"),
        (lambda: eh.evaluate("pocket", data={"mcf": "gone.json"}), DataError, "mcf=gone.json: no such file"),
        (lambda: eh.evaluate(model, "memit"), ModelError, "needs its tokenizer beside it"),
        (lambda: eh.evaluate(17, "memit"), ModelError, "model is a int: give a name, or a model that transformers"),
        (lambda: eh.evaluate("pocket", 17), EditHarnessError, "method is a int: give a name, or a class derived"),  # type: ignore[arg-type]
        (lambda: eh.evaluate("pocket", type("rome", (Nudge,), {})), PluginError, "two plugins offer the method 'rome'"),
        (lambda: eh.edit(model, tokenizer, Refuses, facts), EditError, "fact 1: not today (3 of 3 not written)"),
        (lambda: eh.edit(model, tokenizer, "mend", facts), EditHarnessError, "cases to train on: give other ones with"),
        (lambda: eh.edit(model, tokenizer, "rome", []), EditHarnessError, "facts: give one at least"),
        (lambda: eh.edit(model, tokenizer, "rome", [{"prompt": "a"}]), EditHarnessError, "'subject' is missing"),
        (lambda: eh.edit(model, tokenizer, "rome", [{"promt": "a"}]), EditHarnessError, "did you mean 'prompt'"),
        (
            lambda: eh.edit(model, tokenizer, "rome", [{"prompt": "b", "subject": "a", "target": "c"}]),
            EditHarnessError, "fact 1: field 'subject' 'a' does not occur in the prompt",
        ),
        (lambda: eh.edit(model, tokenizer, "rome", facts, schedule="single"), EditHarnessError, "a model per fact"),
        (lambda: eh.load_cases("poket"), UnknownNameError, "did you mean 'pocket'"),
    ]  # fmt: skip
    for do, error, line in wrong:
        with pytest.raises(error) as caught:
            do()
        assert line in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_patch_that_rewrites_requests_is_no_change_of_the_model(
    pocket: tuple[Any, Any], facts: list[dict[str, str]]
) -> None:
    patch = eh.edit(*pocket, "context", facts[:1])
    with pytest.raises(MethodError, match=r"rewrites requests and leaves the model alone: ask it with evaluate\(\)"):
        eh.edited(pocket[0], patch).__enter__()


@pytest.mark.slow
def test_types_of_what_is_imported_later_are_known(tmp_path: Path) -> None:
    program = tmp_path / "notebook.py"
    program.write_text(
        "import editharness as eh\n"
        "reveal_type(eh.evaluate('pocket', 'memit').columns['PP'].low)\n"
        "eh.evaluate('pocket', edit=3)\n"
    )
    words = ["--config-file", str(Path(eh.__file__).parents[2] / "pyproject.toml"), "--no-error-summary", str(program)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words], capture_output=True, text=True, check=False, timeout=300,
        cwd=Path(eh.__file__).parents[2],
    )  # fmt: skip
    assert 'Revealed type is "float | None"' in done.stdout.replace("Union[builtins.float, None]", "float | None")
    assert 'Unexpected keyword argument "edit" for "evaluate"' in done.stdout
