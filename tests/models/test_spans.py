from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.errors import EditError, ModelError, UsageError
from editharness.models.spans import (
    encode_edits,
    encode_text,
    essence_prompts,
    fill,
    subject_last,
    target_ids,
    trimmed,
)
from editharness.testing.tiny import BOS, tiny_tokenizer
from editharness.types import Edit

TOKENIZERS = {bos: tiny_tokenizer(bos=bos) for bos in (False, True)}
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
"""Bytes that stand for themselves in the byte-level alphabet; the others follow from 256 on."""
BYTE_OF = {chr(byte): byte for byte in PRINTABLE}
BYTE_OF.update({chr(256 + i): byte for i, byte in enumerate(b for b in range(256) if b not in PRINTABLE)})

letters = st.sampled_from("abeioxTP.,:'’-()0 éüßñō東京😀{}ﬁ\u0301")
texts = st.text(letters, max_size=12)
subjects = st.text(letters, min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
both = pytest.mark.parametrize("bos", [False, True], ids=["without BOS", "with BOS"])


def raw(tokenizer: Any, ids: tuple[int, ...]) -> bytes:
    """What tokens stand for, byte for byte, read from the vocabulary and not from offsets."""
    tokens = [t for t in tokenizer.convert_ids_to_tokens(list(ids)) if t != BOS]
    return bytes(BYTE_OF[character] for token in tokens for character in token)


def edit(prompt: str, subject: str, target: str = "Paris", id: str = "1") -> Edit:
    start = prompt.index(subject)
    return Edit(id, prompt, (start, start + len(subject)), target)


@both
@pytest.mark.parametrize(
    ("prompt", "subject"),
    [
        ("Danielle Darrieux speaks", "Danielle Darrieux"),
        ("The mother tongue of Danielle Darrieux", "Danielle Darrieux"),
        ("Danielle Darrieux's mother tongue is", "Danielle Darrieux"),
        ("Danielle Darrieux, who was born in", "Danielle Darrieux"),
        ("The city of Zürich lies in", "Zürich"),
        ("In 東京 they speak", "東京"),
        ("The painter ō was born in", "ō"),
    ],
)
def test_last_token_of_the_subject_ends_it(prompt: str, subject: str, bos: bool) -> None:
    tokenizer = TOKENIZERS[bos]
    ids, offsets = encode_text(tokenizer, prompt)
    wanted = edit(prompt, subject)
    last = subject_last(offsets, wanted.subject)
    before = prompt[: wanted.subject[1]].encode()
    assert len(raw(tokenizer, ids[:last])) < len(before) <= len(raw(tokenizer, ids[: last + 1]))
    assert encode_edits(tokenizer, [wanted], targets=False).subject_last.tolist() == [last]


@both
@settings(max_examples=150, deadline=None)
@given(prefix=texts, subject=subjects, suffix=texts)
def test_last_token_of_any_subject(prefix: str, subject: str, suffix: str, bos: bool) -> None:
    tokenizer = TOKENIZERS[bos]
    prompt = prefix + subject + suffix
    ids, offsets = encode_text(tokenizer, prompt)
    assert raw(tokenizer, ids) == prompt.encode()
    span = trimmed(prompt, (len(prefix), len(prefix) + len(subject)))
    last = subject_last(offsets, span)
    until = len(prompt[: span[1]].encode())
    assert len(raw(tokenizer, ids[:last])) < until <= len(raw(tokenizer, ids[: last + 1]))


@both
@settings(max_examples=150, deadline=None)
@given(prompt=subjects, target=subjects)
def test_target_tokens_continue_the_prompt(prompt: str, target: str, bos: bool) -> None:
    tokenizer = TOKENIZERS[bos]
    ids, _ = encode_text(tokenizer, prompt)
    wanted = target_ids(tokenizer, prompt, target)
    text = f"{prompt} {target.strip()}"
    assert raw(tokenizer, ids + wanted) == text.encode()
    if not prompt[-1].isspace():
        assert wanted == tuple(tokenizer.encode(" " + target.strip(), add_special_tokens=False))


def test_target_that_merges_with_the_prompt_is_encoded_alone() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {piece: i for i, piece in enumerate([*alphabet, "sĠ", "ĠR"])}
    merging = Tokenizer(models.BPE(vocab, [("s", "Ġ"), ("Ġ", "R")]))
    merging.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    merging.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=merging, eos_token="e")
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("is Ro")) == ["i", "sĠ", "R", "o"]
    wanted = target_ids(tokenizer, "is", "Ro")
    assert tokenizer.convert_ids_to_tokens(list(wanted)) == ["ĠR", "o"]
    made = encode_edits(tokenizer, [edit("is", "is", "Ro")])
    assert tokenizer.convert_ids_to_tokens(made.ids[0].tolist()) == ["i", "s", "ĠR"]
    assert made.lengths.tolist() == [2]


@pytest.mark.parametrize("target", ["Paris", " Paris", "  Paris "])
def test_target_gets_exactly_one_space(target: str) -> None:
    assert target_ids(TOKENIZERS[True], "It is in", target) == target_ids(TOKENIZERS[True], "It is in", "Paris")


@both
@settings(max_examples=50, deadline=None)
@given(
    prompts=st.lists(st.tuples(texts, subjects, texts, subjects), min_size=1, max_size=3),
    contexts=st.lists(texts, max_size=2),
)
def test_rows_hold_prompt_target_and_labels(
    prompts: list[tuple[str, str, str, str]], contexts: list[str], bos: bool
) -> None:
    tokenizer = TOKENIZERS[bos]
    templates = ("{}", *(f"{context}. {{}}" for context in contexts))
    edits = [Edit(str(i), a + s + b, (len(a), len(a) + len(s)), target) for i, (a, s, b, target) in enumerate(prompts)]
    made = encode_edits(tokenizer, edits, templates, groups=[min(i, 1) for i in range(len(templates))])
    assert made.edit.tolist() == [i for i in range(len(edits)) for _ in templates]
    assert made.group.tolist() == [min(i, 1) for _ in edits for i in range(len(templates))]
    for row in range(len(made)):
        one = edits[int(made.edit[row])]
        text = templates[row % len(templates)][:-2] + one.prompt
        used, length = int(made.mask[row].sum()), int(made.lengths[row])
        assert made.mask[row, :used].all()
        labels = made.labels[row]
        wanted = labels[labels != -100].tolist()
        assert raw(tokenizer, tuple(made.ids[row, :length].tolist())) == text.encode()
        assert raw(tokenizer, tuple(wanted)) == f" {one.target.strip()}".encode()
        assert made.ids[row, length:used].tolist() == wanted[:-1]
        assert torch.nonzero(labels != -100).flatten().tolist() == list(range(length - 1, used))


@both
def test_templates_may_hold_braces(bos: bool) -> None:
    wanted = edit("In {0} the {} of Zürich is", "Zürich", target="{b}")
    made = encode_edits(TOKENIZERS[bos], [wanted], ("if x {y} {} then {}",))
    text = "if x {y} {} then In {0} the {} of Zürich is"
    assert fill("if x {y} {} then {}", wanted.prompt) == (text, len("if x {y} {} then "))
    ids = tuple(made.ids[0, : int(made.lengths[0])].tolist())
    assert raw(TOKENIZERS[bos], ids) == text.encode()
    assert raw(TOKENIZERS[bos], ids[: int(made.subject_last[0]) + 1]).endswith("Zürich".encode())


@both
def test_rows_are_padded_on_the_right_whatever_the_tokenizer_prefers(bos: bool) -> None:
    tokenizer = tiny_tokenizer(bos=bos)
    edits = [edit("Zürich is in", "Zürich"), edit("The capital of Germany, Berlin, is in the country of", "Berlin")]
    right = encode_edits(tokenizer, edits)
    tokenizer.padding_side = "left"
    left = encode_edits(tokenizer, edits)
    assert torch.equal(left.ids, right.ids)
    assert torch.equal(left.mask, right.mask)
    assert tokenizer.padding_side == "left"
    assert not right.mask.all()
    assert right.mask[:, 0].all()


@both
def test_essence_prompt_asks_what_the_subject_is(bos: bool) -> None:
    tokenizer = TOKENIZERS[bos]
    made = essence_prompts(tokenizer, [edit("The city of Zürich's lake is", "Zürich")])
    ids = tuple(made.ids[0].tolist())
    assert raw(tokenizer, ids) == "Zürich is a".encode()
    assert raw(tokenizer, ids[: int(made.subject_last[0]) + 1]) == "Zürich".encode()
    assert (made.labels == -100).all()


def test_select_cuts_to_the_longest_row() -> None:
    edits = [edit("Zürich is in", "Zürich"), edit("The capital of Germany, Berlin, is in", "Berlin", id="2")]
    made = encode_edits(TOKENIZERS[True], edits)
    short = made.select(torch.tensor([0]))
    assert short.ids.shape == (1, int(made.mask[0].sum()))
    assert short.mask.all()
    assert torch.equal(made.select(torch.tensor([False, True])).ids, made.ids[1:])
    assert len(made.to("cpu")) == 2


def test_a_tokenizer_that_appends_eos_is_read_without_it() -> None:
    from tokenizers import processors

    tokenizer = tiny_tokenizer(bos=True)
    plain, _ = encode_text(tokenizer, "Paris is")
    eos = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {eos}", special_tokens=[(BOS, tokenizer.bos_token_id), (eos, tokenizer.eos_token_id)]
    )
    assert tokenizer("Paris is")["input_ids"][-1] == tokenizer.eos_token_id
    assert encode_text(tokenizer, "Paris is")[0] == plain
    assert target_ids(tokenizer, "Paris is", "in") == target_ids(tiny_tokenizer(bos=True), "Paris is", "in")


def test_what_cannot_be_placed_is_an_error_of_that_edit() -> None:
    tokenizer = TOKENIZERS[True]
    with pytest.raises(EditError, match=r"edit 7: subject span 4\.\.99 is not inside"):
        encode_edits(tokenizer, [Edit("7", "The Louvre", (4, 99), "Rome")])
    with pytest.raises(EditError, match=r"edit 7: .* holds only spaces"):
        encode_edits(tokenizer, [Edit("7", "The Louvre", (3, 4), "Rome")])
    with pytest.raises(EditError, match="edit 7: the target is empty"):
        encode_edits(tokenizer, [Edit("7", "The Louvre", (4, 10), " ")])
    with pytest.raises(EditError, match="no token covers"):
        subject_last([(0, 0), (0, 3)], (5, 6))
    with pytest.raises(UsageError, match="no place for the prompt"):
        encode_edits(tokenizer, [Edit("7", "The Louvre", (4, 10), "Rome")], ("Indeed.",))
    with pytest.raises(UsageError, match="2 groups for 1 templates"):
        encode_edits(tokenizer, [Edit("7", "The Louvre", (4, 10), "Rome")], groups=[0, 1])
    with pytest.raises(ModelError, match="gives no offsets"):
        encode_text(object(), "The Louvre")


@pytest.mark.parametrize("name", ["micro-llama", "micro-gpt2-xl"])
def test_subjects_of_real_requests(reference: Path, name: str) -> None:
    """The rule of the reference code, len(encode(prefix + subject)) - 1, on a real tokenizer and real requests."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(reference / "golden" / "models" / name)
    requests = json.loads((reference / "golden" / "edits200.json").read_text(encoding="utf-8"))
    edits = [edit(r["prompt"], r["subject"], r["target_new"], str(r["case_id"])) for r in requests]
    made = encode_edits(tokenizer, edits)
    for row, one in enumerate(edits):
        assert int(made.subject_last[row]) == len(tokenizer.encode(one.prompt[: one.subject[1]])) - 1
        labels = made.labels[row][made.labels[row] != -100].tolist()
        assert labels == tokenizer.encode(" " + one.target, add_special_tokens=False)
