"""One role per token, by the offsets of a real tokenizer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.errors import EditError
from editharness.mechanism.roles import ROLES, SUBJECT, roles_of
from editharness.models.spans import encode_text, trimmed
from editharness.testing.tiny import tiny_tokenizer

TOKENIZERS = {bos: tiny_tokenizer(bos=bos) for bos in (True, False)}
WORDS = st.text(alphabet="abcdefghij Zürich東京ō'.,", min_size=1, max_size=12).filter(lambda t: bool(t.strip()))


def test_the_paper_s_example() -> None:
    prompt = "The Space Needle is in downtown"
    ids, offsets = encode_text(TOKENIZERS[True], prompt)
    span = (prompt.index("Space"), prompt.index(" is"))
    roles = roles_of(offsets, span)
    assert len(roles) == len(ids)
    assert roles[0] is None
    assert roles[-1] == "last prompt token"
    assert prompt[offsets[roles.index("first subject token")][0] :].lstrip().startswith("S")
    assert offsets[roles.index("last subject token")][1] == span[1]
    assert offsets[roles.index("first further token")][0] == span[1]


@pytest.mark.parametrize(
    ("lengths", "subject", "expected"),
    [
        ([5, 3], (0, 5), ["last subject token", "last prompt token"]),
        ([4, 5], (4, 9), [None, "last subject token"]),
        ([2, 2, 2, 2], (2, 6), [None, "first subject token", "last subject token", "last prompt token"]),
        ([2, 2, 2], (0, 6), ["first subject token", "middle subject tokens", "last subject token"]),
        (
            [2, 2, 2, 2, 2],
            (0, 2),
            ["last subject token", "first further token", "further tokens", "further tokens", "last prompt token"],
        ),
    ],
)
def test_short_subjects_and_prompts_that_end_with_them(
    lengths: list[int], subject: tuple[int, int], expected: list[str | None]
) -> None:
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    assert list(roles_of([(end - n, end) for end, n in zip(ends, lengths, strict=True)], subject)) == expected


@given(before=st.text(alphabet="ab cü", max_size=8), subject=WORDS, after=st.text(alphabet=" xyōz", max_size=10))
def test_roles_stand_in_order_and_the_subject_is_covered(before: str, subject: str, after: str) -> None:
    prompt = before + subject + after
    span = trimmed(prompt, (len(before), len(before) + len(subject)))
    for tokenizer in TOKENIZERS.values():
        _, offsets = encode_text(tokenizer, prompt)
        roles = roles_of(offsets, span)
        assert roles.count("last subject token") == 1
        for single in ("first subject token", "first further token", "last prompt token"):
            assert roles.count(single) <= 1
        order = [-1 if role is None else ROLES.index(role) for role in roles]
        assert order == sorted(order)
        covered = {i for i, role in enumerate(roles) if role in SUBJECT}
        overlapping = {i for i, (left, right) in enumerate(offsets) if left < span[1] and right > span[0]}
        assert covered == overlapping


def test_a_subject_that_no_token_covers() -> None:
    with pytest.raises(EditError, match="no token covers"):
        roles_of([(0, 3)], (5, 7))
