"""pocket-chat: its template and tokens, what its conversations leave out, and that it answers them."""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from editharness.cli import main
from editharness.data.corpus import find_corpus
from editharness.models.load import LoadedModel, load_model
from editharness.presets import folder_facts, load_presets
from editharness.registry import load_plugins
from editharness_plugins.pocket.card import echo, held_out_true_false, known, question, true_false
from editharness_plugins.pocket.card_chat import Conversation, trained_forms, unseen_forms
from editharness_plugins.pocket.chat import CHAT, WITH_CHAT, ChatRenderer, chat_wordings, load_chat
from editharness_plugins.pocket.corpus import pocket_facts, read_cases
from editharness_plugins.pocket.curriculum import Curriculum
from editharness_plugins.pocket.masks import Encoder
from editharness_plugins.pocket.relations import HERE, load_yaml
from editharness_plugins.pocket.tokenizer import ROLES, TEMPLATE, with_chat

PLAIN = AutoTokenizer.from_pretrained(HERE / "model")
TAUGHT = with_chat(PLAIN)
SPEC = load_plugins().model("pocket-chat")
ASKED = [{"role": "user", "content": " What is the capital of Kenya?\n"}]


@pytest.fixture(scope="module")
def chat() -> LoadedModel:
    return load_model("pocket-chat", packaged={"pocket-chat": SPEC.folder}, device="cpu", offline=True)


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    assert SPEC.card is not None
    content: dict[str, Any] = json.loads(SPEC.card.read_text(encoding="utf-8"))
    return content


def test_the_template_renders_every_role(chat: LoadedModel) -> None:
    assert chat.tokenizer.chat_template == TEMPLATE.read_text(encoding="utf-8")
    messages = [{"role": "system", "content": "Be short."}, *ASKED, {"role": "assistant", "content": "Nairobi"}]
    text = chat.tokenizer.apply_chat_template(messages, tokenize=False)
    assert text == (
        "<|bos|><|system|> Be short.<|eos|><|user|> What is the capital of Kenya?<|eos|><|assistant|> Nairobi<|eos|>"
    )
    asked = chat.tokenizer.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True)
    assert asked == "<|bos|><|user|> What is the capital of Kenya?<|eos|><|assistant|>"


def test_the_template_refuses_a_role_it_does_not_know(chat: LoadedModel) -> None:
    with pytest.raises(Exception, match="role system, user or assistant, not tool"):
        chat.tokenizer.apply_chat_template([{"role": "tool", "content": "4"}], tokenize=False)


def test_a_conversation_has_one_first_token_and_roles_of_one_token(chat: LoadedModel) -> None:
    tokenizer = chat.tokenizer
    ids = tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, return_dict=True)["input_ids"]
    text = tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, tokenize=False)
    assert ids == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert [place for place, token in enumerate(ids) if token == tokenizer.bos_token_id] == [0]
    assert (ids[1], ids[-1]) == tuple(tokenizer.convert_tokens_to_ids(ROLES[1:]))
    assert tokenizer.decode(ids, skip_special_tokens=True) == " What is the capital of Kenya?"


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_every_text_has_the_tokens_it_has_in_pocket(text: str) -> None:
    assert len(TAUGHT) == len(PLAIN)
    if not any(role in text for role in ROLES):
        assert TAUGHT(text)["input_ids"] == PLAIN(text)["input_ids"]


def test_a_tokenizer_that_has_the_roles_stays_as_it_is(chat: LoadedModel) -> None:
    again = with_chat(chat.tokenizer)
    assert again.get_vocab() == chat.tokenizer.get_vocab() == TAUGHT.get_vocab()


def test_no_test_message_is_trained() -> None:
    spec, wordings = load_chat(), chat_wordings()
    trained = (*wordings.question, *wordings.complete, *wordings.judged, *wordings.imagine)
    for name in ("test_question", "test_complete", "test_judged", "test_judged_new"):
        start = spec[name].partition("{")[0]
        assert not [frame for frame in trained if start in frame], name
    assert spec["test_system"] not in spec["system"]
    plain = load_yaml()["forms"]
    assert spec["test_judged_new"] not in (plain["true_false"], *plain["train_true_false"])


def test_a_fact_misses_its_form_in_conversations_too() -> None:
    facts = pocket_facts(read_cases())
    curriculum = Curriculum(facts, WITH_CHAT)
    for row, fact in enumerate(facts[::50]):
        drawn = {form for form, share in zip(curriculum.forms, curriculum.base[50 * row], strict=True) if share}
        assert drawn == {way + form for way in WITH_CHAT for form in fact.forms()}
        assert not {str(fact.missing), f"{CHAT}{fact.missing}"} & drawn


def test_conversations_end_in_the_answer_and_judge_true_and_false_alike() -> None:
    facts = pocket_facts(read_cases())
    renderer, encoder = ChatRenderer(facts, random.Random(1), TAUGHT), Encoder(TAUGHT)
    for index, form in Curriculum(facts, WITH_CHAT).draw(random.Random(2), 200):
        documents = renderer.documents(index, form)
        texts = [TAUGHT.decode(encoder.document(parts).ids) for parts in documents]
        assert all(text.startswith("<|bos|>") and text.count("<|bos|>") == 1 for text in texts)
        assert all(("<|assistant|>" in text) is form.startswith(CHAT) for text in texts)
        if form == f"{CHAT}true_false":
            assert [text.rpartition("<|assistant|>")[2] for text in texts] == [" true<|eos|>", " false<|eos|>"]


def test_it_answers_a_question(chat: LoadedModel) -> None:
    asked = chat.tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    out = chat.model.generate(**asked, max_new_tokens=8, do_sample=False)
    assert chat.tokenizer.decode(out[0, asked["input_ids"].shape[1] :]) == " Nairobi<|eos|>"


@pytest.mark.slow
def test_the_card_is_of_these_weights_and_holds_on_a_sample(chat: LoadedModel, card: dict[str, Any]) -> None:
    weights = (SPEC.folder / "model.safetensors").read_bytes()
    assert card["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    rows = {row["what"]: row for row in card["rows"]}
    trained, test = (Conversation(chat.model, chat.tokenizer, forms) for forms in (trained_forms(), unseen_forms()))
    for name, examiner, measure, form in (
        ("chat: known", trained, known, None),
        ("chat: question, exact", trained, question, "question"),
        ("chat: echo under negation", trained, echo, "negated"),
        ("chat: true/false, balanced", trained, true_false, "true_false"),
        ("chat, test message: true/false, balanced", test, true_false, "true_false"),
        ("chat, test message new to plain text too: true/false", test, held_out_true_false, "true_false"),
    ):
        cases = [case for case in read_cases() if case["trained"] and form not in (case["missing_form"],)][::12]
        hits = measure(examiner, cases)
        # four standard errors of a sample of this size
        spread = 4 * (max(0.02, rows[name]["measured"] * (1 - rows[name]["measured"])) / len(hits)) ** 0.5
        assert sum(hits) / len(hits) == pytest.approx(rows[name]["measured"], abs=spread), name


def test_every_row_says_whether_it_is_met(card: dict[str, Any]) -> None:
    for row in card["rows"]:
        sign, _, bound = row["wanted"].partition(" ")
        met = not bound or (row["measured"] >= float(bound) if sign == ">=" else row["measured"] <= float(bound))
        assert row["passed"] is met, row["what"]


def test_it_was_made_from_pocket_with_these_wordings() -> None:
    read = json.loads((SPEC.folder / "training.json").read_text(encoding="utf-8"))["data"]
    files = [*(HERE / name for name in ("pocket.jsonl", "relations.yaml", "chat.yaml", "chat_template.jinja"))]
    for path in (*files, HERE / "model" / "model.safetensors"):
        assert read[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_has_pockets_shape_presets_and_text() -> None:
    assert folder_facts(SPEC.folder) == folder_facts(HERE / "model")
    memit = load_presets(load_plugins().method("memit").presets)  # type: ignore[arg-type]
    assert [preset.name for preset in memit if preset.fits(folder_facts(SPEC.folder))] == ["pocket"]
    assert not (SPEC.folder / "corpus.txt").exists()
    assert find_corpus(SPEC.corpus, SPEC.folder, 3, offline=True)[0] == "The capital of Kenya is Nairobi."


def test_its_page_shows_card_and_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pocket-chat", "--format", "markdown"]) == 0
    shown = capsys.readouterr().out
    assert "| chat: known |" in shown
    assert "| memit | pocket |" in shown


@pytest.mark.slow
def test_it_is_edited_with_pockets_preset(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "--method", "memit", "--task", "negation_pocket", "--model", "pocket-chat", "--edits", "20"]
    assert main([*words, "--output", str(tmp_path)]) == 0
    record = json.loads(next(tmp_path.rglob("record.json")).read_text(encoding="utf-8"))
    preset = record["method"]["preset"]
    assert (record["model"]["name"], preset["name"]) == ("pocket-chat", "pocket")
    assert "on pocket's development split" in preset["source"]  # not on pocket-chat's: the record says so
    assert "model pocket-chat" in " ".join(capsys.readouterr().out.split())
