"""`editharness data build PAIRS | check CASES`: question-answer pairs of one's own as cases, and their checks."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from editharness.cli.common import Parser, natural
from editharness.errors import UsageError

if TYPE_CHECKING:
    from editharness.data.own.build import Built
    from editharness.data.own.pairs import PairFile
    from editharness.data.own.server import Server
    from editharness.types import Skipped

_SHOWN = 20
_KEY, _OPENAI = "OPENAI_API_KEY", "api.openai.com"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The two actions and their flags."""
    actions = parser.add_subparsers(dest="action", metavar="build|check", required=True, parser_class=_ActionParser)
    text = "Turn question-answer pairs into cases, the way QAEdit was made."
    build = actions.add_parser("build", description=text, help="turn question-answer pairs into cases")
    build.add_argument("pairs", type=Path, metavar="QA.csv|QA.jsonl", help="columns question, answer; see docs/data.md")
    build.add_argument("--output", type=Path, required=True, metavar="CASES.jsonl", help="the file to write")
    build.add_argument("--review", type=Path, metavar="FILE.csv", help="also write a table to look the cases through")
    build.add_argument(
        "--write",
        choices=("other", "answer"),
        default="other",
        help="what to write where no new_answer is given: another row's answer, or the right one (default: other)",
    )
    build.add_argument(
        "--locality", type=natural, default=5, help="questions that must not change, per case (default: 5)"
    )
    build.add_argument("--seed", type=natural, default=0, help="of the choice of answers and questions (default: 0)")
    build.add_argument("--by", choices=("rules", "server"), default="rules", help="who finds subjects and paraphrases")
    build.add_argument("--url", help="an OpenAI-compatible server, such as http://127.0.0.1:8000/v1")
    build.add_argument("--model", help="the server's model")
    build.add_argument(
        "--key-env", metavar="NAME", help=f"environment variable with the server's key ({_OPENAI}: {_KEY})"
    )
    text = "Say what is wrong with a file of cases or of facts; exit 1 if anything is."
    check = actions.add_parser("check", description=text, help="say what is wrong with a file of cases or facts")
    check.add_argument(
        "cases", type=Path, metavar="CASES.jsonl", help="what `editharness data build` wrote, or facts for `edit`"
    )


class _ActionParser(Parser):
    """A parser below another one: it complains about what is left over itself, with its own flags at hand."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse; nothing is ever left over."""
        known, extra = super().parse_known_args(args, namespace)
        self.refuse(extra)
        return known, extra


def run(args: argparse.Namespace) -> int:
    """Build or check."""
    return _check(args.cases) if args.action == "check" else _build(args)


def _check(path: Path) -> int:
    from editharness.data.own.case_file import check_file
    from editharness.data.own.facts import check_facts, holds_facts

    count, found = check_facts(path) if holds_facts(path) else check_file(path)
    for one in found:
        print(_line(one), file=sys.stderr)
    wrong = len({one.record for one in found})
    print(f"{path}: {count} records, " + (f"{wrong} with problems" if wrong else "all in order"))
    return 1 if found else 0


def _build(args: argparse.Namespace) -> int:
    from editharness.data.own.build import Rules, build
    from editharness.data.own.pairs import read_pairs

    server = _server(args)
    _writable(args)
    file = read_pairs(args.pairs)
    with _progress(args, 2 * len(file.pairs)) as advance:
        built = build(
            file.pairs,
            server or Rules(),
            seed=args.seed,
            locality=args.locality,
            write=args.write,
            progress=advance or (lambda done: None),
        )
    _write(args, built)
    _report(args, file, built, server)
    return 0 if built.cases else 2


def _server(args: argparse.Namespace) -> Server | None:
    """The server asked for; UsageError for flags that do not go together or lack one another."""
    server_flags = {"--url": args.url, "--model": args.model, "--key-env": args.key_env}
    if args.by == "rules":
        given = [flag for flag, value in server_flags.items() if value is not None]
        if given:
            raise UsageError(f"{given[0]} is for --by server")
        return None
    for flag in ("--url", "--model"):
        if not server_flags[flag]:
            raise UsageError(f"--by server needs {flag}")
    if not str(args.url).startswith(("http://", "https://")):
        raise UsageError(f"--url {args.url}: start it with http:// or https://")
    if args.key_env and not os.environ.get(args.key_env):
        raise UsageError(f"--key-env {args.key_env}: this environment variable is not set")
    from editharness.data.own.server import connect

    return connect(args.url, args.model, _key(args.url, args.key_env))


def _key(url: str, named: str | None) -> str:
    """The key of the variable that was named; OpenAI's own goes to OpenAI only, no other server gets one unasked."""
    if named is None and urlsplit(url).hostname == _OPENAI:
        named = _KEY
    # a local server wants no key, but the client wants one to send
    return os.environ.get(named or "") or "none"


def _writable(args: argparse.Namespace) -> None:
    """Refuse targets that cannot be files before any work is lost."""
    for flag, path in (("--output", args.output), ("--review", args.review)):
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise UsageError(f"{flag} {path}: " + ("is a folder" if path.is_dir() else f"no folder {path.parent}"))
        if path is not None and path.resolve() == args.pairs.resolve():
            raise UsageError(f"{flag} {path}: is the file of pairs itself")
    if args.review is not None and args.review.resolve() == args.output.resolve():
        raise UsageError(f"--review {args.review}: is --output itself")


def _progress(args: argparse.Namespace, total: int) -> Any:
    """A progress bar for a server; rules are done at once."""
    if args.by == "rules":
        return nullcontext()
    from contextlib import contextmanager

    from editharness.progress import live

    @contextmanager
    def bar() -> Any:
        with live() as shown:
            shown.stage("asking the server", total)
            yield shown.advance

    return bar()


def _write(args: argparse.Namespace, built: Built) -> None:
    from editharness.data.own.review import review_table
    from editharness.store.write import replacing

    if args.review is not None:
        with replacing(args.review) as out:
            out.write(review_table(built).encode("utf-8-sig"))
    if built.cases:
        with replacing(args.output) as out:
            for case in built.cases:
                out.write((json.dumps(case.to_json(), ensure_ascii=False) + "\n").encode("utf-8", "replace"))


def _report(args: argparse.Namespace, file: PairFile, built: Built, server: Server | None) -> None:
    """What became of the rows, on stderr, and where the cases are."""
    left_out = sorted([*file.skipped, *built.left_out], key=lambda one: one.record)
    for title, rows in (("left out", left_out), ("without", built.gaps)):
        for one in rows[:_SHOWN]:
            print(f"{title}: {_line(one)}", file=sys.stderr)
        if len(rows) > _SHOWN:
            print(f"{title}: {len(rows) - _SHOWN} rows more", file=sys.stderr)
    if file.ignored:
        print(f"columns without a meaning here: {', '.join(file.ignored)}", file=sys.stderr)
    if server is not None:
        print("server: " + ", ".join(f"{n} x {what}" for what, n in sorted(server.counts.items())), file=sys.stderr)
    made = _makers(built)
    read = f"{len(file.pairs) + len(file.skipped)} rows"
    if built.cases:
        print(f"{args.output}: {len(built.cases)} cases of {read} ({made})")
    else:
        print(f"no case could be made of {read}; nothing was written")


def _makers(built: Built) -> str:
    """How many subjects and targets were given, by rule, by a server."""
    from collections import Counter

    parts = []
    for field in ("subject", "target"):
        counts = Counter(case.made_by[field][0].partition(":")[0] for case in built.cases)
        parts += [f"{field}: " + ", ".join(f"{n} {who}" for who, n in sorted(counts.items()))] if counts else []
    return "; ".join(parts)


def _line(one: Skipped) -> str:
    from editharness.leaderboard.text import plain

    return plain(f"record {one.record}: " + (f"field {one.field!r} " if one.field else "") + one.reason, 300)
