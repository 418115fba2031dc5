"""How pocket's presets were chosen: a grid over one method's options, on the development split only.

    python benchmarks/pocket_presets.py memit 'covariance_weight=0.02,0.1,1' 'layers=0,1,2;1,2'
    python benchmarks/pocket_presets.py c-rome 'layer=0,1,2' --schedule single

Prints, per setting, the share of edits that take (all target tokens greedy, asked plainly), the same under negation,
and the share of other facts that are answered as before.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from editharness.asking import ask, task_forms
from editharness.cache import cache_folder
from editharness.data.corpus import find_corpus
from editharness.data.load import load_cases
from editharness.editing import write_arm
from editharness.host import LocalHost
from editharness.models.load import LoadedModel, load_model
from editharness.plan import ArmLayout, plan_documents
from editharness.preparing import find_train, prepare
from editharness.presets import choose, load_presets, model_facts, resolve
from editharness.protocol import Answers
from editharness.registry import load_plugins
from editharness.seeing import show_arms
from editharness.timeline import Timeline
from editharness.types import Case, Schedule, StateId
from editharness_plugins.pocket.examiner import Examiner
from editharness_plugins.protocols.negation import NEGATED, POSITIVE, Negation


def grid(axes: Sequence[str]) -> Iterator[dict[str, str]]:
    """Every combination of `key=value,value` axes; values that hold commas are separated by ";"."""
    pairs = [axis.split("=", 1) for axis in axes]
    values = [text.split(";" if ";" in text else ",") for _, text in pairs]
    for chosen in itertools.product(*values):
        yield dict(zip((key for key, _ in pairs), chosen, strict=True))


def main() -> None:
    """Run the grid and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method")
    parser.add_argument("axes", nargs="+", metavar="key=value,value")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--schedule", default="all", help="single, sequential, batch:K or all")
    parser.add_argument("--judged", action="store_true", help="ask for verdicts too (methods that change weights)")
    args = parser.parse_args()
    os.environ.setdefault("TQDM_DISABLE", "1")

    registry, protocol = load_plugins(), Negation()
    spec = registry.method(args.method)
    packaged = {name: entry.spec.folder for name, entry in registry.models.items()}
    loaded = load_model(args.model, packaged=packaged, device="cpu")
    shipped = registry.model(args.model).corpus if loaded.source == "package" else None
    data = load_cases(registry, "pocket")
    cases = [case for case in data.cases if case.split == "dev" and "untrained" not in case.tags]
    chosen = protocol.select(cases[: args.edits]).cases
    train = find_train(spec, None, registry, data, chosen, offline=True)
    arms = show_arms(protocol.arms(chosen), chosen, spec.sees, train.cases)
    host = LocalHost(
        loaded,
        seed=0,
        texts=lambda: find_corpus(shipped, Path(loaded.folder), 100_000, offline=True),
        cache=cache_folder(),
    )
    schedule = Schedule.parse(args.schedule).limited(spec.max_batch)
    presets = load_presets(spec.presets) if spec.presets else []
    columns = ("PP", "PN", "NN", "NP", "rectified", "generalization", "unchanged")
    print(f"{args.method} · {len(chosen)} development edits · {schedule}")
    judged = ("judged",) if args.judged else ()
    print(f"{'settings':50}", *(f"{name:>14}" for name in (*columns, *judged, "s/edit", "training s")))
    for settings in grid(args.axes):
        options = resolve(spec, choose(presets, None, model_facts(loaded.model.config)), settings).options
        timeline = Timeline(loaded.model, host.masters, digest=loaded.digest)
        method = registry.resolve(spec.ref)(options)
        prepared = prepare(registry.methods[spec.name], method, host, train.cases, cache_folder())
        start = time.perf_counter()
        layouts = {
            name: write_arm(
                f"m/{name}",
                spec,
                registry.resolve(spec.ref)(options),
                arms[name],
                schedule,
                host,
                timeline,
                state=prepared.state,
            ).layout
            for name in (POSITIVE, NEGATED)
        }
        seconds = (time.perf_counter() - start) / (2 * len(chosen))
        probes = [p for p in protocol.probes(schedule, ()) if p.moment != "at_edit"]
        asked = plan_documents(probes, "pocket", chosen, {"m": layouts}, task_forms(registry))
        answers = ask(asked, registry, timeline, loaded, 64, lambda done: None)
        verdict = judge(timeline, layouts[POSITIVE], loaded, chosen) if args.judged else ()
        timeline.close()
        own = [a for a in answers if not a.arm or a.arm.startswith("m/")]
        plain = [type(a)(**{**vars(a), "arm": a.arm.removeprefix("m/")}) for a in own]
        found = {c.name: c.values for c in protocol.summarise("m", Answers({c.id: c for c in chosen}, plain))}
        means = [f"{sum(found[c].values()) / max(1, len(found[c])):.2f}" for c in columns]
        words = " ".join(f"{k}={v}" for k, v in settings.items())
        print(
            f"{words:50}",
            *(f"{text:>14}" for text in (*means, *verdict, f"{seconds:.3f}", f"{prepared.seconds:.0f}")),
            flush=True,
        )


def judge(timeline: Timeline, layout: ArmLayout, loaded: LoadedModel, cases: Sequence[Case]) -> tuple[str]:
    """True/false after the positive edits: share of new facts called true and old ones called false, balanced."""
    examiner, right = Examiner(loaded.model, loaded.tokenizer), []
    by_state: dict[StateId, list[Case]] = {}
    for case in cases:
        by_state.setdefault(layout.state(case.id, "final"), []).append(case)
    for state, asked in by_state.items():
        with timeline.at(state):
            for answer, word in (("target", "true"), ("old", "false")):
                said = [(case.statement or "").format(getattr(case, answer)) for case in asked]
                right += examiner.verdicts(said, examiner.forms["true_false"], word)
    return (f"{sum(right) / len(right):.2f}",)


if __name__ == "__main__":
    main()
