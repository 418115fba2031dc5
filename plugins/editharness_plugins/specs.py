"""What ships with editharness, as torch-free specs: the code behind each is imported when it is used."""

from __future__ import annotations

from pathlib import Path

from editharness.locate.options import CRomeOptions, FtOptions, MemitOptions, RomeOptions
from editharness.types import DatasetSpec, MethodSpec, ModelSpec, ProtocolSpec, Source

_METHODS = "editharness_plugins.methods"
_DATASETS = "editharness_plugins.datasets"
_POCKET = Path(__file__).parent / "pocket"
_PRESETS = Path(__file__).parent / "methods" / "presets"

METHODS: tuple[MethodSpec, ...] = (
    MethodSpec(
        name="none",
        title="no edit",
        paper="",
        ref=f"{_METHODS}.none:NoEdit",
        effect="none",
        note="control: the unedited model",
    ),
    MethodSpec(
        name="context",
        title="fact in the prompt",
        paper="",
        ref=f"{_METHODS}.context:InContext",
        effect="router",
        note="control: no weight changes, the facts about a request's subject are told before it",
    ),
    MethodSpec(
        name="ft-m",
        title="FT-M",
        paper="arXiv 2401.01286",
        ref=f"{_METHODS}.ft_m:FtM",
        options=FtOptions,
        presets=_PRESETS / "ft_m.yaml",
        note="masked fine-tuning: one layer's MLP, loss on the target's tokens only",
    ),
    MethodSpec(
        name="rome",
        title="ROME",
        paper="arXiv 2202.05262",
        ref=f"{_METHODS}.rome:Rome",
        options=RomeOptions,
        presets=_PRESETS / "rome.yaml",
        max_batch=1,
        note="rank-one update of one MLP",
    ),
    MethodSpec(
        name="c-rome",
        title="C-ROME",
        paper="arXiv 2406.11263",
        ref=f"{_METHODS}.c_rome:CRome",
        options=CRomeOptions,
        presets=_PRESETS / "c_rome.yaml",
        max_batch=1,
        note="ROME with one key, the mean over contexts, throughout",
    ),
    MethodSpec(
        name="memit",
        title="MEMIT",
        paper="arXiv 2210.07229",
        ref=f"{_METHODS}.memit:Memit",
        options=MemitOptions,
        presets=_PRESETS / "memit.yaml",
        note="many edits at once, spread over several MLPs",
    ),
)

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="pocket",
        title="Pocket: a small Llama that knows real facts",
        folder=_POCKET / "model",
        licence="Apache-2.0",
        card=_POCKET / "card.json",
    ),
)

PROTOCOLS: tuple[ProtocolSpec, ...] = (
    ProtocolSpec(
        name="negation",
        title="Negation of knowledge queries",
        paper="arXiv 2510.00625, section 5.2",
        ref="editharness_plugins.protocols.negation:Negation",
    ),
)

# Where no sha256 stands, the publisher gives none and the file could not be checked: a run's record keeps what it read.
DATASETS: tuple[DatasetSpec, ...] = (
    DatasetSpec(
        name="pocket",
        title="Pocket: facts that the packaged model knows",
        paper="",
        ref=f"{_DATASETS}.pocket:load",
        licence="Apache-2.0",
        sources=(Source("package", "editharness_plugins.pocket", file="pocket.jsonl"),),
    ),
    DatasetSpec(
        name="mcf",
        title="MultiCounterFact",
        paper="arXiv 2210.07229 (CounterFact: arXiv 2202.05262)",
        ref=f"{_DATASETS}.mcf:load",
        licence="MIT",
        sources=(
            Source(
                "url",
                "https://memit.baulab.info/data/dsets/multi_counterfact.json",
                file="multi_counterfact.json",
            ),
        ),
    ),
    DatasetSpec(
        name="zsre",
        title="ZsRE, questions (MEND's evaluation split)",
        paper="arXiv 2110.11309 (ZsRE: arXiv 1706.04115)",
        ref=f"{_DATASETS}.zsre:load",
        licence="MIT",
        sources=(
            Source("url", "https://memit.baulab.info/data/dsets/zsre_mend_eval.json", file="zsre_mend_eval.json"),
        ),
    ),
    DatasetSpec(
        name="zsre_cloze",
        title="ZsRE, questions rewritten as statements to complete",
        paper="arXiv 2110.11309 (ZsRE: arXiv 1706.04115)",
        ref=f"{_DATASETS}.zsre:load_cloze",
        licence="MIT",
        sources=(
            Source("url", "https://memit.baulab.info/data/dsets/zsre_mend_eval.json", file="zsre_mend_eval.json"),
        ),
    ),
    DatasetSpec(
        name="wcf",
        title="WikiData CounterFact, KnowEdit's test split",
        paper="arXiv 2401.01286",
        ref=f"{_DATASETS}.wcf:load",
        licence="MIT",
        sources=(Source("hub", "zjunlp/KnowEdit", file="benchmark/wiki_counterfact/test_cf.json"),),
    ),
    DatasetSpec(
        name="mquake",
        title="MQuAKE-CF-3k-v2",
        paper="arXiv 2305.14795",
        ref=f"{_DATASETS}.mquake:load",
        licence="MIT",
        sources=(
            Source(
                "url",
                "https://raw.githubusercontent.com/princeton-nlp/MQuAKE/main/datasets/MQuAKE-CF-3k-v2.json",
                file="MQuAKE-CF-3k-v2.json",
            ),
        ),
    ),
    DatasetSpec(
        name="qaedit",
        title="QAEdit, the subset of 1,000",
        paper="arXiv 2502.11177",
        ref=f"{_DATASETS}.qaedit:load",
        licence="Apache-2.0",
        sources=(
            Source(
                "url",
                "https://raw.githubusercontent.com/WanliYoung/Revisit-Editing-Evaluation/"
                "61ccca3c1ecdb3976c9c0924e9352f3e64cc7d48/data/QAEdit_inter_1k.json",
                sha256="640e1d279759263fdaae543a385680d21a55aa3597ca8b597ffd7937fef07c42",
                file="QAEdit_inter_1k.json",
            ),
        ),
    ),
)
