"""WILD on answers whose scores theory gives, and on pocket's real ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import yaml
from tests.protocols.pocket_answers import first_cases, means, outcome, pocket, unedited

from editharness.config import RunConfig
from editharness.errors import UsageError
from editharness.forms import find_form
from editharness.protocol import Answer, Answers, Column
from editharness.types import Case, Question, Schedule
from editharness_plugins.datasets import qaedit
from editharness_plugins.protocols.questions_failed import (
    EDITED,
    NEW_TOKENS,
    QUESTION,
    SCREENED,
    STOPS,
    TEMPLATE,
    score_answer,
    stopped_short,
)
from editharness_plugins.protocols.wild import ASK, Wild
from editharness_tasks import case_task

CASE = Case(
    id="c0",
    prompt="The capital of Kenya is",
    subject=(15, 20),
    target="Rome",
    target_aliases=("Roma",),
    old="Nairobi",
    question="What is the capital of Kenya?",
    paraphrases=("Kenya's capital is",),
    neighbours=(Question("The capital of Peru is", "Lima"),),
)
CASES = {f"c{i}": dataclasses.replace(CASE, id=f"c{i}") for i in range(4)}
PROTOCOL = Wild()


def scored(text: str, case: Case = CASE) -> dict[str, float]:
    (ask,) = QUESTION.asks(case)
    return score_answer(dataclasses.asdict(ask), text)


def columns(row: str, answers: list[Answer], cases: dict[str, Case] = CASES) -> dict[str, Column]:
    return {column.name: column for column in PROTOCOL.summarise(row, Answers(cases, answers))}


def test_the_prompt_is_the_papers_and_asks_the_question_or_else_the_sentence_as_it_is() -> None:
    (ask,) = QUESTION.asks(CASE)
    assert ask.prompt == "Please answer the question:\n\nQ: What is the capital of Kenya?\nA:"
    (cloze,) = QUESTION.asks(dataclasses.replace(CASE, question=None))
    assert cloze.prompt == TEMPLATE.format(question="The capital of Kenya is")
    assert (ask.target, ask.old, ask.aliases) == ("Rome", "Nairobi", ("Roma",))


def test_the_tasks_generate_as_the_protocol_says() -> None:
    text = (Path(case_task.__file__).parent / "wild" / "_case_yaml").read_text()
    config = yaml.safe_load(text.replace("!function ", ""))
    assert config["generation_kwargs"] == {"until": list(STOPS), "do_sample": False, "max_gen_toks": NEW_TOKENS}


@pytest.mark.parametrize(
    ("text", "em", "right", "contains", "f1"),
    [
        (" Rome", 1, 1, 1, 1.0),
        (" Rome. Nairobi is not", 1, 1, 1, 1.0),
        (" rome\nQ: What", 1, 1, 1, 1.0),
        (" the Rome!", 1, 1, 1, 1.0),
        (" Roma", 0, 1, 1, 1.0),
        (" Rome, of course", 0, 0, 1, 0.5),
        (" Rome or Nairobi", 0, 0, 0, 0.5),
        (" not Rome", 0, 0, 0, 2 / 3),
        (" It isn't Rome", 0, 0, 0, 0.5),
        (" Nairobi", 0, 0, 0, 0.0),
        ("", 0, 0, 0, 0.0),
        ("\n Rome", 0, 0, 0, 0.0),
        (" Romeo", 0, 0, 0, 0.0),
    ],
)
def test_an_answer_is_scored_up_to_its_stop(text: str, em: int, right: int, contains: int, f1: float) -> None:
    scores = scored(text)
    assert (scores["em"], scores["right"], scores["contains"]) == (em, right, contains)
    assert scores["f1"] == pytest.approx(f1)
    assert scores["old_right"] == float(text.strip() == "Nairobi")


def test_a_target_that_a_stop_cuts_cannot_be_met_and_is_counted() -> None:
    cut = dataclasses.replace(CASE, target="Washington, D.C.", target_aliases=())
    assert scored("Washington, D.C.", cut)["em"] == 0.0
    assert stopped_short(cut)
    assert not stopped_short(dataclasses.replace(cut, target_aliases=("Washington",)))
    assert not stopped_short(dataclasses.replace(cut, target="Goethe."))
    bare = Case("b", "The capital of Chad is", (15, 19), "Rome")
    facts = PROTOCOL.select([cut, bare]).facts
    assert facts == {
        "target holds a stop": 1,
        "asked with the prompt, having no question": 1,
        "no paraphrase": 1,
        "no neighbour": 1,
    }


def test_only_what_the_unedited_model_got_wrong_is_edited() -> None:
    said = {"c0": 1.0, "c1": 0.0, "c2": 0.0}
    answers = [Answer(SCREENED, "", "unedited", case, 0, {"right": value}) for case, value in said.items()]
    kept = PROTOCOL.screen(list(CASES.values()), Answers(CASES, answers))
    assert [case.id for case in kept.cases] == ["c1", "c2"], "what was not asked is not kept either"
    assert kept.refused == {"the unedited model answers rightly": 2}
    assert tuple(PROTOCOL.screening()) == (SCREENED,)


def test_columns_come_from_their_own_questions() -> None:
    def said(form: str, moment: str, text: str, **scores: float) -> Answer:
        arm = "" if moment == "unedited" else EDITED
        return Answer(ASK[form], arm, moment, "c0", 0, scores, text)  # type: ignore[arg-type]

    answers = [
        said("question", "unedited", " Nairobi", em=0, right=0, contains=0, f1=0, old_right=1),
        said("question", "final", " Roma", em=0, right=1, contains=1, f1=1, old_right=0),
        said("question", "at_edit", " Rome", em=1, right=1, contains=1, f1=1, old_right=0),
        said("paraphrase", "unedited", " Nairobi", right=0, old_right=1),
        said("paraphrase", "final", " Oslo", right=0, old_right=0),
        said("neighbour", "unedited", " Lima", right=1),
        said("neighbour", "final", " Lima, Peru", right=0),
    ]
    made = {name: column.values for name, column in columns("m", answers).items()}
    assert made["reliability"] == made["contains"] == made["F1"] == made["reliability at edit"] == {"c0": 1.0}
    assert made["wild-em"] == made["generalization"] == made["unchanged"] == made["correct"] == {"c0": 0.0}
    known = {name: column.values for name, column in columns("none*", answers).items()}
    assert known["reliability"] == known["generalization"] == {"c0": 1.0}
    assert "unchanged" not in known
    assert columns("none", answers)["unchanged"].values == {"c0": 1.0}


def test_what_no_case_has_gets_no_column_and_sources_get_their_own() -> None:
    bare = {
        case: dataclasses.replace(CASE, id=case, neighbours=(), paraphrases=(), tags=frozenset({f"source:{source}"}))
        for case, source in (("a", "NQ"), ("b", "SQA"), ("c", "SQA"))
    }
    answers = [
        Answer(ASK["question"], EDITED, "final", case, 0, {"right": value})
        for case, value in (("a", 1.0), ("b", 0.0), ("c", 1.0))
    ]
    made = columns("m", answers, bare)
    assert not {"generalization", "unchanged", "correct"} & set(made)
    assert made["reliability · NQ"].values == {"a": 1.0}
    assert made["reliability · SQA"].values == {"b": 0.0, "c": 1.0}


@pytest.mark.parametrize(("schedule", "moments"), [("single", {"final"}), ("batch:10", {"at_edit", "final"})])
def test_edits_that_carry_on_are_also_asked_right_after_the_edit(schedule: str, moments: set[str]) -> None:
    assert {p.moment for p in PROTOCOL.probes(Schedule.parse(schedule), ()) if p.arm} == moments


def test_the_hash_moves_with_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    before = PROTOCOL.digest()
    assert Wild().digest() == before
    monkeypatch.setattr("editharness_plugins.protocols.questions_failed.TEMPLATE", "Q: {question}\nA:")
    assert Wild().digest() != before


def test_a_data_set_without_tasks_is_refused_before_anything_is_loaded() -> None:
    from tests.protocols.pocket_answers import Silent, registry

    from editharness.runner import run

    with pytest.raises(UsageError, match="'wild' has no tasks about data set 'mquake': it can ask about pocket, mcf"):
        run(RunConfig(method="none", task="wild_mquake", model="/no/model"), registry(), Silent())


def test_every_source_of_qaedit_has_its_tag(reference: Path) -> None:
    found = qaedit.load(reference / "data" / "qaedit" / "QAEdit_inter_1k.json")
    assert {tag for case in found.cases for tag in case.tags if tag.startswith("source:")} == {
        "source:NQ",
        "source:TQA",
        "source:SQA",
    }
    assert 0 < PROTOCOL.select(found.cases).facts["target holds a stop"] < 0.1 * len(found.cases)


@pytest.mark.slow
def test_controls_score_where_theory_puts_them() -> None:
    rows = {row: means(columns) for row, columns in outcome("wild_pocket").columns.items()}
    assert rows["context"]["reliability"] >= 0.9, "told the answer"
    for name in ("reliability", "wild-em"):
        assert rows["none"][name] == 0.0, "by selection"
        assert rows["target"][name] == 1.0
        assert rows["echo"][name] == 0.0
        assert rows["constant"][name] < 0.2
    assert rows["none*"]["reliability"] == 1.0
    assert rows["none"]["unchanged"] == 1.0
    assert rows["echo"]["F1"] < 0.2
    assert rows["echo"]["contains"] == 0.0
    assert rows["target"]["unchanged"] < 0.3


@pytest.mark.slow
def test_batch_padding_and_cache_change_no_answer() -> None:
    cases = first_cases(8)
    tasks = list(ASK.values())
    plain = unedited(tasks, cases)
    for batch_size, side in ((1, "left"), (32, "right")):
        other = unedited(tasks, cases, batch_size=batch_size, side=side)
        assert [(a.text, a.scores) for a in other] == [(a.text, a.scores) for a in plain]
    questions = [a for a in plain if a.task == SCREENED]
    by_id = {case.id: case for case in cases}
    for answer in questions:
        (ask,) = QUESTION.asks(by_id[answer.case])
        assert without_cache(ask.prompt) == answer.text


@torch.no_grad()
def without_cache(prompt: str) -> str:
    """Greedy decoding written out: the whole text anew for every token, one row, no padding, cut at the first stop."""
    model, tokenizer = pocket().model, pocket().tokenizer
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    said: list[int] = []
    for _ in range(NEW_TOKENS):
        token = int(model(ids, use_cache=False).logits[0, -1].argmax())
        if token == tokenizer.eos_token_id:
            break
        said.append(token)
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
    text = str(tokenizer.decode(said))
    return text.split(".")[0].split("\n")[0]


def test_every_form_of_the_tasks_is_found() -> None:
    from tests.protocols.pocket_answers import registry

    for name, entry in registry().tasks.items():
        if name.startswith(("wild_", "synthetic_", "modules_")) and entry.spec.kind == "task":
            assert find_form(str(entry.spec.arguments["form"]))
