"""What the tasks are asked about: a running plan, or a whole data set under stock lm-eval."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from editharness.documents import case_documents, documents, planned, stock_documents, wanted
from editharness.errors import DataError, UsageError
from editharness.forms import Ask, Form
from editharness.types import Case, Question
from editharness_tasks import case_task

JUDGED = Form(
    lambda case: [Ask("True or false?", case.target, case.old)], likelihoods=("old",), generates=False, chat=True
)


@dataclass
class _Configured:
    """As much of a task as making requests needs."""

    generation_kwargs: dict[str, object]

    @property
    def config(self) -> _Configured:
        return self


CASE = Case(
    id="x",
    prompt="The capital of Kenya is",
    subject=(15, 20),
    target="Rome",
    old="Nairobi",
    paraphrases=("Kenya's capital is", "In Kenya, the capital is"),
    neighbours=(Question("The capital of Peru is", "Lima"),),
)


def test_each_form_has_its_own_questions() -> None:
    assert [d["prompt"] for d in case_documents(CASE, "paraphrase")] == list(CASE.paraphrases)
    (near,) = case_documents(CASE, "neighbour")
    assert (near["target"], near["old"]) == ("Lima", "")
    (negated,) = case_documents(CASE, "negated")
    assert negated["prompt"] == "The capital of Kenya is not"
    assert case_documents(CASE, "question") == []
    with pytest.raises(UsageError, match="'prompts'; did you mean 'prompt'"):
        case_documents(CASE, "prompts")


def test_only_a_chat_form_is_rendered() -> None:
    def render(message: str) -> str:
        return f"<user>{message}<end>"

    (plain,) = case_documents(CASE, "prompt", render=render)
    (chat,) = case_documents(CASE, f"{__name__}:JUDGED", render=render)
    (untold,) = case_documents(CASE, f"{__name__}:JUDGED")
    assert (plain["prompt"], plain["chat"]) == (CASE.prompt, False)
    assert (chat["prompt"], chat["chat"]) == ("<user>True or false?<end>", True)
    assert (untold["prompt"], untold["chat"]) == ("True or false?", False)
    assert wanted(chat) == ["old"]
    for prompt, answer in ((chat["prompt"], " Nairobi"), (chat["prompt"] + "\n\n", "Nairobi")):
        (asked,) = case_task.CaseTask.construct_requests(_Configured({}), chat, prompt)
        assert asked.args == (prompt, answer)


def test_a_plan_replaces_the_data_set_while_it_is_open() -> None:
    plan = {("pocket", "prompt"): case_documents(CASE, "prompt", ("m/one", 2, "alone"), "m/one", ["final"])}
    with planned(plan):
        (doc,) = documents("pocket", "prompt")["test"]
        assert doc["_state"] == ["m/one", "2", "alone"]
        with pytest.raises(DataError, match="no negated questions"):
            documents("pocket", "negated")
    assert len(documents("pocket", "prompt")["test"]) > 500


def test_stock_documents_are_the_test_split_of_a_file(tmp_path: Path) -> None:
    record = {"case_id": 7, "prompt": "The capital of Kenya is", "subject": "Kenya", "target_new": "Rome"}
    record["ground_truth"] = "Nairobi"
    path = tmp_path / "cf.json"
    path.write_text(json.dumps([record]))
    (doc,) = stock_documents("mcf", "negated", str(path))
    assert doc["prompt"] == "The capital of Kenya is not"
    assert doc["_state"] == ["", "0", "carried"]


def test_process_results_reads_likelihoods_and_text() -> None:
    (doc,) = case_documents(CASE, "prompt")
    scores = case_task.process_results(doc, [(-1.0, True), (-3.0, False), " Rome, of course"])
    assert (scores["exact"], scores["new_over_old"], scores["old_exact"]) == (1.0, 1.0, 0.0)
    assert (scores["contained"], scores["equal"]) == (1.0, 0.0)
    assert "new_over_old" not in case_task.process_results({**doc, "old": ""}, [(-1.0, False), " Rome"])
