"""The conformance kit: does a method keep its promises? Every check says what was seen, why it matters, how to mend it.

    from editharness.registry import load_plugins
    from editharness.testing.conformance import check_method

    def test_mine():
        registry = load_plugins()
        report = check_method(registry.method("mine"), registry, "gpt2", options={"steps": 5})
        assert not report.findings, str(report)

The models are tiny and random (editharness.testing.tiny): Llama, Qwen2, Mistral, GPT-2, GPT-J, GPT-NeoX.

effects    the fact moves, in fp32 and bf16; only what was declared changes; undo, export
repeats    same seed, sessions, saved state, interrupted training
batches    single edits, padding, order, rows of an evaluation
mishaps    bad edits, NaN, a layer that is not there
traces     what a method leaves behind
source     spec, presets, words in the source
"""

from editharness.testing.conformance.bench import Bench
from editharness.testing.conformance.report import Fault, Finding, Report
from editharness.testing.conformance.run import CHECKS, Check, check_method

__all__ = ["CHECKS", "Bench", "Check", "Fault", "Finding", "Report", "check_method"]
