"""`editharness trace`: causal tracing, as a table, a heat map and all numbers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

from editharness.cli.common import Page, Table, positive, show_page
from editharness.cli.inside import Asked, add_flags, asked, file_name, origin, read_cases, reporting, write_files
from editharness.errors import UnknownNameError, UsageError
from editharness.types import Case, MethodSpec, Schedule

if TYPE_CHECKING:
    from editharness.host import LocalHost
    from editharness.mechanism.averaging import Averages, Mean
    from editharness.mechanism.choosing import Chosen
    from editharness.mechanism.tracing import Trace, TracePrompt
    from editharness.registry import Registry
    from editharness.types import CaseSet

KINDS = {"hidden": "hidden state", "mlp": "MLP output", "attn": "attention output"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `trace`."""
    parser.description = (
        "Causal tracing (arXiv 2202.05262, section 2.1): noise on the subject makes the model forget the answer; which "
        "single state, restored, brings it back? Looks at facts that the model answers rightly."
    )
    add_flags(parser, cases=100)
    parser.add_argument("--kind", choices=tuple(KINDS), default="hidden", help="what is restored (default: hidden)")
    parser.add_argument("--noise", type=_scale, default=3.0, help="in standard deviations (default: %(default)s)")
    parser.add_argument("--samples", type=positive, default=10, help="noise samples per case (default: %(default)s)")
    parser.add_argument("--window", type=positive, default=1, help="layers restored together; mlp and attn only")
    parser.add_argument("--negated", action="store_true", help="ask the negated prompt, trace what the model then says")
    parser.add_argument("--method", help="edit first, and trace the edit targets; see `editharness methods`")
    parser.add_argument("--edits", type=positive, help="facts to write with --method (default: as many as --cases)")
    parser.add_argument("--schedule", default="all", help="how --method writes them (default: %(default)s)")
    parser.add_argument("--preset", help="whose option values for --method (default: by model)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="set one option of --method")


def run(args: argparse.Namespace) -> int:
    """Trace, print the table, write the heat map and the numbers."""
    from editharness.registry import load_plugins

    registry = load_plugins()
    wanted, spec = asked(args, registry), _method(args, registry)
    schedule = Schedule.parse(args.schedule)
    from editharness.mechanism.averaging import averages
    from editharness.mechanism.tracing import TraceOptions, embedding_spread, trace_all
    from editharness.opening import open_host, open_model

    options = TraceOptions(args.kind, args.noise, args.samples, args.window, args.seed)
    with reporting() as report:
        report.stage("reading data")
        data, cases = read_cases(wanted, registry)
        report.stage(f"loading {wanted.model}")
        host = open_host(wanted, registry, open_model(wanted, registry), report.advance)
        with ExitStack() as stack:
            at, asked_about = _edited(stack, args, spec, schedule, host, registry, data, cases)
            report.stage("looking for known facts")
            chosen = _choose(args, host, asked_about, at)
            report.stage("tracing", len(chosen.taken))
            spread = embedding_spread(host.model, host.modules, chosen.taken)
            traces = trace_all(host.model, host.modules, chosen.taken, spread, options, at, report.advance)
    found = averages(traces)
    plot = _plot(found, args, wanted, len(traces))
    content = _content(args, wanted, host, data, chosen, spread, traces, found)
    name = file_name(
        "trace", wanted.model, wanted.data, args.kind, "negated" if args.negated else "", args.method or ""
    )
    svg, numbers = write_files(args.output, name, content, plot)
    show_page(_page(args, wanted, chosen, spread, found, (str(svg), str(numbers))), args.format)
    return 0


def _scale(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: a number above 0, for example 3")
    return number


def _method(args: argparse.Namespace, registry: Registry) -> MethodSpec | None:
    """The method of --method; raises UsageError for flags that go with no method or not together."""
    from editharness.options import parse_settings
    from editharness.presets import load_presets, resolve

    if args.window > 1 and args.kind == "hidden":
        raise UsageError(f"--window {args.window}: a hidden state is restored alone; use --kind mlp or --kind attn")
    if args.method is None:
        for flag in ("edits", "schedule", "preset", "set"):
            if flag in args.passed:
                raise UsageError(f"--{flag} needs --method NAME: without it the unedited model is traced")
        return None
    spec = registry.method(args.method)
    resolve(spec, None, parse_settings(args.set))
    names = {preset.name for preset in load_presets(spec.presets)} if spec.presets else set()
    if args.preset is not None and args.preset not in names:
        raise UnknownNameError("preset", args.preset, names, hint=f"(of method {spec.name})")
    if args.edits is not None and args.edits < args.cases and "cases" in args.passed:
        raise UsageError(f"--cases {args.cases}: only {args.edits} facts are written; trace at most that many")
    if spec.effect != "weights":
        changes = {"none": "nothing", "modules": "modules", "router": "prompts"}[spec.effect]
        raise UsageError(f"method {spec.name!r} changes {changes}: trace looks into edited weights only")
    return spec


def _edited(
    stack: ExitStack, args: argparse.Namespace, spec: MethodSpec | None, schedule: Schedule, host: LocalHost,
    registry: Registry, data: CaseSet, cases: Sequence[Case],
) -> tuple[Any, Sequence[Case]]:  # fmt: skip
    """Where each case is asked, and the cases that may be: all of the unedited model, the edited ones of an edited."""
    if spec is None:
        return (lambda case: nullcontext()), cases
    from editharness.facts import resolve_method
    from editharness.mechanism.edited import editing
    from editharness.options import parse_settings

    edits = args.edits or args.cases
    if edits > len(cases):
        raise UsageError(f"--edits {edits}: data set {data.name!r} has only {len(cases)} cases to edit")
    resolved = resolve_method(spec, args.preset, parse_settings(args.set), host.loaded)
    at = stack.enter_context(editing(host, registry, spec, resolved, data, cases[:edits], schedule))
    return at, cases[:edits]


def _choose(args: argparse.Namespace, host: LocalHost, cases: Sequence[Case], at: Any) -> Chosen[TracePrompt]:
    from editharness.mechanism.choosing import choose, known

    def take(case: Case) -> TracePrompt:
        return known(host, case, case.target if args.method else case.old, negated=args.negated, at=at)

    what = "whose edit the model then answers" if args.method else "that the model answers with the old answer"
    exact = "cases" in args.passed and args.method is None
    return choose(
        cases, args.cases, take, exact=exact, what=what + (" and that can be negated" if args.negated else "")
    )


def _title(args: argparse.Namespace, wanted: Asked) -> str:
    after = f" after {args.method}" if args.method else ""
    return f"Causal tracing of {wanted.model}{after}: {KINDS[args.kind]}{', negated' if args.negated else ''}"


def _plot(found: Averages, args: argparse.Namespace, wanted: Asked, count: int) -> str:
    from editharness.charts.heat import heat_map
    from editharness.charts.svg import Heading

    role, layer, mean = found.strongest()
    return heat_map(
        [[mean.value for mean in row.layers] for row in found.effects],
        [row.role for row in found.effects],
        [str(layer) for layer in range(len(found.effects[0].layers))],
        heading=Heading(
            _title(args, wanted),
            f"Mean indirect effect by token and layer over {count} facts of {wanted.data}. "
            f"Largest before the last token: {role}, layer {layer}, {_interval(mean)}.",
        ),
        x_label=f"restored layer{f' (window of {args.window})' if args.window > 1 else ''}",
        legend=f"indirect effect: p(answer | restored) − p(answer | corrupted), mean of {count} facts",
    )


def _page(
    args: argparse.Namespace, wanted: Asked, chosen: Chosen[TracePrompt], spread: float, found: Averages,
    files: tuple[str, str],
) -> Page:  # fmt: skip
    role, layer, mean = found.strongest()
    facts = {
        "data": f"{wanted.data}, {len(chosen.taken)} facts of the first {chosen.looked_at}",
        "left out": [f"{count} {why}" for why, count in chosen.left_out.items()],
        "noise": f"{args.noise:g} x {spread:.4f} on the subject's embeddings, {args.samples} samples, seed {args.seed}",
        "p clean": _interval(found.clean),
        "p corrupted": _interval(found.corrupted),
        "total effect": _interval(found.total),
        "strongest before the end": f"{role}, layer {layer}: {_interval(mean)}",
        "heat map": files[0],
        "numbers": files[1],
    }
    layers = range(len(found.effects[0].layers))
    columns = ("token", "n", *(f"layer {layer}" for layer in layers))
    means = [
        (row.role, row.layers[0].n, *(f"{round(m.value, 3) + 0.0:.3f}" for m in row.layers)) for row in found.effects
    ]
    bounds = [
        (row.role, row.layers[0].n, *(f"{_two(m.low)}, {_two(m.high)}" for m in row.layers)) for row in found.effects
    ]
    tables = Table("indirect effect", columns, means), Table("95 % interval", columns, bounds)
    return Page(_title(args, wanted), facts, tables)


def _interval(mean: Mean) -> str:
    return f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]"


def _two(value: float) -> str:
    """Two decimals, and no "-0.00"."""
    return f"{round(value, 2) + 0.0:.2f}"


def _content(
    args: argparse.Namespace, wanted: Asked, host: LocalHost, data: CaseSet, chosen: Chosen[TracePrompt], spread: float,
    traces: Sequence[Trace], found: Averages,
) -> dict[str, Any]:  # fmt: skip
    from editharness.mechanism.averaging import as_json

    writing = {"method": args.method, "edits": args.edits or args.cases, "schedule": args.schedule}
    edited = {**writing, "preset": args.preset, "set": args.set} if args.method else None
    return {
        **origin(wanted, host.loaded, data),
        "trace": {"kind": args.kind, "noise": args.noise, "samples": args.samples, "window": args.window,
                  "negated": args.negated, "embedding_spread": spread},
        "edited": edited,
        "looked_at": chosen.looked_at,
        "left_out": dict(chosen.left_out),
        **as_json(traces, found),
    }  # fmt: skip
