"""Gradient steps on the new facts: fine-tuning, adapters, closed-form steps, neurons; and the ceiling of them all."""

from __future__ import annotations

from editharness.types import MethodSpec
from editharness_plugins.methods.families.places import CODE, PRESETS
from editharness_plugins.methods.options.fine_tuning import (
    FtOptions,
    KnOptions,
    LocFtOptions,
    LoraOptions,
    OracleOptions,
    UltraEditOptions,
)

METHODS: tuple[MethodSpec, ...] = (
    MethodSpec(
        name="ft-l",
        title="FT-L",
        paper="arXiv 2012.00363",
        ref=f"{CODE}.ft_l:FtL",
        options=FtOptions,
        presets=PRESETS / "ft_l.yaml",
        ordered=True,
        note="fine-tuning of one layer's MLP, all target tokens asked for at the last prompt token",
    ),
    MethodSpec(
        name="ft-m",
        title="FT-M",
        paper="arXiv 2401.01286",
        ref=f"{CODE}.ft_m:FtM",
        options=FtOptions,
        presets=PRESETS / "ft_m.yaml",
        ordered=True,
        note="masked fine-tuning: one layer's MLP, loss on the target's tokens only",
    ),
    MethodSpec(
        name="lora",
        title="LoRA",
        paper="arXiv 2106.09685",
        ref=f"{CODE}.lora:Lora",
        options=LoraOptions,
        presets=PRESETS / "lora.yaml",
        ordered=True,
        note="peft's adapters, merged into the weights; not AdaLoRA, whose editing port never allocates ranks",
    ),
    MethodSpec(
        name="locft-bf",
        title="LocFT-BF",
        paper="ICLR 2026, Fine-tuning Done Right in Model Editing",
        ref=f"{CODE}.locft_bf:LocFtBf",
        options=LocFtOptions,
        presets=PRESETS / "locft_bf.yaml",
        ordered=True,
        note="fine-tuning on all edits of a batch as one data set, end of text included; after the published code",
    ),
    MethodSpec(
        name="ultraedit",
        title="UltraEdit",
        paper="TMLR 2026, UltraEdit",
        ref=f"{CODE}.ultraedit:UltraEdit",
        options=UltraEditOptions,
        presets=PRESETS / "ultraedit.yaml",
        note="one closed-form step along gradients normalised over the run; after the published code",
    ),
    MethodSpec(
        name="kn",
        title="KN",
        paper="arXiv 2104.08696",
        ref=f"{CODE}.kn:Kn",
        options=KnOptions,
        presets=PRESETS / "kn.yaml",
        sees=frozenset({"old"}),
        max_batch=1,
        note="knowledge neurons of the old answer, rewritten; the paper has BERT, the rest is by its published ports",
    ),
    MethodSpec(
        name="oracle",
        title="oracle",
        paper="",
        ref=f"{CODE}.oracle:Oracle",
        options=OracleOptions,
        presets=PRESETS / "oracle.yaml",
        sees=frozenset({"forms"}),
        trains=True,
        ordered=True,
        note="a ceiling, no paper's method: fine-tuning on the fact in wordings that no probe uses, denials included",
    ),
)
