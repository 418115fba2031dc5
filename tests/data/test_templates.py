from __future__ import annotations

from editharness.data.templates import NEGATED_TEMPLATES, STATEMENT_TEMPLATES, read_rows, statement_of


def test_all_tables_are_there_and_whole() -> None:
    assert sum(int(row["count"]) for row in read_rows("negation_templates.csv")) == 20_000
    assert len(read_rows("negation_templates.csv")) == 218
    assert len(NEGATED_TEMPLATES) == 218 + 81 - 17  # 17 templates stand in both
    assert len(STATEMENT_TEMPLATES) == 218 - 1 + 81 - 17  # one statement depends on the relation


def test_statement_of_a_known_prompt() -> None:
    assert statement_of("Bizet, who plays", (0, 5)) == "Bizet plays {}"
    assert statement_of("The capital of Peru is", (15, 19)) == "The capital of Peru is {}"


def test_statement_that_needs_the_relation() -> None:
    assert statement_of("Pele, the", (0, 4)) is None
    assert statement_of("Pele, the", (0, 4), "P413") == "Pele plays as {}"
    assert statement_of("Pele, the", (0, 4), "P1303") == "Pele plays the {}"
    assert statement_of("Pele, the", (0, 4), "P641") == "Pele is the {}"


def test_no_statement_for_an_unknown_prompt_or_an_ambiguous_name() -> None:
    assert statement_of("Say something of Peru", (17, 21)) is None
    assert statement_of("The capital of {} is", (15, 17)) is None
