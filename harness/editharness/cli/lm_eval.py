"""`editharness lm-eval ...`: lm-eval's own command, which knows the model `editharness` and the tasks of all plugins.

Everything after `lm-eval` is lm-eval's; nothing of its output changes (results JSON, samples, table).
"""

from __future__ import annotations

import argparse
import sys

PROGRAM = "editharness lm-eval"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Take every word as it stands, --help too."""
    parser.prefix_chars = "\0"
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="...", help="lm-eval's own words: run, ls, validate")


def run(args: argparse.Namespace) -> int:
    """Run lm-eval in this process; its exit status."""
    from lm_eval._cli import HarnessCLI
    from lm_eval.utils import setup_logging

    from editharness.lm_eval_model import register
    from editharness.registry import load_plugins

    folders = [str(folder.spec.path) for folder in load_plugins().task_folders]
    register()
    setup_logging()
    typed, sys.argv = sys.argv, [PROGRAM, *args.words]  # from there lm-eval reads, and adds `run` where it is left out
    try:
        parser = HarnessCLI()
        parsed = parser.parse_args()
        if hasattr(parsed, "include_path"):
            # one folder from the command line, where its task manager takes several; the later ones win
            parsed.include_path = [*folders, *([parsed.include_path] if parsed.include_path else [])]
        parser.execute(parsed)
    except SystemExit as stop:
        return int(stop.code or 0) if not isinstance(stop.code, str) else 1
    finally:
        sys.argv = typed
    return 0
