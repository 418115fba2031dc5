from __future__ import annotations

import pytest

from editharness.data.own.relations import Asked, Neighbours, answer_kind, relation_words


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("When did X die?", "1852", "year"),
        ("When did X die?", "27 November 1852", "date"),
        ("How tall is X?", "12.5 m", "number"),
        ("Who fathered X?", "Byron", "person"),
        ("Where was X born?", "London", "place"),
        ("Which city did X live in?", "Paris", "city"),
        ("What is the official language of X?", "Irish", "language"),
        ("What did X call it?", "Old Betsy", "name"),
        ("How is X described?", "as kind", "words"),
        ("It was made by three people who knew X. Which comic?", "Eagle", "comic"),
    ],
)
def test_kinds(question: str, answer: str, kind: str) -> None:
    assert answer_kind(question, answer) == kind


def asked(question: str, subject: str, answer: str) -> Asked:
    at = question.index(subject)
    return Asked(question, (at, at + len(subject)), answer)


FILE = [
    asked("Who is the mother of Ada?", "Ada", "Anne"),
    asked("Who is the mother of Bo?", "Bo", "Eve"),
    asked("Who was Ada's mother tongue teacher?", "Ada", "Jo"),
    asked("Who is the father of Cy?", "Cy", "Tom"),
    asked("Which mother had Di?", "Di", "Kay"),
]


def test_relation_words() -> None:
    assert relation_words(FILE[0].question, FILE[0].subject) == {"mother"}
    assert relation_words("What university did X attend?", (20, 21)) == {"university", "attend"}


def test_neighbours_share_words_but_neither_subject_nor_target() -> None:
    found = Neighbours(FILE, seed=0).choose(0, "Kay", 5)
    assert found == [(1, "shared words"), (3, "random")]
    assert [rule for _, rule in Neighbours(FILE, seed=0).choose(0, "x", 5)] == [
        "shared words",
        "shared words",
        "random",
    ]
    assert Neighbours(FILE, seed=0).choose(0, "x", 0) == []


def test_the_choice_is_the_same_each_time() -> None:
    many = [asked(f"Who is the mother of N{i}x?", f"N{i}x", f"M{i}") for i in range(300)]
    once, again = (Neighbours(many, seed=3).choose(7, "x", 5) for _ in range(2))
    assert once == again
    assert once != Neighbours(many, seed=4).choose(7, "x", 5)
