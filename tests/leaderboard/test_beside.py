from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from editharness.leaderboard.beside import as_board, as_data, beside
from editharness.leaderboard.board import Board, BoardRow, Heading
from editharness.leaderboard.claims import Claim, Settings, read_claims
from editharness.leaderboard.markdown import render
from editharness.leaderboard.rows import boards
from editharness.leaderboard.show import as_text
from editharness.leaderboard.terminal import show_boards
from editharness.store import DataFacts, MethodFacts, ModelFacts, Preset, ScheduleFacts
from editharness.testing.records import example_columns, example_record

ROWS = {
    "method": example_columns({"PP": 0.9, "PN": 0.5, "NN": 0.9, "NP": 0.4}),
    "none*": example_columns({"PP": 1.0, "PN": 0.4}, cases=34),
}
CLAIMS = read_claims()
PAPERS_RUN: dict[str, Any] = {
    "data": DataFacts("mcf", "d" * 64, 60, 50),
    "model": ModelFacts("models/Meta-Llama-3-8B-Instruct", None, "L", 8, "float32", "cpu", "e" * 64, "e" * 64),
    "schedule": ScheduleFacts("batch:100", "batch:100", 2000, 0),
}


def method(options: dict[str, Any], *overridden: str, preset: str = "sand") -> MethodFacts:
    facts = Preset(preset, "an example", True, overridden)
    return MethodFacts("memit", "MEMIT", "A paper", "editharness", "0.1.0", (), options, facts)


def board(**changes: Any) -> Board:
    (made,) = boards([replace(example_record("memit", ROWS), **changes)])
    return made


def test_the_papers_own_setting_differs_in_nothing() -> None:
    found = {one.row.name: one.groups for one in beside(board(**PAPERS_RUN, method=method({"prior": True})), CLAIMS)}
    assert set(found) == {"memit", "none*"}
    (group,) = found["memit"]
    assert (group.label, group.differs) == ("paper: Llama-3-8B-Instruct, mcf, table 2", ())
    assert [claim.column for claim in group.claims][:4] == ["PP", "PN", "NN", "NP"]


def test_the_run_without_the_prior_term_meets_table_6() -> None:
    (_, one) = beside(board(**PAPERS_RUN, method=method({"prior": False}, "prior")), CLAIMS)
    (group,) = one.groups
    assert (group.label, group.differs) == ("paper: Llama-3-8B-Instruct, mcf, table 6", ())
    (_, one) = beside(board(**PAPERS_RUN, method=method({"prior": False, "lr": 1}, "prior", "lr")), CLAIMS)
    assert all(group.differs == ("options",) for group in one.groups)


def test_elsewhere_the_closest_figures_stand_with_what_differs() -> None:
    (control, one) = beside(board(method=method({}, preset="pocket")), CLAIMS)
    assert control.row.name == "none*"
    assert {group.differs for group in control.groups} == {("model", "data")}
    assert len(one.groups) == 8  # two models, four data sets, but not table 6, which differs in one thing more
    assert {group.differs for group in one.groups} == {("model", "data", "schedule", "edits", "preset")}


def test_wild_boards_meet_the_papers_names() -> None:
    made = board(**{**PAPERS_RUN, "model": replace(PAPERS_RUN["model"], name="meta-llama/Llama-2-7b-chat-hf")})
    heading = Heading("reliability", "says the new answer", "higher", 50)
    key = replace(made.key, protocol="wild", task="wild_mcf", schedule="single", edits=10000)
    record = replace(made.methods[0].records[0], method=method({}, preset="easyedit"))
    wild = Board(key, (heading,), (BoardRow("memit", "method", {}, records=(record,)),), None)
    (one,) = beside(wild, CLAIMS)
    (group,) = one.groups
    assert (group.label, group.differs) == ("paper: Llama-2-7b-chat, counterfact, table 3", ("scorer",))
    assert [claim.settings.scorer for claim in group.claims] == ["LLM as a judge (GPT-4o-mini)"]
    (other,) = beside(replace(wild, key=replace(key, schedule="sequential", edits=100)), CLAIMS)
    assert [(g.label[-8:], g.differs) for g in other.groups] == [("table 14", ("edits", "scorer"))]


def test_a_protocol_of_which_no_paper_speaks_has_nothing_beside_it() -> None:
    made = board()
    other = replace(made, key=replace(made.key, protocol="other", task="other_pocket"))
    assert beside(other, CLAIMS) == ()
    assert "No paper's figure is kept for the methods and columns of other\\_pocket" in render([other], "x", CLAIMS)
    stream = io.StringIO()
    show_boards([other], Console(file=stream, width=100), CLAIMS)
    assert "No paper's figure is kept for the methods and columns of other_pocket." in stream.getvalue()


def test_a_claim_is_shown_without_interval_count_or_rank() -> None:
    made = board(**PAPERS_RUN, method=method({"prior": True}))
    shown = as_board(made, beside(made, CLAIMS))
    claims = [row for row in shown.rows if row.kind == "claim"]
    assert {row.rank for row in shown.rows} == {None}
    assert {(cell.low, cell.high, cell.n) for row in claims for cell in row.cells.values()} == {(None, None, 0)}
    assert claims[-1].cells["PN"].value == pytest.approx(0.694)
    assert claims[-1].badges == ("same settings",)
    assert shown.columns[-1].name == "rectified"  # no paper gives the columns beside these


@pytest.mark.parametrize("width", [60, 100, 160])
def test_the_terminal_shows_both_and_says_what_is_whose(width: int) -> None:
    stream = io.StringIO()
    show_boards([board(**PAPERS_RUN, method=method({"prior": True}))], Console(file=stream, width=width), CLAIMS)
    _, _, told = stream.getvalue().partition("claimed by the paper, not measured here")
    assert told.index("memit") < told.index("69.4") < told.index("arXiv 2510.00625")
    assert "same settings" in told
    assert "s/edit" not in told
    flat = " ".join(told.split())
    assert "arXiv 2510.00625, table 2: 2000 edits, batch:100, preset sand; scored by exact match" in flat


def test_markdown_marks_the_claims() -> None:
    text = render([board(**PAPERS_RUN, method=method({"prior": True}))], "x", CLAIMS)
    part = text.partition("### Claimed by the paper, not measured here")[2].partition("### How")[0]
    (line,) = [
        line for line in part.splitlines() if "paper: Llama-3-8B-Instruct, mcf, table 2*" in line and "69.4" in line
    ]
    assert "(same settings)" in line
    assert "(n=0)" not in part


def test_json_has_one_entry_per_figure() -> None:
    made = board(method=method({}, preset="pocket"))
    (raw,) = json.loads(as_text([made], "json", "x", CLAIMS))
    assert len(raw["reported"]) == len(as_data(made, beside(made, CLAIMS))) > 70
    first = next(one for one in raw["reported"] if one["method"] == "memit" and one["column"] == "PN")
    assert first["ours"]["n"] == 50
    assert first["claimed"]["settings"]["table"] in ("2", "3")
    assert "preset" in first["differs"]
    assert "reported" not in json.loads(as_text([made], "json", "x"))[0]


def test_a_misprint_is_told() -> None:
    claim = Claim(
        "negation", "memit", "PP", 0.1, "m", ("m",), "d", ("d",), Settings("p", "1", "all", 1, "", "", "s"), 0.2
    )
    made = board()
    assert "m d memit: prints PP 20.0, its own figures give 10.0" in as_board(made, beside(made, [claim])).notes
