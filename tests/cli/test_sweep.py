"""`editharness sweep`: the same records whatever makes them, whoever is killed on the way."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from editharness.cli import main

SMALL = Path(__file__).parents[2] / "sweeps" / "small.yaml"
EDITHARNESS = [sys.executable, "-m", "editharness"]
ENVIRONMENT = {**os.environ, "EDITHARNESS_KEEP_SECONDS": "0", "OMP_NUM_THREADS": "1"}
TOKEN = {**ENVIRONMENT, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
"""For the cluster that the test starts, and for who may use it."""
SLOWLY = """\
defaults: {task: synthetic_pocket, edits: 4, schedule: "batch:1"}
grid:
  method: ft-m
  options: [{steps: 3}, {steps: 4}]
"""
BROKEN = '''\
"""A method that never works."""
from editharness import hookimpl
from editharness.method import Method
from editharness.types import MethodSpec


class Broken(Method):
    """Raises."""

    def __init__(self, options): ...

    def edit(self, host, edits, state):
        """Raises."""
        raise RuntimeError("out of luck")


@hookimpl
def register_methods(register):
    """One method."""
    register(MethodSpec(name="broken", title="Broken", paper="", ref="broken_method:Broken"))
'''


def typed(*words: object, **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EDITHARNESS, *map(str, words)],
        **{"env": ENVIRONMENT, "capture_output": True, "text": True, "check": False, **how},
    )


def results(output: Path) -> dict[str, tuple[object, ...]]:
    """Run id -> all of its record that does not tell of times."""
    found = {}
    for path in output.glob("*/record.json"):
        record = json.loads(path.read_text())
        samples = gzip.decompress((path.parent / "samples.jsonl.gz").read_bytes())
        scores, edits = ((path.parent / name).read_bytes() for name in ("scores.jsonl", "edits.jsonl"))
        found[record["id"]] = (record["rows"], record["statuses"], record["config"], samples, scores, edits)
    return found


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Records of the small sweep by two local workers, and what was printed."""
    output = tmp_path_factory.mktemp("local")
    done = typed("sweep", SMALL, "--output", output, "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert len(results(output)) == 12
    return output, done.stdout


@pytest.mark.slow
def test_the_board_is_the_leaderboards_and_nothing_is_made_twice(
    local: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    output, printed = local
    assert main(["leaderboard", str(output)]) == 0
    assert capsys.readouterr().out == printed
    before = results(output)
    assert main(["sweep", str(SMALL), "--output", str(output), "--dry-run", "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert [row["state"] for row in json.loads(out)] == ["made"] * 12
    assert err == "12 cells: 12 have a record, 0 to make\n"
    assert main(["sweep", str(SMALL), "--output", str(output)]) == 0
    assert capsys.readouterr().out == printed
    assert results(output) == before
    assert not list(output.glob(".*.part"))


@pytest.mark.slow
def test_a_cell_is_what_eval_makes_of_it_alone(local: tuple[Path, str], tmp_path: Path) -> None:
    words = ["--task", "negation_pocket", "--edits", "4", "--schedule", "batch:2", "--seed", "1"]
    assert typed("eval", "--method", "grace", *words, "--output", tmp_path).returncode == 0
    ((name, alone),) = results(tmp_path).items()
    swept = results(local[0])[name]
    assert [part for i, part in enumerate(alone) if i != 2] == [part for i, part in enumerate(swept) if i != 2]


@pytest.mark.slow
def test_a_record_that_says_other_things_is_made_again(
    local: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states = {}
    for key, change in {
        "as it was": lambda raw: None,
        "protocol": lambda raw: raw["protocol"].update(hash="0" * 64),
        "data": lambda raw: raw["data"].update(sha256="0" * 64),
        "options": lambda raw: raw["method"]["options"].update(steps=999),
    }.items():
        folder = tmp_path / key
        (path,) = [p for p in local[0].glob("memit-*/record.json") if '"negation_pocket"' in p.read_text()][:1]
        raw = json.loads(path.read_text())
        change(raw)
        (folder / path.parent.name).mkdir(parents=True)
        (folder / path.parent.name / "record.json").write_text(json.dumps(raw))
        assert main(["sweep", str(SMALL), "--output", str(folder), "--dry-run", "--format", "json"]) == 0
        states[key] = [row["state"] for row in json.loads(capsys.readouterr().out)].count("made")
    assert states == {"as it was": 1, "protocol": 0, "data": 0, "options": 0}


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a Ray cluster of one node, started as its documentation says."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'editharness[ray]'")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    words = ["start", "--head", f"--port={address.partition(':')[2]}", "--num-cpus=2"]
    words += ["--include-dashboard=false", "--object-store-memory=100000000", "--disable-usage-stats", "--block"]
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", *words],
        env=TOKEN, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: _listens(address))
        yield address
    finally:
        family = [head, *psutil.Process(head.pid).children(recursive=True)] if head.poll() is None else []
        head.terminate()  # takes the node down
        head.wait(60)
        for process in psutil.wait_procs(family, 30)[1]:
            process.kill()


@pytest.mark.slow
def test_ray_makes_the_same_records(local: tuple[Path, str], cluster: str, tmp_path: Path) -> None:
    words = ("--output", tmp_path, "--engine", "ray", "--address", cluster)
    greedy = typed("sweep", SMALL, *words, "--gpus", "1", env=TOKEN)
    assert (greedy.returncode, greedy.stderr.splitlines()[-1]) == (
        2,
        "editharness: --engine ray: no node has what a cell needs (1 cpus, 1 gpus); give other --cpus and --gpus",
    )
    stranger = typed("sweep", SMALL, *words, env={**TOKEN, "RAY_AUTH_TOKEN": secrets.token_hex(32)})
    assert stranger.returncode == 2
    assert f"--address {cluster}: the cluster wants its token" in stranger.stderr.splitlines()[-1]
    done = typed("sweep", SMALL, *words, env=TOKEN)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path) == results(local[0])
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_ray_on_this_machine_survives_a_killed_worker(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'editharness[ray]'")
    told = killed(tmp_path, lambda process: any("RayCells" in word for word in process.cmdline()), "--engine", "ray")
    assert "its worker died" in told
    assert "going on from what an interrupted run has kept" in told
    assert results(tmp_path / "runs") == undisturbed


@pytest.mark.slow
def test_an_address_where_no_cluster_answers_is_one_line(tmp_path: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'editharness[ray]'")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        quiet = f"127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        no_ray = typed("sweep", SMALL, "--output", tmp_path, "--engine", "ray", "--address", quiet)
        assert time.monotonic() - start < 60
    nobody = typed("sweep", SMALL, "--output", tmp_path, "--engine", "ray", "--address", quiet)
    assert no_ray.returncode == nobody.returncode == 2
    assert f"--address {quiet}: no Ray cluster answers (not within 25 s; " in no_ray.stderr.splitlines()[-1]
    assert f"--address {quiet}: no Ray cluster answers (Connection refused)" in nobody.stderr.splitlines()[-1]
    assert "Traceback" not in no_ray.stderr + nobody.stderr


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "slowly.yaml").write_text(SLOWLY)
    assert typed("sweep", "slowly.yaml", cwd=folder).returncode == 0
    return results(folder / "runs")


def wait_for(happened: Any, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def begin(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A sweep that has kept something of a cell that is not done."""
    (folder / "slowly.yaml").write_text(SLOWLY)
    child = subprocess.Popen(
        [*EDITHARNESS, "sweep", "slowly.yaml", *words], cwd=folder, env=ENVIRONMENT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for(lambda: len(list(folder.glob("runs/.*.part/[0-9]*.json"))) >= 3)
    return child


def killed(folder: Path, is_worker: Any, *words: str) -> str:
    """What a sweep says whose worker is killed in the middle of a cell."""
    child = begin(folder, *words)
    workers = [one for one in psutil.Process(child.pid).children(recursive=True) if is_worker(one)]
    assert workers
    for worker in workers:
        worker.kill()
    _, told = child.communicate(timeout=300)
    assert child.returncode == 0, told
    return told


@pytest.mark.slow
def test_a_killed_worker_changes_nothing_in_the_end(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    told = killed(tmp_path, lambda process: "editharness.sweeping.serve" in process.cmdline())
    assert "its worker died (killed by signal 9); another goes on" in told
    assert "going on from what an interrupted run has kept" in told
    assert results(tmp_path / "runs") == undisturbed
    assert len(undisturbed) == 2


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
def test_a_sweep_that_is_stopped_goes_on(how: signal.Signals, tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    child = begin(tmp_path)
    workers = psutil.Process(child.pid).children(recursive=True)
    child.send_signal(how)
    _, told = child.communicate(timeout=60)
    if how == signal.SIGINT:
        assert child.returncode == 130
        assert told.splitlines()[-1].endswith("interrupted: what is done is kept: give the same command to go on")
    wait_for(lambda: not any(worker.is_running() for worker in workers))
    kept = list(tmp_path.glob("runs/.*.part"))
    # a worker that lost its sweep without a word ends its cell first
    assert kept or (how == signal.SIGKILL and list(tmp_path.glob("runs/*/record.json")))
    done = typed("sweep", "slowly.yaml", cwd=tmp_path)
    assert done.returncode == 0
    assert not kept or "going on from what an interrupted run has kept" in done.stderr
    assert results(tmp_path / "runs") == undisturbed


@pytest.mark.slow
def test_a_cell_that_always_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "broken_method.py").write_text(BROKEN)
    text = "plugins: [broken_method.py]\n" + SLOWLY.replace("method: ft-m", "method: [broken, none]")
    (tmp_path / "grid.yaml").write_text(text.replace("  options: [{steps: 3}, {steps: 4}]\n", ""))
    done = typed("sweep", "grid.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("synthetic · data pocket · model pocket")
    named, counted = done.stderr.splitlines()[-2:]
    assert named.startswith("grid.yaml, line 4: broken, synthetic_pocket, pocket, sequential, 4 edits, seed 0: ")
    assert named.endswith("raised RuntimeError: out of luck")
    assert counted == "1 of 2 cells failed; the same command tries them again"
    assert len(results(tmp_path / "runs")) == 1


def test_what_is_typed_wrongly_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in (
        (["no.yaml"], "no.yaml: no such file"),
        ([str(SMALL), "--address", "auto"], "--address is of --engine ray"),
        ([str(SMALL), "--cpus", "-1"], "argument --cpus: '-1': a number from 0"),
        ([str(SMALL), "--workers", "0"], "argument --workers: '0': a whole number from 1"),
        ([str(SMALL), "--engine", "slurm"], "argument --engine: invalid choice: 'slurm'"),
    ):
        assert main(["sweep", *words, "--output", str(tmp_path)]) == 2
        assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_ray_that_is_not_installed_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    assert main(["sweep", str(SMALL), "--output", str(tmp_path), "--engine", "ray"]) == 2
    assert capsys.readouterr().err.endswith("Ray is not installed; pip install 'editharness[ray]'\n")


@pytest.mark.parametrize("address", ["nonsense", "ray://127.0.0.1:10001", "127.0.0.1:port", ":1"])
def test_what_is_no_address_is_one_line(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'editharness[ray]'")
    words = ["sweep", str(SMALL), "--output", str(tmp_path), "--engine", "ray", "--address", address]
    assert main(words) == 2
    assert f"--address {address}: write HOST:PORT" in capsys.readouterr().err
