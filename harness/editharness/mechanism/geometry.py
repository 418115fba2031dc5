"""The geometry of target values: where "X is Y" and "X is not Y" send the decisive token (arXiv 2510.00625, A.8).

With k the input and l = W k the output of the edited MLP at the subject's last token:

    m0 = W k       "<prompt> <old answer>": what the unedited model has there, nothing is searched
    m1 = l + δ1    "<prompt> <target>": the value that makes the model say the target
    m2 = l + δ2    "<negated prompt> <target>": the value that makes it say the target after the negation

The prompts agree up to the subject's end, so all three share k. δ is found as MEMIT finds it, by gradient descent on
the residual stream after the layer, to which the MLP's output is added: δ on either is the same δ.

What the paper leaves open, and what is done here: whose search and options (MEMIT's, with its preset for the model);
the contexts (the method's own, sampled from the unedited model); whether m is the MLP's output, as its formula has it,
or the residual stream, as its code has it (`Site`; distances are the same, cosines to the origin are not); what
"completely different" answers are (see `choosing.differs_when_negated`); t-SNE's settings (scikit-learn's, the
perplexity cut to a third of the points). The paper shows plots without numbers; the distances are ours, as is the scale
beside them: m1 and m2 share m0, so that their cosine is high whatever they say; two different facts are the scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

import torch

from editharness.errors import DataError
from editharness.locate.batch import find_values
from editharness.locate.keys import block_outputs, mlp_added
from editharness.mechanism.averaging import Mean
from editharness.mechanism.choosing import subject_in
from editharness.stats import bootstrap_mean, summarise_values
from editharness.types import Case, Edit

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.host import LocalHost
    from editharness.locate.options import ValueOptions

Where = Literal["mlp", "block"]
GROUPS = ("old (m0)", "new (m1)", "negated (m2)")
PERPLEXITY = 30.0


@dataclass(frozen=True)
class Points:
    """m0, m1, m2 [n, d_h] fp64 on the CPU, a row per case.

    `losses`: the mean loss that the searches of m1 and m2 reached; `failed`: cases without one of the values.
    """

    cases: tuple[str, ...]
    subjects: tuple[str, ...]
    old: Tensor
    new: Tensor
    negated: Tensor
    losses: tuple[float, float] = (0.0, 0.0)
    failed: int = 0


@dataclass(frozen=True)
class Distance:
    """A mean over cases: what is compared, by which measure."""

    pair: str
    measure: str
    mean: Mean


@dataclass(frozen=True)
class Projection:
    """Points in the plane [3n, 2], group after group; `shares`: variance that PCA's two directions explain."""

    name: str
    points: tuple[tuple[float, float], ...]
    shares: tuple[float, ...] = ()


def target_values(
    host: LocalHost, cases: Sequence[Case], layer: int, contexts: Sequence[str], options: ValueOptions, where: Where
) -> Points:
    """Search the values of every case (with its negated prompt) at `layer`; raises DataError where all searches fail.

    `contexts` are templates, the bare prompt "{}" first.
    """
    plain = [Edit(case.id, case.prompt, case.subject, case.target) for case in cases]
    negated = [Edit(case.id, str(case.negated_prompt), subject_in(case), case.target, negated=True) for case in cases]
    found = [find_values(host, edits, layer, contexts, options) for edits in (plain, negated)]
    places = [{edit.id: row for row, edit in enumerate(one.edits)} for one in found]
    kept = [case for case in cases if all(case.id in place for place in places)]
    if len(kept) < 2:
        raise DataError(f"{len(kept)} of {len(cases)} cases have both values: distances between cases need two")
    ids = [case.id for case in kept]
    new, denied = (one.target[[place[i] for i in ids]] for one, place in zip(found, places, strict=True))
    bare = host.encode([edit for edit in plain if edit.id in set(ids)], targets=False)
    stream = block_outputs(host.model, host.modules, layer, bare)
    old = stream if where == "block" else mlp_added(host.model, host.modules, layer, bare)
    old, new, denied = (one.double().cpu() for one in (old, old + (new - stream), old + (denied - stream)))
    losses = tuple(fmean(s.facts["loss"] for s in one.statuses if s.edit_id in set(ids)) for one in found)
    subjects = tuple(case.subject_text for case in kept)
    return Points(tuple(ids), subjects, old, new, denied, (losses[0], losses[1]), len(cases) - len(kept))


def distances(points: Points) -> list[Distance]:
    """Cosine and L2 between the groups, the scale to read them by, and how often m2 is m1's nearest neighbour.

    Two cases at least are needed.
    """
    pairs = {
        "m0, m1": (points.old, points.new),
        "m0, m2": (points.old, points.negated),
        "m1, m2": (points.new, points.negated),
    }
    clusters = dict(zip(points.cases, points.subjects, strict=True))

    def mean(values: Tensor) -> Mean:
        return Mean(*bootstrap_mean(dict(zip(points.cases, values.tolist(), strict=True)), clusters), len(values))

    measures: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"L2": _l2, "cosine": _cosine}
    found = [
        Distance(name, measure, mean(of(*pair))) for name, pair in pairs.items() for measure, of in measures.items()
    ]
    found.append(Distance("δ1, δ2", "cosine", mean(_cosine(points.new - points.old, points.negated - points.old))))
    if len(points.cases) > 1:
        found += [
            Distance("m1, m1 of another case", name, mean(_others(points.new, of))) for name, of in measures.items()
        ]
        shift = points.new - points.old
        found.append(Distance("δ1, δ1 of another case", "cosine", mean(_others(shift, _cosine))))
    return [*found, _paired(points, clusters)]


def projections(points: Points, seed: int) -> list[Projection]:
    """PCA and t-SNE of all 3n points together; two cases at least are needed."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    stacked = torch.cat([points.old, points.new, points.negated]).numpy()
    pca = PCA(n_components=2, svd_solver="full")
    flat = pca.fit_transform(stacked)
    perplexity = min(PERPLEXITY, (len(stacked) - 1) / 3)
    near = TSNE(n_components=2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(stacked)
    return [
        Projection("PCA", _pairs(flat), tuple(float(share) for share in pca.explained_variance_ratio_)),
        Projection("t-SNE", _pairs(near)),
    ]


def as_json(points: Points, found: Sequence[Distance], flat: Sequence[Projection]) -> dict[str, Any]:
    """All numbers: distances, and the points of the plots by case and group."""
    count = len(points.cases)
    return {
        "distances": [{"pair": d.pair, "measure": d.measure, **asdict(d.mean)} for d in found],
        "losses": {"new": points.losses[0], "negated": points.losses[1]},
        "cases": list(points.cases),
        "projections": {
            one.name: {
                "explained": list(one.shares),
                **{group: [list(p) for p in one.points[i * count : (i + 1) * count]] for i, group in enumerate(GROUPS)},
            }
            for one in flat
        },
    }


def _paired(points: Points, clusters: Mapping[str, str]) -> Distance:
    """How often m2 of the same case is nearer to m1 than any other point is (L2)."""
    count = len(points.cases)
    apart = torch.cdist(points.new, torch.cat([points.old, points.negated, points.new]))
    apart[:, 2 * count :].fill_diagonal_(torch.inf)
    nearest = (apart.argmin(dim=1) == torch.arange(count) + count).double().tolist()
    value, low, high = summarise_values(dict(zip(points.cases, nearest, strict=True)), clusters, proportion=True)
    if value is None or low is None or high is None:
        raise ValueError("the distances of no points")
    return Distance("m1, m2", "m2 is m1's nearest point", Mean(value, low, high, count))


def _l2(one: Tensor, other: Tensor) -> Tensor:
    found: Tensor = (one - other).norm(dim=-1)
    return found


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    found: Tensor = torch.nn.functional.cosine_similarity(one, other, dim=-1)
    return found


def _others(group: Tensor, of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Per case: the mean of a measure between it and each other case [n]."""
    sums = torch.stack([of(one[None], group).sum() - of(one[None], one[None])[0] for one in group])
    return sums / (len(group) - 1)


def _pairs(points: Any) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in points)
