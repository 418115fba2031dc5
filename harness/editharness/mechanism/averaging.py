"""Traces of many cases as one table: the mean indirect effect by role of the token and layer, with intervals.

A case counts once per role, with the mean over its tokens of that role; intervals are a bootstrap over subjects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from editharness.mechanism.roles import ROLES, Role
from editharness.mechanism.tracing import Trace
from editharness.stats import bootstrap_mean, summarise_values


@dataclass(frozen=True)
class Mean:
    """A mean over `n` cases with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class RoleEffects:
    """The indirect effects of one role, a mean per layer."""

    role: Role
    layers: tuple[Mean, ...]


@dataclass(frozen=True)
class Averages:
    """What all traces say together; roles that no prompt has are not among `effects`."""

    clean: Mean
    corrupted: Mean
    total: Mean
    effects: tuple[RoleEffects, ...]

    def strongest(self) -> tuple[Role, int, Mean]:
        """The role and layer with the largest mean indirect effect, of those before the last prompt token.

        That token's last layer is the answer itself: restoring it gives the total effect, whatever the model does.
        Roles that less than half of the cases have do not count.
        """
        common = [row for row in self.effects if 2 * row.layers[0].n >= self.total.n]
        rows = [row for row in common if row.role != "last prompt token"]
        found = [(row.role, layer, mean) for row in rows for layer, mean in enumerate(row.layers)]
        return max(found, key=lambda one: one[2].value)


def averages(traces: Sequence[Trace]) -> Averages:
    """Means over the cases of `traces`, one of which at least is needed."""
    clusters = {trace.prompt.case: trace.prompt.subject for trace in traces}

    def mean(values: Mapping[str, float]) -> Mean:
        if len(values) > 1:  # where all are equal here it is by construction: what comes later undoes nothing
            return Mean(*bootstrap_mean(values, clusters), len(values))
        value, low, high = summarise_values(values, clusters, proportion=False)
        if value is None or low is None or high is None:
            raise ValueError("the mean of no traces")
        return Mean(value, low, high, len(values))

    by_role = {role: _by_case(traces, role) for role in ROLES}
    return Averages(
        clean=mean({t.prompt.case: t.clean for t in traces}),
        corrupted=mean({t.prompt.case: t.corrupted for t in traces}),
        total=mean({t.prompt.case: t.clean - t.corrupted for t in traces}),
        effects=tuple(
            RoleEffects(role, tuple(mean({case: row[layer] for case, row in cases.items()}) for layer in layers))
            for role, cases in by_role.items()
            if cases
            for layers in (range(len(next(iter(cases.values())))),)
        ),
    )


def as_json(traces: Sequence[Trace], found: Averages) -> dict[str, Any]:
    """All numbers: the means, and every case's effects by traced token [token][layer]."""
    return {
        "means": asdict(found),
        "cases": [
            {
                "case": trace.prompt.case,
                "subject": trace.prompt.subject,
                "clean": trace.clean,
                "corrupted": trace.corrupted,
                "roles": [trace.prompt.roles[token] for token in trace.prompt.traced],
                "effects": trace.effects.tolist(),
            }
            for trace in traces
        ],
    }


def _by_case(traces: Sequence[Trace], role: Role) -> dict[str, list[float]]:
    """Per case that has the role: the mean effect of its tokens by layer."""
    found: dict[str, list[float]] = {}
    for trace in traces:
        rows = [i for i, token in enumerate(trace.prompt.traced) if trace.prompt.roles[token] == role]
        if rows:
            found[trace.prompt.case] = trace.effects[rows].mean(dim=0).tolist()
    return found
