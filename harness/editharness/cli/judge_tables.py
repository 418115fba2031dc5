"""What `editharness judge` prints: shares with intervals and bounds, mean scores apart from them, agreement, judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from editharness.cli.common import Page, Table
from editharness.judging.answers import RunAnswers
from editharness.judging.comparing import Agreement, Share, agreements, shares
from editharness.judging.runs import HUMAN, Stored
from editharness.leaderboard.text import plain
from editharness.store.judgements import Judgements

NOTE = (
    "correct: share of scored answers in %, with a 95 % interval (Wilson, subjects as clusters); "
    "bounds: if every unscored answer were wrong, and if every one were right"
)
GRADED_NOTE = (
    "score: mean over scored answers in %, with a 95 % interval (bootstrap over subjects), no share of correct ones; "
    "bounds: if every unscored answer scored 0, and if every one scored 100"
)
COLUMNS = ("run", "row", "task", "arm", "moment", "judge")
NUMBERS = ("interval", "n", "unscored", "bounds")


def judged_page(runs: Sequence[RunAnswers], found: Sequence[Stored]) -> Page:
    """All tables; a column "run" only where there are several."""
    pairs = [(_name(run, len(runs)), run, one) for run, one in zip(runs, found, strict=True)]
    found_shares = [
        (run_name, share)
        for run_name, run, one in pairs
        for share in shares(one.shown, {given.sample.case: given.subject for given in run.given})
    ]
    judged, graded = ([(name, *_share(s)) for name, s in found_shares if s.graded == kind] for kind in (False, True))
    tables = [Table("judged answers", (*COLUMNS, "correct", *NUMBERS), judged, empty="no verdict to show")]
    if graded:
        tables.append(Table("graded answers", (*COLUMNS, "score", *NUMBERS), graded))
    agreed = agreements(_pooled([one for _, _, stored in pairs for one in stored.shown]))
    if agreed:
        header = ("judge", "and", "n", "agree", "interval", "kappa")
        tables.append(Table("agreement", header, [_agreement(one) for one in agreed]))
    notes = {"note": NOTE, **({"graded": GRADED_NOTE} if graded else {})}
    return Page("Judged answers", notes, [*tables, _who(pairs)])


def _name(run: RunAnswers, runs: int) -> str:
    return plain(run.record.id, 60) if runs > 1 else ""


def _share(s: Share) -> tuple[object, ...]:
    correct = "–" if s.value is None else f"{100 * s.value:.1f}"
    bounds = f"{100 * s.bounds[0]:.1f} to {100 * s.bounds[1]:.1f}" if s.unscored else ""
    return (*(plain(part, 60) for part in s.group), s.judge, correct, _interval(s.low, s.high), s.n, s.unscored, bounds)


def _agreement(a: Agreement) -> tuple[object, ...]:
    agree = "–" if a.agree is None else f"{100 * a.agree:.1f}"
    kappa = "–" if a.kappa is None else f"{a.kappa:.2f}"
    return a.first, a.second, a.n, agree, _interval(a.low, a.high), kappa


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"


def _pooled(made: Sequence[Judgements]) -> list[Judgements]:
    """One per judge over all runs: an answer that several runs hold counts once, by its digest."""
    by_name: dict[str, list[Judgements]] = {}
    for one in made:
        by_name.setdefault(one.name, []).append(one)
    return [
        Judgements(
            name,
            all_of[0].kind,
            {},
            "",
            verdicts=[v for one in all_of for v in one.verdicts],
            graded=all_of[0].graded,
        )
        for name, all_of in by_name.items()
    ]


def _who(pairs: Sequence[tuple[str, RunAnswers, Stored]]) -> Table:
    """The judges by what their verdicts depend on, each once."""
    seen: dict[tuple[str, ...], None] = {}
    for _, _, one in pairs:
        for made in one.shown:
            seen.setdefault((made.name, made.kind, _sanity(made), _facts(made.identity)))
    return Table("judges", ("name", "judge", "sanity battery", "depends on"), list(seen), empty="none")


def _sanity(made: Judgements) -> str:
    if made.kind == HUMAN:
        return "not asked: a person"
    right, asked = (sum(pair[i] for pair in made.sanity.values()) for i in (0, 1))
    return f"{right} of {asked}"


def _facts(identity: Mapping[str, object]) -> str:
    # digests are shown as far as a reader needs to tell two apart
    cells = (f"{key}={str(value)[:12] if key in ('weights', 'prompt') else value}" for key, value in identity.items())
    return plain(", ".join(cell for cell in cells if not cell.endswith("=None")), 200)
