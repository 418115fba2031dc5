"""What ships with editharness, as torch-free specs: the code behind each is imported when it is used."""

from __future__ import annotations

from pathlib import Path

from editharness.types import DatasetSpec, JudgeSpec, MethodSpec, ModelSpec, ProtocolSpec, Source
from editharness_plugins.judges.options import BertscoreOptions, LocalOptions, OpenAIOptions
from editharness_plugins.methods.families import (
    controls,
    fine_tuning,
    hypernetworks,
    in_context,
    locate_then_edit,
    memories,
    research,
)

_DATASETS = "editharness_plugins.datasets"
_POCKET = Path(__file__).parent / "pocket"

METHODS: tuple[MethodSpec, ...] = (
    *controls.METHODS,
    *fine_tuning.METHODS,
    *locate_then_edit.METHODS,
    *hypernetworks.METHODS,
    *memories.METHODS,
    *in_context.METHODS,
    *research.METHODS,
)

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="pocket",
        title="Pocket: a small Llama that knows real facts",
        folder=_POCKET / "model",
        licence="Apache-2.0",
        card=_POCKET / "card.json",
    ),
    ModelSpec(
        name="pocket-chat",
        title="Pocket, taught to converse",
        folder=_POCKET / "chat_model",
        licence="Apache-2.0",
        card=_POCKET / "card_chat.json",
        corpus=_POCKET / "model" / "corpus.txt",
    ),
)

PROTOCOLS: tuple[ProtocolSpec, ...] = (
    ProtocolSpec(
        name="negation",
        title="Negation of knowledge queries",
        paper="arXiv 2510.00625, section 5.2",
        ref="editharness_plugins.protocols.negation:Negation",
    ),
    ProtocolSpec(
        name="negation_plus",
        title="Complements beyond not: never, no longer, it is false that, antonym, contrast, question, contradiction",
        paper="no paper; after arXiv 2510.00625, section 5.2",
        ref="editharness_plugins.protocols.negation_plus:NegationPlus",
        version=2,
    ),
    ProtocolSpec(
        name="negation_masked",
        title="Supportive tokens left out of edit and question",
        paper="the claim of arXiv 2510.00625, section 4.1",
        ref="editharness_plugins.protocols.negation_masked:NegationMasked",
    ),
    ProtocolSpec(
        name="factcheck",
        title="Fact-checking: is the statement called true?",
        paper="arXiv 2510.00625, section 5.3",
        ref="editharness_plugins.protocols.factcheck:FactCheck",
    ),
    ProtocolSpec(
        name="portability",
        title="What follows from the fact, and what must stay",
        paper="arXiv 2305.14795 (multi-hop), arXiv 2305.13172 (portability)",
        ref="editharness_plugins.protocols.portability:Portability",
    ),
    ProtocolSpec(
        name="sequential",
        title="Life under sequential edits",
        paper="arXiv 2502.11177, section 7",
        ref="editharness_plugins.protocols.sequential:Sequential",
    ),
    ProtocolSpec(
        name="wild",
        title="WILD: free answers to the questions that the model got wrong",
        paper="arXiv 2502.11177, sections 4 and 5",
        ref="editharness_plugins.protocols.wild:Wild",
    ),
    ProtocolSpec(
        name="synthetic",
        title="Synthetic evaluation: token match ratio under teacher forcing",
        paper="arXiv 2502.11177, sections 4 and 5",
        ref="editharness_plugins.protocols.synthetic:Synthetic",
    ),
    ProtocolSpec(
        name="modules",
        title="Input, generation, truncation and metric as switches",
        paper="arXiv 2502.11177, section 6",
        ref="editharness_plugins.protocols.modules:Modules",
    ),
)

JUDGES: tuple[JudgeSpec, ...] = (
    JudgeSpec(
        name="rules",
        title="alias as whole words, asserted and not contradicted",
        ref="editharness_plugins.judges.rules:Rules",
        note="no model, no network; the same verdict everywhere",
    ),
    JudgeSpec(
        name="local",
        title="a local language model: log-probability of A (correct) against B (incorrect)",
        ref="editharness_plugins.judges.local:Local",
        options=LocalOptions,
        note="--judge-set local.model=FOLDER, a hub id or a packaged name",
    ),
    JudgeSpec(
        name="bertscore",
        title="graded: BERTScore F1 with the closest of the expected answers (arXiv 1904.09675)",
        ref="editharness_plugins.judges.bertscore:Bertscore",
        options=BertscoreOptions,
        note="--judge-set bertscore.model=FOLDER of an encoder; a mean score, never a share of correct answers",
    ),
    JudgeSpec(
        name="openai",
        title="a model behind an OpenAI-compatible server replies A or B",
        ref="editharness_plugins.judges.openai_server:OpenAIServer",
        options=OpenAIOptions,
        note="pip install 'editharness[judge]'; url, model and key from options or EDITHARNESS_JUDGE_URL, _MODEL, _KEY",
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
        name="counterfact",
        title="CounterFact",
        paper="arXiv 2202.05262",
        ref=f"{_DATASETS}.mcf:load_counterfact",
        licence="MIT",
        sources=(Source("url", "https://rome.baulab.info/data/dsets/counterfact.json", file="counterfact.json"),),
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
    DatasetSpec(
        name="own",
        title="Own data: cases that `editharness data build` made",
        paper="",
        ref=f"{_DATASETS}.own:load",
        licence="yours",
        sources=(),
    ),
    DatasetSpec(
        name="own_cloze",
        title="Own data, questions rewritten as statements to complete",
        paper="",
        ref=f"{_DATASETS}.own:load_cloze",
        licence="yours",
        sources=(),
    ),
)
