"""What README, CONTRIBUTING and docs tell a reader to type is understood, and what they show runs."""

from __future__ import annotations

import importlib
import re
import shlex
from argparse import Namespace
from dataclasses import fields
from pathlib import Path

import pytest

from editharness.choosing import check_tasks
from editharness.cli import COMMANDS, main
from editharness.cli.common import Parser
from editharness.cli.eval import configure_all, known_options
from editharness.cli.judge import judge_names, judge_settings
from editharness.registry import load_plugins
from editharness.testing.tiny import tiny
from editharness.types import Schedule

ROOT = Path(__file__).parents[1]
README, CONTRIBUTING = (ROOT / name for name in ("README.md", "CONTRIBUTING.md"))
GUIDES = (README, CONTRIBUTING, *sorted((ROOT / "docs").glob("*.md")))


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)


def commands() -> list[str]:
    """Every `editharness` command of README, CONTRIBUTING and docs, comments left out."""
    lines = (line for path in GUIDES for block in blocks(path, "console") for line in block.splitlines())
    parts = (part.strip() for line in lines for part in line.split("#")[0].split("&&"))
    return sorted({part for part in parts if part.startswith("editharness ")})


def listing(command: str) -> bool:
    """Does it list what is installed (and can be run here), rather than work on files or models?"""
    found = COMMANDS.get(command.split()[1])
    return found is None or found.module in ("editharness.cli.listing", "editharness.cli.metrics")


def parsed(command: str) -> Namespace:
    """The arguments of a command, as its own parser reads them."""
    _, name, *rest = shlex.split(command)
    module = importlib.import_module(COMMANDS[name].module)
    parser = Parser()
    module.arguments(parser)
    return parser.parse_args(rest)


def test_there_are_commands_to_check() -> None:
    assert len(commands()) >= 30
    assert sum(" eval " in command for command in commands()) >= 15
    assert sum(map(listing, commands())) >= 4


@pytest.mark.parametrize("command", [c for c in commands() if listing(c)])
def test_listing_commands_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("command", [c for c in commands() if not listing(c)])
def test_the_arguments_of_other_commands_are_understood(command: str) -> None:
    assert vars(parsed(command))


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("editharness eval ")])
def test_eval_commands_name_what_exists_and_can_be_asked(command: str) -> None:
    registry = load_plugins()
    args = parsed(command)
    configs, left_out = configure_all(args, registry)
    assert configs
    assert not left_out
    for config in configs:
        known_options(registry.method(config.method), config)
        protocol, data = registry.protocol_and_data(config.task)
        check_tasks(registry.resolve(protocol.ref)(), data.name, config, registry)
        assert set(config.data) <= set(registry.datasets)
        # only pocket's file comes with the package; any other must be given, or be on the hub
        assert data.name == "pocket" or data.name in config.data or data.sources


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("editharness judge ")])
def test_judge_commands_name_judges_and_their_options(command: str) -> None:
    registry = load_plugins()
    args = parsed(command)
    names = judge_names(args.judge or "rules")
    for name, settings in judge_settings(args.judge_set, names).items():
        spec = registry.judge(names[name])
        assert set(settings) <= {field.name for field in fields(spec.options)} if spec.options else not settings


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
