"""What README and CONTRIBUTING tell a reader to type is understood, and what they show runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.registry import load_plugins
from editharness.testing.tiny import tiny
from editharness.types import Schedule

ROOT = Path(__file__).parents[1]
README, CONTRIBUTING = (ROOT / name for name in ("README.md", "CONTRIBUTING.md"))


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)


def commands() -> list[str]:
    lines = (
        line for path in (README, CONTRIBUTING) for block in blocks(path, "console") for line in block.splitlines()
    )
    parts = (part.strip() for line in lines for part in line.split("#")[0].split("&&"))
    return sorted({part for part in parts if part.startswith("editharness ")})


def test_there_are_commands_to_check() -> None:
    assert len(commands()) >= 8


@pytest.mark.parametrize("command", [c for c in commands() if " eval " not in c and " leaderboard" not in c])
def test_listing_commands_of_the_readme_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("command", [c for c in commands() if " eval " in c])
def test_eval_commands_of_the_readme_name_what_exists(command: str) -> None:
    from editharness.cli import eval as command_module
    from editharness.cli.common import Parser

    parser = Parser()
    command_module.arguments(parser)
    registry = load_plugins()
    configs, _ = command_module.configure_all(parser.parse_args(shlex.split(command)[2:]), registry)
    for config in configs:
        registry.method(config.method)
        registry.protocol_and_data(config.task)


def test_the_main_command_and_the_test_command_are_the_ones_ci_runs() -> None:
    readme, ci = README.read_text(encoding="utf-8"), (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for words in ("install . -c constraints.txt", "install -e '.[test]' -c constraints.txt"):
        assert f"pip {words}" in readme
    assert "install --quiet . -c constraints.txt" in ci
    assert "install --quiet -e '.[test]' -c constraints.txt" in ci
    main_command = "editharness eval --method memit --task negation_pocket"
    assert main_command in readme
    assert main_command in ci


def test_the_method_of_the_contributing_guide_edits_a_model() -> None:
    from editharness.editing import write_arm
    from editharness.host import LocalHost
    from editharness.models.load import LoadedModel, weights_digest
    from editharness.timeline import Timeline
    from editharness.types import Edit, MethodSpec

    code, spec = blocks(CONTRIBUTING, "python")
    space: dict[str, object] = {}
    exec(compile(code + spec, "CONTRIBUTING.md", "exec"), space)  # the guide's own text is what is tested
    offered: list[MethodSpec] = []
    space["register_methods"](offered.append)  # type: ignore[operator]
    assert offered[0].name == "nudge"
    model, tokenizer = tiny("llama")
    loaded = LoadedModel(model, tokenizer, "tiny", None, "folder", weights_digest(model), 1, "Llama", Path())
    host = LocalHost(loaded, seed=0)
    timeline = Timeline(model, host.masters)
    method = space["Nudge"](None)  # type: ignore[operator]
    edits = [Edit("a", "The capital of Kenya is", (15, 20), "Rome")]
    arm = write_arm("m/positive", offered[0], method, edits, Schedule.parse("all"), host, timeline)
    assert [status.outcome for status in arm.statuses] == ["done"]
    name = host.modules.down_weight(0)
    with timeline.at(("m/positive", 1, "carried")):
        assert not host.original(name).equal(model.get_parameter(name))
    assert timeline.close() == loaded.digest
