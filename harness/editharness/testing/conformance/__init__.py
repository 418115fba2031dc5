"""The conformance kit: does a plugin keep its promises? Every check says what was seen, why it matters, how to mend it.

    from editharness.registry import load_plugins
    from editharness.testing import check_method

    def test_mine():
        registry = load_plugins()
        report = check_method(registry.method("mine"), registry, "gpt2", options={"steps": 5})
        assert not report.findings, str(report)

Of methods, on tiny and random models (editharness.testing.tiny): Llama, Qwen2, Mistral, GPT-2, GPT-J, GPT-NeoX.

effects    the fact moves, in fp32 and bf16; only what was declared changes; undo, export
repeats    same seed, sessions, saved state, interrupted training
batches    single edits, padding, order, rows of an evaluation
mishaps    bad edits, NaN, a layer that is not there
traces     what a method leaves behind
source     spec, presets, words in the source

And of the other kinds:

protocols  controls on the packaged model, without an edit
datasets   schema, subjects, licence, the same at every reading
judges     the sanity battery, the same in any order and company
tasks      one document (task_subject), rendered and answered without a model
importing  no network while a module is imported
"""

from editharness.testing.conformance.bench import Bench
from editharness.testing.conformance.checks import Check
from editharness.testing.conformance.datasets import check_dataset
from editharness.testing.conformance.judges import check_judge
from editharness.testing.conformance.protocols import check_protocol
from editharness.testing.conformance.report import Fault, Finding, Report
from editharness.testing.conformance.run import CHECKS, check_method
from editharness.testing.conformance.tasks import check_task

__all__ = [
    "CHECKS",
    "Bench",
    "Check",
    "Fault",
    "Finding",
    "Report",
    "check_dataset",
    "check_judge",
    "check_method",
    "check_protocol",
    "check_task",
]
