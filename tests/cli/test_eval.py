"""`editharness eval` as typed: real runs on tiny models, and one clear line for everything that cannot be done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.cli.eval import methods_asked
from editharness.registry import load_plugins
from editharness.testing.tiny import save_tiny

PLACES = ["Kenya", "Peru", "Norway", "Chad", "Fiji", "Cuba", "Mali", "Oman"]
NAMES = ["Rome", "Oslo", "Lima", "Bern", "Suva", "Doha", "Kyiv", "Riga"]


def flat_records() -> list[dict[str, object]]:
    """CounterFact's flat schema, as EasyEdit distributes it."""
    return [
        {
            "case_id": i,
            "prompt": f"The capital of {place} is",
            "subject": place,
            "target_new": NAMES[(i + 3) % 8],
            "ground_truth": NAMES[i],
            "rephrase_prompt": f"In {place}, the capital is",
            "locality_prompt": "The capital of Japan is",
            "locality_ground_truth": "Tokyo",
        }
        for i, place in enumerate(PLACES)
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tiny("llama", folder)
    (folder / "corpus.txt").write_text("\n".join(f"The capital of {p} is {n}." for p, n in zip(PLACES, NAMES)))  # noqa: B905
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "cf.json"
    path.write_text(json.dumps(flat_records()))
    return path


def evaluate(model: Path, data: Path, out: Path, *more: str) -> int:
    words = ["eval", "--task", "negation_mcf", "--data", f"mcf={data}", "--model", str(model), "--output", str(out)]
    return main([*words, *more])


def records(out: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted(out.glob("*/record.json"))]


@pytest.mark.parametrize("schedule", ["single", "batch:3", "sequential", "all", "fresh:4"])
def test_every_schedule_runs_and_leaves_the_model_as_it_was(
    schedule: str, model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    more = ("--method", "memit", "--edits", "6", "--schedule", schedule, "--set", "steps=3")
    assert evaluate(model, data, out, *more) == 0
    (record,) = records(out)
    facts = record["model"]
    assert isinstance(facts, dict)
    assert facts["digest_before"] == facts["digest_after"]
    rows = {row["row"]: row for row in record["rows"]}  # type: ignore[attr-defined]
    assert list(rows) == ["none", "none*", "context", "constant", "echo", "target", "memit"]
    assert {c["name"]: c["n"] for c in rows["memit"]["columns"]}["PP"] == 6
    assert {c["name"]: c["value"] for c in rows["target"]["columns"]}["PP"] == 1.0
    assert "memit" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["none", "context", "ft-m", "rome", "c-rome"])
def test_every_method_makes_a_board(method: str, model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    assert (
        evaluate(model, data, out, "--method", method, "--edits", "4", "--schedule", "batch:2", "--format", "json") == 0
    )
    (record,) = records(out)
    assert record["schedule"]["asked"] == "batch:2"  # type: ignore[index]
    effective = {"rome": "sequential", "c-rome": "sequential", "context": "single"}.get(method, "batch:2")
    assert record["schedule"]["effective"] == effective  # type: ignore[index]


def test_several_methods_fill_one_board_and_one_that_cannot_run_is_named(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    words = ["--method", "ft-m,mend,c-rome", "--edits", "4", "--schedule", "batch:2", "--format", "json"]
    assert evaluate(model, data, out, *words) == 2
    assert [record["method"]["name"] for record in records(out)] == ["c-rome", "ft-m"]  # type: ignore[index]
    told = capsys.readouterr()
    assert "mend: method 'mend' needs cases to train on" in told.err
    (board,) = json.loads(told.out)
    assert {row["name"] for row in board["rows"] if row["kind"] == "method"} == {"ft-m", "c-rome"}
    assert next(row["badges"] for row in board["rows"] if row["name"] == "c-rome")[1:] == ["ran as sequential"]


def test_all_is_every_method_but_the_controls() -> None:
    registry = load_plugins()
    names = methods_asked("all", registry)
    assert names == methods_asked(",".join(names), registry)
    assert set(registry.methods) - set(names) == {"none", "context"}


def test_a_method_that_trains_takes_its_cases_from_another_file(model: Path, data: Path, tmp_path: Path) -> None:
    other = tmp_path / "train.json"
    places = [f"{place} {kind}" for place in PLACES[:3] for kind in ("North", "South")] + [PLACES[0]]
    record = flat_records()[0]
    other.write_text(
        json.dumps([{**record, "case_id": 90 + i, "subject": p, "prompt": f"The capital of {p} is"} for i, p in
                    enumerate(places)])
    )  # fmt: skip
    out = tmp_path / "runs"
    words = ["--method", "ultraedit,wise", "--edits", "2", "--schedule", "batch:2", "--train", str(other)]
    assert evaluate(model, data, out, *words) == 0
    assert len(records(out)) == 2


def test_limit_asks_fewer_cases_and_says_so(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    assert evaluate(model, data, out, "--method", "none", "--edits", "6", "--limit", "2") == 0
    (record,) = records(out)
    assert record["partial"] is True
    assert record["rows"][0]["columns"][0]["n"] == 2  # type: ignore[index]


def test_the_same_run_again_gets_a_folder_of_its_own_and_the_same_scores(
    model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    for _ in range(2):
        assert evaluate(model, data, out, "--method", "memit", "--edits", "4", "--set", "steps=3") == 0
    first, second = records(out)
    assert first["rows"] == second["rows"]
    assert first["id"] != second["id"]


def test_a_record_names_no_folder_of_the_machine(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    assert evaluate(model, data, out, "--method", "none", "--edits", "4") == 0
    (path,) = out.glob("*/record.json")
    assert str(tmp_path) not in path.read_text()
    assert str(model.parent) not in path.read_text()


def test_one_bad_record_is_counted_and_does_not_stop_the_run(model: Path, data: Path, tmp_path: Path) -> None:
    content = [
        *flat_records(),
        {"case_id": 99, "prompt": "no subject here is", "subject": "Gabon", "target_new": "Rome"},
    ]
    data.write_text(json.dumps(content))
    out = tmp_path / "runs"
    assert evaluate(model, data, out, "--method", "none", "--edits", "4") == 0
    (record,) = records(out)
    (skipped,) = record["data"]["skipped"]  # type: ignore[index]
    assert skipped["record"] == 9


@pytest.mark.parametrize("place", ["auto", "file"])
def test_a_model_spread_by_a_map(place: str, model: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "runs", tmp_path / "map.json"
    file.write_text(json.dumps({"model": "cpu", "lm_head": "disk"}))
    words = ["eval", "--task", "negation_pocket", "--model", str(model), "--method", "memit", "--edits", "3"]
    words += ["--set", "steps=2", "--set", "layers=1"]
    given = place if place == "auto" else str(file)
    assert main([*words, "--output", str(out / "spread"), "--device-map", given]) == 0
    assert main([*words, "--output", str(out / "whole")]) == 0
    (spread,), (whole,) = records(out / "spread"), records(out / "whole")
    assert spread["rows"] == whole["rows"]
    told = "auto" if place == "auto" else '{"model": "cpu", "lm_head": "disk"}'
    assert spread["model"]["device"] == told  # type: ignore[index]
    assert str(tmp_path) not in json.dumps(spread)
    assert main(["leaderboard", str(out / "spread"), "--verify"]) == 0


BAD = {
    "unknown method": (["--method", "memitt"], "did you mean 'memit'"),
    "unknown task": (["--task", "negation_pockets"], "did you mean 'negation_pocket'"),
    "unknown model": (["--model", "no/such-model"], "--model"),
    "mistyped model": (["--model", "pockt"], "did you mean 'pocket'"),
    "no such folder": (["--model", "./nowhere"], "nowhere"),
    "unknown preset": (["--preset", "papr"], "did you mean 'paper'"),
    "unknown option": (["--set", "step=3"], "did you mean 'steps'"),
    "malformed option": (["--set", "steps"], "key=value"),
    "option out of range": (["--set", "steps=0"], "steps"),
    "option of the wrong type": (["--set", "steps=many"], "steps"),
    "more edits than cases": (["--edits", "100000"], "has only"),
    "zero edits": (["--edits", "0"], "from 1"),
    "negative edits": (["--edits", "-3"], "edits"),
    "malformed number": (["--edits", "1e3"], "whole number"),
    "malformed schedule": (["--schedule", "batch:0"], "batch:K"),
    "unknown schedule": (["--schedule", "daily"], "single, fresh:K"),
    "limit above edits": (["--edits", "3", "--limit", "9"], "--limit 9"),
    "data file missing": (["--data", "pocket=gone.json"], "gone.json"),
    "unknown data set": (["--data", "pockets=x.json"], "did you mean 'pocket'"),
    "unknown flag": (["--edit", "3"], "did you mean '--edits'"),
    "unknown device": (["--device", "gpu9"], "gpu9"),
    "unknown dtype": (["--dtype", "float31"], "float32"),
    "device and map": (["--device", "cpu", "--device-map", "auto"], "leave one of them out"),
    "no such map": (["--device-map", "autos"], 'auto, {"MODULE": DEVICE, ...} or a file'),
    "map that is no JSON": (["--device-map", "{model: 0}"], "no JSON"),
    "map without modules": (["--device-map", "{}"], "for every module"),
    "map of a module that is not there": (["--device-map", '{"modle": "cpu", "": "cpu"}'], "did you mean 'model'"),
    "map with a device that is not there": (["--device-map", '{"": "cuda:99"}'], "torch sees"),
}


@pytest.mark.parametrize("words", BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_line_and_nothing_is_written(
    words: tuple[list[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    typed, expected = words
    out = tmp_path / "runs"
    code = main(["eval", "--method", "memit", "--task", "negation_pocket", "--output", str(out), *typed])
    said = capsys.readouterr()
    assert code == 2
    assert expected in said.err
    assert said.err.strip().count("\n") == 0
    assert said.out == ""
    assert not list(out.glob("*")) if out.exists() else True


def bad_files() -> dict[str, tuple[str, str]]:
    broken = flat_records()
    return {
        "not JSON": ("{[", "cf.json"),
        "empty": ("", "empty"),
        "not a list of records": ('{"a": 1}', "cf.json"),
        "an empty list": ("[]", "cf.json"),
        "no record fits": (json.dumps([{"foo": 1}, {"bar": 2}]), "record 1"),
        "target empty": (json.dumps([{**r, "target_new": " "} for r in broken]), "target"),
        "subject not in prompt": (json.dumps([{**r, "subject": "Atlantis"} for r in broken]), "subject"),
    }


@pytest.mark.parametrize("content", bad_files().values(), ids=bad_files().keys())
def test_a_bad_data_file_is_one_line(
    content: tuple[str, str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, expected = content
    path = tmp_path / "cf.json"
    path.write_text(text)
    assert evaluate(model, path, tmp_path / "runs", "--method", "none", "--edits", "2") == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.strip().count("\n") == 0


def test_a_model_folder_without_weights_or_tokenizer_or_of_the_wrong_kind(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    for name, gone in (("weights", "model.safetensors"), ("tokenizer", "tokenizer.json"), ("config", "config.json")):
        folder = tmp_path / name
        shutil.copytree(model, folder)
        (folder / gone).unlink()
        assert evaluate(folder, data, tmp_path / "runs", "--method", "none", "--edits", "2") == 2
        assert name in capsys.readouterr().err
    folder = tmp_path / "t5"
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    changed = {
        **config,
        "model_type": "t5",
        "is_encoder_decoder": True,
        "architectures": ["T5ForConditionalGeneration"],
    }
    (folder / "config.json").write_text(json.dumps(changed))
    assert evaluate(folder, data, tmp_path / "runs", "--method", "none", "--edits", "2") == 2
    assert "encoder-decoder" in capsys.readouterr().err


def test_an_output_folder_that_cannot_be_written(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert evaluate(model, data, blocked / "runs", "--method", "none", "--edits", "2") == 2
    assert "--output" in capsys.readouterr().err


def test_no_text_for_second_moments_names_the_flag(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "cache"))
    save_tiny("llama", tmp_path / "bare")
    assert evaluate(tmp_path / "bare", data, tmp_path / "runs", "--method", "memit", "--edits", "2") == 2
    assert "--corpus FILE" in capsys.readouterr().err
