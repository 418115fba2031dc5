"""One question about one case as an lm-eval task: is the target the greedy answer, how likely is it, what is said?

Each document makes up to three requests: the log-likelihood of the target, that of the old answer (where there is
one), and a free greedy continuation. lm-eval's ConfigurableTask has one output type per YAML, hence the class.
"""

from __future__ import annotations

from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from editharness.documents import documents
from editharness.scoring import score_texts

__all__ = ["CaseTask", "documents", "process_results"]


class CaseTask(ConfigurableTask):
    """A task over the documents of `editharness.documents`; its YAML names data set, form and generation length."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        given = {k: v for k, v in (config or {}).items() if k != "class"}
        # named in the configuration, so that lm-eval does not look our scores up among its own metrics
        super().__init__(config={"process_results": process_results, **given})

    def construct_requests(self, doc: dict[str, Any], ctx: Any, **kwargs: Any) -> list[Instance]:
        """Likelihood of the target, of the old answer if any, and a greedy continuation."""
        kwargs.pop("apply_chat_template", None)
        kwargs.pop("chat_template", None)
        answers = [doc["target"], doc["old"]] if doc["old"] else [doc["target"]]
        asked: list[tuple[str, Any]] = [("loglikelihood", (ctx, f" {answer.strip()}")) for answer in answers]
        asked.append(("generate_until", (ctx, dict(self.config.generation_kwargs or {}))))
        return [
            Instance(request_type=kind, doc=doc, arguments=arguments, idx=i, **kwargs)
            for i, (kind, arguments) in enumerate(asked)
        ]


def process_results(doc: dict[str, Any], results: list[Any]) -> dict[str, float]:
    """Numbers of one question: exact (all target tokens greedy), log-probabilities, scores of the text."""
    likelihood, exact = results[0]
    scores = {"exact": float(exact), "logprob": float(likelihood), **score_texts(doc, results[-1])}
    if doc["old"]:
        old_likelihood, old_exact = results[1]
        scores |= {
            "old_exact": float(old_exact),
            "old_logprob": float(old_likelihood),
            "new_over_old": float(likelihood > old_likelihood),
        }
    return scores
