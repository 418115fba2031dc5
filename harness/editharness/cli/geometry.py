"""`editharness geometry`: target values of the old, the new and the negated sentence, as a table and a plot."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from editharness.cli.common import Page, Table, natural, show_page
from editharness.cli.inside import Asked, add_flags, asked, file_name, origin, read_cases, reporting, write_files
from editharness.errors import PluginError, UnknownNameError, UsageError
from editharness.types import Case

if TYPE_CHECKING:
    from editharness.host import LocalHost
    from editharness.locate.options import MemitOptions
    from editharness.mechanism.choosing import Chosen
    from editharness.mechanism.geometry import Distance, Points, Projection
    from editharness.registry import Registry

METHOD = "memit"
"""Whose search and options find the values."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `geometry`."""
    parser.description = (
        "Target values at the subject's last token (arXiv 2510.00625, appendix A.8): m0 of the unedited model, m1 for "
        "'X is TARGET', m2 for 'X is not TARGET', over facts that the unedited model answers differently when negated."
    )
    add_flags(parser, cases=35)
    parser.add_argument("--layer", type=natural, help="counted from 0 (default: the last that MEMIT edits)")
    parser.add_argument(
        "--site", choices=("mlp", "block"), default="mlp", help="m is the MLP's output, or the block's (default: mlp)"
    )
    parser.add_argument("--preset", help="whose option values of MEMIT (default: by model)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="set one option of MEMIT")


def run(args: argparse.Namespace) -> int:
    """Search the values, print their distances, write the plot and the numbers."""
    from editharness.registry import load_plugins

    registry = load_plugins()
    wanted = asked(args, registry)
    _known_options(args, registry)
    from editharness.mechanism.geometry import as_json, distances, projections, target_values
    from editharness.opening import open_host, open_model

    with reporting() as report:
        report.stage("reading data")
        data, cases = read_cases(wanted, registry)
        report.stage(f"loading {wanted.model}")
        host = open_host(wanted, registry, open_model(wanted, registry), report.advance)
        options, preset = _options(args, registry, host)
        layer = _layer(args, host, options)
        report.stage("asking the unedited model", args.cases)
        chosen = _choose(args, host, cases, report)
        report.stage("searching values", 2 * len(chosen.taken))
        contexts = ("{}", *host.templates(options.templates, options.template_length))
        points = target_values(host, chosen.taken, layer, contexts, options, args.site)
        report.stage("t-SNE")
        found, flat = distances(points), projections(points, args.seed)
    facts = {"layer": layer, "site": args.site, "preset": preset, "overridden": args.set}
    counted = {"looked_at": chosen.looked_at, "left_out": dict(chosen.left_out), "failed": points.failed}
    content = {**origin(wanted, host.loaded, data), "geometry": facts, **counted, **as_json(points, found, flat)}
    name = file_name("geometry", wanted.model, wanted.data, f"layer{layer}", args.site)
    svg, numbers = write_files(args.output, name, content, _plot(wanted, points, found, flat, facts))
    show_page(_page(wanted, chosen, points, found, {**facts, "plot": svg, "numbers": numbers}), args.format)
    return 0


def _known_options(args: argparse.Namespace, registry: Registry) -> None:
    """What can be known to be wrong before the model is loaded."""
    from editharness.options import parse_settings
    from editharness.presets import load_presets, resolve

    spec = registry.method(METHOD)
    resolve(spec, None, parse_settings(args.set))
    names = {preset.name for preset in load_presets(spec.presets)} if spec.presets else set()
    if args.preset is not None and args.preset not in names:
        raise UnknownNameError("preset", args.preset, names, hint=f"(of method {METHOD})")
    if args.cases < 2:
        raise UsageError("--cases 1: distances between cases need two at least")


def _options(args: argparse.Namespace, registry: Registry, host: LocalHost) -> tuple[MemitOptions, str]:
    """MEMIT's options for this model, and the preset's name ("" where none fits)."""
    from editharness.facts import resolve_method
    from editharness.locate.options import MemitOptions
    from editharness.options import parse_settings

    spec = registry.method(METHOD)
    resolved = resolve_method(spec, args.preset, parse_settings(args.set), host.loaded)
    if not isinstance(resolved.options, MemitOptions):
        raise PluginError(f"method {METHOD!r} ({spec.ref}) has no options of MEMIT's kind")
    return resolved.options, resolved.preset_name


def _layer(args: argparse.Namespace, host: LocalHost, options: MemitOptions) -> int:
    from editharness.locate.batch import by_depth

    layer = args.layer if args.layer is not None else (options.layers or by_depth(host.modules.layers))[-1]
    host.modules.block(layer)  # raises ModelError for a layer outside the model
    return int(layer)


def _choose(args: argparse.Namespace, host: LocalHost, cases: Sequence[Case], report: Any) -> Chosen[Case]:
    from editharness.mechanism.choosing import choose, differs_when_negated

    def take(case: Case) -> Case:
        found = differs_when_negated(host, case)
        report.advance(1)
        return found

    what = "that the unedited model answers differently when negated"
    return choose(cases, args.cases, take, exact="cases" in args.passed, what=what)


def _plot(
    wanted: Asked, points: Points, found: Sequence[Distance], flat: Sequence[Projection], facts: Mapping[str, Any]
) -> str:
    from editharness.charts.points import Group, Panel, scatter
    from editharness.charts.svg import Heading
    from editharness.mechanism.geometry import GROUPS

    count = len(points.cases)
    panels = [
        Panel(
            _axis(one, 0), _axis(one, 1),
            [Group(name, one.points[i * count : (i + 1) * count]) for i, name in enumerate(GROUPS)],
        )
        for one in flat
    ]  # fmt: skip
    said = "; ".join(f"{d.pair} {d.measure} {d.mean.value:.2f}" for d in found)
    return scatter(
        panels,
        heading=Heading(
            f"Target values of {wanted.model}, layer {facts['layer']} ({facts['site']})",
            f"PCA and t-SNE of the values of {count} facts of {wanted.data}. Means: {said}.",
        ),
        note=f"{count} facts of {wanted.data} that the unedited model answers differently when negated",
    )


def _axis(one: Projection, index: int) -> str:
    return f"{one.name} {index + 1}" + (f" ({one.shares[index]:.0%} of the variance)" if one.shares else "")


def _page(
    wanted: Asked, chosen: Chosen[Case], points: Points, found: Sequence[Distance], facts: Mapping[str, Any]
) -> Page:
    told = {
        "data": f"{wanted.data}, {len(chosen.taken)} facts of the first {chosen.looked_at}",
        "left out": [f"{count} {why}" for why, count in chosen.left_out.items()],
        "without a value": points.failed or None,
        "loss reached": f"new {points.losses[0]:.3f}, negated {points.losses[1]:.3f} (means)",
        **facts,
    }
    rows = [
        (d.pair, d.measure, f"{d.mean.value:.3f}", f"[{d.mean.low:.3f}, {d.mean.high:.3f}]", d.mean.n) for d in found
    ]
    table = Table("distances", ("between", "measure", "mean", "95 % interval", "n"), rows)
    return Page(f"Target values of {wanted.model} (m0: old, m1: new, m2: negated)", told, (table,))
