"""Options of the locate-then-edit methods. Torch-free; names are the ones that --set takes.

`layers` counts from 0. Left empty, a method edits the layers that published settings edit at their depth: an eighth to
a quarter of the way up (layers 4-8 of Llama's 32).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from editharness.options import option


@dataclass(frozen=True)
class ValueOptions:
    """How a target value is searched: Adam on one vector per edit."""

    steps: int = option(25, "forward passes per value; the last takes no step", low=1, high=1000)
    lr: float = option(0.5, "learning rate of Adam", low=0)
    weight_decay: float = option(0.5, "weight of |delta| / |h|^2 in the loss", low=0)
    clamp: float = option(0.75, "largest |delta| as a multiple of |h|", low=0)
    kl_weight: float = option(0.0625, "weight of keeping '<subject> is a' as it was", low=0)
    loss_stop: float = option(0.05, "an edit is done when its loss is below this", low=0)
    row_tokens: int = option(1024, "tokens per forward pass; speed only", low=1)


@dataclass(frozen=True)
class RomeOptions(ValueOptions):
    """ROME and C-ROME: one layer, one edit at a time."""

    weight_decay: float = option(0.001, "weight of |delta| / |v|^2 in the loss", low=0)
    clamp: float = option(4.0, "largest |delta| as a multiple of |v|", low=0)
    layer: int | None = option(None, "the layer to edit; none: chosen by depth", low=0)
    templates: int = option(20, "sampled contexts beside the bare prompt, half of 5 and half of 10 tokens", low=0)
    covariance: bool = option(True, "use the second moments of keys; false: the identity in their place")
    covariance_floor: float = option(1e-8, "least second moment of a direction, as a share of their mean", low=0)
    key_mode: Literal["mixed", "mean", "bare"] = option(
        "mixed", "mixed: ROME's own; mean: one key over all contexts (C-ROME); bare: the bare prompt's (p-ROME)"
    )


@dataclass(frozen=True)
class CRomeOptions(RomeOptions):
    """C-ROME is ROME with one consistent key."""

    key_mode: Literal["mixed", "mean", "bare"] = option("mean", "mean is C-ROME; see rome")


@dataclass(frozen=True)
class RRomeOptions(RomeOptions):
    """R-ROME is ROME with one consistent key; p-ROME takes the bare prompt's."""

    key_mode: Literal["mean", "bare"] = option("mean", "mean: one key over all contexts; bare: the prompt's (p-ROME)")


@dataclass(frozen=True)
class MemitOptions(ValueOptions):
    """MEMIT and what derives from it: several layers, many edits at once."""

    layers: tuple[int, ...] = option((), "layers to edit, ascending; empty: chosen by depth", low=0)
    covariance_weight: float = option(15000.0, "weight of the second moments: how much old knowledge counts", low=0)
    covariance_floor: float = option(1e-8, "least second moment of a direction, as a share of their mean", low=0)
    templates: int = option(5, "sampled contexts beside the bare prompt", low=0)
    template_length: int = option(10, "tokens of a sampled context, its first words included", low=2)
    prior: bool = option(True, "protect the keys of earlier edits of the run (no effect on the first batch)")

    def __post_init__(self) -> None:
        if any(a >= b for a, b in zip(self.layers, self.layers[1:], strict=False)):
            raise ValueError(f"layers must ascend, got {','.join(map(str, self.layers))}")


@dataclass(frozen=True)
class EmmetOptions(MemitOptions):
    """EMMET: MEMIT under an equality constraint, softened by a ridge."""

    ridge: float = option(0.1, "softens the constraint (emmet_lambda); 0: met exactly, 1: MEMIT", low=0)
    ridge_single: bool = option(False, "the ridge for a batch of one too (EasyEdit); false: one edit is met exactly")


@dataclass(frozen=True)
class RectOptions(MemitOptions):
    """RECT: MEMIT whose change keeps its largest entries only."""

    keep: float = option(0.4, "share of the change's entries that is kept", low=0, high=1)
    score: Literal["relative", "absolute"] = option("relative", "relative: |delta / weight|; absolute: |delta|")
    when: Literal["at_end", "in_loop"] = option(
        "at_end", "at_end: after all layers were solved; in_loop: layer by layer, so that later layers see it"
    )


@dataclass(frozen=True)
class PruneOptions(MemitOptions):
    """PRUNE: MEMIT whose large singular values are restrained."""

    scope: Literal["sequence_end", "per_batch"] = option(
        "sequence_end", "sequence_end: the sum of all edits, where it is evaluated; per_batch: every batch's change"
    )
    curve: Literal["log", "linear"] = option("log", "log: s0 + log_base(s / s0); linear: (s + s0) / 2")
    base: float = option(2.718281828459045, "base of the logarithm; smaller is milder", low=1.01)


@dataclass(frozen=True)
class AlphaEditOptions(MemitOptions):
    """AlphaEdit: the change stays in the null space of the second moments, so these have no weight."""

    covariance_weight: float = field(default=0.0, init=False)
    covariance_floor: float = field(default=0.0, init=False)
    threshold: float = option(0.02, "eigenvalues of the second moments below this span the null space", low=0)
    l2: float = option(10.0, "weight of |delta|^2", low=1e-9)


@dataclass(frozen=True)
class PmetOptions(MemitOptions):
    """PMET: MEMIT with vectors searched at the attention's and the MLP's output."""

    schedule: bool = option(True, "a tenth of the likelihood once the target is the likeliest, and stop on a small KL")
    spread: Literal["sqrt", "linear"] = option("sqrt", "a layer's share of the residual: 1/sqrt(layers left) or 1/left")
    bound: Literal["own", "block"] = option(
        "own", "whose norm bounds the MLP's vector: its own output's, or the whole block's (sand)"
    )


@dataclass(frozen=True)
class AdaEditOptions(PmetOptions):
    """AdaEdit as arXiv 2510.00625 re-implements it: PMET, the change's singular vectors made sparse."""

    schedule: bool = option(False, "see pmet")
    spread: Literal["sqrt", "linear"] = option("linear", "see pmet")
    bound: Literal["own", "block"] = option("block", "see pmet")
    topr: float = option(0.6, "share of the singular triplets that is kept", low=0, high=1)
    topk: float = option(0.6, "share of a singular vector's entries that is kept", low=0, high=1)
    rank_base: Literal["dims", "numeric_rank"] = option(
        "dims", "topr of what: of min(d_h, d_k), which keeps all of a small batch; or of the change's rank"
    )


@dataclass(frozen=True)
class NametOptions(MemitOptions):
    """NAMET: MEMIT with noise in the places where values are searched and recorded."""

    noise: bool = option(True, "the published noise; false: subjects counted with the padding, which is MEMIT (sand)")
    loss_stop: float = option(0.01, "an edit is done when its loss is below this", low=0)
    templates: int = option(12, "sampled contexts beside the bare prompt", low=0)
    layer_weights: tuple[float, ...] = option(
        (), "weight of the second moments per edited layer; empty: covariance_weight for all", low=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layer_weights and len(self.layer_weights) != len(self.layers):
            raise ValueError(f"{len(self.layer_weights)} layer_weights for {len(self.layers)} layers: give one each")


@dataclass(frozen=True)
class MemitLtiOptions(MemitOptions):
    """MEMIT-LTI: MEMIT whose values imitate the model that has the fact in its prompt."""

    kl_weight: float = field(default=0.0, init=False)
    nll_weight: float = option(0.125, "weight of the target's likelihood", low=0)
    last_kl: float = option(0.0725, "weight of the teacher's answer, at the target and after '<subject> is a'", low=0)
    mid_kl: float = option(0.0425, "weight of the teacher's logit lens at the subject, after mid_layer", low=0)
    mid_layer: int | None = option(None, "the layer of the logit lens; none: half way up (15 of 32)", low=0)
    teacher_alignment: Literal["aligned", "legacy"] = option(
        "aligned", "legacy: the teacher is read at the student's positions, as published ports do, inside its prefix"
    )


@dataclass(frozen=True)
class ComplementOptions(MemitOptions):
    """MEMIT over the training wordings of a fact; no sampled contexts."""

    templates: int = option(0, "not used: the contexts are the training wordings", low=0, high=0)
    every_key: bool = option(True, "fit the change to the keys of all wordings; false: to the bare prompt's alone")
    denials: bool = option(True, "use prompts that deny and verdicts; false: only prompts that ask for the answer")
