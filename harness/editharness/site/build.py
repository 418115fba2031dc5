"""Records -> files of the site. Pure up to the writing: the same records give the same bytes.

index.html                  every board, with its best row
boards/<board>.html         a table that sorts and filters, plots, the command behind each row
runs/<run>-<digest>.html    one record: settings, versions, hashes, columns
plots/*.svg  style.css  board.js
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from editharness.errors import RecordError, UsageError
from editharness.leaderboard.board import Entry
from editharness.leaderboard.claims import Claim
from editharness.leaderboard.plots import all_plots
from editharness.leaderboard.pooling import Kept
from editharness.leaderboard.rows import boards
from editharness.site.excerpt import excerpt
from editharness.site.pages import BoardPage, RunPage, board_page, run_page, run_path
from editharness.site.standing import MEANING, standing

_ASSETS = Path(__file__).parent / "assets"


def build(
    entries: Sequence[Entry], folder: Path, claims: Sequence[Claim] = (), *,
    recomputed: Collection[Path] = (), kept: Kept | None = None,
) -> list[str]:  # fmt: skip
    """Write the site of these records into `folder`, whole or not at all; the files' paths below it, sorted.

    `claims`: what papers report, shown apart from what was measured. `recomputed`: the folders of records that
    `verify` has found to be what they say. `kept`: what earlier calls have made of the same files.

    A folder that holds anything but a site is not touched: UsageError. RecordError where there is no record, or nothing
    can be written.
    """
    files = pages(entries, claims, recomputed, kept)
    marked = folder / "index.html"
    if folder.exists() and any(folder.iterdir()) and not (marked.is_file() and _MARK in marked.read_text("utf-8")):
        raise UsageError(f"--output {folder}: holds other files; give an empty or a new folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".site-") as made:
            for path, text in files.items():
                target = Path(made) / "site" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(text.encode("utf-8"))
            if folder.exists():
                shutil.rmtree(folder)
            (Path(made) / "site").rename(folder)
    except OSError as error:
        raise RecordError(f"{folder}: cannot be written ({error.strerror})") from None
    return sorted(files)


_MARK = '<meta name="generator" content="editharness">'


def pages(
    entries: Sequence[Entry], claims: Sequence[Claim] = (), recomputed: Collection[Path] = (), kept: Kept | None = None
) -> Mapping[str, str]:
    """Path below the site -> content."""
    if not entries:
        raise RecordError("no record to make a site of")
    made = boards(entries, kept)
    known = {run_path(entry.record): standing(entry, recomputed) for entry in entries}
    shown = [board_page(board, claims, known) for board in made]
    ordered = sorted(entries, key=lambda one: (one.record.task, one.record.id))
    runs = [run_page(entry, known, excerpt(entry, kept)) for entry in ordered]
    plots = {f"plots/{name}.svg": text for name, text in all_plots(made).items()}
    environment = Environment(
        loader=PackageLoader("editharness.site"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    files = {path.name: path.read_text(encoding="utf-8") for path in sorted(_ASSETS.iterdir())} | plots
    files["index.html"] = environment.get_template("index.html.j2").render(root=".", boards=shown, mark=_MARK)
    for board in shown:
        files[board.path] = _board(environment, board, sorted(plots))
    for run in runs:
        files[run.path] = _run(environment, run)
    return files


def _board(environment: Environment, board: BoardPage, plots: Sequence[str]) -> str:
    own = [path for path in plots if path.startswith(f"plots/{board.plots}-")]
    template = environment.get_template("board.html.j2")
    return template.render(root="..", board=board, plots=own, meanings=MEANING.items(), mark=_MARK)


def _run(environment: Environment, run: RunPage) -> str:
    return environment.get_template("run.html.j2").render(root="..", run=run, mark=_MARK)
