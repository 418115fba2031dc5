"""The package in tests/plugin_package, installed as a stranger's would be: listed, shown, run by name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from editharness.testing.tiny import save_tiny

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parent / "plugin_package"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the plugin into."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PACKAGE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    words = ["install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder / "site")]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *words, str(folder / "source")],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tiny("llama", folder)
    return folder


def editharness(site: Path, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "editharness", *words],
        capture_output=True, text=True, check=False, env=environment, cwd=cwd, timeout=600,
    )  # fmt: skip


def shown(site: Path, *words: str) -> object:
    done = editharness(site, *words, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("methods", "acme-ft"), ("protocols", "recall"), ("datasets", "capitals"), ("tasks", "recall_capitals")],
)
def test_what_the_package_offers_is_listed_with_its_distribution(kind: str, name: str, installed: Path) -> None:
    rows = shown(installed, kind)
    assert isinstance(rows, list)
    (row,) = [row for row in rows if row["name"] == name]
    assert row["from"] == "acme-editing 0.3.0"
    done = editharness(installed, kind, name, "--path")
    assert Path(done.stdout.strip()).is_relative_to(installed), done.stderr


def test_its_options_are_shown_and_checked(installed: Path, model: Path) -> None:
    page = shown(installed, "methods", "acme-ft")
    assert isinstance(page, dict)
    assert [row["option"] for row in page["options"]] == ["steps", "step_size"]
    words = ("eval", "--method", "acme-ft", "--task", "recall_capitals", "--model", str(model), "--edits", "8")
    done = editharness(installed, *words, "--set", "steps=0")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("option steps=0 is out of range: use 1 to 1000 (default 10)")


def test_it_runs_by_name_and_its_method_changes_the_answers(installed: Path, model: Path, tmp_path: Path) -> None:
    done = editharness(
        installed, "eval", "--method", "acme-ft", "--task", "recall_capitals", "--model", str(model), "--edits", "8",
        "--schedule", "all", "--set", "steps=60", "--set", "step_size=0.3", "--format", "json",
        "--output", str(tmp_path / "runs"), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "runs").glob("*/record.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    rows = {row["row"]: row["columns"][0] for row in record["rows"]}
    assert rows["acme-ft"]["name"] == "recall"
    assert rows["acme-ft"]["n"] == 8
    assert rows["acme-ft"]["value"] > rows["none"]["value"]
    assert record["model"]["digest_before"] == record["model"]["digest_after"]
    assert "acme-editing" in json.dumps(record)


def test_without_the_package_its_names_are_unknown() -> None:
    done = editharness(Path(), "methods", "acme-ft")
    assert done.returncode == 2
    assert "unknown method 'acme-ft'" in done.stderr


def test_a_second_copy_of_its_names_is_refused(installed: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(installed, site)
    (info,) = site.glob("acme_editing-*.dist-info")
    metadata = (info / "METADATA").read_text(encoding="utf-8").replace("Name: acme-editing", "Name: acme-copy")
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    info.rename(site / "acme_copy-0.3.0.dist-info")
    done = editharness(Path(os.pathsep.join((str(installed), str(site)))), "methods")
    assert done.returncode == 2
    assert "two plugins are named 'acme': acme-copy 0.3.0 and acme-editing 0.3.0" in done.stderr
