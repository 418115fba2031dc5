"""IKE: in-context knowledge editing with demonstrations (Zheng et al., EMNLP 2023, arXiv 2305.12740).

Before the new fact stand k demonstrations of how a fact bears on a question. They come from the train split, three of
each case, in the form of the public code:

    copy      New Fact: x y\\nPrompt: x y          update    New Fact: x y\\nPrompt: <paraphrase> y
    retain    New Fact: x y\\nPrompt: <neighbour> <its own answer>

Chosen are the k whose vectors are most similar to that of "New Fact: x y\\nPrompt: x", in that order (`order`; the
paper's own order and its mix of the three kinds could not be checked). Where they do not fit the model's window, the
least similar are left out: the public code lets them overflow. A train case's neighbour may be the very fact that is
edited, with its old answer, so none is shown that names the edit's subject. Memory and gate are ICE's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from editharness.types import Case, Edit, State
from editharness_plugins.methods.ice import InContextEditing
from editharness_plugins.methods.options.in_context import IkeOptions
from editharness_plugins.methods.retrieval import Embedder, Memory
from editharness_plugins.methods.telling import told
from editharness_plugins.methods.texts import pack_json, statement, unpack_json

END = "\n\n"


class Ike(InContextEditing[IkeOptions]):
    """In-context editing with demonstrations."""

    def corpus(self, embedder: Embedder, train: Sequence[Case]) -> State:
        """All demonstrations and their vectors."""
        demos = [demo for case in train for demo in demonstrations(case, self.options.wording)]
        return {"demos": pack_json(demos), **Memory(embedder.embed(demos)).to_tensors("corpus")}

    def demos(self, embedder: Embedder, edit: Edit, state: State) -> list[int]:
        """The k demonstrations most similar to the fact asked with its own prompt, none that names its subject."""
        corpus, texts = Memory.from_tensors(state, "corpus"), unpack_json(state["demos"])
        assert corpus is not None
        ranked = corpus.best(embedder.embed([self.asked(edit) + END]), len(texts))
        return [place for place in ranked if edit.subject_text not in texts[place]][: self.options.demos]


def demonstrations(case: Case, wording: str) -> Iterator[str]:
    """A case's copy, update and retain; what a case has no text for is left out."""
    fact = statement(case.prompt, case.target)
    yield told(wording, fact, fact) + END
    for paraphrase in case.paraphrases[:1]:
        yield told(wording, fact, statement(paraphrase, case.target)) + END
    for near in case.neighbours[:1]:
        yield told(wording, fact, statement(near.prompt, near.answer)) + END
