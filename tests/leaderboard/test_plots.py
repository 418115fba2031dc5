"""What boards give as plots, from records alone: over the edits, negation against locality, synthetic against WILD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from editharness.errors import RecordError, UsageError
from editharness.leaderboard.plots import all_plots, negation_against_locality, plots, retention, write_plots
from editharness.leaderboard.rows import boards
from editharness.protocol import Column
from editharness.store import DataFacts, ProtocolFacts, RunRecord, ScheduleFacts
from editharness.testing.records import example_columns, example_record, example_series

ROWS = {"method": example_columns({"PP": 0.9, "PN": 0.5, "NN": 0.9, "NP": 0.4}), "none": example_columns({"PP": 0.1})}
SERIES = example_series(decay=0.2)


def record(method: str = "memit", **changes: object) -> RunRecord:
    return example_record(method, ROWS, series=SERIES, **changes)  # type: ignore[arg-type]


def words(svg: str) -> list[str]:
    return [e.text or "" for e in ET.fromstring(svg).iter() if e.tag.endswith("text")]


def test_a_hostile_name_stays_text() -> None:
    evil = "<script>|[x](y)\x1b[31m"
    for _, text in plots(boards([record(evil)])[0]):
        assert "<script" not in text
        assert "\x1b" not in text
        ET.fromstring(text)


def test_plots_are_svg_with_all_that_the_tables_have(tmp_path: Path) -> None:
    (board,) = boards([record("memit"), record("rome")])
    files = write_plots([board], tmp_path / "plots")
    assert sorted(file.name.removeprefix("negation_pocket-pocket-single-50-paper-") for file in files) == [
        "efficacy.svg", "retention-memit.svg", "retention-rome.svg", "text-loss.svg",
    ]  # fmt: skip
    for file in files:
        root = ET.parse(file).getroot()
        words = " ".join(root.itertext())
        assert "model pocket" in words
        assert root.get("role") == "img"
    heat = retention("retention", board.methods[0], board.methods[0].series[1], board)
    assert all(f"{value} (n=10)" in heat for value in ("60.0", "80.0", "100.0"))


def test_nothing_is_drawn_outside_the_figure() -> None:
    many = [record(f"method-{number:02}-with-a-long-name") for number in range(20)]
    (board,) = boards(many)
    for _, text in plots(board):
        root = ET.fromstring(text)
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        for item in root.iter():
            x, y = float(item.get("x", 0)), float(item.get("y", 0))
            long = 6 * len(item.text or "") if item.tag.endswith("text") else float(item.get("width", 0))
            left = {"middle": x - long / 2, "end": x - long}.get(item.get("text-anchor", ""), x)
            assert 0 <= left <= left + long <= width
            assert 0 <= y <= height


def test_a_curve_ends_where_the_loss_is_not_finite() -> None:
    loss = SERIES[2]
    gone = replace(loss, points=[*loss.points[:2], replace(loss.points[2], values={})])
    (board,) = boards([example_record("memit", ROWS, series=[gone])])
    ((name, text),) = plots(board)
    assert name.endswith("text-loss")
    assert text.count("<circle") == 2 + 1  # one in the legend


def test_records_without_series_give_no_plots(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="hold nothing to draw"):
        write_plots(boards([example_record("memit", ROWS)]), tmp_path / "plots")
    assert not (tmp_path / "plots").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        write_plots(boards([record()]), tmp_path / "file")


def located(method: str, negation: float, unchanged: float, **controls: tuple[float, float]) -> RunRecord:
    shares = {"method": (negation, unchanged), **controls}
    rows = {row: example_columns({"PP": 0.9, "PN": pn, "unchanged": same}) for row, (pn, same) in shares.items()}
    return example_record(method, rows)


def test_negation_against_locality_has_a_named_point_per_method_and_grey_controls() -> None:
    runs = [located("memit", 0.1, 0.9, none=(0.0, 1.0), target=(1.0, 0.0)), located("rome", 0.3, 0.5)]
    (board,) = boards([*runs, example_record("emmet", {"method": example_columns({"PP": 0.5})})])
    text = negation_against_locality(board)
    assert text is not None
    assert {"memit", "rome", "none"} <= set(words(text))
    assert not {"emmet", "target"} & set(words(text))
    assert any("above the range: target at 0.0, 100.0" in line for line in words(text))
    assert text.count('class="muted point"') == 1
    marks = [e for e in ET.fromstring(text).iter() if (e.get("class") or "").endswith("point")]
    assert len(marks) == 3
    assert dict(plots(board)) == {"negation_pocket-pocket-single-50-paper-negation-against-locality": text}


def test_without_a_method_that_has_both_columns_there_is_no_such_plot() -> None:
    (board,) = boards([record("memit")])
    assert negation_against_locality(board) is None


def asked(protocol: str, method: str, values: Mapping[str, float], seed: int = 0, data: str = "pocket") -> RunRecord:
    """A run of a protocol whose rows have `values` as their reliability."""
    ids = [f"case-{i}" for i in range(50)]
    columns = {
        row: ((Column("reliability", f"as {protocol} has it", "higher",
                      {case: float(i < 50 * value) for i, case in enumerate(ids)}),), {})
        for row, value in values.items()
    }  # fmt: skip
    return replace(
        example_record(method, columns, seed=seed),
        id=f"{protocol}-{method}-{seed}",
        task=f"{protocol}_pocket",
        protocol=ProtocolFacts(protocol, 1, protocol[0] * 64, "reliability"),
        data=DataFacts(data, "d" * 64, 60, 50),
    )


BOTH = [
    asked("synthetic", "memit", {"method": 0.98, "none": 0.3}),
    asked("wild", "memit", {"method": 0.44, "none": 0.0}),
    asked("synthetic", "rome", {"method": 0.9}),
    asked("wild", "lora", {"method": 0.1}),
]


def test_a_line_leads_from_the_synthetic_value_to_the_wild_one() -> None:
    ((name, text),) = all_plots(boards(BOTH)).items()
    assert name == "wild_pocket-pocket-single-50-paper-against-synthetic"
    told = words(text)
    assert [line.split(" [")[0] for line in told if "memit" in line] == ["memit 98.0", "44.0"]
    assert any(line.startswith("none 30.0") for line in told)
    assert not any(name in line for line in told for name in ("rome", "lora"))
    assert "as synthetic has it" in " ".join(told)
    assert text.count('curve"') == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"data": DataFacts("mcf", "d" * 64, 60, 50)},
        {"schedule": ScheduleFacts("sequential", "sequential", 50, 0)},
        {"schedule": ScheduleFacts("single", "single", 40, 0)},
        {"model": replace(BOTH[0].model, digest_before="f" * 64, digest_after="f" * 64)},
    ],
    ids=["data", "schedule", "edits", "weights"],
)
def test_boards_that_differ_otherwise_are_no_pair(changed: dict[str, object]) -> None:
    assert all_plots(boards([BOTH[0], BOTH[1]]))
    assert not all_plots(boards([BOTH[0], replace(BOTH[1], **changed)]))  # type: ignore[arg-type]


def test_other_seeds_are_left_out_and_named() -> None:
    other = [asked("synthetic", "ft-m", {"method": 0.9}), asked("wild", "ft-m", {"method": 0.9}, seed=1)]
    (text,) = all_plots(boards([*BOTH, *other])).values()
    assert any("left out, as their seeds differ: ft-m" in line for line in words(text))
    assert not all_plots(boards(other))
