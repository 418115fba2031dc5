"""What can be read without running: the spec, its presets, and words in the source that break elsewhere."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator

from editharness.errors import EditHarnessError
from editharness.method import Method
from editharness.presets import load_presets, resolve
from editharness.testing.conformance.report import Fault
from editharness.testing.conformance.trial import Trial

DEVICES = ("cuda", "mps")
GLOBAL_SEEDS = ("manual_seed", "manual_seed_all", "seed_everything", "set_seed")


def spec(trial: Trial) -> Iterator[Fault]:
    """The class is a Method; options have defaults and help; every preset fits them."""
    found = trial.registry.resolve(trial.spec.ref)
    if not (isinstance(found, type) and issubclass(found, Method)):
        yield Fault(
            f"{trial.spec.ref} is no class derived from editharness.method.Method",
            "the runner calls what that class defines",
            "derive from Method[YourOptions] and define edit()",
        )
    try:
        resolve(trial.spec, None, {})
        for preset in load_presets(trial.spec.presets) if trial.spec.presets else []:
            resolve(trial.spec, preset, {})
    except EditHarnessError as error:
        yield Fault(f"options: {error}", "no run with these values can start", "correct the default or the preset")


def source(trial: Trial) -> Iterator[Fault]:
    """No device by name, no unpickling, no printing, no global seed in the method's own module."""
    module = sys.modules[trial.registry.resolve(trial.spec.ref).__module__]
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        for seen, why, mend in _words(node):
            yield Fault(f"{module.__name__}, line {getattr(node, 'lineno', 0)}: {seen}", why, mend)


def _words(node: ast.AST) -> Iterator[tuple[str, str, str]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.split(":")[0] in DEVICES:
        yield f"the device {node.value!r}", "it fails on every other machine", "use host.device"
    if isinstance(node, ast.Import | ast.ImportFrom) and "pickle" in ast.unparse(node).split():
        yield "imports pickle", "a file that is unpickled can run anything", "keep tensors in State, facts as JSON"
    if not isinstance(node, ast.Call):
        return
    called = ast.unparse(node.func)
    last = called.rpartition(".")[2]
    if last == "cuda" and called != "cuda":
        yield f"{called}()", "it fails on every other machine", "use .to(host.device)"
    if called == "torch.load":
        yield "torch.load", "a file that is unpickled can run anything", "use safetensors, or State"
    if called == "print":
        yield (
            "print()",
            "it breaks the progress bar and the JSON on standard output",
            "use host.progress, or Status facts",
        )
    if last in GLOBAL_SEEDS and called.split(".")[0] in ("torch", "random", "np", "numpy", last):
        yield f"{called}()", "it changes the random draws of the whole process", "draw with generator=host.rng"
