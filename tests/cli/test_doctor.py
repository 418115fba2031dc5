"""`editharness doctor`: what is well, what is not, and what to do about it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.cli.doctor import _required


def findings(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> list[dict[str, str]]:
    assert main(["doctor", "--format", "json", *words]) == status
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, list)
    return found


def test_everything_is_looked_at_and_torch_is_left_alone(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom editharness.cli import main\nstatus = main(['doctor', '--offline'])\n"
        "import shutil\nassert 'torch' not in sys.modules or shutil.which('nvidia-smi')\nsys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    for what in ("python", "lm-eval", "torch", "processors", "GPU", "models' cache", "plugin", "registered"):
        assert what in done.stdout
    assert "not asked: --offline" in done.stdout


def test_a_cache_that_cannot_be_written_is_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "file" / "cache"))
    (fault,) = [one for one in findings(capsys, "--offline", status=2) if one["state"] == "fault"]
    assert fault["what"] == "cache"
    assert fault["seen"].endswith("set EDITHARNESS_CACHE to a folder that can be written")


def test_a_host_that_does_not_answer_is_said_honestly(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):  # nobody listens at port 9
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    asked = [one for one in findings(capsys) if one["what"] == "network"]
    assert len(asked) >= 2
    assert all("did not answer in 3 s" in one["seen"] and one["state"] == "note" for one in asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (told,) = [one for one in findings(capsys) if one["what"] == "network"]
    assert told["seen"] == "not asked: HF_HUB_OFFLINE is set"


def test_a_requirement_that_is_missing_or_too_old_names_the_command() -> None:
    missing = _required("no-such-package", ">=2", lambda found: True)
    assert (missing.state, missing.seen) == ("fault", "not installed: pip install 'no-such-package>=2'")
    old = _required("rich", ">=99", lambda found: False)
    assert old.state == "fault"
    assert old.seen.endswith("where >=99 is wanted: pip install 'rich>=99'")
