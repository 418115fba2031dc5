"""`editharness metrics [NAME]`: every column of every protocol, with its formula, from the protocols' own code."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from editharness.cli.common import FORMATS, Page, Table, add_format, show_page, show_table
from editharness.errors import PluginError

if TYPE_CHECKING:
    from editharness.protocol import EvalProtocol
    from editharness.registry import Registry

COLUMNS = ("column", "meaning", "better", "formula")
_HEADER = """# Glossary of metrics

Every column of every protocol, from the protocols' own code. Values are shares in % over the cases that could be scored
unless the formula says otherwise; every value has a 95 % interval and its n ([how](../README.md)). "Better" says which
direction is better for an edited model."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare NAME and --format."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="only the columns of this protocol")
    add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Print the glossary; a protocol that explains none of its columns is named on stderr and left out."""
    from editharness.registry import load_plugins

    registry = load_plugins()
    if args.name is not None:
        show_page(glossary(registry, registry.protocol(args.name).name), args.format)
        return 0
    pages = []
    for name in registry.protocols:
        try:
            pages.append(glossary(registry, name))
        except PluginError as error:
            print(f"left out: {error}", file=sys.stderr)
    _show(pages, args.format)
    return 0


def glossary(registry: Registry, name: str) -> Page:
    """One protocol: what it asks, where it comes from, its columns; PluginError where a column has no definition."""
    entry = registry.protocols[name]
    spec, found = entry.spec, registry.resolve(entry.spec.ref)()
    rows = _rows(str(entry.origin), found)
    facts = {
        "name": spec.name,
        "version": spec.version,
        "source": spec.paper,
        "what": _said(found),
        "from": entry.origin,
    }
    return Page(spec.title, facts, (Table("columns", COLUMNS, rows),))


def _rows(origin: str, protocol: EvalProtocol) -> list[tuple[str, str, str, str]]:
    """The columns in the order of the board, each with its formula."""
    columns, told = columns_of(protocol), protocol.glossary
    missing = [column.name for column in columns if not told.get(column.name)]
    if missing:
        raise PluginError(f"{origin}: protocol {protocol.name!r} has no glossary entry for {', '.join(missing)}")
    unknown = [name for name in told if name not in {column.name for column in columns}]
    if unknown:
        raise PluginError(
            f"{origin}: protocol {protocol.name!r} explains {', '.join(unknown)}, which is no column of it"
        )
    return [(column.name, _meaning(column.title, column.name), column.better, told[column.name]) for column in columns]


def columns_of(protocol: EvalProtocol) -> Sequence[Any]:
    """Every column that a method's row may have: the protocol summarises answers that hold whatever it asks for."""
    from editharness.protocol import Answers

    @dataclass(frozen=True)
    class Anything(Answers):
        def scores(self, *_asked: Any, **_where: Any) -> dict[str, float]:
            return {"case": 1.0}

    return protocol.summarise("method", Anything({}, ()))


def _said(protocol: EvalProtocol) -> str:
    """The first paragraph of the protocol's own description."""
    return " ".join((inspect.getdoc(type(protocol)) or "").split("\n\n")[0].split())


def _meaning(title: str, name: str) -> str:
    return "" if title == name else title


def _show(pages: Sequence[Page], form: str) -> None:
    """All protocols: one table for a terminal and JSON, one section each in Markdown."""
    if form != FORMATS[2]:
        rows = [(page.facts["name"], *row) for page in pages for row in page.tables[0].rows]
        show_table(Table("metrics", ("protocol", *COLUMNS), rows), form)
        return
    print(_HEADER)
    for page in pages:
        facts = page.facts
        print(f"\n## {page.title}\n\n{facts['what']} Protocol `{facts['name']}`, version {facts['version']}; ", end="")
        print(f"source: {facts['source']}.\n")
        show_table(page.tables[0], form)
