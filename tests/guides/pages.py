"""The pages a reader follows, their blocks of code, and what becomes of each command when the tests run it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
    if not path.name.endswith("_intro.md")  # the head of a generated page, which holds it
}
SHELL, PYTHON = ("console", "sh", "bash"), ("python",)
SHOWN = {
    "text": "what a command prints",
    "json": "data; a file where the words before it name one",
    "jsonl": "data",
    "csv": "data",
    "yaml": "data",
    "toml": "a part of pyproject.toml; tests/plugin_package has the whole",
}
"""Languages of blocks that nothing runs, and why."""
BY_THEMSELVES = {
    "docs/adapters.md": "tests/test_guides.py",
    "docs/data.md": "tests/cli/test_own_data.py",
    "docs/export.md": "tests/test_guides.py",
    "docs/extending.md": "tests/test_extending.py",
    "docs/lm_eval.md": "tests/test_lm_eval_model.py",
    "docs/python.md": "tests/test_guides.py",
    "docs/sweeps.md": "tests/test_guides.py",
}
"""Page -> the test that runs its blocks in order and looks at what comes out."""
PYTHON_BY = {"CONTRIBUTING.md": "tests/test_readme.py", "docs/judges.md": "tests/guides/test_guides_run.py"}
"""Page whose commands run here -> the test that runs its Python."""
NOT_RUN = {
    "pip install": "the new environments of .ci/run are made with it",
    "bash .ci/": "it runs these tests",
    ".ci/generated": "a step of .ci/run of its own",
    "ruff ": "a step of .ci/run of its own",
    "mkdocs build": "a step of .ci/run of its own",
    "pytest": "it runs these tests",
    "mypy": "a step of .ci/run of its own",
    "python -m build": "tests/test_plugin_package.py builds the wheel",
    "python benchmarks/": "minutes to hours; its figures stand in the page",
    "python -m editharness_plugins.pocket.": "trains a model for hours; tests/pocket tries it small",
    "--by server": "tests/data/own has a server to ask",
    "--abilities mmlu_generative,gsm8k": "stock tasks need the hub",
    "--abilities paper": "stock tasks need the hub",
    "local.model=FOLDER": "no packaged model passes the battery; tests/judges has one that does",
    "bertscore.model=FOLDER": "needs BERT's weights; tests/judges has a tiny one",
    "table2_pocket.yaml --workers": "twenty runs of 200 edits; tests/cli/test_sweep.py runs sweeps/small.yaml",
    "--track mlruns": "needs the extra `track`; tests/observers has MLflow where it is installed",
}
"""What a command contains -> why it is not run with the others."""
SMALLER = {
    "--edits 300 --schedule batch:10 --checkpoints 10,100,200,300": "--edits 20 --schedule batch:10 --checkpoints 20",
    "--edits 500 --schedule batch:10 --checkpoints 10,100,200,300,400,500": "--edits 20 --schedule batch:10",
    "--schedule batch:1,batch:10,batch:50 --edits 10,50,100": "--schedule batch:1,batch:4 --edits 4,8",
    "--schedule batch:50 --checkpoints 50,100": "--schedule batch:4 --checkpoints 4,8 --edits 8",
    "--abilities pocket": "--abilities pocket --ability-limit 4",
    "--limit 50": "--limit 4 --edits 4",
    "--sample 100": "--sample 4",
    "--device cuda": "--device cpu --data mcf=counterfact-edit.json",
    "pretrained=gpt2": 'pretrained="$(editharness models pocket --path)",max_length=64 --limit 2 --batch_size 8',
}
"""The same command with less to do, on a machine without a GPU and a network."""
FEW = 4
"""Edits of a command that names many, or none; cases of `trace` and `geometry`."""
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: str
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """All of them, in order."""
    return [Block(page, match[1], match[2]) for match in BLOCK.finditer(PAGES[page])]


def commands(page: str) -> list[str]:
    """Every command of a page's shell blocks, comments left out; `\\` at a line's end goes on in the next."""
    text = "\n".join(block.text for block in blocks(page) if block.language in SHELL)
    lines = re.sub(r" *\\\n *", " ", text).splitlines()
    bare = (re.sub(r"(^|\s)#.*", "", line) for line in lines)
    return [part.strip() for line in bare for part in line.split("&&") if part.strip()]


def why_not(command: str) -> str:
    """The reason why a command is not run, or ""."""
    return next((reason for part, reason in NOT_RUN.items() if part in command), "")


def smaller(command: str) -> str:
    """The command as the tests type it: as it stands, but for the numbers of edits and cases."""
    for old, new in SMALLER.items():
        if old in command:
            return smaller_edits(command.replace(old, new)) if "--edits" not in new else command.replace(old, new)
    return smaller_edits(command)


def smaller_edits(command: str) -> str:
    """No more than FEW edits or cases."""
    begin = " ".join(command.split()[:2])
    if begin in ("editharness trace", "editharness geometry"):
        return f"{command} --cases {FEW}"
    if begin != "editharness eval" or "--dry-run" in command:
        return command
    found = re.search(r"--edits (\d+)", command)
    if found is None:
        return f"{command} --edits {FEW}"
    return command.replace(found[0], f"--edits {min(FEW, int(found[1]))}")


def run_here() -> Iterator[str]:
    """The pages whose commands tests/guides runs."""
    for page in PAGES:
        if page not in BY_THEMSELVES and any(not why_not(command) for command in commands(page)):
            yield page
