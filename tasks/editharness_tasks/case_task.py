"""One question about one case as an lm-eval task: is the target the greedy answer, how likely is it, what is said?

A document makes up to three requests, as its form says: the log-likelihood of the target, that of the old answer
(where there is one), and a free greedy continuation. lm-eval's ConfigurableTask has one output type per YAML, hence
the class.
"""

from __future__ import annotations

from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from editharness.documents import documents, wanted
from editharness.forms import find_form
from editharness.scoring import share_right

__all__ = ["CaseTask", "documents", "process_results"]


class CaseTask(ConfigurableTask):
    """A task over the documents of `editharness.documents`; its YAML names data set, form and generation length."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        given = {k: v for k, v in (config or {}).items() if k != "class"}
        # named in the configuration, so that lm-eval does not look our scores up among its own metrics
        super().__init__(config={"process_results": process_results, **given})

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """The documents, given what lm-eval was told on its command line.

        There `data` is a model argument as well, of the model `editharness`: the data set that it was edited with. Here
        it is called `edited`, since a task's own `data` is what it asks about.
        """
        told = dict(self.config.metadata or {})
        if "data" in told:
            told["edited"] = told.pop("data")
        self.dataset = self.config.custom_dataset(**{**told, **(self.config.dataset_kwargs or {})})

    def construct_requests(self, doc: dict[str, Any], ctx: Any, **kwargs: Any) -> list[Instance]:
        """Likelihood of the target, of the old answer if any, and a greedy continuation."""
        kwargs.pop("apply_chat_template", None)
        kwargs.pop("chat_template", None)
        space = "" if ctx[-1:].isspace() else " "  # a chat template may end in a line of its own
        asked: list[tuple[str, Any]] = [
            ("loglikelihood", (ctx, f"{space}{doc[name].strip()}")) for name in wanted(doc)
        ]  # fmt: skip
        if find_form(doc["form"]).generates:
            asked.append(("generate_until", (ctx, dict(self.config.generation_kwargs or {}))))
        return [
            Instance(request_type=kind, doc=doc, arguments=arguments, idx=i, **kwargs)
            for i, (kind, arguments) in enumerate(asked)
        ]


def process_results(doc: dict[str, Any], results: list[Any]) -> dict[str, float]:
    """Numbers of one question: exact (all target tokens greedy), log-probabilities, scores of the text."""
    form, scores = find_form(doc["form"]), dict[str, float]()
    likelihoods = dict(zip(wanted(doc), results, strict=False))
    if "target" in likelihoods:
        likelihood, exact = likelihoods["target"]
        scores |= {"exact": float(exact), "logprob": float(likelihood)}
    if form.generates:
        scores |= form.score(doc, results[-1])
    if "old" in likelihoods:
        old_likelihood, old_exact = likelihoods["old"]
        scores |= {"old_exact": float(old_exact), "old_logprob": float(old_likelihood)}
        if "target" in likelihoods:
            scores["new_over_old"] = float(likelihoods["target"][0] > old_likelihood)
    if form.matches:
        scores |= _matches(doc, likelihoods, results[-1] if form.generates else None)
    if form.drifts and getattr(likelihoods.get("target"), "drift", None) is not None:
        scores |= dict(zip(("kl", "moved"), likelihoods["target"].drift, strict=True))
    return scores


def _matches(doc: dict[str, Any], likelihoods: dict[str, Any], said: Any) -> dict[str, float]:
    """Share of tokens that are right, teacher-forced and decoded, where the model tells tokens (EditedLM).

    Where it also answers freely, the form's scores of both texts at the target's length: "forced_...", "cut_...".
    """
    scores: dict[str, float] = {}
    target: Any = likelihoods.get("target")
    for name, whose in (("match", "target"), ("old_match", "old")):
        answer: Any = likelihoods.get(whose)
        if hasattr(answer, "right"):
            scores[name] = sum(answer.right) / len(answer.right)
    if hasattr(target, "tokens") and hasattr(said, "tokens"):
        score = find_form(doc["form"]).score
        scores["decoded"] = share_right(target.tokens, said.tokens)
        scores |= {f"forced_{name}": value for name, value in score(doc, target.forced).items()}
        scores |= {f"cut_{name}": value for name, value in score(doc, said.first(len(target.tokens))).items()}
    return scores
