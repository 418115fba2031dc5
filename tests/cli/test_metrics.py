from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import pytest

from editharness.cli import main
from editharness.cli.metrics import columns_of, glossary
from editharness.errors import PluginError
from editharness.protocol import Answers, Column, EvalProtocol
from editharness.registry import Registered, Registry, load_plugins
from editharness.types import Origin, ProtocolSpec

REGISTRY = load_plugins()
RESULTS = Path(__file__).parents[2] / "leaderboards" / "results"


class Half(EvalProtocol):
    """Explains one of its two columns."""

    name = "half"
    glossary: ClassVar[Mapping[str, str]] = {"a": "share of a"}

    def summarise(self, row: str, answers: Answers) -> Sequence[Column]:
        return [Column("a", "the a", "higher", {}), Column("b", "the b", "lower", {})]


class More(Half):
    """Explains a column that it does not have."""

    glossary: ClassVar[Mapping[str, str]] = {"a": "share of a", "b": "share of b", "c": "share of c"}


def with_protocol(cls: type[EvalProtocol]) -> Registry:
    spec = ProtocolSpec("half", "Half", "none", f"{cls.__module__}:{cls.__name__}")
    entry = Registered(spec, Origin("acme", "1.0"))
    return replace(REGISTRY, protocols=MappingProxyType({**REGISTRY.protocols, "half": entry}))


@pytest.mark.parametrize("name", REGISTRY.protocols)
def test_every_column_of_every_protocol_is_defined(name: str) -> None:
    page = glossary(REGISTRY, name)
    assert page.facts["source"]
    for column, _, better, formula in page.tables[0].rows:
        assert column
        assert better in ("higher", "lower", "neither")
        assert len(str(formula)) > 10


def test_every_column_of_every_committed_record_is_defined() -> None:
    files = list(RESULTS.rglob("record.json"))
    assert files
    for file in files:
        record = json.loads(file.read_text(encoding="utf-8"))
        told = REGISTRY.resolve(REGISTRY.protocol(record["protocol"]["name"]).ref).glossary
        assert {column["name"] for row in record["rows"] for column in row["columns"]} <= set(told)


def test_columns_that_only_some_schedules_have_are_found() -> None:
    protocol = REGISTRY.resolve(REGISTRY.protocol("negation").ref)()
    assert [column.name for column in columns_of(protocol)][-1] == "PP at edit"


@pytest.mark.parametrize(
    ("cls", "problem"),
    [(Half, "acme 1.0: protocol 'half' has no glossary entry for b"), (More, "explains c, which is no column of it")],
)
def test_a_protocol_that_does_not_explain_itself_is_refused(
    cls: type[EvalProtocol], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "resolve", lambda self, ref: cls)
    with pytest.raises(PluginError, match=problem):
        glossary(with_protocol(cls), "half")


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"protocol", "column", "meaning", "better", "formula"} == set(rows[0])
    assert main(["metrics", "negation"]) == 0
    assert "section 5.2" in capsys.readouterr().out
    assert main(["metrics", "--format", "markdown"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# Glossary of metrics")
    assert "| PN | positive edit, asked negated | lower | " in page
    assert main(["metrics", "negatoin"]) == 2
    assert "did you mean 'negation'" in capsys.readouterr().err
